package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	pb "healthledger/proto/healthledger/v1"
)

// Access says that somebody asked to read a type in a minute.
type Access struct {
	// Minute since the Unix epoch.
	Minute int64
	// App is 0 for the owner.
	App       uint64
	Type      uint32
	Operation string
	// From and To are the widest period asked for, in microseconds since the Unix epoch,
	// open ends at the extremes.
	From, To int64
	// Count is how often.
	Count uint64
	// Known is false while a count goes on, and for good where one was lost.
	Known bool
}

// The standings of a count.
const (
	accessCounted byte = iota
	accessOpen
	accessLost
)

// accessRow is the value of a row.
type accessRow struct {
	standing byte
	count    uint64
	// by is what is common to the records of the count that goes on.
	by       uint32
	from, to int64
}

func (a *accessRow) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, a.standing), a.count)
	if a.standing == accessOpen {
		dst = binary.BigEndian.AppendUint32(dst, a.by)
	}
	if a.from != math.MinInt64 || a.to != math.MaxInt64 {
		dst = binary.AppendVarint(binary.AppendVarint(dst, a.from), a.to)
	}
	return dst
}

func readAccessRow(row []byte) (a accessRow, ok bool) {
	r := reader{b: row}
	a = accessRow{standing: r.byte(), count: r.uvarint(), from: math.MinInt64, to: math.MaxInt64}
	if a.standing == accessOpen {
		if b := r.take(4); b != nil {
			a.by = binary.BigEndian.Uint32(b)
		}
	}
	if len(r.b) > 0 {
		a.from, a.to = r.varint(), r.varint()
	}
	return a, r.done() && a.standing <= accessLost
}

func readAccess(key, row []byte) (a Access, ok bool) {
	if len(key) < 9 {
		return a, false
	}
	a.Minute = readTime(key[1:])
	app, n := readOrdered(key[9:], 0)
	if n == 0 {
		return a, false
	}
	typeCode, operation, ok := readOrdered32(key[9+n:])
	if !ok {
		return a, false
	}
	r, ok := readAccessRow(row)
	a.App, a.Type, a.Operation = app, typeCode, string(operation)
	a.From, a.To, a.Count, a.Known = r.from, r.to, r.count, r.standing == accessCounted
	return a, ok
}

// recordAccess notes a read. Where a count begins before another one has ended, that one
// was lost, and nobody will ever know how many there were.
func (b *Batch) recordAccess(e *pb.AccessRecorded) error {
	key := appendAccessKey(nil, e.GetMinute(), e.GetApp(), e.GetType(), e.GetOperation())
	from, to := e.GetFrom(), e.GetTo()
	if from == 0 && to == 0 {
		from, to = math.MinInt64, math.MaxInt64
	}
	row, there, err := b.access(key)
	switch {
	case err != nil:
		return err
	case !there:
		row = accessRow{standing: accessOpen, by: e.GetCountedBy(), from: from, to: to}
	case row.standing == accessCounted:
		row.standing, row.by = accessOpen, e.GetCountedBy()
	case row.by != e.GetCountedBy():
		row.standing, row.by = accessLost, 0
	}
	row.from, row.to = min(row.from, from), max(row.to, to)
	b.keep(key, row.appendTo(nil))
	return nil
}

// countAccess ends counts. What was counted was recorded before.
func (b *Batch) countAccess(e *pb.AccessCounted) error {
	for _, c := range e.GetCounts() {
		key := appendAccessKey(nil, c.GetMinute(), e.GetApp(), c.GetType(), c.GetOperation())
		row, there, err := b.access(key)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("%w: a count of reads that are not recorded", ErrEvent)
		}
		if row.standing == accessOpen {
			row.standing = accessCounted
		}
		row.count += c.GetCount()
		b.keep(key, row.appendTo(nil))
	}
	return nil
}

func (b *Batch) access(key []byte) (row accessRow, there bool, err error) {
	value, there, err := b.find(key)
	if err != nil || !there {
		return row, false, err
	}
	if row, there = readAccessRow(value); !there {
		return row, false, errDamaged
	}
	return row, true, nil
}

// Position says where the access stands among all, for a later call of Accesses.
func (a *Access) Position() []byte {
	return appendAccessKey(nil, a.Minute, a.App, a.Type, a.Operation)[1:]
}

// Accesses goes through what was asked for from one minute to another, both inclusive,
// the newest first. It begins after a position, unless that is empty, and ends when yield
// returns false.
func (s *Snapshot) Accesses(first, last int64, after []byte, yield func(*Access) (more bool)) error {
	lower := appendTime([]byte{familyAccess}, first)
	upper := successor(appendTime([]byte{familyAccess}, last))
	err := s.backwards(lower, upper, after, func(key, row []byte) (more bool, err error) {
		a, ok := readAccess(key, row)
		if !ok {
			return false, errDamaged
		}
		return yield(&a), nil
	})
	if err != nil {
		return fmt.Errorf("read the access log: %w", err)
	}
	return nil
}

// backwards goes through the rows of a family in [lower, upper), the last first. It begins
// before a position, a key without its family, unless that is empty, and ends when each does.
func (s *Snapshot) backwards(lower, upper, after []byte, each func(key, row []byte) (more bool, err error)) error {
	if position := append([]byte{lower[0]}, after...); len(after) > 0 && bytes.Compare(position, upper) < 0 {
		upper = position
	}
	if bytes.Compare(lower, upper) > 0 {
		upper = lower
	}
	s.touch(lower, upper)
	iter, err := s.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return s.view.damage(err)
	}
	more := true
	for valid := iter.Last(); valid && more && err == nil; valid = iter.Prev() {
		var row []byte
		if row, err = iter.ValueAndErr(); err == nil {
			more, err = each(iter.Key(), row)
		}
	}
	if err = errors.Join(err, iter.Close()); err != nil {
		return s.view.damage(err)
	}
	return nil
}
