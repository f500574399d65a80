package ledger

import (
	"context"
	"errors"
	"time"

	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// A log that grew gets a checkpoint after so long, or after so many segments.
const (
	checkpointEvery    = time.Hour
	checkpointSegments = 16384
)

// errSettled: nothing has come into the log since the last checkpoint.
var errSettled = errors.New("the last checkpoint commits to all of the log")

// checkpointing is a checkpoint on its way into the log.
type checkpointing struct {
	// compose writes the event when it is sealed: then it is known what is before it.
	compose func(p *pending, at head) error
	checkpointed
}

// WriteCheckpoint appends a checkpoint if the log has grown since the last one, and is this
// daemon's to write. When ctx ends first it may still be appended.
func (s *Store) WriteCheckpoint(ctx context.Context) error {
	p, err := s.requestCheckpoint()
	if errors.Is(err, ErrNotEnrolled) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.settle(ctx)
}

// requestCheckpoint has a checkpoint of the daemon's appended, and does not wait for it.
func (s *Store) requestCheckpoint() (*pending, error) {
	if !s.Enrolled() {
		return nil, ErrNotEnrolled
	}
	c := &checkpointing{}
	c.compose = func(p *pending, at head) error {
		if !at.grown() {
			return errSettled
		}
		signed, err := s.sign(at.tree.Size(), at.tree.Root())
		if err != nil {
			return err
		}
		event := &pb.Event{Body: &pb.Event_Checkpointed{Checkpointed: &pb.Checkpointed{Note: signed.GetCheckpoint()}}}
		if err := s.encode(p, event); err != nil {
			return err
		}
		c.checkpointed = checkpointed{size: at.tree.Size(), time: event.GetTime(), note: signed.GetCheckpoint()}
		return nil
	}
	p := &pending{class: seal.Open, checkpoint: c}
	return p, s.request(p)
}

// WriteCosigned appends a checkpoint once more that has got the owner's signature, too.
func (s *Store) WriteCosigned(ctx context.Context, signed string) error {
	event := &pb.Checkpointed{Note: signed}
	c, err := log.OpenCheckpointed(event, s.id, s.key().SigningKey(), s.Keyring().OwnerKey())
	if err != nil {
		return err
	}
	if !c.Cosigned {
		return errors.New("the owner has not signed it")
	}
	p := &pending{class: seal.Open, checkpoint: &checkpointing{
		compose: func(*pending, head) error { return nil }, checkpointed: checkpointed{size: c.Size},
	}}
	if err := s.encode(p, &pb.Event{Body: &pb.Event_Checkpointed{Checkpointed: event}}); err != nil {
		return err
	}
	if err := s.request(p); err != nil {
		return err
	}
	return p.settle(ctx)
}

// request puts a checkpoint in line, if the disk has room for it: a lock waits for it.
func (s *Store) request(p *pending) error {
	if err := s.room(disk.Reserved); err != nil {
		return err
	}
	return s.appender.enqueue(p)
}

// settle waits until a checkpoint is in the log, cannot be, or need not be.
func (p *pending) settle(ctx context.Context) error {
	select {
	case <-p.answered:
	case <-ctx.Done():
		return ctx.Err()
	}
	if errors.Is(p.err, errSettled) {
		return nil
	}
	return p.err
}

// LastCheckpoint returns how many segments the last checkpoint in the log commits to and when
// it was made; 0: there is none.
func (s *Store) LastCheckpoint() (size uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkpoint.size, time.UnixMicro(s.checkpoint.time)
}

// TakeUncosigned returns the last checkpoint in the log once, for the owner to sign it, too;
// "": there is none, or he has.
func (s *Store) TakeUncosigned() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	signed := s.uncosigned
	s.uncosigned = ""
	return signed
}

// schedule has the next checkpoint made in time. What cannot be written now is tried again
// an hour later.
func (s *Store) schedule(at head) {
	growing := at.grown()
	switch {
	case !growing:
		s.hourly.Stop()
	case !s.growing:
		s.hourly.Reset(checkpointEvery)
	case at.tree.Size()-at.checkpoint.settled == checkpointSegments:
		_, _ = s.requestCheckpoint()
	}
	s.growing = growing
}

// hour makes the checkpoint of a log that grew.
func (s *Store) hour() {
	s.hourly.Reset(checkpointEvery)
	_, _ = s.requestCheckpoint()
}
