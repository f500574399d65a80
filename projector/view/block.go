package view

import (
	"encoding/binary"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
)

// block is what a batch adds to a block of one type and source.
type block struct {
	start int64
	// few are the samples while they are fewer than a row takes, then there is a table.
	few   []measured
	table *table
}

func (b *block) add(style catalog.Aggregation, m *measured) {
	if b.table == nil {
		if len(b.few) < fewest-1 {
			b.few = append(b.few, *m)
			return
		}
		b.tabulate(style)
	}
	b.table.add(m)
}

// tabulate makes the table, which from then on counts every sample.
func (b *block) tabulate(style catalog.Aggregation) {
	b.table = &table{style: style, start: b.start}
	for i := range b.few {
		b.table.add(&b.few[i])
	}
	b.few = nil
}

// blocks are what a batch changes in the figures of one type and source.
type blocks struct {
	style catalog.Aggregation
	added map[int64]*block
	// stale blocks have lost a sample; their figures are made again from what is left.
	stale map[int64]struct{}
	last  *block // the one used last
}

// add counts a sample in every block that it lies in.
func (q *blocks) add(m *measured) {
	if b := q.last; b != nil && m.Start >= b.start && m.End < b.start+blockLength {
		b.add(q.style, m)
		return
	}
	for start := blockOf(m.Start); ; start += blockLength {
		q.at(start).add(q.style, m)
		if start >= m.End-blockLength {
			return
		}
	}
}

func (q *blocks) at(start int64) *block {
	if q.last != nil && q.last.start == start {
		return q.last
	}
	b := q.added[start]
	if b == nil {
		if q.added == nil {
			q.added = map[int64]*block{}
		}
		b = &block{start: start}
		q.added[start] = b
	}
	q.last = b
	return b
}

// spoil notes that a sample is gone.
func (q *blocks) spoil(p *Place) {
	if q.stale == nil {
		q.stale = map[int64]struct{}{}
	}
	for start := blockOf(p.Start); ; start += blockLength {
		q.stale[start] = struct{}{}
		if start >= p.End-blockLength {
			return
		}
	}
}

func (q *blocks) isStale(start int64) bool {
	_, stale := q.stale[start]
	return stale
}

// appendQuarter begins figures in a row.
func appendQuarter(dst []byte, quarter int, unit uint32) []byte {
	return binary.AppendUvarint(dst, uint64(unit)<<4|uint64(quarter))
}

// blockReader takes the row of a block apart.
type blockReader struct {
	style catalog.Aggregation
	start int64
	row   []byte // what is left of it
	// Of the figures read last.
	quarter int64
	unit    uint32
	read    bool
	bad     bool
}

// next reads the next figures of the row and says whether there are any.
func (r *blockReader) next(f *aggregate.Figures) bool {
	if len(r.row) == 0 {
		return false
	}
	code, n := uint64(r.row[0]), 1
	if code >= 0x80 {
		code, n = binary.Uvarint(r.row)
	}
	quarter, unit := r.start+int64(code%blockQuarters)*quarterLength, code/blockQuarters
	ascends := !r.read || quarter > r.quarter || quarter == r.quarter && unit > uint64(r.unit)
	if n <= 0 || n > 1 && r.row[n-1] == 0 || unit > 1<<32-1 || !ascends {
		r.row, r.bad = nil, true
		return false
	}
	rest, ok := f.Read(r.style, r.row[n:], quarter)
	if !ok {
		r.row, r.bad = nil, true
		return false
	}
	r.quarter, r.unit, r.row, r.read = quarter, uint32(unit), rest, true
	return true
}
