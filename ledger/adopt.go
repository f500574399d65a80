package ledger

import (
	"bytes"
	"errors"
	"fmt"

	pb "healthledger/proto/healthledger/v1"
)

// A daemon that cannot open the class management of a log, because it was sealed to the device
// of another machine or to a key that was replaced, knows what the owner has decided from its
// cache. Without that it knows nothing: it lets no app in and writes nothing, until the owner
// has unlocked the store. The projector has then verified the whole log, and hands over the
// decisions, which prove themselves.

// Knows tells whether this daemon knows what the owner has decided.
func (s *Store) Knows() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.unknown
}

// Adopt takes all decisions of the log from whoever could open them. The error wraps
// authz.ErrForged where they are not the owner's, ErrDataLoss where there were more, and
// ErrOldKeyring where the key directory is older than they are.
func (s *Store) Adopt(decisions []*pb.SignedDecision) error {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if s.Knows() {
		return nil
	}
	if err := s.adopt(decisions); err != nil {
		return fmt.Errorf("decisions of store %s: %w", s.id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown = false
	return nil
}

func (s *Store) adopt(decisions []*pb.SignedDecision) error {
	// Not yet on the state that is asked who may write.
	state, at := s.newState(), s.appender.at
	seen := at.decision == 0
	for _, d := range decisions {
		if err := state.Decide(d, nil); err != nil {
			return err
		}
		number, hash := state.Head()
		seen = seen || number == at.decision && bytes.Equal(hash, at.decisionHash)
	}
	if !seen {
		return fmt.Errorf("%w: decision %d was acknowledged, the log does not have it", ErrDataLoss, at.decision)
	}
	if at.decision, at.decisionHash = state.Head(); at.decision == 0 {
		return errors.New("there are none")
	}
	if err := s.settleKeys(state); err != nil {
		return err
	}
	if err := s.decisions.Fill(decisions); err != nil {
		return err
	}
	// The cache first: without the head, the next start does not believe it.
	if err := s.head.Write(at); err != nil {
		return err
	}
	s.head.sync()
	for _, d := range decisions {
		if err := s.state.Decide(d, nil); err != nil {
			return err
		}
	}
	if err := s.takeLosses(); err != nil {
		return err
	}
	s.appender.rebase(at)
	return nil
}
