package ledger

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"healthledger/ledger/tree"
)

// headAt is a head after that many segments, with decisions after the first.
func headAt(size int) head {
	var h head
	for i := range size {
		h.tree.Append(tree.Leaf([]byte{byte(i), byte(i >> 8)}))
	}
	if size > 1 {
		h.decision, h.decisionHash = uint64(size/2), bytes.Repeat([]byte{byte(size)}, 32)
		h.checkpoint = checkpointed{size: uint64(size - 1), time: int64(size) * 1e6, settled: uint64(size)}
	}
	return h
}

func equal(a, b head) bool {
	return a.tree == b.tree && a.checkpoint == b.checkpoint && a.decision == b.decision && bytes.Equal(a.decisionHash, b.decisionHash)
}

func TestHeadIsRemembered(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := headAt(rapid.IntRange(0, 300).Draw(r, "size"))
		slot, err := h.encode()
		if err != nil {
			r.Fatal(err)
		}
		got, err := parseHead(append(slot, make([]byte, headSlot-len(slot))...))
		if err != nil || !equal(got, h) {
			r.Fatal(cmp.Diff(h.decisionHash, got.decisionHash), err)
		}
	})
}

// However a write ends, the file has the head before it or the one it wrote, also
// when it is the first write after the file was opened.
func TestTornHeadWriteLeavesTheOneBefore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		folder, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		path := filepath.Join(folder, "head")
		f, last, err := createHead(path)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for range rapid.IntRange(1, 5).Draw(r, "writes") {
			before, err := os.ReadFile(path)
			if err != nil {
				r.Fatal(err)
			}
			next := headAt(int(last.tree.Size()) + 1)
			if err := f.Write(next); err != nil {
				r.Fatal(err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				r.Fatal(err)
			}
			torn := bytes.Clone(before)
			disk := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "disk"), 0))
			for i := range torn {
				// The disk has taken some of the bytes, in whatever order.
				if before[i] != after[i] && disk.IntN(2) == 0 {
					torn[i] = after[i]
				}
			}
			if got, _, err := newestHead(torn); err != nil || !equal(got, last) && !equal(got, next) {
				r.Fatalf("after %d segments: %d: %v", next.tree.Size(), got.tree.Size(), err)
			}
			last = next
			if rapid.Bool().Draw(r, "reopened") {
				if err := f.Close(); err != nil {
					r.Fatal(err)
				}
				var got head
				if f, got, err = openHead(path); err != nil || !equal(got, last) {
					r.Fatal("reopened:", err)
				}
			}
		}
	})
}

func TestHeadThatIsDamagedOrMissingIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "head")
	if _, _, err := openHead(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f, _, err := createHead(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range 3 {
		if err := f.Write(headAt(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	both := bytes.Clone(whole)
	both[20] ^= 1
	both[headSlot+20] ^= 1
	for name, content := range map[string][]byte{
		"empty": {}, "cut": whole[:headSlot], "longer": append(bytes.Clone(whole), 0), "both slots": both,
		"zeros": make([]byte, 2*headSlot), "zero and damaged": append(make([]byte, headSlot), both[headSlot:]...),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if f, got, err := openHead(path); err == nil {
			_ = f.Close()
			t.Errorf("%s: opened at %d", name, got.tree.Size())
		}
	}
}

func FuzzParseHead(f *testing.F) {
	for _, size := range []int{0, 1, 2, 7, 300} {
		slot, err := headAt(size).encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(slot, make([]byte, headSlot-len(slot))...))
		f.Add(slot)
	}
	f.Add([]byte(headMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHead(b)
		if err != nil {
			if !equal(h, head{}) {
				t.Fatal("an error with a head")
			}
			return
		}
		slot, err := h.encode()
		if err != nil || !bytes.HasPrefix(b, slot) {
			t.Fatal("it has two forms:", err)
		}
	})
}
