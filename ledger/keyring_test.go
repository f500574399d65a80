package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// rekeyed is the decision for a keyring under another passphrase, and that keyring.
func (h *home) rekeyed(passphrase string) *pb.NewDecision {
	h.t.Helper()
	keyring, err := seal.ParseKeyring(h.read("keyring"))
	if err != nil {
		h.t.Fatal(err)
	}
	content, err := keyring.Rewrap(h.keys, []byte(passphrase))
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := h.author.ReplaceKeyring(1, sha256.Sum256(content))
	if err != nil {
		h.t.Fatal(err)
	}
	d.Keyring = content
	return d
}

// opensWith tells with which of two passphrases the keyring opens, and wants the store to be
// served and nothing to be beside the keyring.
func (h *home) opensWith(old, next string) string {
	h.t.Helper()
	h.live()
	for _, name := range h.files() {
		if strings.HasPrefix(name, "keyring.") {
			h.t.Errorf("%s is left", name)
		}
	}
	keyring, err := seal.ParseKeyring(h.read("keyring"))
	if err != nil {
		h.t.Fatal(err)
	}
	var opens []string
	for _, p := range []string{old, next} {
		if keys, err := keyring.Open([]byte(p)); err == nil {
			keys.Destroy()
			opens = append(opens, p)
		}
	}
	if len(opens) != 1 {
		h.t.Fatalf("%q open the store", opens)
	}
	return opens[0]
}

func TestThePassphraseThatTheLogSaysOpensAfterACrash(t *testing.T) {
	h := newHome(t)
	old := string(passphrase)
	// Staged, and the decision never came into the log.
	d := h.rekeyed("given up")
	if err := h.live().stageKeyring(d.GetKeyring(), sum(d.GetKeyring())); err != nil {
		t.Fatal(err)
	}
	h.reopen(nil)
	if got := h.opensWith(old, "given up"); got != old {
		t.Fatal(got)
	}
	// In the log, and the key directory could not be written.
	obstacle := h.path("keyring.old")
	if err := os.MkdirAll(obstacle+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	d = h.rekeyed("second")
	if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, ErrKeyringPending) {
		t.Fatal(err)
	}
	if err := h.author.State.Decide(d.GetDecision(), nil); err != nil {
		t.Fatal(err)
	}
	h.reopen(func() {
		if err := os.RemoveAll(obstacle); err != nil {
			t.Fatal(err)
		}
	})
	if got := h.opensWith(old, "second"); got != "second" {
		t.Fatal(got)
	}
	// Whole, and once more.
	for _, next := range []string{"third", "fourth"} {
		h.decide(h.rekeyed(next), nil)
		if got := h.opensWith("second", next); got != next {
			t.Fatal(got)
		}
	}
	h.reopen(nil)
	if got := h.opensWith("third", "fourth"); got != "fourth" || !bytes.Equal(h.live().State().Keyring(), sum(h.read("keyring"))) {
		t.Fatal(got)
	}
	h.save(0)
}

// losing publishes, and does not hear of it while it is told not to.
type losing struct {
	publisher
	deaf bool
}

func (l *losing) Publish(ctx context.Context, sequence uint64, payload []byte) error {
	err := l.publisher.Publish(ctx, sequence, payload)
	if l.deaf {
		return log.ErrUnknown
	}
	return err
}

// Whoever changes the passphrase may be told that the log cannot be written although it has
// the decision. When that is known the keyring is replaced, not only at the next start.
func TestAKeyringIsUsedWhenItsDecisionTurnsOutToBeInTheLog(t *testing.T) {
	h := newHome(t)
	wire := &losing{publisher: h.live().appender.publisher, deaf: true}
	h.live().appender.publisher = wire
	d := h.rekeyed("second")
	if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, ErrUnwritable) {
		t.Fatal(err)
	}
	if err := h.author.State.Decide(d.GetDecision(), nil); err != nil {
		t.Fatal(err)
	}
	wire.deaf = false
	h.save(0)
	if got := h.opensWith(string(passphrase), "second"); got != "second" {
		t.Fatal(got)
	}
}

// A keyring that was put back brings a passphrase back that its owner has changed.
func TestAKeyringThatWasPutBackIsRefused(t *testing.T) {
	h := newHome(t)
	old := h.read("keyring")
	h.decide(h.rekeyed("second"), nil)
	next := h.read("keyring")
	h.reopen(func() { h.write("keyring", old) })
	if _, err := h.ledger.Store(h.id); !errors.Is(err, ErrOldKeyring) {
		t.Fatal(err)
	}
	h.reopen(func() { h.write("keyring", next) })
	h.live()
}

func TestADecisionForAForeignKeyringIsRefusedAndStagesNothing(t *testing.T) {
	h := newHome(t)
	before, files := h.face(), h.files()
	foreign, _, keys, err := seal.NewKeyring(h.id, []byte("mine"), seal.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	keys.Destroy()
	d, err := h.author.ReplaceKeyring(1, sha256.Sum256(foreign))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"of other keys": foreign, "another than it names": h.read("keyring"), "none": nil} {
		d.Keyring = content
		if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, authz.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h.face() != before || !slices.Equal(h.files(), files) {
		t.Error("something was stored")
	}
}

func (h *home) files() (names []string) {
	h.t.Helper()
	entries, err := os.ReadDir(h.path(""))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}
