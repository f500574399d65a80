package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// An erasure is decided when the decision that names its epochs is in the log. Before that
// what was sealed again means nothing, and its keys are dropped; after that the keys of the
// epochs are destroyed. A crash at any point leaves what the next start, or the next erasure,
// needs to do the rest.

// ErrErasurePending: the decision is in the log, and the key directory could not be written.
// The next start destroys the keys.
var ErrErasurePending = errors.New("the keys are destroyed when the daemon is started again")

// EndEpoch ends the epoch of class health that is being written, so that it can be erased,
// and drops what an erasure that was given up has left. It returns the last segment; those
// that come later are of other epochs.
func (s *Store) EndEpoch(ctx context.Context) (uint64, error) {
	if !s.Enrolled() {
		return 0, ErrNotEnrolled
	}
	end, err := s.appender.Append(ctx, &pending{class: endOfEpoch})
	if err != nil {
		return 0, err
	}
	// Now it is known of every decision whether the log has it.
	if err := s.settleErasures(s.state); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrErasurePending, err)
	}
	return end, nil
}

// Reseal appends what a projector has sealed again, and returns the segment of each. It may use
// the reserve of the disk.
func (s *Store) Reseal(ctx context.Context, resealed []*pb.Resealed) ([]uint64, error) {
	if err := s.room(disk.Reserved); err != nil {
		return nil, err
	}
	if !s.Enrolled() {
		return nil, ErrNotEnrolled
	}
	ps := make([]*pending, len(resealed))
	for i, r := range resealed {
		ps[i] = &pending{class: seal.Health}
		if err := s.encode(ps[i], &pb.Event{Body: &pb.Event_Resealed{Resealed: r}}); err != nil {
			return nil, err
		}
	}
	if _, err := s.appender.Append(ctx, ps...); err != nil {
		return nil, err
	}
	sequences := make([]uint64, len(ps))
	for i, p := range ps {
		sequences[i] = p.sequence
	}
	return sequences, nil
}

// Foreknown returns the decisions that whoever reads the log from its beginning must know
// before they come.
func (s *Store) Foreknown() []*pb.SignedDecision {
	var all []*pb.SignedDecision
	for _, r := range s.state.Rekeyings() {
		all = append(all, r.Signed)
	}
	for _, erasure := range s.state.Erasures() {
		all = append(all, erasure.Signed)
	}
	for _, loss := range s.state.Losses() {
		all = append(all, loss.Signed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.sought {
		// The state has those that it knows, and of daemons the log or the owner says.
		if number, _ := s.state.Head(); d.GetNumber() > number && d.GetDeviceEnrolled() == nil {
			all = append(all, d.signed)
		}
	}
	return append(all, s.lost...)
}

// ownerAt returns the key that the owner signed a decision with.
func (s *Store) ownerAt(decision uint64) []byte {
	s.mu.Lock()
	owner := []byte(s.pin.first)
	s.mu.Unlock()
	for _, r := range s.state.Rekeyings() {
		if r.Decision < decision {
			owner = r.GetOwnerKey()
		}
	}
	return owner
}

// checkErasure refuses an erasure whose survivors nobody could open.
func (s *Store) checkErasure(erased *pb.EpochsErased) error {
	for _, e := range erased.GetEpochs() {
		wrap, err := s.directory.Wrap(seal.Resealed, e.GetReseal())
		if err != nil {
			return fmt.Errorf("%w: %w", authz.ErrForged, err)
		}
		if named := seal.WrapOrigin(wrap); string(named[:]) != string(e.GetResealHash()) {
			return fmt.Errorf("%w: epoch %d is sealed again under another key", authz.ErrForged, e.GetEpoch())
		}
	}
	return nil
}

// settleErasures brings the key directory to what the decisions say.
func (s *Store) settleErasures(state *authz.State) error {
	standing, named := map[uint64]bool{}, map[uint64]bool{}
	var epochs, dropped []uint64
	for _, erasure := range state.Erasures() {
		for _, e := range erasure.Epochs {
			named[e.GetReseal()] = true
			if now, _ := state.Erased(e.GetEpoch()); now == e {
				standing[e.GetReseal()] = true
				epochs = append(epochs, e.GetEpoch())
			}
		}
	}
	epochs, err := s.present(epochs)
	if err != nil {
		return err
	}
	reseals, err := s.directory.Wraps(seal.Resealed)
	if err != nil {
		return err
	}
	fresh := len(epochs) > 0
	for _, number := range reseals {
		if !standing[number] {
			dropped, fresh = append(dropped, number), fresh || named[number]
		}
	}
	// The view has what those keys opened. Its key goes first: while one of the others is left,
	// whoever comes after a crash knows that the view is from before.
	if fresh {
		if err := s.directory.DestroyViewKey(); err != nil {
			return err
		}
	}
	if len(dropped) > 0 {
		if err := s.directory.DestroyWraps(seal.Resealed, dropped...); err != nil {
			return err
		}
	}
	if len(epochs) > 0 {
		return s.directory.DestroyWraps(seal.Health, epochs...)
	}
	return nil
}

// present returns those epochs of class health whose keys are there.
func (s *Store) present(epochs []uint64) ([]uint64, error) {
	var there []uint64
	if len(epochs) == 0 {
		return nil, nil
	}
	wraps, err := s.directory.Wraps(seal.Health)
	if err != nil {
		return nil, err
	}
	has := make(map[uint64]bool, len(wraps))
	for _, epoch := range wraps {
		has[epoch] = true
	}
	for _, epoch := range epochs {
		if has[epoch] {
			there = append(there, epoch)
		}
	}
	return there, nil
}

// ProveErasures returns what was erased and whether its keys are destroyed, as far as a
// locked daemon knows it.
func (s *Store) ProveErasures() (*pb.ProveErasuresResponse, error) {
	resp := &pb.ProveErasuresResponse{}
	before := map[uint64]*pb.ErasedEpoch{}
	for i, erasure := range s.state.Erasures() {
		proof := &pb.Erasure{
			Number: uint64(i) + 1, Time: timestamppb.New(time.UnixMicro(erasure.Time)), Decision: erasure.Signed, OwnerKey: s.ownerAt(erasure.Decision),
		}
		for _, e := range erasure.Epochs {
			proof.Keys = append(proof.Keys, &pb.ErasureKey{File: log.WrapFile(seal.Health, e.GetEpoch()), WrapHash: hex.EncodeToString(e.GetWrapHash())})
			if last := before[e.GetEpoch()]; last != nil {
				proof.Keys = append(proof.Keys, &pb.ErasureKey{File: log.WrapFile(seal.Resealed, last.GetReseal()), WrapHash: hex.EncodeToString(last.GetResealHash())})
			}
			before[e.GetEpoch()] = e
		}
		resp.Erasures = append(resp.Erasures, proof)
	}
	return resp, s.markDestroyed(resp.GetErasures())
}

// markDestroyed notes which keys are not in the key directory.
func (s *Store) markDestroyed(erasures []*pb.Erasure) error {
	there := map[string]bool{}
	for _, class := range []seal.Class{seal.Health, seal.Resealed} {
		wraps, err := s.directory.Wraps(class)
		if err != nil {
			return err
		}
		for _, number := range wraps {
			there[log.WrapFile(class, number)] = true
		}
	}
	for _, erasure := range erasures {
		for _, key := range erasure.GetKeys() {
			key.Destroyed = !there[key.GetFile()]
		}
	}
	return nil
}
