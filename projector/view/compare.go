package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Difference is a row that two views do not have alike.
type Difference struct {
	Key []byte
	// Bytes of the value in the one and in the other, -1: there is no such row.
	Bytes [2]int
}

// Family says what kind of row it is, with its number in FORMAT.md.
func (d *Difference) Family() string {
	name := familyNames[d.Key[0]]
	if name == "" {
		name = "unknown"
	}
	return fmt.Sprintf("%s (%02x)", name, d.Key[0])
}

var familyNames = map[byte]string{
	familyState: "state", familyDecision: "decision", familyUnit: "unit", familySource: "source", familyEvent: "event",
	familyMetadata: "metadata", familyBody: "body", familyChunk: "chunk", familyEntry: "directory", familyDay: "day",
	familyAddition: "addition", familyRemoval: "removal", familyFigures: "figures", familyBeside: "beside", familyDeletion: "deletion",
	familyRequest: "request", familyUUID: "UUID", familyIdentity: "identity", familyPart: "part", familyMembership: "membership",
	familyDerived: "derived UUID", familyUpdates: "updates", familyAsked: "asked", familyAccess: "access", familyDisclosure: "disclosure",
	familyRefusal: "refusal", familyObjects: "objects asked", familySample: "sample",
}

// compareStep is after how many rows Compare looks whether it should end.
const compareStep = 4096

// Compare goes through all rows of two views and returns the first, in the order of keys,
// that is not in both alike, nil: there is none. It returns how many rows are alike before
// that. Errors: the context's, ErrClosed, and those of reading.
func Compare(ctx context.Context, one, other *Snapshot) (rows uint64, d *Difference, err error) {
	a, err := one.state.db.NewIter(nil)
	if err != nil {
		return 0, nil, one.view.damage(err)
	}
	b, err := other.state.db.NewIter(nil)
	if err != nil {
		return 0, nil, errors.Join(other.view.damage(err), a.Close())
	}
	a.First()
	b.First()
	for ; a.Valid() || b.Valid(); rows++ {
		if rows%compareStep == 0 {
			if err = errors.Join(ctx.Err(), one.Err(), other.Err()); err != nil {
				break
			}
		}
		if d = differ(a, b); d != nil {
			break
		}
		a.Next()
		b.Next()
	}
	// What stops an iterator looks like a row that is missing.
	if err = errors.Join(err, one.view.damage(a.Close()), other.view.damage(b.Close())); err != nil {
		return rows, nil, err
	}
	return rows, d, nil
}

// Rows calls fn with every row, in the order of the keys, until it fails. The row is only
// good in the call.
func (s *Snapshot) Rows(fn func(key, value []byte) error) error {
	iter, err := s.state.db.NewIter(nil)
	if err != nil {
		return s.view.damage(err)
	}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		err = fn(iter.Key(), iter.Value())
	}
	return errors.Join(err, s.view.damage(iter.Close()))
}

// differ compares the rows that two iterators are at, one of which there is.
func differ(a, b *pebble.Iterator) *Difference {
	order := -1
	switch {
	case a.Valid() && b.Valid():
		order = bytes.Compare(a.Key(), b.Key())
	case b.Valid():
		order = 1
	}
	switch {
	case order < 0:
		return &Difference{Key: bytes.Clone(a.Key()), Bytes: [2]int{len(a.Value()), -1}}
	case order > 0:
		return &Difference{Key: bytes.Clone(b.Key()), Bytes: [2]int{-1, len(b.Value())}}
	case !bytes.Equal(a.Value(), b.Value()):
		return &Difference{Key: bytes.Clone(a.Key()), Bytes: [2]int{len(a.Value()), len(b.Value())}}
	}
	return nil
}
