package apple

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"

	pb "healthledger/proto/healthledger/v1"
)

// SaveFunc saves samples; it is the client's Save.
type SaveFunc func(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error)

// request is what one save brings.
type request struct {
	columns []*pb.SampleColumns
	samples int
}

// sender saves requests several at a time. The first error ends it.
type sender struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	queue  chan request
	wait   sync.WaitGroup
	saved  atomic.Uint64
}

func newSender(ctx context.Context, save SaveFunc, inFlight int) *sender {
	s := &sender{queue: make(chan request)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	for range inFlight {
		s.wait.Go(func() {
			for r := range s.queue {
				if s.ctx.Err() != nil {
					continue
				}
				if err := s.save(save, r); err != nil {
					s.cancel(err)
				}
			}
		})
	}
	return s
}

func (s *sender) save(save SaveFunc, r request) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	response, err := save(s.ctx, &pb.SaveRequest{RequestId: id, Columns: r.columns, ByContent: true})
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	s.saved.Add(uint64(response.GetAccepted()))
	if int(response.GetAccepted()) != r.samples {
		return fmt.Errorf("save: %d of %d samples were accepted", response.GetAccepted(), r.samples)
	}
	return nil
}

// send hands a request over; it waits while as many as allowed are in flight.
func (s *sender) send(r request) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	select {
	case s.queue <- r:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// close waits for the requests in flight and returns the first error.
func (s *sender) close() error {
	close(s.queue)
	s.wait.Wait()
	err := context.Cause(s.ctx)
	s.cancel(nil)
	return err
}
