package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// A store whose log is damaged is opened all the same, so that its owner can find out what is
// lost. Nothing of it is read. It is written where the log still ends as the head knows: the
// damage is before that, and shows for ever. Anywhere else a segment would take the place of
// one that was lost.

// Damage returns what was found wrong with the log when the store was opened, nil: nothing.
func (s *Store) Damage() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damage
}

// Closed returns why nothing is written to the log of a store that is damaged, nil: it is.
func (s *Store) Closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// isDamage tells whether an error says that the log is not what was written.
func isDamage(err error) bool {
	return errors.Is(err, ErrDataLoss) || errors.Is(err, seal.ErrTampered) || errors.Is(err, log.ErrLoss) || errors.Is(err, log.ErrNoWrap)
}

// salvage opens a store with a damaged log. It returns the head to go on from.
func (s *Store) salvage(ctx context.Context, known head, cached []*pb.SignedDecision, damage error) (head, error) {
	s.damage, s.unknown = damage, false
	if known.holds(cached) {
		at := known
		err := s.goOn(ctx, &at)
		if err == nil || !isDamage(err) {
			return at, err
		}
	}
	s.known = known
	s.closed = fmt.Errorf("%w: nothing is written to a log that does not end where it did", ErrDataLoss)
	// What was read on the way is not believed.
	if err := s.decisions.Fill(cached); err != nil {
		return head{}, err
	}
	s.state = s.replayDecisions()
	if number, _ := s.state.Head(); number < known.decision || !known.holds(cached) {
		// Others may have been let in, or not, by the decisions that are missing.
		s.state, s.unknown = s.newState(), true
	}
	return known, nil
}

// goOn catches up with what is behind the head, if the log has the segment that the head ends
// with.
func (s *Store) goOn(ctx context.Context, at *head) error {
	last, err := s.reach(ctx, at)
	if err != nil {
		return err
	}
	if err := s.readOn(ctx, at, last); err != nil {
		return err
	}
	return s.forget()
}

// holds tells whether decisions, which are a chain, have the last that the head knows.
func (h head) holds(decisions []*pb.SignedDecision) bool {
	if h.decision == 0 || h.decision > uint64(len(decisions)) {
		return false
	}
	sum := sha256.Sum256(decisions[h.decision-1].GetDecision())
	return bytes.Equal(sum[:], h.decisionHash)
}

// surveyStep is how long a survey goes on before it looks whether it is still wanted.
const surveyStep = time.Second

// Survey is what is wrong with a log.
type Survey struct {
	// Faults are those that a verification finds.
	Faults []*pb.LogFault
	// Lost is what the owner can accept to have lost, in order, and Decisions the numbers of the
	// decisions that are lost with it.
	Lost      []*pb.LostSegments
	Decisions []uint64
	// Others are faults that are no loss of segments, nor come of one.
	Others []*pb.LogFault
}

// Survey finds out what is wrong with a log.
func (l *Ledger) Survey(ctx context.Context, id seal.StoreID) (*Survey, error) {
	v, err := l.Verify(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	for {
		finished, err := v.Step(ctx, surveyStep)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if finished {
			return v.survey(), nil
		}
	}
}

// unsure returns how many stores there are of which nobody knows by which key they are
// written. It needs mu.
func (l *Ledger) unsure() int {
	n := len(l.broken)
	for _, s := range l.stores {
		if s.Damage() != nil {
			n++
		}
	}
	return n
}
