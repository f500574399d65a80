package view

import (
	"errors"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/projector/aggregate"
)

// remakeFigures makes the figures of the quarters that have lost a sample again, from the
// samples that the view and the batch have in them. Sums could be subtracted from, but
// extremes could not.
func (b *Batch) remakeFigures() error {
	remakes := map[draftKey]*remake{}
	for key, d := range b.drafts {
		if len(d.quarters.stale) > 0 {
			remakes[key] = &remake{draft: d, changed: map[string][]byte{}}
		}
	}
	if len(remakes) == 0 {
		return nil
	}
	if err := b.collectChanged(remakes); err != nil {
		return err
	}
	for _, r := range remakes {
		if err := r.run(b); err != nil {
			return err
		}
	}
	return nil
}

// collectChanged finds the rows of samples in stale quarters that the batch itself has
// written or deleted.
func (b *Batch) collectChanged(remakes map[draftKey]*remake) error {
	for ops := b.batch.Reader(); ; {
		kind, key, value, ok, err := ops.Next()
		if !ok || err != nil {
			return err
		}
		if len(key) == 0 || key[0] != familySample {
			continue
		}
		at, ok := readLocator(key[1:])
		if !ok {
			return errDamaged
		}
		r := remakes[draftKey{at.Type, at.Source}]
		if r == nil || !r.stale(&at.Place) {
			continue
		}
		if kind == pebble.InternalKeyKindDelete {
			r.changed[string(key)] = nil
		} else {
			r.changed[string(key)] = value
		}
	}
}

// remake makes stale figures of one type and source.
type remake struct {
	draft   *draft
	changed map[string][]byte // rows of the batch by key; nil: deleted
}

// stale says whether a sample lies in a stale quarter.
func (r *remake) stale(p *Place) bool {
	if uint64(p.End)-uint64(p.Start) > besideLength {
		return false
	}
	for start, last := quarterOf(p.Start), lastQuarter(p.Start, p.End); start <= last; start += quarterLength {
		if _, ok := r.draft.quarters.stale[start]; ok {
			return true
		}
	}
	return false
}

func (r *remake) run(b *Batch) error {
	q := &r.draft.quarters
	maps.DeleteFunc(q.added, func(key quarterOfUnit, _ *aggregate.Figures) bool {
		_, stale := q.stale[key.start]
		return stale
	})
	q.figures = nil
	starts := slices.Sorted(maps.Keys(q.stale))
	for len(starts) > 0 {
		n := 1
		for n < len(starts) && starts[n] == starts[n-1]+quarterLength {
			n++
		}
		if err := r.stored(b, starts[0], starts[n-1]+quarterLength); err != nil {
			return err
		}
		starts = starts[n:]
	}
	for key, value := range r.changed {
		if value == nil {
			continue
		}
		if err := r.add(b, []byte(key), value); err != nil {
			return err
		}
	}
	return nil
}

// stored drops the figures that the view has between two times, and adds the samples there.
func (r *remake) stored(b *Batch, from, to int64) error {
	d := r.draft
	err := b.each(appendQuarterKey(nil, d.typeCode, d.origin.id, from), appendQuarterKey(nil, d.typeCode, d.origin.id, to), func(key, _ []byte) error {
		b.drop(key)
		return nil
	})
	if err != nil || !d.stored {
		return err
	}
	e := b.view.current.directory.find(d.typeCode, d.origin)
	for _, span := range e.spans(from, to-1) {
		lower, upper := appendTime(slices.Clone(d.prefix), span.First), successor(appendTime(slices.Clone(d.prefix), span.Last))
		err := b.each(lower, upper, func(key, value []byte) error {
			if _, changed := r.changed[string(key)]; changed {
				return nil
			}
			return r.add(b, key, value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls fn with the rows of the view itself in a range of keys.
func (b *Batch) each(lower, upper []byte, fn func(key, value []byte) error) error {
	iter, err := b.view.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		var value []byte
		if value, err = iter.ValueAndErr(); err == nil {
			err = fn(iter.Key(), value)
		}
	}
	return errors.Join(err, iter.Close())
}

// add counts a sample in the stale quarters that it lies in.
func (r *remake) add(b *Batch, key, value []byte) error {
	d := r.draft
	var s Sample
	if !readPlace(key[len(d.prefix):], &s.Place) || !readValue(value, &s) {
		return errDamaged
	}
	if !r.stale(&s.Place) {
		return nil
	}
	series := false
	if s.body != 0 {
		var err error
		b.key = appendBesideKey(b.key[:0], d.typeCode, d.origin.id, &s.Place)
		if _, series, err = b.find(b.key); err != nil {
			return err
		}
	}
	if isBeside(&s, series) {
		return nil
	}
	for start, last := quarterOf(s.Start), lastQuarter(s.Start, s.End); start <= last; start += quarterLength {
		if _, stale := d.quarters.stale[start]; stale {
			d.quarters.at(quarterOfUnit{start, s.unit}).Add(&s.Place, s.Value, start, start+quarterLength)
		}
	}
	return nil
}
