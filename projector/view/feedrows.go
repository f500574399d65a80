package view

import (
	"errors"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// regionRows are the samples of a region that segments up to one added, by end.
type regionRows struct {
	region Region
	until  uint64
	after  Point
	scan   *Scan
}

func (r *regionRows) source() *Source { return r.region.Source }
func (r *regionRows) sample() *Sample { return r.scan.Sample() }

func (r *regionRows) next(at *Point, spend func() error) (bool, error) {
	s := r.region.Source
	var ok bool
	if r.scan == nil {
		first, last := int64(math.MinInt64), r.region.Before
		if compareOrigins(r.after.origin, s.entry.origin) == 0 {
			first = r.after.End
		}
		if isPair(s.typeCode) {
			last = math.MaxInt64 // the key may end long after the member
		} else if last < math.MaxInt64 {
			last--
		}
		var err error
		if r.scan, err = s.Scan(first, last); err != nil {
			return false, err
		}
		ok = r.scan.First()
	} else {
		ok = r.scan.Next()
	}
	for ; ok; ok = r.scan.Next() {
		if err := spend(); err != nil {
			return false, err
		}
		if sample := r.scan.Sample(); sample.Sequence <= r.until && r.region.holds(r.scan.memberEnd) {
			*at = Point{Source: s.entry.origin.id, origin: s.entry.origin, Place: sample.Place}
			at.End = r.scan.End()
			return true, nil
		}
	}
	return false, r.scan.err
}

func (r *regionRows) close() error {
	if r.scan == nil {
		return nil
	}
	scan := r.scan
	r.scan = nil
	return scan.Close()
}

// addedRows are the samples that end in one month and that segments from one on added, by
// segment.
type addedRows struct {
	region Region
	month  int32
	from   uint64
	after  Point

	segments *pebble.Iterator
	prefix   int
	// The segment that the scan is at, and where its samples end; 0: none.
	sequence uint64
	ends     changeRange
	scan     *Scan
}

func (r *addedRows) source() *Source { return r.region.Source }
func (r *addedRows) sample() *Sample { return r.scan.Sample() }

func (r *addedRows) next(at *Point, spend func() error) (bool, error) {
	if r.segments == nil {
		if err := r.open(); err != nil {
			return false, err
		}
	}
	s := r.region.Source
	for ok := r.sequence != 0 && r.scan.Next(); ; ok = r.scan.Next() {
		for !ok || r.scan.End() > r.ends.last {
			if r.scan.err != nil {
				return false, r.scan.err
			}
			last := r.ends.last
			more, err := r.segment()
			if err != nil || !more {
				return false, err
			}
			// Where segments follow each other in time, the scan is there already.
			if !ok || r.ends.first <= last || r.scan.End() < r.ends.first {
				ok = r.scan.seek(r.ends.first)
			}
		}
		if err := spend(); err != nil {
			return false, err
		}
		if sample := r.scan.Sample(); sample.Sequence == r.sequence {
			*at = Point{Sequence: r.sequence, Source: s.entry.origin.id, origin: s.entry.origin, Place: sample.Place}
			at.End = r.scan.End()
			return true, nil
		}
	}
}

func (r *addedRows) open() (err error) {
	s := r.region.Source
	prefix := appendMonth(appendEntryKey(nil, familyChange, s.typeCode, s.entry.origin.id), r.month)
	if r.segments, err = s.snapshot.segments(prefix, r.from); err != nil {
		return err
	}
	r.prefix = len(prefix)
	first, last := month{number: r.month}.bounds()
	r.scan, err = s.Scan(first, last)
	return err
}

// segment moves to the next segment that added something visible.
func (r *addedRows) segment() (bool, error) {
	valid := false
	if r.sequence == 0 {
		valid = r.segments.First()
	} else {
		valid = r.segments.Next()
	}
	for ; valid; valid = r.segments.Next() {
		value, err := r.segments.ValueAndErr()
		if err != nil {
			return false, err
		}
		sequence, n := readOrdered(r.segments.Key()[r.prefix:], 0)
		ends, ok := readChange(r.month, value)
		if n == 0 || !ok {
			return false, errDamaged
		}
		ends.first = max(ends.first, r.region.Source.since)
		if a := &r.after; sequence == a.Sequence && !a.Whole {
			switch c := compareOrigins(a.origin, r.region.Source.entry.origin); {
			case c > 0:
				continue
			case c == 0:
				ends.first = max(ends.first, a.End)
			}
		}
		if ends.first <= ends.last {
			r.sequence, r.ends = sequence, ends
			return true, nil
		}
	}
	return false, r.segments.Error()
}

func (r *addedRows) close() error {
	var errs []error
	if r.scan != nil {
		errs = append(errs, r.scan.Close())
	}
	if r.segments != nil {
		errs = append(errs, r.segments.Close())
	}
	r.scan, r.segments = nil, nil
	return errors.Join(errs...)
}

// deletedRows are the samples that ended in one month and that segments from one to
// another deleted, by segment.
type deletedRows struct {
	region      Region
	month       int32
	from, until uint64

	iter    *pebble.Iterator
	prefix  int
	deleted Sample
}

func (r *deletedRows) source() *Source { return r.region.Source }
func (r *deletedRows) sample() *Sample { return &r.deleted }

func (r *deletedRows) next(at *Point, spend func() error) (bool, error) {
	s := r.region.Source
	var valid bool
	if r.iter == nil {
		prefix := appendMonth(appendEntryKey(nil, familyDeletion, s.typeCode, s.entry.origin.id), r.month)
		r.prefix = len(prefix)
		var err error
		if r.iter, err = s.snapshot.segments(prefix, r.from); err != nil {
			return false, err
		}
		valid = r.iter.First()
	} else {
		valid = r.iter.Next()
	}
	for ; valid; valid = r.iter.Next() {
		if err := spend(); err != nil {
			return false, err
		}
		value, err := r.iter.ValueAndErr()
		if err != nil {
			return false, err
		}
		sequence, sample, memberEnd, ok := readDeletion(s.typeCode, r.iter.Key()[r.prefix:], value)
		if !ok {
			return false, errDamaged
		}
		if sequence > r.until {
			return false, nil
		}
		if r.region.holds(memberEnd) {
			r.deleted = sample
			*at = Point{Sequence: sequence, Deleted: true, Source: s.entry.origin.id, origin: s.entry.origin, Place: sample.Place}
			return true, nil
		}
	}
	return false, r.iter.Error()
}

func (r *deletedRows) close() error {
	if r.iter == nil {
		return nil
	}
	iter := r.iter
	r.iter = nil
	return iter.Close()
}

// segments opens the rows that begin with a prefix and go on with a segment from one on.
func (s *Snapshot) segments(prefix []byte, from uint64) (*pebble.Iterator, error) {
	lower := appendOrdered(prefix[:len(prefix):len(prefix)], from)
	upper := successor(prefix)
	s.touch(lower, upper)
	return s.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// monthsChanged returns the months in which a segment from one on can have changed
// something visible. That of the bound is among them whatever is in it.
func (s *Source) monthsChanged(from uint64) []int32 {
	var numbers []int32
	for _, number := range s.months() {
		if s.since > math.MinInt64 && number == monthOf(s.since) || s.entry.changedIn(number) >= from {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func (e *entry) changedIn(number int32) uint64 {
	for i := len(e.months) - 1; i >= 0; i-- {
		if e.months[i].number == number {
			return e.months[i].changed
		}
	}
	return 0
}

// ChangedAfter says whether segments after one have added or deleted samples of the source
// that may be seen, and which was the last. What was added need not be there any more.
func (s *Source) ChangedAfter(sequence uint64) (last uint64, changed bool, err error) {
	bound := s.since > math.MinInt64
	if bound && isPair(s.typeCode) {
		return s.pairsChangedAfter(sequence)
	}
	for _, m := range s.entry.months {
		if !bound || m.number > monthOf(s.since) {
			last = max(last, m.changed)
		}
	}
	if bound {
		at, err := s.changedAtBound(sequence)
		if err != nil {
			return 0, false, err
		}
		last = max(last, at)
	}
	if last <= sequence {
		return 0, false, nil
	}
	return last, true, nil
}

// pairsChangedAfter is ChangedAfter for correlations and a bound. Months do not tell: a
// correlation may go on long after the last of its members, which is what counts.
func (s *Source) pairsChangedAfter(sequence uint64) (last uint64, changed bool, err error) {
	f := s.snapshot.Changes([]Source{*s}, Point{Sequence: sequence, Whole: true}, func() error { return nil })
	for f.Next() {
		last, changed = f.At().Sequence, true
	}
	return last, changed, f.Close()
}

// changedAtBound returns the last segment after one that changed something visible in the
// month of the bound.
func (s *Source) changedAtBound(sequence uint64) (last uint64, err error) {
	number := monthOf(s.since)
	for _, family := range [...]byte{familyChange, familyDeletion} {
		prefix := appendMonth(appendEntryKey(nil, family, s.typeCode, s.entry.origin.id), number)
		iter, err := s.snapshot.segments(prefix, sequence+1)
		if err != nil {
			return 0, s.snapshot.view.damage(err)
		}
		for valid := iter.First(); valid && err == nil; valid = iter.Next() {
			var value []byte
			if value, err = iter.ValueAndErr(); err != nil {
				break
			}
			at, visible, ok := s.changedBy(family, iter.Key()[len(prefix):], value)
			if !ok {
				err = errDamaged
			} else if visible {
				last = max(last, at)
			}
		}
		if err = errors.Join(err, iter.Close()); err != nil {
			return 0, s.snapshot.view.damage(err)
		}
	}
	return last, nil
}

// changedBy reads a row of the month of the bound.
func (s *Source) changedBy(family byte, key, value []byte) (sequence uint64, visible, ok bool) {
	if family == familyDeletion {
		sequence, _, memberEnd, ok := readDeletion(s.typeCode, key, value)
		return sequence, memberEnd >= s.since, ok
	}
	sequence, n := readOrdered(key, 0)
	c, ok := readChange(monthOf(s.since), value)
	return sequence, c.last >= s.since, ok && n > 0
}
