package authz

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

// After the decision that gives a store other keys the new owner's key decides, and the old one
// nothing; as often as it happens.
func TestOnlyTheLastKeyDecides(t *testing.T) {
	for _, details := range []bool{false, true} {
		state := NewState(anna, details)
		now := anna
		for i, next := range []owner{"anna 2", "anna 3"} {
			author := &Author{State: state, Signer: now, Random: rand.Reader}
			d, err := author.Rekey(1, [32]byte{byte(i + 1)}, func(previous []byte, r *pb.StoreRekeyed) { next.accept(now, previous, r) })
			if err == nil {
				err = state.Check(d.GetDecision(), nil)
			}
			if err == nil {
				err = state.Decide(d.GetDecision(), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			late, err := author.SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE})
			if err != nil {
				t.Fatal(err)
			}
			if checked, decided := state.Check(late.GetDecision(), nil), state.Decide(late.GetDecision(), nil); !errors.Is(checked, ErrForged) || !errors.Is(decided, ErrForged) {
				t.Errorf("the key before decides: %v, %v", checked, decided)
			}
			now = next
			author.Signer = now
			if d, err = author.ReplaceKeyring(1, [32]byte{9, byte(i)}); err == nil {
				err = state.Decide(d.GetDecision(), nil)
			}
			if err != nil {
				t.Fatalf("the new key does not decide: %v", err)
			}
		}
		if all := state.Rekeyings(); len(all) != 2 || !bytes.Equal(all[1].GetOwnerKey(), []byte("anna 3")) {
			t.Errorf("%v", all)
		}
	}
}

// A key becomes the owner's only where it agrees: to this store's chain, there, for that keyring.
func TestAKeyThatDoesNotAgreeTakesNothingOver(t *testing.T) {
	state := NewState(anna, false)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	if d, err := author.SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE}); err != nil || state.Decide(d.GetDecision(), nil) != nil {
		t.Fatal(err)
	}
	next := owner("anna 2")
	for name, accept := range map[string]func(previous []byte, r *pb.StoreRekeyed){
		"not at all":     func(_ []byte, r *pb.StoreRekeyed) { r.OwnerKey = []byte(next) },
		"elsewhere":      func(_ []byte, r *pb.StoreRekeyed) { next.accept(anna, nil, r) },
		"after another":  func(previous []byte, r *pb.StoreRekeyed) { next.accept("berta", previous, r) },
		"by the old key": func(previous []byte, r *pb.StoreRekeyed) { anna.accept(anna, previous, r); r.OwnerKey = []byte(next) },
	} {
		d, err := author.Rekey(1, [32]byte{1}, accept)
		if err != nil {
			t.Fatal(err)
		}
		if checked, decided := state.Check(d.GetDecision(), nil), state.Decide(d.GetDecision(), nil); !errors.Is(checked, ErrForged) || !errors.Is(decided, ErrForged) {
			t.Errorf("%s: %v, %v", name, checked, decided)
		}
	}
	if state.Keyring() != nil || len(state.Rekeyings()) > 0 {
		t.Error("a refused decision changed the state")
	}
}
