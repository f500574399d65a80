package ledger

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"healthledger/ledger/backup"
	"healthledger/ledger/log"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// pieces are what a backup has of a store.
func (h *home) pieces() (keys map[string][]byte, payloads [][]byte) {
	h.t.Helper()
	keys = map[string][]byte{}
	if err := h.live().directory.Export(func(name string, content []byte) error {
		keys[name] = content
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	for end, _, _ := h.live().Head(); uint64(len(payloads)) < end; {
		more, err := h.live().Segments(h.t.Context(), uint64(len(payloads))+1, end)
		if err != nil {
			h.t.Fatal(err)
		}
		payloads = append(payloads, more...)
	}
	return keys, payloads
}

// restore restores a store of h in another house, up to the given number of segments.
func (h *home) restore(to *house, keys map[string][]byte, payloads [][]byte) *Restoration {
	h.t.Helper()
	r, err := to.ledger.Restore(h.t.Context(), h.id)
	if err != nil {
		h.t.Fatal(err)
	}
	for name, content := range keys {
		if err := r.PutKey(name, content); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := r.Append(h.t.Context(), payloads); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// A restoration that breaks off anywhere leaves no store and is begun again; others in the
// directory do not notice.
func TestRestorationThatBrokeOffIsBegunAgain(t *testing.T) {
	h := newHome(t)
	for n := range 5 {
		h.save(n)
	}
	keys, payloads := h.pieces()
	size, root, _ := h.live().Head()
	there := newHouse(t)
	other := there.store()

	h.restore(there, keys, payloads[:3])
	there.reopen(nil)
	other.save(0)
	if _, err := there.ledger.Store(h.id); !errors.Is(err, ErrNoStore) {
		t.Fatal("half a store:", err)
	}
	r := h.restore(there, keys, payloads[:len(payloads)-1])
	if err := r.Finish(t.Context(), size, root[:]); !errors.Is(err, ErrDataLoss) {
		t.Fatal("a store without its last segment:", err)
	}
	held, err := os.Open(filepath.Join(there.ledger.storePath(h.id), "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	again := h.restore(there, keys, payloads)
	if content, err := io.ReadAll(held); err != nil || len(content) == 0 || len(bytes.Trim(content, "\x00")) > 0 {
		t.Fatal("keys of the one that broke off are on the disk:", err)
	}
	if _, err := there.ledger.Restoration(h.id, r.Run); !errors.Is(err, ErrNoStore) {
		t.Fatal("two at once:", err)
	}
	if err := again.Finish(t.Context(), size, root[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := there.ledger.Restore(t.Context(), h.id); !errors.Is(err, fs.ErrExist) {
		t.Fatal("it would overwrite:", err)
	}
	decisions := h.decisions()
	h.house = there // the new machine
	for range 2 {
		if s := h.live(); s.Knows() || s.Enrolled() {
			t.Fatal("it writes before its owner has unlocked")
		}
		h.sound()
		there.reopen(nil)
	}
	if err := h.live().Adopt(decisions); err != nil {
		t.Fatal(err)
	}
	h.decide(h.author.EnrolDevice(1, there.ledger.Device()))
	h.save(9)
	h.sound()
	other.save(1)
}

// backedUp is a backup of a store as it is now.
func (h *home) backedUp() (*backup.Keys, [][]byte) {
	h.t.Helper()
	_, payloads := h.pieces()
	return h.keysNow(), payloads
}

// keysNow is the key directory in a backup.
func (h *home) keysNow() *backup.Keys {
	h.t.Helper()
	keys, err := backup.CopyKeys(h.live().directory, h.id, func() ([]byte, error) {
		resp, err := h.live().Checkpoint()
		return []byte(resp.GetCheckpoint()), err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return keys
}

// A log and a key directory, of which one is from before the store got other keys and the other
// from after that, make no store; keys that were made just before do, since the new ones are staged.
func TestBackupsFromBeforeAndAfterNewKeysAreNotMixed(t *testing.T) {
	h := newHome(t)
	h.save(1)
	keysBefore, before := h.backedUp()
	r := h.rekeying()
	r.stage(1 << 20)
	if err := h.live().directory.StageKeyring(r.decision.GetKeyring()); err != nil { // as Decide does
		t.Fatal(err)
	}
	keysStaged, _ := h.backedUp()
	if _, err := h.live().Decide(t.Context(), r.decision); err != nil {
		t.Fatal(err)
	}
	r.decided()
	keysAfter, after := h.backedUp() // nothing was sealed since
	h.save(2)
	_, later := h.backedUp()
	for what, c := range map[string]struct {
		keys     *backup.Keys
		payloads [][]byte
		want     error
	}{
		"before":                     {keysBefore, before, nil},
		"after":                      {keysAfter, after, nil},
		"staged":                     {keysStaged, after, nil},
		"log after, keys before":     {keysBefore, after, backup.ErrKeysTooOld},
		"log later, keys before":     {keysBefore, later, backup.ErrKeysTooOld},
		"log later, keys staged":     {keysStaged, later, backup.ErrKeysTooOld},
		"log before, keys after":     {keysAfter, before, backup.ErrTooOld},
		"half the log, keys of then": {keysBefore, before[:len(before)-1], backup.ErrTooOld},
	} {
		check, err := backup.NewCheck(c.keys, nil)
		for i := 0; err == nil && i < len(c.payloads); i++ {
			err = check.Segment(uint64(i)+1, c.payloads[i])
		}
		if err == nil {
			err = check.Finish()
		}
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What was staged is put into use by the owner's decisions.
	decisions, there := h.decisions(), newHouse(t)
	files := map[string][]byte{}
	for _, f := range keysStaged.Files {
		files[f.Name] = f.Content
	}
	size, root := uint64(len(after)), rootOf(after)
	if err := h.restore(there, files, after).Finish(t.Context(), size, root[:]); err != nil {
		t.Fatal(err)
	}
	h.house = there
	if err := h.live().Adopt(decisions); err != nil {
		t.Fatal(err)
	}
	h.decide(h.author.EnrolDevice(1, there.ledger.Device()))
	h.save(3)
	h.sound()
	if h.live().Keyring().Hash() != r.keyring.Hash() {
		t.Error("the staged keys are not in use")
	}
}

// With a key directory from before a change of the passphrase the old one opens nothing.
func TestAKeyringFromBeforeTheLogIsNotAdopted(t *testing.T) {
	h := newHome(t)
	h.decide(h.author.SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_WARN})) // begins the epoch of the decision
	keys, _ := h.pieces()
	h.decide(h.rekeyed("another passphrase"), nil)
	_, payloads := h.pieces()
	decisions, there := h.decisions(), newHouse(t)
	root := rootOf(payloads)
	if err := h.restore(there, keys, payloads).Finish(t.Context(), uint64(len(payloads)), root[:]); err != nil {
		t.Fatal(err)
	}
	h.house = there
	if err := h.live().Adopt(decisions); !errors.Is(err, ErrOldKeyring) {
		t.Error(err)
	}
	if h.live().Knows() {
		t.Error("the store takes writes")
	}
}

func rootOf(payloads [][]byte) tree.Hash {
	var all tree.Tree
	for _, p := range payloads {
		all.Append(tree.Leaf(p))
	}
	return all.Root()
}

// What no restoration has left is not touched.
func TestRestorationOverwritesNothing(t *testing.T) {
	h := newHome(t)
	keys, payloads := h.pieces()
	for what, put := range map[string]func(*house){
		"a folder": func(to *house) {
			if err := os.MkdirAll(to.ledger.storePath(h.id), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a stream": func(to *house) {
			if err := log.CreateStream(t.Context(), to.js(), h.id, 1); err != nil {
				t.Fatal(err)
			}
		},
	} {
		to := newHouse(t)
		put(to)
		if _, err := to.ledger.Restore(t.Context(), h.id); !errors.Is(err, ErrInTheWay) {
			t.Error(what, err)
		}
	}
	to := newHouse(t)
	r := h.restore(to, keys, payloads)
	for _, name := range []string{"view.key", "../escaped", "epochs/../keyring", "epochs/health-1", "head", "keyring.old", ""} {
		if err := r.PutKey(name, []byte("x")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if _, err := os.Stat(filepath.Join(to.dir, "stores", "escaped")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
