package tree

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// vector is one case of transparency-dev/merkle's testdata, of either kind.
type vector struct {
	LeafIdx, TreeSize uint64
	Root, LeafHash    string
	Size1, Size2      uint64
	Root1, Root2      string
	Proof             []string
	WantErr           bool
}

// hashes decodes what the vectors write in base64. A root that does not matter is a text
// of another length there, which stands for some hash.
func hashes(texts ...string) ([]Hash, error) {
	var out []Hash
	for _, text := range texts {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) == 0 {
			return nil, ErrProof
		}
		if len(b) != tlog.HashSize {
			placeholder := sha256.Sum256(b)
			b = placeholder[:]
		}
		out = append(out, Hash(b))
	}
	return out, nil
}

func (v vector) inclusion() error {
	h, err := hashes(append([]string{v.Root, v.LeafHash}, v.Proof...)...)
	if err != nil {
		return err
	}
	return CheckInclusion(h[2:], v.TreeSize, h[0], v.LeafIdx, h[1])
}

func (v vector) consistency() error {
	h, err := hashes(append([]string{v.Root1, v.Root2}, v.Proof...)...)
	if err != nil {
		return err
	}
	return CheckConsistency(h[2:], v.Size2, h[1], v.Size1, h[0])
}

func TestMerkleVectors(t *testing.T) {
	root := os.Getenv("HEALTHLEDGER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	root = filepath.Join(root, "merkle", "transparency-dev+merkle")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no test data: %v (set HEALTHLEDGER_TESTDATA)", err)
	}
	for kind, check := range map[string]func(vector) error{"inclusion": vector.inclusion, "consistency": vector.consistency} {
		good, bad := 0, 0
		err := filepath.WalkDir(filepath.Join(root, kind), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".json" {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var v vector
			if err := json.Unmarshal(content, &v); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			err = check(v)
			if v.WantErr != errors.Is(err, ErrProof) || !v.WantErr && err != nil {
				t.Errorf("%s: err = %v, want one: %v", path, err, v.WantErr)
			}
			if v.WantErr {
				bad++
			} else {
				good++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d good, %d bad", kind, good, bad)
		if good < 5 || bad < 50 {
			t.Errorf("%s: only %d good and %d bad vectors", kind, good, bad)
		}
	}
}

// from gives the leaves that grown is made of.
func from(size int) Leaves {
	return func(fn func(Hash) error) error {
		for i := range size {
			if err := fn(Leaf(fmt.Appendf(nil, "segment %d", i))); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestProofsEqualThoseOfTheFullTree(t *testing.T) {
	var ref reference
	for size := 1; size <= 70; size++ {
		ref.append(t, fmt.Appendf(nil, "segment %d", size-1))
		for n := range size {
			want, err := tlog.ProveRecord(int64(size), int64(n), &ref)
			if err != nil {
				t.Fatal(err)
			}
			got, root, err := ProveInclusion(uint64(size), uint64(n), from(size))
			if err != nil || root != ref.root(t) || !slices.Equal(got, []Hash(want)) {
				t.Fatalf("leaf %d of %d: %v, %v; want %v", n, size, got, err, want)
			}
			tree, err := tlog.ProveTree(int64(size), int64(n+1), &ref)
			if err != nil {
				t.Fatal(err)
			}
			got, root, err = ProveConsistency(uint64(size), uint64(n+1), from(size))
			if err != nil || root != ref.root(t) || !slices.Equal(got, []Hash(tree)) {
				t.Fatalf("%d leaves of %d: %v, %v; want %v", n+1, size, got, err, tree)
			}
		}
	}
}

func TestProofHoldsForItsOwnPlaceOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(2, 300).Draw(t, "size")
		n := rapid.IntRange(0, size-1).Draw(t, "leaf")
		other := rapid.IntRange(0, size-1).Draw(t, "other")
		proof, root, err := ProveInclusion(uint64(size), uint64(n), from(size))
		if err != nil {
			t.Fatal(err)
		}
		leaf := func(i int) Hash { return Leaf(fmt.Appendf(nil, "segment %d", i)) }
		for _, i := range []int{n, other} {
			err := CheckInclusion(proof, uint64(size), root, uint64(i), leaf(i))
			if i == n && err != nil || i != n && !errors.Is(err, ErrProof) {
				t.Fatalf("proof of %d for %d: %v", n, i, err)
			}
		}
		proof, root, err = ProveConsistency(uint64(size), uint64(n+1), from(size))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckConsistency(proof, uint64(size), root, uint64(n+1), grown(n+1).Root()); err != nil {
			t.Fatal(err)
		}
		if other != n {
			if err := CheckConsistency(proof, uint64(size), root, uint64(n+1), grown(other+1).Root()); !errors.Is(err, ErrProof) {
				t.Fatalf("another tree: %v", err)
			}
		}
	})
}

func TestWhatCannotBeProvedIsAnError(t *testing.T) {
	broken := errors.New("cannot be read")
	for name, prove := range map[string]func() error{
		"no such leaf":   func() error { _, _, err := ProveInclusion(3, 3, from(3)); return err },
		"no tree":        func() error { _, _, err := ProveConsistency(3, 0, from(3)); return err },
		"a larger one":   func() error { _, _, err := ProveConsistency(3, 4, from(3)); return err },
		"too few leaves": func() error { _, _, err := ProveInclusion(3, 1, from(2)); return err },
	} {
		if prove() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, _, err := ProveInclusion(3, 1, func(func(Hash) error) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("leaves that cannot be read: %v", err)
	}
	// More than tlog can count.
	huge := uint64(1) << 63
	if err := CheckInclusion(nil, huge, Hash{}, 0, Hash{}); !errors.Is(err, ErrProof) {
		t.Error(err)
	}
	if err := CheckConsistency(nil, huge, Hash{}, huge, Hash{}); !errors.Is(err, ErrProof) {
		t.Error(err)
	}
	if !strings.Contains(CheckInclusion(nil, 2, Hash{}, 1, Hash{}).Error(), "leaf 1 of 2") {
		t.Error("the error does not say which leaf")
	}
}
