package view

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
)

// putFigures keeps the figures up with a sample whose row is in b.value.
func (b *Batch) putFigures(d *draft, s *Sample, series bool) {
	switch {
	case d.blocks.style == catalog.NoAggregation:
	case isBeside(s, series):
		b.keep(appendBesideKey(nil, d.typeCode, d.origin.id, &s.Place), slices.Clone(b.value))
	default:
		d.blocks.add(&measured{s.Place, s.Value, s.unit})
	}
}

// dropFigures keeps them up with a sample that is removed.
func (b *Batch) dropFigures(d *draft, s *Sample) {
	if d.blocks.style == catalog.NoAggregation {
		return
	}
	long := isBeside(s, false)
	if long || s.body != 0 {
		b.drop(appendBesideKey(nil, d.typeCode, d.origin.id, &s.Place))
	}
	if !long {
		d.blocks.spoil(&s.Place)
	}
}

// commitFigures writes the figures that the batch has changed.
func (b *Batch) commitFigures() error {
	for _, d := range b.drafts {
		if err := b.remakeBlocks(d); err != nil {
			return err
		}
	}
	for _, d := range b.drafts {
		for start, bl := range d.blocks.added {
			// Where no sample ends there is nothing yet.
			if d.stored && start <= d.storedMax && !d.blocks.isStale(start) {
				if err := b.addStored(d, bl); err != nil {
					return err
				}
			}
			if bl.table != nil {
				b.key = appendBlockKey(b.key[:0], d.typeCode, d.origin.id, start)
				b.value = bl.table.appendRow(b.value[:0])
				b.set(b.key, b.value)
			}
		}
	}
	return nil
}

// addStored adds what the view has in a block to what the batch brings.
func (b *Batch) addStored(d *draft, bl *block) error {
	row, there, err := b.stored(appendBlockKey(nil, d.typeCode, d.origin.id, bl.start))
	switch {
	case err != nil:
		return err
	case !there:
		return b.countBlock(b.view.db, d, bl)
	case bl.table == nil:
		bl.tabulate(d.blocks.style)
	}
	if !bl.table.merge(row, &aggregate.Figures{}) {
		return errDamaged
	}
	return nil
}

// remakeBlocks makes the blocks that have lost a sample again, from the samples that the
// view and the batch have in them. Sums could be subtracted from, but extremes could not.
func (b *Batch) remakeBlocks(d *draft) error {
	for start := range d.blocks.stale {
		if err := b.index(); err != nil {
			return err
		}
		key := appendBlockKey(nil, d.typeCode, d.origin.id, start)
		_, there, err := b.stored(key)
		if err != nil {
			return err
		}
		if there {
			b.drop(key)
		}
		delete(d.blocks.added, start)
		d.blocks.last = nil
		if err := b.countBlock(b.batch, d, d.blocks.at(start)); err != nil {
			return err
		}
	}
	return nil
}

// countBlock adds the samples of a block that stand in a reader's rows.
func (b *Batch) countBlock(reader pebble.Reader, d *draft, bl *block) error {
	from, to := bl.start, bl.start+blockLength
	return scanRows(reader, d.typeCode, d.origin.id, from, lastEnd(to), func(row *Locator, s *Sample) error {
		if s.End == from && s.Start < from || s.Start >= to || isBeside(s, false) {
			return nil
		}
		if s.body != 0 {
			if _, series, err := b.find(appendBesideKey(nil, row.Type, row.Source, &s.Place)); err != nil || series {
				return err
			}
		}
		bl.add(d.blocks.style, &measured{s.Place, s.Value, s.unit})
		return nil
	})
}
