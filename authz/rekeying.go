package authz

import (
	"crypto/sha256"
	"fmt"

	pb "healthledger/proto/healthledger/v1"
)

// Rekeying is a decision that gave the store other keys.
type Rekeying struct {
	// Signed is the decision, and Decision its number.
	Signed   *pb.SignedDecision
	Decision uint64
	*pb.StoreRekeyed
}

// Rekeyings returns all of them in order. They must not be changed.
func (s *State) Rekeyings() []Rekeying {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rekeyings[:len(s.rekeyings):len(s.rekeyings)]
}

// Keyring returns the SHA-256 of the keyring that the owner last decided on, nil while it is
// the one that the store began with.
func (s *State) Keyring() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keyring
}

// successor returns who verifies the decision after this one. It needs mu.
func (s *State) successor(d *pb.Decision) (Verifier, error) {
	rekeyed := d.GetStoreRekeyed()
	if rekeyed == nil {
		return s.verifier, nil
	}
	next, err := s.verifier.Rekeyed(d.GetPrevious(), rekeyed)
	if err != nil {
		return nil, fmt.Errorf("%w: decision %d: %w", ErrForged, d.GetNumber(), err)
	}
	return next, nil
}

// rekey applies a decision that was checked. It needs mu.
func (s *State) rekey(signed *pb.SignedDecision, d *pb.Decision, next Verifier) {
	s.verifier = next
	if replaced := d.GetKeyringReplaced(); replaced != nil {
		s.keyring = replaced.GetHash()
	}
	if rekeyed := d.GetStoreRekeyed(); rekeyed != nil {
		s.keyring, s.rekeyings = rekeyed.GetKeyring(), append(s.rekeyings, Rekeying{signed, d.GetNumber(), rekeyed})
	}
}

// Rekey gives the store the keys in a keyring file, named by its SHA-256. Accept has the new keys
// take over after the decision with the hash previous. A locked daemon acts on it, so there is no
// detail.
func (a *Author) Rekey(now int64, keyring [sha256.Size]byte, accept func(previous []byte, r *pb.StoreRekeyed)) (*pb.NewDecision, error) {
	r := &pb.StoreRekeyed{Keyring: keyring[:]}
	_, previous := a.State.Head()
	accept(previous, r)
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_StoreRekeyed{StoreRekeyed: r}}, nil)
}
