// Package statetest makes states of decisions for tests, which nobody needs to sign.
package statetest

import (
	"crypto/sha256"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
)

// trusting takes every decision for the owner's.
type trusting struct{}

func (trusting) VerifyDecision([]byte, []byte) error { return nil }

func (trusting) Rekeyed([]byte, *pb.StoreRekeyed) (authz.Verifier, error) { return trusting{}, nil }

// New returns the state before the first decision.
func New() *authz.State { return authz.NewState(trusting{}, true) }

// Decide makes the next decision, with its detail. It sets what makes them a chain.
func Decide(t interface{ Fatal(...any) }, state *authz.State, d *pb.Decision, detail *pb.DecisionDetail) {
	number, head := state.Head()
	d.Number, d.Previous, detail.Number = number+1, head, number+1
	plain, err := proto.Marshal(detail)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(plain)
	d.DetailHash = sum[:]
	signed, err := proto.Marshal(d)
	if err == nil {
		err = state.Decide(&pb.SignedDecision{Decision: signed}, plain)
	}
	if err != nil {
		t.Fatal(err)
	}
}
