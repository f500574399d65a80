package view

import (
	"math"
	"slices"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
)

// The figures of quantity types are kept for every quarter of an hour UTC in which a
// source has samples: days of all time zones are made of quarters.
const (
	quarterLength = 15 * 60 * 1_000_000
	// besideLength is the longest that a sample may last to be in quarters. A longer one
	// would be in too many.
	besideLength = 3600 * 1_000_000
)

// quarterOf returns the start of the quarter that holds t.
func quarterOf(t int64) int64 {
	n := t / quarterLength
	if t%quarterLength < 0 {
		n--
	}
	return saturate(n, quarterLength)
}

// isBeside says whether a sample is read beside the quarters: one of a series counts with
// its entries, and one at either end of time is in a quarter that is cut off.
func isBeside(s *Sample, series bool) bool {
	return series || uint64(s.End)-uint64(s.Start) > besideLength ||
		s.Start < math.MinInt64+quarterLength || s.End > math.MaxInt64-quarterLength
}

// quarterOfUnit names the figures of a type and source.
type quarterOfUnit struct {
	start int64
	unit  uint32
}

// quarters are what a batch changes in the figures of one type and source.
type quarters struct {
	style catalog.Aggregation
	added map[quarterOfUnit]*aggregate.Figures
	// stale quarters have lost a sample; their figures are made again from what is left.
	stale map[int64]struct{}
	// The one used last.
	last    quarterOfUnit
	figures *aggregate.Figures
}

// add counts a sample in every quarter between two times that it lies in.
func (q *quarters) add(s *Sample, from, to int64) {
	for start := max(quarterOf(s.Start), from); start < to; start += quarterLength {
		q.at(quarterOfUnit{start, s.unit}).Add(&s.Place, s.Value, start, start+quarterLength)
		if start >= s.End-quarterLength {
			return
		}
	}
}

func (q *quarters) at(key quarterOfUnit) *aggregate.Figures {
	if q.figures != nil && q.last == key {
		return q.figures
	}
	f := q.added[key]
	if f == nil {
		if q.added == nil {
			q.added = map[quarterOfUnit]*aggregate.Figures{}
		}
		f = aggregate.New(q.style)
		q.added[key] = f
	}
	q.last, q.figures = key, f
	return f
}

// spoil notes that a sample is gone.
func (q *quarters) spoil(p *Place) {
	if q.stale == nil {
		q.stale = map[int64]struct{}{}
	}
	for start := quarterOf(p.Start); ; start += quarterLength {
		q.stale[start] = struct{}{}
		if start >= p.End-quarterLength {
			return
		}
	}
}

func (q *quarters) isStale(start int64) bool {
	_, stale := q.stale[start]
	return stale
}

// putFigures keeps the figures up with a sample whose row is in b.value.
func (b *Batch) putFigures(d *draft, s *Sample, series bool) {
	switch {
	case d.quarters.style == catalog.NoAggregation:
	case isBeside(s, series):
		b.keep(appendBesideKey(nil, d.typeCode, d.origin.id, &s.Place), slices.Clone(b.value))
	default:
		d.quarters.add(s, math.MinInt64, math.MaxInt64)
	}
}

// dropFigures keeps them up with a sample that is removed.
func (b *Batch) dropFigures(d *draft, s *Sample) {
	if d.quarters.style == catalog.NoAggregation {
		return
	}
	long := isBeside(s, false)
	if long || s.body != 0 {
		b.drop(appendBesideKey(nil, d.typeCode, d.origin.id, &s.Place))
	}
	if !long {
		d.quarters.spoil(&s.Place)
	}
}

// commitFigures writes the figures that the batch has changed.
func (b *Batch) commitFigures() error {
	if err := b.remakeFigures(); err != nil {
		return err
	}
	stored := &aggregate.Figures{}
	for _, d := range b.drafts {
		for key, f := range d.quarters.added {
			b.key = appendFiguresKey(b.key[:0], d.typeCode, d.origin.id, key)
			// Where no sample ends there is nothing yet.
			if !d.quarters.isStale(key.start) && d.stored && key.start <= d.storedMax {
				row, there, err := b.stored(b.key)
				if err != nil {
					return err
				}
				if there {
					if rest, ok := stored.Read(d.quarters.style, row, key.start); !ok || len(rest) > 0 {
						return errDamaged
					}
					f.Merge(stored)
				}
			}
			b.value = f.Append(b.value[:0], key.start)
			b.set(b.key, b.value)
		}
	}
	return nil
}
