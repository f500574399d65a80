package view

import (
	"math"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
)

// The figures of quantity types are kept for every quarter of an hour UTC, because days of
// all time zones are made of quarters, and in rows of a block of quarters.
const (
	quarterLength = 15 * 60 * 1_000_000
	blockQuarters = 16
	blockLength   = blockQuarters * quarterLength
	// besideLength is the longest that a sample may last to be in quarters. A longer one
	// would be in too many.
	besideLength = 3600 * 1_000_000
	// fewest is how many samples a block has at least to have a row. Fewer are read as fast
	// themselves.
	fewest = 32
	// Between these is all of time but what no block has wholly.
	firstBlock, lastBlock = -lastBlocks * blockLength, lastBlocks * blockLength
	lastBlocks            = math.MaxInt64/blockLength - 1
)

// quarterOf returns the start of the quarter that holds t.
func quarterOf(t int64) int64 { return floor(t, quarterLength) }

// blockOf returns the start of the block that holds t.
func blockOf(t int64) int64 { return floor(t, blockLength) }

func floor(t, length int64) int64 {
	n := t / length
	if t%length < 0 {
		n--
	}
	return saturate(n, length)
}

// lastEnd returns when what is in quarters and starts before a time ends at the latest.
func lastEnd(before int64) int64 { return min(before-1, math.MaxInt64-besideLength) + besideLength }

// isBeside says whether a sample is read beside the quarters: one of a series counts with
// its entries, and one at either end of time is in no block.
func isBeside(s *Sample, series bool) bool {
	return series || uint64(s.End)-uint64(s.Start) > besideLength || s.Start < firstBlock || s.End > lastBlock
}

// Sparse says that on average the source has too few samples for figures of quarters, so that
// reading the samples alone is faster. Of a source that may not be seen wholly it says nothing.
func (s *Source) Sparse() bool {
	const blocks = dayLength / blockLength
	return s.since == math.MinInt64 && s.entry.count < uint64(len(s.entry.days))*blocks*fewest
}

// measured is what of a sample counts.
type measured struct {
	Place
	value float64
	unit  uint32
}

// table holds the figures of a block by quarter and unit.
type table struct {
	style    catalog.Aggregation
	start    int64
	quarters [blockQuarters][]ofUnit
	free     []*aggregate.Figures
}

// ofUnit are the figures of a quarter in a unit.
type ofUnit struct {
	unit    uint32
	figures *aggregate.Figures
}

// reset empties the table for another block, and keeps its memory.
func (t *table) reset(start int64) {
	t.start = start
	for i, quarter := range t.quarters {
		for _, u := range quarter {
			t.free = append(t.free, u.figures)
		}
		t.quarters[i] = quarter[:0]
	}
}

// add counts a sample in every quarter of the block that it lies in.
func (t *table) add(m *measured) {
	for start := max(quarterOf(m.Start), t.start); start < t.start+blockLength; start += quarterLength {
		t.in(int((start-t.start)/quarterLength), m.unit).Add(&m.Place, m.value, start, start+quarterLength)
		if start >= m.End-quarterLength {
			return
		}
	}
}

// in returns the figures of a quarter in a unit. Units are in order.
func (t *table) in(quarter int, unit uint32) *aggregate.Figures {
	list := t.quarters[quarter]
	i := len(list)
	for i > 0 && list[i-1].unit >= unit {
		i--
	}
	if i < len(list) && list[i].unit == unit {
		return list[i].figures
	}
	var f *aggregate.Figures
	if last := len(t.free) - 1; last >= 0 {
		f, t.free = t.free[last], t.free[:last]
		f.Reset(t.style)
	} else {
		f = aggregate.New(t.style)
	}
	list = append(list, ofUnit{})
	copy(list[i+1:], list[i:])
	list[i] = ofUnit{unit, f}
	t.quarters[quarter] = list
	return f
}

// appendRow appends the row of the block.
func (t *table) appendRow(dst []byte) []byte {
	for i, quarter := range t.quarters {
		for _, u := range quarter {
			dst = appendQuarter(dst, i, u.unit)
			dst = u.figures.Append(dst, t.start+int64(i)*quarterLength)
		}
	}
	return dst
}

// merge adds the figures of other samples, those of a row.
func (t *table) merge(row []byte, with *aggregate.Figures) bool {
	r := blockReader{style: t.style, start: t.start, row: row}
	for r.next(with) {
		t.in(int((r.quarter-t.start)/quarterLength), r.unit).Merge(with)
	}
	return !r.bad
}
