package tree

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrProof is returned for a proof that does not prove what it is said to.
var ErrProof = errors.New("proof does not hold")

// Leaves calls its argument with each leaf of a log from the first to the last that a
// proof is about, and returns the first error.
type Leaves func(func(leaf Hash) error) error

// ProveInclusion returns the proof that leaf index (counted from 0) is in the tree of the
// first size leaves (RFC 6962, section 2.1.1), and the root of that tree. It reads the
// leaves once and keeps only the hashes of the proof.
func ProveInclusion(size, index uint64, leaves Leaves) ([]Hash, Hash, error) {
	if index >= size || size > math.MaxInt64 {
		return nil, Hash{}, fmt.Errorf("prove leaf %d of %d: there is none", index, size)
	}
	return prove(size, leaves, func(r tlog.HashReader) ([]Hash, error) {
		return tlog.ProveRecord(int64(size), int64(index), r)
	})
}

// ProveConsistency returns the proof that the tree of the first size leaves goes on from
// that of the first old of them (RFC 6962, section 2.1.2), and the root of the larger one.
// It reads the leaves once and keeps only the hashes of the proof.
func ProveConsistency(size, old uint64, leaves Leaves) ([]Hash, Hash, error) {
	if old == 0 || old > size || size > math.MaxInt64 {
		return nil, Hash{}, fmt.Errorf("prove %d leaves of %d: there are none", old, size)
	}
	return prove(size, leaves, func(r tlog.HashReader) ([]Hash, error) {
		return tlog.ProveTree(int64(size), int64(old), r)
	})
}

// prove asks for the proof twice: once to learn which subtrees it is made of, and once
// with their hashes, which it picks out while the tree grows.
func prove(size uint64, leaves Leaves, ask func(tlog.HashReader) ([]Hash, error)) ([]Hash, Hash, error) {
	subtrees := map[int64]Hash{}
	if _, err := ask(tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		for _, index := range indexes {
			subtrees[index] = Hash{}
		}
		return make([]Hash, len(indexes)), nil
	})); err != nil {
		return nil, Hash{}, err
	}
	var t Tree
	err := leaves(func(leaf Hash) error {
		t.grow(leaf, func(level int, n uint64, subtree Hash) {
			index := tlog.StoredHashIndex(level, int64(n))
			if _, ok := subtrees[index]; ok {
				subtrees[index] = subtree
			}
		})
		return nil
	})
	if err != nil {
		return nil, Hash{}, err
	}
	if t.Size() != size {
		return nil, Hash{}, fmt.Errorf("prove: %d leaves instead of %d", t.Size(), size)
	}
	proof, err := ask(tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes := make([]Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = subtrees[index]
		}
		return hashes, nil
	}))
	return proof, t.Root(), err
}

// CheckInclusion checks a proof that leaf index (counted from 0) is in the tree of size
// leaves with the given root. The error is ErrProof.
func CheckInclusion(proof []Hash, size uint64, root Hash, index uint64, leaf Hash) error {
	if size > math.MaxInt64 || index >= size || tlog.CheckRecord(proof, int64(size), root, int64(index), leaf) != nil {
		return fmt.Errorf("leaf %d of %d: %w", index, size, ErrProof)
	}
	return nil
}

// CheckConsistency checks a proof that the tree of size leaves with the given root goes on
// from the one of old leaves with oldRoot. The error is ErrProof.
func CheckConsistency(proof []Hash, size uint64, root Hash, old uint64, oldRoot Hash) error {
	if size > math.MaxInt64 || old > size || tlog.CheckTree(proof, int64(size), root, int64(old), oldRoot) != nil {
		return fmt.Errorf("%d leaves of %d: %w", old, size, ErrProof)
	}
	return nil
}
