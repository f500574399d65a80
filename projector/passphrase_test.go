package projector

import (
	"strings"
	"testing"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// sealed encrypts a secret to a fresh offer.
func sealed(t testing.TB, s *service, secret []byte) []byte {
	t.Helper()
	offer, err := s.Offer(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.SealPassphrase(offer.GetPublicKey(), secret)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An open store signs no change of the passphrase for who does not know it, or the words.
func TestChangingThePassphraseTakesTheOldOneOrTheWords(t *testing.T) {
	h := history(t)
	s := h.opened(t)
	words := []byte(h.genesis.Words)
	for _, c := range []struct {
		name   string
		secret []byte
		words  bool
		reason string
	}{
		{"wrong", []byte("wrong"), false, rpc.ReasonWrongPassphrase},
		{"mistyped words", []byte("a b c"), true, rpc.ReasonWrongPassphrase},
		{"foreign words", []byte(strings.Repeat("abandon ", 23) + "art"), true, rpc.ReasonWrongPassphrase},
		{"words as a passphrase", words, false, rpc.ReasonWrongPassphrase},
		{"passphrase as words", passphrase, true, rpc.ReasonWrongPassphrase},
		{"passphrase", passphrase, false, ""},
		{"words", words, true, ""},
	} {
		change := &pb.ChangePassphraseRequest{
			SealedPassphrase: sealed(t, s, c.secret), Words: c.words, SealedNew: sealed(t, s, []byte("next")),
		}
		req := &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_ChangePassphrase{ChangePassphrase: change}}
		req.Sequence, _, _ = h.store.Head()
		resp, err := s.SignDecision(t.Context(), req)
		if rpc.Reason(err) != c.reason || (err == nil) != (c.reason == "") {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		keyring, err := seal.ParseKeyring(resp.GetDecision().GetKeyring())
		if err != nil {
			t.Fatal(err)
		}
		keys, err := keyring.Open([]byte("next"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		keys.Destroy()
		// What was sealed is used up.
		if _, err := s.SignDecision(t.Context(), req); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
			t.Errorf("%s, again: %v", c.name, err)
		}
	}
}
