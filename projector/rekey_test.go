package projector

import (
	"testing"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// An open store makes no new keys for who does not know the passphrase; the decision for those that
// it has made is one that the daemon takes, once.
func TestNewKeysTakeThePassphraseAndAllEpochs(t *testing.T) {
	h := history(t)
	s := h.opened(t)
	sign := func() (*pb.NewDecision, error) {
		req := &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Rekey{Rekey: &pb.RekeyDraft{}}}
		req.Sequence, _, _ = h.store.Head()
		resp, err := s.SignDecision(t.Context(), req)
		return resp.GetDecision(), err
	}
	if _, err := s.Rekey(t.Context(), &pb.RekeyRequest{PeriodMs: 1000}); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
		t.Errorf("none was begun: %v", err)
	}
	for _, secret := range []string{"wrong", h.genesis.Words} {
		if _, err := s.Rekey(t.Context(), &pb.RekeyRequest{SealedPassphrase: sealed(t, s, []byte(secret))}); rpc.Reason(err) != rpc.ReasonWrongPassphrase {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if _, err := sign(); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
		t.Errorf("none were made: %v", err)
	}
	resp, err := s.Rekey(t.Context(), &pb.RekeyRequest{SealedPassphrase: sealed(t, s, passphrase)})
	if err != nil || resp.GetDone() != 0 || resp.GetTotal() == 0 {
		t.Fatal(resp, err)
	}
	for resp.GetDone() < resp.GetTotal() {
		if resp, err = s.Rekey(t.Context(), &pb.RekeyRequest{PeriodMs: 1}); err != nil {
			t.Fatal(err)
		}
	}
	before := h.store.Keyring()
	decision, err := sign()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Decide(t.Context(), decision); err != nil {
		t.Fatal(err)
	}
	after, err := seal.ParseKeyring(decision.GetKeyring())
	if err != nil || !after.Succeeds(before) || h.store.Keyring().Hash() != after.Hash() {
		t.Fatalf("the store has not got the keys: %v", err)
	}
	if _, err := sign(); err == nil {
		t.Error("the keys before decide")
	}
}

// A passphrase that was changed while epochs were wrapped again is the one that opens: the new keys
// are under the old one, so they are not decided on, and made again.
func TestNewKeysAreNotUsedUnderAPassphraseThatWasChanged(t *testing.T) {
	h := history(t)
	s := h.opened(t)
	next := []byte("the next passphrase")
	step, err := s.Rekey(t.Context(), &pb.RekeyRequest{SealedPassphrase: sealed(t, s, passphrase), PeriodMs: 1})
	if err != nil {
		t.Fatal(err)
	}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_ChangePassphrase{ChangePassphrase: &pb.ChangePassphraseRequest{
		SealedPassphrase: sealed(t, s, passphrase), SealedNew: sealed(t, s, next),
	}}})
	for step.GetDone() < step.GetTotal() {
		if step, err = s.Rekey(t.Context(), &pb.RekeyRequest{PeriodMs: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	sign := &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Rekey{Rekey: &pb.RekeyDraft{}}}
	sign.Sequence, _, _ = h.store.Head()
	if _, err := s.SignDecision(t.Context(), sign); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
		t.Errorf("keys under the old passphrase: %v", err)
	}
	opens := func(secret []byte, want bool) {
		t.Helper()
		keys, err := h.store.Keyring().Open(secret)
		if keys.Destroy(); (err == nil) != want {
			t.Errorf("%q: %v", secret, err)
		}
	}
	opens(next, true)
	opens(passphrase, false)
	if step, err = s.Rekey(t.Context(), &pb.RekeyRequest{SealedPassphrase: sealed(t, s, next), PeriodMs: 60_000}); err != nil || step.GetDone() < step.GetTotal() {
		t.Fatal(step, err)
	}
	resp, err := s.SignDecision(t.Context(), sign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Decide(t.Context(), resp.GetDecision()); err != nil {
		t.Fatal(err)
	}
	opens(next, true)
	opens(passphrase, false)
}
