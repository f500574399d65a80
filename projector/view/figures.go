package view

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
)

// Quarters goes through the figures of a source of a quantity type, by quarter of an hour
// UTC and, within one, by unit. It covers the time from From to To; the samples that are
// beside the quarters are not in them: see Source.Beside.
type Quarters struct {
	// From and To bound the quarters that lie wholly in the period that was asked for and,
	// with access since a date, wholly after it. Equal: there are none.
	From, To int64

	source *Source
	rows   *pebble.Iterator
	prefix int
	// row starts when the block does that the rows are at, and used says that it was read.
	row  int64
	used bool
	// at is how far blocks were read. What is left of the last one is in one of these.
	at      int64
	reader  blockReader
	read    aggregate.Figures
	samples quarterSamples

	start   int64
	unit    uint32
	figures *aggregate.Figures
	err     error
}

// Quarters opens the figures of the quarters of [from, to). It must be closed.
func (s *Source) Quarters(from, to int64) (*Quarters, error) {
	from, to = max(from, s.since, firstBlock), quarterOf(min(to, lastBlock))
	if start := quarterOf(from); start < from && start < lastBlock {
		from = start + quarterLength
	}
	style := styleOf(s.typeCode)
	if to = max(from, to); style == catalog.NoAggregation {
		to = from
	}
	// A row holds all of its block, so that it is only read if all may be seen.
	first := blockOf(from)
	if first < s.since {
		first = min(first, lastBlock) + blockLength
	}
	prefix := appendEntryKey(nil, familyFigures, s.typeCode, s.entry.origin.id)
	lower, upper := appendTime(prefix[:len(prefix):len(prefix)], min(first, to)), appendTime(prefix[:len(prefix):len(prefix)], to)
	s.snapshot.touch(lower, upper)
	rows, err := s.snapshot.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", s.snapshot.view.damage(err))
	}
	q := &Quarters{From: from, To: to, source: s, rows: rows, prefix: len(prefix)}
	q.reader.style, q.samples.table.style = style, style
	return q, nil
}

// First and Next move and say whether there are figures.
func (q *Quarters) First() bool {
	q.at, q.reader.row = q.From, nil
	q.samples.table.reset(q.From)
	q.moveRow(q.rows.First())
	return q.Next()
}

// Next moves to the next unit or quarter.
func (q *Quarters) Next() bool {
	for q.err == nil {
		for q.reader.next(&q.read) {
			if q.start = q.reader.quarter; q.start >= q.From && q.start < q.To {
				return q.found(q.reader.unit, &q.read)
			}
		}
		if q.reader.bad {
			q.err = errDamaged
			break
		}
		if u := q.samples.next(q.From, q.To); u != nil {
			q.start = q.samples.at
			return q.found(u.unit, u.figures)
		}
		if q.at >= q.To {
			break
		}
		q.readBlock()
	}
	return false
}

func (q *Quarters) found(unit uint32, f *aggregate.Figures) bool {
	if q.unit, q.figures = unit, f; int(unit) >= len(q.source.snapshot.state.units) {
		q.err = errDamaged
	}
	return q.err == nil
}

// readBlock reads the next row, or counts the samples of the next block that has none.
func (q *Quarters) readBlock() {
	if q.used {
		q.moveRow(q.rows.Next())
	}
	if q.row > q.at {
		q.at, q.err = q.samples.count(q.source, q.at, min(q.row, q.To), q.To)
		return
	}
	var value []byte
	if value, q.err = q.rows.ValueAndErr(); q.err == nil {
		q.reader = blockReader{style: q.reader.style, start: q.row, row: value}
		q.at, q.used = q.row+blockLength, true
	}
}

func (q *Quarters) moveRow(valid bool) {
	q.row, q.used = math.MaxInt64, false
	if !valid {
		q.err = errors.Join(q.err, q.rows.Error())
		return
	}
	q.source.snapshot.step()
	key := q.rows.Key()[q.prefix:]
	if len(key) != 8 || readTime(key) != blockOf(readTime(key)) {
		q.err = errDamaged
		return
	}
	q.row = readTime(key)
}

// Start returns when the quarter starts.
func (q *Quarters) Start() int64 { return q.start }

// Unit returns the unit of the figures.
func (q *Quarters) Unit() string { return q.source.snapshot.state.units[q.unit] }

// Figures returns the figures. The next move overwrites them.
func (q *Quarters) Figures() *aggregate.Figures { return q.figures }

// Close ends the use and returns what went wrong with it.
func (q *Quarters) Close() error {
	if err := errors.Join(q.err, q.samples.close(), q.rows.Close()); err != nil {
		return fmt.Errorf("read figures: %w", q.source.snapshot.view.damage(err))
	}
	return nil
}

// quarterSamples makes the figures of blocks that have no row.
type quarterSamples struct {
	scan  *Scan
	table table
	// Of the figures that come next in the table.
	quarter, index int
	at             int64 // when the quarter of the last ones starts
}

// count makes the figures of the first block between two times that has samples, and
// returns how far it came.
func (c *quarterSamples) count(source *Source, from, to, end int64) (int64, error) {
	if c.scan == nil {
		var err error
		if c.scan, err = source.Scan(from, lastEnd(end)); err != nil {
			return to, err
		}
	}
	ok := c.scan.seek(from)
	s := c.scan.Sample()
	start := to
	if ok {
		// What ends later starts at most so much before this ends, if it is in quarters.
		start = max(from, blockOf(s.End-besideLength))
	}
	if start >= to {
		return to, c.scan.err
	}
	c.table.reset(blockOf(start))
	c.quarter, c.index = int((start-c.table.start)/quarterLength), 0
	to = min(to, c.table.start+blockLength)
	for ; ok && s.End < to+besideLength; ok = c.scan.Next() {
		if s.Start >= to || s.End < start || s.End == start && s.Start < start || isBeside(s, false) {
			continue
		}
		if s.body != 0 {
			series, err := source.isSeries(s)
			if err != nil {
				return to, err
			}
			if series {
				continue
			}
		}
		c.table.add(&measured{s.Place, s.Value, s.unit})
	}
	return to, c.scan.err
}

// next returns the next figures of the table between two times, nil if there are none.
func (c *quarterSamples) next(from, to int64) *ofUnit {
	for ; c.quarter < blockQuarters; c.quarter, c.index = c.quarter+1, 0 {
		c.at = c.table.start + int64(c.quarter)*quarterLength
		if list := c.table.quarters[c.quarter]; c.index < len(list) && c.at >= from && c.at < to {
			c.index++
			return &list[c.index-1]
		}
	}
	return nil
}

func (c *quarterSamples) close() error {
	if c.scan == nil {
		return nil
	}
	return c.scan.Close()
}

// isSeries says whether a sample of the source stands for the entries of a series.
func (s *Source) isSeries(sample *Sample) (bool, error) {
	_, err := s.snapshot.get(appendBesideKey(nil, s.typeCode, s.entry.origin.id, &sample.Place))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Beside goes through the samples that overlap [from, to) and are beside the quarters: those
// longer than an hour and those of a series. After an error there is no more. A sample is
// good until the next one.
func (s *Source) Beside(from, to int64) iter.Seq2[*Sample, error] {
	return func(yield func(*Sample, error) bool) {
		for _, span := range s.Spans(from, to-1) {
			scan, err := s.ScanBeside(span.First, span.Last)
			if err != nil {
				yield(nil, err)
				return
			}
			for ok := scan.First(); ok; ok = scan.Next() {
				p := &scan.sample
				overlaps := p.Start < to && (p.End > from || p.End == from && p.Start == p.End)
				if overlaps && !yield(p, nil) {
					_ = scan.Close()
					return
				}
			}
			if err := scan.Close(); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// ScanBeside is Scan of the samples that are beside the quarters.
func (s *Source) ScanBeside(first, last int64) (*Scan, error) {
	return s.scan(familyBeside, first, last)
}

func styleOf(typeCode uint32) catalog.Aggregation {
	if t, ok := catalog.ByCode(typeCode); ok {
		return t.Aggregation
	}
	return catalog.NoAggregation
}
