package view

import "math"

// regionRows are the samples of a region that segments up to one added, by end.
type regionRows struct {
	region Region
	until  uint64
	after  Point
	scan   *Scan
}

func (r *regionRows) source() *Source { return r.region.Source }
func (r *regionRows) sample() *Sample { return r.scan.Sample() }

func (r *regionRows) next(at *row, spend func() error) (bool, error) {
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
		if sample := r.scan.Sample(); sample.Sequence <= r.until && r.region.holds(r.scan.ends.member) {
			*at = row{Point{Source: s.entry.origin.id, origin: s.entry.origin, Place: sample.Place}, r.scan.ends.earlier}
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

// changedRows are what segments from one to another added to a region or deleted there, by
// segment: samples of the first family or the deletions.
type changedRows struct {
	region      Region
	family      byte
	from, until uint64
	after       Point

	// changes are what comes next; then comes what segments from one on changed, 0: nothing.
	changes []change
	current change
	scan    *Scan // at samples of current
}

func (r *changedRows) source() *Source { return r.region.Source }
func (r *changedRows) sample() *Sample { return r.scan.Sample() }

func (r *changedRows) next(at *row, spend func() error) (bool, error) {
	for ok := r.scan != nil && r.scan.Next(); ; ok = r.scan.Next() {
		for !ok || r.scan.End() > r.current.last {
			if r.scan != nil && r.scan.err != nil {
				return false, r.scan.err
			}
			last := r.current.last
			more, err := r.move(spend)
			if err != nil || !more {
				return false, err
			}
			// Where changes follow each other in time, the scan is there already.
			if !ok || r.current.first <= last || r.scan.End() < r.current.first {
				ok = r.scan.seek(r.current.first)
			}
		}
		if err := spend(); err != nil {
			return false, err
		}
		sample, by := r.scan.Sample(), r.scan.removed
		if r.family == familySample {
			by = sample.Sequence
		}
		if by == r.current.sequence && r.region.holds(r.scan.ends.member) {
			o := r.region.Source.entry.origin
			at.Point = Point{Sequence: by, Deleted: r.family == familyDeletion, Source: o.id, origin: o, Place: sample.Place}
			at.earlier = r.scan.ends.earlier
			at.End = r.scan.End()
			return true, nil
		}
	}
}

// move moves to the next change after the point.
func (r *changedRows) move(spend func() error) (more bool, err error) {
	s := r.region.Source
	for {
		if len(r.changes) == 0 {
			if r.from == 0 {
				return false, nil
			}
			if r.changes, r.from, err = r.region.changes(changesOf(r.family), r.from, r.until, spend); err != nil {
				return false, err
			}
			continue
		}
		r.current, r.changes = r.changes[0], r.changes[1:]
		if a := &r.after; r.current.sequence == a.Sequence && !a.Whole && a.Deleted == (r.family == familyDeletion) {
			switch c := compareOrigins(a.origin, s.entry.origin); {
			case c > 0:
				continue
			case c == 0:
				r.current.first = max(r.current.first, a.End)
			}
			if r.current.first > r.current.last {
				continue
			}
		}
		if r.scan == nil {
			r.scan, err = s.scan(r.family, math.MinInt64, math.MaxInt64)
		}
		return err == nil, err
	}
}

func (r *changedRows) close() error {
	if r.scan == nil {
		return nil
	}
	scan := r.scan
	r.scan = nil
	return scan.Close()
}
