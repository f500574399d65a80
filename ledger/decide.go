package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/disk"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// Decide appends a decision of the owner, its detail first: without the decision
// that names it a detail means nothing. It returns the sequence to wait for.
// Errors: authz.ErrForged, ErrNotEnrolled for the enrolment of another daemon,
// ErrKeyringPending, ErrNotStaged, ErrErasurePending, and those of an append.
func (s *Store) Decide(ctx context.Context, d *pb.NewDecision) (uint64, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	return s.decide(ctx, d)
}

// decide is Decide under deciding.
func (s *Store) decide(ctx context.Context, d *pb.NewDecision) (uint64, error) {
	if err := s.room(disk.Reserved); err != nil {
		return 0, err
	}
	signed := d.GetDecision()
	// Once more when it is sealed: a decision that was given up may have made it
	// into the log meanwhile.
	check := func() error { return s.state.Check(signed, d.GetDetail()) }
	if err := check(); err != nil {
		return 0, err
	}
	decision := &pb.Decision{}
	if err := proto.Unmarshal(signed.GetDecision(), decision); err != nil {
		return 0, err
	}
	class, enrols := seal.Management, (*seal.DeviceKey)(nil)
	if device := decision.GetDeviceEnrolled(); device != nil {
		// What this daemon signs after that, nobody would take.
		if enrols = s.devices.find(device); enrols == nil {
			return 0, ErrNotEnrolled
		}
		class = seal.Open
	} else if !s.Enrolled() {
		return 0, ErrNotEnrolled
	}
	if replaced := decision.GetKeyringReplaced(); replaced != nil {
		if err := s.stageKeyring(d.GetKeyring(), replaced.GetHash()); err != nil {
			return 0, err
		}
	}
	if erased := decision.GetEpochsErased(); erased != nil {
		if err := s.checkErasure(erased); err != nil {
			return 0, err
		}
	}
	if loss := decision.GetLossAccepted(); loss != nil {
		if err := s.checkLoss(loss); err != nil {
			return 0, err
		}
		class = seal.Open // whoever has no keys needs it most
	}
	if rekeyed := decision.GetStoreRekeyed(); rekeyed != nil {
		if err := s.stageKeys(d.GetKeyring(), rekeyed); err != nil {
			return 0, err
		}
		// Nothing that takes a key stands between the check and the acknowledgement.
		class, check = seal.Open, s.checkStaged(check, rekeyed)
	}
	if len(d.GetDetail()) > 0 {
		detail := &pb.Event{Body: &pb.Event_DecisionDetail{DecisionDetail: d.GetDetail()}}
		if _, err := s.record(ctx, &pending{class: seal.Health, check: check}, detail); err != nil {
			return 0, err
		}
	}
	hash := sha256.Sum256(signed.GetDecision())
	sequence, err := s.record(ctx, &pending{
		class: class, check: check, enrols: enrols, signed: signed, decision: decision.GetNumber(), decisionHash: hash[:],
	}, &pb.Event{Body: &pb.Event_Decision{Decision: signed}})
	switch {
	case err != nil:
	case decision.GetKeyringReplaced() != nil, decision.GetStoreRekeyed() != nil:
		err = s.finishKeys()
	case decision.GetEpochsErased() != nil:
		if err = s.settleErasures(s.state); err != nil {
			err = fmt.Errorf("%w: %w", ErrErasurePending, err)
		}
	}
	return sequence, err
}
