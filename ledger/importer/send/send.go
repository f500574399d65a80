// Package send brings what importers read into the ledger: samples gather in a [Batch]
// until they are a request, and a [Sender] has a few requests in flight.
//
//	sender := send.New(ctx, app.Save, 4)
//	batch := send.NewBatch(sender)
//	for … {
//		err = batch.AddSample(sample) // or, for plain values, faster: batch.Add(t, unit, source, &row)
//	}
//	err = batch.Flush()
//	err = sender.Close() // the first error of a save, and the one to report
//
// Every request asks for duplicates to be recognised by content, so that what was saved
// before may be sent again. Repeating a request that was not answered is the client's.
package send

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Func saves samples; it is the client's Save.
type Func func(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error)

// Sender saves requests several at a time. The first error ends it. Send and Close are
// for one goroutine.
type Sender struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	queue  chan *pb.SaveRequest
	wait   sync.WaitGroup
	saved  atomic.Uint64
}

// New returns a Sender with so many requests in flight at most. It must be closed.
func New(ctx context.Context, save Func, inFlight int) *Sender {
	s := &Sender{queue: make(chan *pb.SaveRequest)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	for range inFlight {
		s.wait.Go(func() {
			for request := range s.queue {
				if s.ctx.Err() != nil {
					continue
				}
				if err := s.save(save, request); err != nil {
					s.cancel(err)
				}
			}
		})
	}
	return s
}

func (s *Sender) save(save Func, request *pb.SaveRequest) error {
	samples := len(request.Samples)
	for _, c := range request.Columns {
		samples += health.Count(c)
	}
	request.RequestId, request.ByContent = make([]byte, 16), true
	rand.Read(request.RequestId) // never fails
	response, err := save(s.ctx, request)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	s.saved.Add(uint64(response.GetAccepted()))
	if int(response.GetAccepted()) != samples {
		return fmt.Errorf("save: %d of %d samples were accepted", response.GetAccepted(), samples)
	}
	return nil
}

// Context ends with the first error, which is its cause.
func (s *Sender) Context() context.Context { return s.ctx }

// Saved is how many samples the ledger has acknowledged so far.
func (s *Sender) Saved() uint64 { return s.saved.Load() }

// Send hands a request over; it waits while as many as allowed are in flight.
func (s *Sender) Send(columns []*pb.SampleColumns) error {
	return s.send(&pb.SaveRequest{Columns: columns})
}

func (s *Sender) send(request *pb.SaveRequest) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	select {
	case s.queue <- request:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// Close waits for the requests in flight and returns the first error.
func (s *Sender) Close() error {
	close(s.queue)
	s.wait.Wait()
	err := context.Cause(s.ctx)
	s.cancel(nil)
	return err
}
