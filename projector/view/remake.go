package view

import (
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/projector/aggregate"
)

// remakeFigures makes the figures of the quarters that have lost a sample again, from the
// samples that the view and the batch have in them. Sums could be subtracted from, but
// extremes could not.
func (b *Batch) remakeFigures() error {
	for key, d := range b.drafts {
		q := &d.quarters
		if len(q.stale) == 0 {
			continue
		}
		if err := b.index(); err != nil {
			return err
		}
		maps.DeleteFunc(q.added, func(u quarterOfUnit, _ *aggregate.Figures) bool { return q.isStale(u.start) })
		q.figures = nil
		for starts := slices.Sorted(maps.Keys(q.stale)); len(starts) > 0; {
			n := 1
			for n < len(starts) && starts[n] == starts[n-1]+quarterLength {
				n++
			}
			if err := b.remakeQuarters(d, key, starts[0], starts[n-1]+quarterLength); err != nil {
				return err
			}
			starts = starts[n:]
		}
	}
	return nil
}

// remakeQuarters drops the stored figures of the stale quarters between two times, and
// counts the samples there as if the batch had added them.
func (b *Batch) remakeQuarters(d *draft, key draftKey, from, to int64) error {
	if err := b.dropQuarters(key, from, to); err != nil {
		return err
	}
	for _, span := range d.spans(from, to-1) {
		err := b.scanRows(key.typeCode, key.source, span.First, span.Last, func(row *Locator, s *Sample) error {
			if s.End < from || s.End == from && s.Start < from || s.Start >= to || isBeside(s, false) {
				return nil
			}
			if s.body != 0 {
				if _, series, err := b.find(appendBesideKey(nil, row.Type, row.Source, &s.Place)); err != nil || series {
					return err
				}
			}
			d.quarters.add(s, from, to)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) dropQuarters(key draftKey, from, to int64) error {
	iter, err := b.batch.NewIter(&pebble.IterOptions{
		LowerBound: appendQuarterKey(nil, key.typeCode, key.source, from), UpperBound: appendQuarterKey(nil, key.typeCode, key.source, to),
	})
	if err != nil {
		return err
	}
	for iter.First(); iter.Valid(); iter.Next() {
		b.drop(iter.Key())
	}
	return iter.Close()
}
