package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"healthledger/authz"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// rekeying is the decision that gives the store other keys, as a projector makes it.
type rekeying struct {
	h        *home
	keyring  *seal.Keyring
	keys     *seal.OwnerKeys
	decision *pb.NewDecision
}

func (h *home) rekeying() *rekeying {
	h.t.Helper()
	before, err := seal.ParseKeyring(h.read("keyring"))
	if err != nil {
		h.t.Fatal(err)
	}
	content, keys, err := before.Rekey(passphrase)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(keys.Destroy)
	after, err := seal.ParseKeyring(content)
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := h.author.Rekey(1, after.Hash(), func(previous []byte, r *pb.StoreRekeyed) {
		seal.SignRekeying(keys, before.OwnerKey(), previous, r)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	d.Keyring = content
	return &rekeying{h, after, keys, d}
}

// stage wraps what is not wrapped yet to the new keys, at most so many.
func (r *rekeying) stage(n int) {
	r.h.t.Helper()
	directory := r.h.live().directory
	missing, _, err := directory.Unstaged(r.keyring.Hash())
	if err != nil {
		r.h.t.Fatal(err)
	}
	for _, w := range missing[:min(n, len(missing))] {
		before, err := directory.Wrap(w.Class, w.Epoch)
		if err != nil {
			r.h.t.Fatal(err)
		}
		wrap, err := seal.Rewrap(before, w.Class, w.Epoch, r.h.keys, r.keys, r.h.live().key().SealingKey())
		if err == nil {
			err = directory.StageWrap(r.keyring.Hash(), w, wrap)
		}
		if err != nil {
			r.h.t.Fatal(err)
		}
	}
}

// decided has the owner go on with the new keys.
func (r *rekeying) decided() {
	r.h.t.Helper()
	if err := r.h.author.State.Decide(r.decision.GetDecision(), nil); err != nil {
		r.h.t.Fatal(err)
	}
	r.h.keys, r.h.author.Signer = r.keys, genesisOwner{r.keys, verifier{r.keyring.OwnerKey(), r.h.id}}
}

// rekey gives the store other keys.
func (h *home) rekey() *rekeying {
	h.t.Helper()
	r := h.rekeying()
	r.stage(1 << 20)
	if _, err := h.live().Decide(h.t.Context(), r.decision); err != nil {
		h.t.Fatal(err)
	}
	r.decided()
	return r
}

// hasKeys wants the store to be served and sound, every segment to open with the owner's keys, and
// nothing to be left of any others.
func (h *home) hasKeys(when string) {
	h.t.Helper()
	h.save(0)
	for _, name := range h.files() {
		if strings.HasPrefix(name, "keyring.") || strings.HasPrefix(name, "epochs.") {
			h.t.Errorf("%s: %s is left", when, name)
		}
	}
	keyring, err := seal.ParseKeyring(h.read("keyring"))
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := keyring.Open(passphrase)
	if err != nil {
		h.t.Fatal(err)
	}
	defer keys.Destroy()
	if !keys.PublicKeys().OwnerKey.Equal(h.keys.PublicKeys().OwnerKey) {
		h.t.Errorf("%s: the keyring has other keys", when)
	}
	if words, err := keyring.Recover([]byte(h.genesis.Words)); err != nil {
		h.t.Errorf("%s: the words: %v", when, err)
	} else {
		words.Destroy()
	}
	h.events() // opens them all
	if faults := h.verified("", time.Minute).GetFaults(); len(faults) > 0 {
		h.t.Errorf("%s: %v", when, faults)
	}
}

// Whenever a crash comes, the next start ends with the keys that the log says, whole.
func TestTheKeysThatTheLogSaysOpenAfterACrash(t *testing.T) {
	h := newHome(t)
	h.save(1)
	h.write("view.key", []byte("of a view"))
	for when, before := range map[string]func(r *rekeying){
		"nothing staged":     func(*rekeying) {},
		"one wrap staged":    func(r *rekeying) { r.stage(1) },
		"all wraps staged":   func(r *rekeying) { r.stage(1 << 20) },
		"the keyring staged": func(r *rekeying) { r.stage(1 << 20); _ = h.live().directory.StageKeyring(r.decision.GetKeyring()) },
	} {
		r := h.rekeying()
		before(r)
		h.reopen(nil)
		h.hasKeys(when)
	}
	if string(h.read("view.key")) != "of a view" {
		t.Error("the view is gone, though the keys are the same")
	}
	// In the log, and the key directory cannot be written.
	for when, after := range map[string]func(r *rekeying){
		"nothing done": func(*rekeying) {},
		"the keyring used": func(r *rekeying) {
			if err := h.live().directory.UseKeyring(r.keyring.Hash()); err != nil {
				t.Fatal(err)
			}
		},
		"pinned": func(r *rekeying) {
			if err := errors.Join(h.live().directory.UseKeyring(r.keyring.Hash()), pinOf(r.keyring).write(h.live().pinPath)); err != nil {
				t.Fatal(err)
			}
		},
		"the wraps used": func(r *rekeying) {
			if err := errors.Join(h.live().directory.UseKeyring(r.keyring.Hash()), h.live().directory.UseWraps(r.keyring.Hash())); err != nil {
				t.Fatal(err)
			}
		},
		"one wrap used": func(r *rekeying) {
			w := r.one()
			_ = os.Mkdir(h.path("epochs.old"), 0o700)
			if err := errors.Join(os.Link(h.path("epochs/"+w), h.path("epochs.old/"+w)), os.Rename(r.staged(w), h.path("epochs/"+w))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		h.write("view.key", []byte("of a view"))
		r := h.rekeying()
		r.stage(1 << 20)
		obstacle := h.path("keyring.old")
		if err := os.MkdirAll(obstacle+"/x", 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := h.live().Decide(t.Context(), r.decision); !errors.Is(err, ErrKeyringPending) {
			t.Fatal(err)
		}
		r.decided()
		h.save(2) // already to the new keys
		if err := os.RemoveAll(obstacle); err != nil {
			t.Fatal(err)
		}
		after(r)
		h.reopen(nil)
		h.hasKeys(when)
		if slices.Contains(h.files(), "view.key") && when != "the wraps used" {
			t.Errorf("%s: the key of the view is left", when)
		}
	}
}

// one is the name of some wrap.
func (r *rekeying) one() string {
	entries, err := os.ReadDir(r.h.path("epochs"))
	if err != nil {
		r.h.t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := os.Stat(r.staged(e.Name())); err == nil {
			return e.Name()
		}
	}
	r.h.t.Fatal("none is staged")
	return ""
}

func (r *rekeying) staged(wrap string) string {
	folders, err := filepath.Glob(r.h.path("epochs.????????*"))
	if err != nil || len(folders) != 1 {
		r.h.t.Fatal(folders, err)
	}
	return filepath.Join(folders[0], wrap)
}

// As often as it happens, all that was written before and after opens with the last keys, and with
// no others.
func TestKeysAreReplacedAsOftenAsTheOwnerLikes(t *testing.T) {
	h := newHome(t)
	for n := range 3 {
		h.save(n)
		old := h.keys
		h.rekey()
		h.hasKeys("replaced")
		h.addApp("org.example.app"+string(rune('a'+n)), code(t, "stepCount"))
		h.decide(h.rekeyed(string(passphrase)), nil)
		all, err := h.live().directory.AllWraps()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range all {
			wrap, err := h.live().directory.Wrap(w.Class, w.Epoch)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := seal.Rewrap(wrap, w.Class, w.Epoch, old, old, nil); !errors.Is(err, seal.ErrNotRecipient) {
				t.Errorf("%v epoch %d and the keys before: %v", w.Class, w.Epoch, err)
			}
		}
		if n == 1 {
			h.reopen(nil)
		}
	}
	h.reopen(func() { _ = os.Remove(h.path("decisions")) }) // from the log alone
	h.hasKeys("at the end")
}

// An epoch that begins while the others are wrapped is not left behind.
func TestNoEpochIsLeftToTheKeysBefore(t *testing.T) {
	h := newHome(t)
	r := h.rekeying()
	r.stage(1)
	if _, err := h.live().Decide(t.Context(), r.decision); !errors.Is(err, ErrNotStaged) {
		t.Fatal(err)
	}
	r.stage(1 << 20)
	check := h.live().checkStaged(func() error { return nil }, &pb.StoreRekeyed{Keyring: sum(r.decision.GetKeyring())})
	if err := check(); err != nil {
		t.Fatal(err)
	}
	h.clock.move(2 * epochAge)
	h.save(1)
	if err := check(); !errors.Is(err, ErrNotStaged) {
		t.Fatalf("the last word: %v", err)
	}
	if _, err := h.live().Decide(t.Context(), r.decision); !errors.Is(err, ErrNotStaged) {
		t.Fatal(err)
	}
	if faults := h.verified("", time.Minute).GetFaults(); len(faults) > 0 {
		t.Errorf("refused, and not the same: %v", faults)
	}
	r.stage(1 << 20)
	if _, err := h.live().Decide(t.Context(), r.decision); err != nil {
		t.Fatal(err)
	}
	r.decided()
	h.hasKeys("replaced")
}

// Writes go on, and each opens with the keys that the store has in the end.
func TestWritesGoOnWhileKeysAreReplaced(t *testing.T) {
	h := newHome(t)
	done := make(chan struct{})
	var writing sync.WaitGroup
	store, app := h.live(), h.importer()
	for range 4 {
		writing.Go(func() {
			for n := 0; ; n++ {
				if _, err := store.Save(t.Context(), app, request(steps(n, 1))); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Go(func() {
		for {
			if _, err := store.Checkpoint(); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for range 3 {
		r := h.rekeying()
		for {
			r.stage(1 << 20)
			_, err := store.Decide(t.Context(), r.decision)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrNotStaged) {
				t.Fatal(err)
			}
		}
		r.decided()
	}
	close(done)
	writing.Wait()
	h.hasKeys("replaced")
}

// What the owner had before, put back, and what others have, shows; and none of it opens the store.
func TestWhatWasBeforeTheNewKeysIsRefusedWhenItIsPutBack(t *testing.T) {
	h := newHome(t)
	h.save(1)
	pinPath := h.live().pinPath
	pinBefore, err := os.ReadFile(pinPath)
	if err != nil {
		t.Fatal(err)
	}
	keyring, old := h.read("keyring"), h.keys
	wraps := map[string][]byte{}
	for _, name := range []string{"health-0000000000000001", "management-0000000000000001"} {
		wraps[name] = h.read("epochs/" + name)
	}
	late, err := (&authz.Author{State: h.author.State, Signer: h.author.Signer, Random: h.author.Random}).SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE})
	if err != nil {
		t.Fatal(err)
	}
	h.rekey()
	h.save(2)
	keyringNow := h.read("keyring")
	pinNow, err := os.ReadFile(pinPath)
	if err != nil {
		t.Fatal(err)
	}

	// Decisions of the old key: signed before, and signed to follow on the last one.
	author := &authz.Author{State: h.author.State, Signer: genesisOwner{old, verifier{old.PublicKeys().OwnerKey, h.id}}, Random: h.author.Random}
	next, err := author.SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*pb.NewDecision{late, next} {
		if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, authz.ErrForged) {
			t.Errorf("a decision of the old key: %v", err)
		}
	}

	foreign := h.store()
	foreignKeyring, err := os.ReadFile(foreign.path("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keyring, pin []byte
		want         error
	}{
		"keyring before":            {keyring, pinNow, ErrOldKeyring},
		"keyring and pin before":    {keyring, pinBefore, ErrOldKeyring},
		"keyring of another store":  {foreignKeyring, pinNow, ErrNotPinned},
		"pin of another store":      {keyringNow, pinOf(foreign.live().Keyring()).encode(), ErrNotPinned},
		"keys before, without more": {keyringNow, pinBefore, nil}, // as after a crash
	} {
		h.reopen(func() {
			h.write("keyring", c.keyring)
			if err := os.WriteFile(pinPath, c.pin, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := h.ledger.Store(h.id); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if faults := h.verified("", time.Minute).GetFaults(); (len(faults) > 0) != (c.want != nil) {
			t.Errorf("%s: %v", name, faults)
		}
	}
	for name, wrap := range wraps {
		now := h.read("epochs/" + name)
		h.reopen(func() {
			h.write("keyring", keyringNow)
			h.write("epochs/"+name, wrap)
			if err := os.WriteFile(pinPath, pinNow, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		faults := h.verified("", time.Minute).GetFaults()
		if len(faults) == 0 || faults[0].GetKind() != faultKey || !strings.Contains(faults[0].GetWhy(), "not wrapped to the store's keys") {
			t.Errorf("%s put back: %v", name, faults)
		}
		h.write("epochs/"+name, now)
	}
}

// A daemon takes no keys for the store that its owner's words do not open, nor any whose wraps are
// not what they should be.
func TestADecisionForKeysThatDoNotFollowIsRefused(t *testing.T) {
	h := newHome(t)
	before := h.face()
	sound := h.rekeying()
	sound.stage(1 << 20)
	foreign, _, keys, err := seal.NewKeyring(h.id, passphrase, seal.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	d, err := h.author.Rekey(1, [32]byte(sum(foreign)), func(previous []byte, r *pb.StoreRekeyed) {
		seal.SignRekeying(keys, h.keys.PublicKeys().OwnerKey, previous, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Keyring = foreign
	if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, authz.ErrForged) {
		t.Errorf("a keyring of other words: %v", err)
	}
	other := h.rekeying()
	sound.decision.Keyring, other.decision.Keyring = other.decision.Keyring, sound.decision.Keyring
	if _, err := h.live().Decide(t.Context(), sound.decision); !errors.Is(err, authz.ErrForged) {
		t.Errorf("another keyring: %v", err)
	}
	sound.decision.Keyring = other.decision.Keyring
	name := sound.one()
	content, err := os.ReadFile(sound.staged(name))
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(sound.staged(name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.live().Decide(t.Context(), sound.decision); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("a damaged wrap: %v", err)
	}
	if h.face() != before {
		t.Error("something was stored")
	}
	if err := h.live().directory.DropWraps(nil); err != nil {
		t.Fatal(err)
	}
	h.hasKeys("the same")
}

// Log, key directory and all that lies beside them, put back together from before, are refused for
// what was pinned since.
func TestAStoreFromBeforeTheNewKeysIsNotTheOneThatIsPinned(t *testing.T) {
	h := newHome(t)
	h.save(1)
	h.stop()
	kept := t.TempDir()
	for _, name := range []string{"stores", "jetstream"} {
		if err := os.CopyFS(filepath.Join(kept, name), os.DirFS(filepath.Join(h.dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	h.start()
	h.rekey()
	h.stop()
	for _, name := range []string{"stores", "jetstream"} {
		if err := errors.Join(os.RemoveAll(filepath.Join(h.dir, name)), os.CopyFS(filepath.Join(h.dir, name), os.DirFS(filepath.Join(kept, name)))); err != nil {
			t.Fatal(err)
		}
	}
	h.start()
	if _, err := h.ledger.Store(h.id); !errors.Is(err, ErrNotPinned) {
		t.Error(err)
	}
	if faults := h.verified("", time.Minute).GetFaults(); len(faults) == 0 {
		t.Error("it verifies")
	}
}
