package ledger

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"healthledger/ledger/log"
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
