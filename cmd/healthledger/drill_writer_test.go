package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// beat is the request to save a sample of the writer. Half of them bring a UUID.
func beat(n int64) *pb.SaveRequest {
	at, value, id := timestamppb.New(beatTime(n)), 60.0, uuid.New()
	sample := &pb.Sample{Type: "heartRate", Start: at, End: at, Value: &value, Unit: "count/min", Source: &pb.Source{Name: "Watch"}}
	if n%2 == 0 {
		sample.Uuid = beatUUID(n)
	}
	return &pb.SaveRequest{RequestId: id[:], Samples: []*pb.Sample{sample}}
}

func beatTime(n int64) time.Time { return time.Unix(1_700_000_000+n, 0) }

func beatUUID(n int64) string { return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n)).String() }

// write begins to save and delete, and returns what ends that.
func (d *drill) write() (stop func()) {
	d.t.Helper()
	c := d.dial(drillWriter)
	ctx, cancel := context.WithCancel(d.t.Context())
	var writing sync.WaitGroup
	for range 3 {
		writing.Go(func() {
			for ctx.Err() == nil {
				n, request := d.take()
				err := d.save(ctx, c, n, request)
				if err == nil && rand.IntN(10) == 0 {
					err = d.delete(ctx, c)
				}
				if err != nil {
					d.count("writer was answered " + reasonOf(err))
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	return func() {
		cancel()
		writing.Wait()
		c.Close()
	}
}

// reasonOf is what kind of error a caller got.
func reasonOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "nothing"
	}
	return rpc.Reason(err)
}

func (d *drill) take() (int64, *pb.SaveRequest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.beats[d.last], d.asked[d.last] = either, beat(d.last)
	return d.last, d.asked[d.last]
}

func (d *drill) save(ctx context.Context, c *client.Client, n int64, request *pb.SaveRequest) error {
	if _, err := c.Health().Save(ctx, request); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats[n] = there
	delete(d.asked, n)
	d.reports["saves answered"]++
	return nil
}

// delete deletes a sample that was saved.
func (d *drill) delete(ctx context.Context, c *client.Client) error {
	d.mu.Lock()
	n := 2 * (1 + rand.Int64N(d.last))
	if d.beats[n] != there {
		d.mu.Unlock()
		return nil
	}
	d.beats[n] = either
	d.mu.Unlock()
	id := uuid.New()
	_, err := c.Health().Delete(ctx, &pb.DeleteRequest{RequestId: id[:], Deletions: []*pb.Deletion{{Type: "heartRate", Uuids: []string{beatUUID(n)}}}})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats[n] = gone
	d.reports["deletes answered"]++
	return nil
}

// again saves some of what had no answer once more, as a producer does.
func (d *drill) again() {
	d.t.Helper()
	c := d.dial(drillWriter)
	defer c.Close()
	d.mu.Lock()
	asked := maps.Clone(d.asked)
	d.mu.Unlock()
	for n, request := range asked {
		if rand.IntN(2) == 0 {
			continue
		}
		if err := d.save(d.t.Context(), c, n, request); err != nil {
			d.t.Errorf("saved again: %v", err)
		}
		d.count("saved again")
	}
}
