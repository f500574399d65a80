package tree

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// reference is a full tree as tlog stores it.
type reference struct {
	hashes []tlog.Hash
	size   int64
}

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = r.hashes[index]
	}
	return out, nil
}

func (r *reference) append(t testing.TB, payload []byte) {
	t.Helper()
	hashes, err := tlog.StoredHashes(r.size, payload, r)
	if err != nil {
		t.Fatal(err)
	}
	r.hashes = append(r.hashes, hashes...)
	r.size++
}

func (r *reference) root(t testing.TB) Hash {
	t.Helper()
	root, err := tlog.TreeHash(r.size, r)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func grown(n int) *Tree {
	var tr Tree
	for i := range n {
		tr.Append(Leaf(fmt.Appendf(nil, "segment %d", i)))
	}
	return &tr
}

func TestRootEqualsFullTreeAtEverySize(t *testing.T) {
	var tr Tree
	var ref reference
	for i := range 600 {
		if got, want := tr.Root(), ref.root(t); got != want {
			t.Fatalf("size %d: root %v, want %v", i, got, want)
		}
		if tr.Size() != uint64(i) {
			t.Fatalf("Size() = %d, want %d", tr.Size(), i)
		}
		payload := fmt.Appendf(nil, "segment %d", i)
		ref.append(t, payload)
		tr.Append(Leaf(payload))
	}
}

func TestMarshalledTreeGrowsLikeTheOriginal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		original := grown(rapid.IntRange(0, 300).Draw(t, "size"))
		b, err := original.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var restored Tree
		if err := restored.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if restored != *original {
			t.Fatal("restored tree differs")
		}
		for range rapid.IntRange(0, 40).Draw(t, "more") {
			leaf := Leaf(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "payload"))
			original.Append(leaf)
			restored.Append(leaf)
		}
		if restored.Root() != original.Root() {
			t.Fatal("roots differ after growing")
		}
	})
}

func TestCopyIsIndependent(t *testing.T) {
	original := grown(7)
	before := original.Root()
	grownCopy := *original
	grownCopy.Append(Leaf([]byte("other")))
	if original.Root() != before || original.Size() != 7 {
		t.Fatal("appending to a copy changed the original")
	}
}

func TestAnyOtherLeafChangesTheRoot(t *testing.T) {
	for size := 1; size <= 40; size++ {
		want := grown(size).Root()
		for changed := range size {
			var tr Tree
			for i := range size {
				payload := fmt.Appendf(nil, "segment %d", i)
				if i == changed {
					payload[0] ^= 1
				}
				tr.Append(Leaf(payload))
			}
			if tr.Root() == want {
				t.Fatalf("size %d: leaf %d does not count", size, changed)
			}
		}
	}
}

func TestUnmarshalRefusesEverythingElse(t *testing.T) {
	valid, _ := grown(11).MarshalBinary()
	cases := map[string][]byte{
		"nothing":            nil,
		"no size":            valid[:8],
		"a hash short":       valid[:len(valid)-32],
		"a byte short":       valid[:len(valid)-1],
		"a byte more":        append(bytes.Clone(valid), 0),
		"version 0":          append([]byte{0}, valid[1:]...),
		"version 2":          append([]byte{2}, valid[1:]...),
		"more than an int64": append([]byte{1, 0x80, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 32)...),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			tr := *grown(3)
			if err := tr.UnmarshalBinary(b); !errors.Is(err, ErrMalformed) {
				t.Fatalf("err = %v, want ErrMalformed", err)
			}
			if tr != *grown(3) {
				t.Fatal("a refused encoding changed the tree")
			}
		})
	}
}

func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "frontier.txt")
	var b strings.Builder
	for _, size := range []int{0, 1, 2, 3, 7, 8, 1000} {
		encoded, _ := grown(size).MarshalBinary()
		root := grown(size).Root()
		fmt.Fprintf(&b, "size %d\nroot %s\nframe %s\n", size, hex.EncodeToString(root[:]), hex.EncodeToString(encoded))
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the byte format changed:\n%s", b.String())
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, size := range []int{0, 1, 5, 64} {
		b, _ := grown(size).MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var tr Tree
		if tr.UnmarshalBinary(b) != nil {
			return
		}
		again, err := tr.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatal("two encodings of one tree")
		}
		tr.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	var tr Tree
	leaf := Leaf([]byte("segment"))
	b.ReportAllocs()
	for b.Loop() {
		tr.Append(leaf)
	}
}
