package view

import (
	"errors"
	"fmt"
	"iter"

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

	source  *Source
	style   catalog.Aggregation
	prefix  int
	iter    *pebble.Iterator
	key     quarterOfUnit
	figures aggregate.Figures
	err     error
}

// Quarters opens the figures of the quarters of [from, to). It must be closed.
func (s *Source) Quarters(from, to int64) (*Quarters, error) {
	from, to = max(from, s.since), quarterOf(to)
	if start := quarterOf(from); start < from {
		from = start + quarterLength
	}
	to = max(from, to)
	prefix := appendEntryKey(nil, familyFigures, s.typeCode, s.entry.origin.id)
	lower, upper := appendQuarterKey(nil, s.typeCode, s.entry.origin.id, from), appendQuarterKey(nil, s.typeCode, s.entry.origin.id, to)
	s.snapshot.touch(lower, upper)
	iter, err := s.snapshot.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", s.snapshot.view.damage(err))
	}
	return &Quarters{From: from, To: to, source: s, style: styleOf(s.typeCode), prefix: len(prefix), iter: iter}, nil
}

// First and Next move and say whether there are figures.
func (q *Quarters) First() bool { return q.read(q.iter.First()) }

// Next moves to the next unit or quarter.
func (q *Quarters) Next() bool { return q.read(q.iter.Next()) }

func (q *Quarters) read(valid bool) bool {
	if !valid || q.err != nil {
		return false
	}
	var row []byte
	if row, q.err = q.iter.ValueAndErr(); q.err != nil {
		return false
	}
	key, ok := readQuarter(q.iter.Key()[q.prefix:])
	if ok {
		var rest []byte
		rest, ok = q.figures.Read(q.style, row, key.start)
		ok = ok && len(rest) == 0
	}
	if !ok || int(key.unit) >= len(q.source.snapshot.state.units) {
		q.err = errDamaged
		return false
	}
	q.key = key
	return true
}

// Start returns when the quarter starts.
func (q *Quarters) Start() int64 { return q.key.start }

// Unit returns the unit of the figures.
func (q *Quarters) Unit() string { return q.source.snapshot.state.units[q.key.unit] }

// Figures returns the figures. The next move overwrites them.
func (q *Quarters) Figures() *aggregate.Figures { return &q.figures }

// Close ends the use and returns what went wrong with it.
func (q *Quarters) Close() error {
	if err := errors.Join(q.err, q.iter.Close()); err != nil {
		return fmt.Errorf("read figures: %w", q.source.snapshot.view.damage(err))
	}
	return nil
}

// Beside goes through the samples that overlap [from, to) and are beside the quarters: those
// longer than an hour and those of a series. After an error there is no more. A sample is
// good until the next one.
func (s *Source) Beside(from, to int64) iter.Seq2[*Sample, error] {
	return func(yield func(*Sample, error) bool) {
		for _, span := range s.Spans(from, to-1) {
			scan, err := s.scan(familyBeside, span.First, span.Last)
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

func styleOf(typeCode uint32) catalog.Aggregation {
	if t, ok := catalog.ByCode(typeCode); ok {
		return t.Aggregation
	}
	return catalog.NoAggregation
}
