// Package tree computes the Merkle tree over the segments of a log (RFC 6962,
// section 2.1) from the right frontier alone, so that a root costs 32 bytes of
// memory for each doubling of the log instead of the whole tree.
//
//	var t tree.Tree
//	t.Append(tree.Leaf(payload))
//	root := t.Root()
//
// The hashes and the proofs are those of golang.org/x/mod/sumdb/tlog. A [Checkpoint] is
// what a daemon signs of a tree (C2SP tlog-checkpoint).
package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash in the tree.
type Hash = tlog.Hash

// levels bounds the height: tlog counts records in an int64.
const levels = 63

// Tree is a Merkle tree that grows at its right edge. The zero value is the empty
// tree. A Tree is a plain value: a copy is independent of its original, and equal
// trees compare equal with ==.
type Tree struct {
	size uint64
	// frontier[i] is the root of the perfect subtree of 2^i leaves that is not part of
	// a larger one. It exists when bit i of size is set, and is zero otherwise.
	frontier [levels]Hash
}

// Unknown returns a tree of so many leaves that nobody knows. It only counts.
func Unknown(size uint64) Tree { return Tree{size: size} }

// Leaf returns the hash of a segment's payload as a leaf.
func Leaf(payload []byte) Hash { return tlog.RecordHash(payload) }

// Append adds a leaf at the right.
func (t *Tree) Append(leaf Hash) { t.grow(leaf, func(int, uint64, Hash) {}) }

// grow is Append that tells of each perfect subtree that the leaf completes: its level,
// how many of that level are left of it, and its root.
func (t *Tree) grow(leaf Hash, complete func(level int, n uint64, root Hash)) {
	level, root := 0, leaf
	for ; t.size>>level&1 == 1; level++ {
		complete(level, t.size>>level, root)
		root = tlog.NodeHash(t.frontier[level], root)
		t.frontier[level] = Hash{}
	}
	complete(level, t.size>>level, root)
	t.frontier[level] = root
	t.size++
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Root returns the hash of the whole tree; for the empty tree, the hash of no bytes.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return emptyRoot
	}
	level := bits.TrailingZeros64(t.size)
	root := t.frontier[level]
	for level++; t.size>>level != 0; level++ {
		if t.size>>level&1 == 1 {
			root = tlog.NodeHash(t.frontier[level], root)
		}
	}
	return root
}

// emptyRoot is SHA-256 of no bytes (RFC 6962, section 2.1).
var emptyRoot = Hash{
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
}

// version is the first byte of a marshalled tree.
const version = 1

const headerSize = 1 + 8

// ErrMalformed is returned for bytes that MarshalBinary cannot have made.
var ErrMalformed = errors.New("malformed Merkle frontier")

// MarshalBinary returns version 1 of the byte format: the version (one byte), the size
// (eight bytes, big-endian) and the hashes of the frontier, the largest subtree first.
// It never fails.
func (t *Tree) MarshalBinary() ([]byte, error) {
	b := make([]byte, headerSize, headerSize+bits.OnesCount64(t.size)*tlog.HashSize)
	b[0] = version
	binary.BigEndian.PutUint64(b[1:], t.size)
	for level := levels - 1; level >= 0; level-- {
		if t.size>>level&1 == 1 {
			b = append(b, t.frontier[level][:]...)
		}
	}
	return b, nil
}

// UnmarshalBinary replaces the tree by the one that b holds. Each tree has exactly one
// encoding; anything else is ErrMalformed and leaves the tree as it was.
func (t *Tree) UnmarshalBinary(b []byte) error {
	if len(b) < headerSize {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if b[0] != version {
		return fmt.Errorf("%w: version %d", ErrMalformed, b[0])
	}
	read := Tree{size: binary.BigEndian.Uint64(b[1:])}
	b = b[headerSize:]
	if read.size>>levels != 0 || len(b) != bits.OnesCount64(read.size)*tlog.HashSize {
		return fmt.Errorf("%w: size %d with %d bytes of hashes", ErrMalformed, read.size, len(b))
	}
	for level := levels - 1; level >= 0; level-- {
		if read.size>>level&1 == 1 {
			read.frontier[level] = Hash(b[:tlog.HashSize])
			b = b[tlog.HashSize:]
		}
	}
	*t = read
	return nil
}
