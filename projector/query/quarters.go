package query

import (
	"errors"

	"healthledger/projector/aggregate"
	"healthledger/projector/view"
)

const (
	quarter = 15 * microsPerMinute
	// quartered is how long a sample in the figures of quarters lasts at most; see
	// view.Source.Beside.
	quartered = microsPerHour
)

// quarters counts a source by the figures of whole quarters of an hour, and by samples
// where the period, an interval or the access begins or ends within one.
func (c *collection) quarters(group int, source *view.Source) error {
	p := period{max(c.period().from, firstMicro), min(c.period().to, lastMicro+1)}
	q, err := source.Quarters(p.from, p.to)
	if err != nil {
		return err
	}
	cut := q.From - 1 // the last quarter that was counted by samples
	for ok := q.First(); ok && err == nil; ok = q.Next() {
		if err = c.patience.spend(); err != nil {
			break
		}
		start := q.Start()
		switch {
		case start == cut:
		case c.crosses(start):
			cut = start
			err = c.piece(group, source, period{start, start + quarter})
		default:
			c.note(group, sourceRows{source, quarterRows}, period{start, start + quarter})
			err = c.join(group, q.Unit(), q.Figures(), start)
		}
	}
	if err := errors.Join(err, q.Close()); err != nil {
		return err
	}
	// What may be seen since a date starts up to so much before the quarters that may.
	err = c.piece(group, source, period{max(p.from, q.From-quarter-quartered), min(q.From, p.to)})
	if err := errors.Join(err, c.piece(group, source, period{q.To, p.to})); err != nil {
		return err
	}
	for s, err := range source.Beside(c.period().from, c.period().to) {
		if err == nil {
			c.noteSample(group, source, s)
			err = c.entries(c.period(), group, source, s, c.count)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// crosses says whether a quarter reaches into another interval.
func (c *collection) crosses(start int64) bool {
	if b := c.current; b != nil && start >= b.period.from && start < b.period.to {
		return start+quarter > b.period.to
	}
	return start+quarter > c.query.calendar.containing(start).to
}

// piece counts by samples what the figures of the quarters would say of a stretch of time.
func (c *collection) piece(group int, source *view.Source, p period) error {
	for p.from < p.to {
		part := period{p.from, min(p.to, c.query.calendar.containing(p.from).to)}
		var counted tally
		// A sample that is in quarters ends soon after it starts, whatever the longest does.
		last := part.to - 1 + quartered
		for _, span := range source.Spans(part.from, part.to-1) {
			if span.Last = min(span.Last, last); span.First > span.Last {
				continue
			}
			if err := c.scanPart(source, span, part, &counted); err != nil {
				return err
			}
		}
		if len(counted) > 0 {
			c.note(group, sourceRows{source, quarterRows}, part)
		}
		for _, f := range counted {
			if err := c.join(group, f.unit, &f.Figures, part.from); err != nil {
				return err
			}
		}
		p.from = part.to
	}
	return nil
}

// scanPart counts samples that are in quarters as far as they lie in a stretch of time.
func (c *collection) scanPart(source *view.Source, span view.Span, part period, counted *tally) error {
	scan, err := source.Scan(span.First, span.Last)
	if err != nil {
		return err
	}
	for ok := scan.First(); ok && err == nil; ok = scan.Next() {
		s := scan.Sample()
		if err = c.patience.spend(); err != nil || !part.overlaps(s.Start, s.End) {
			continue
		}
		if in, failed := c.inQuarters(source, s); failed != nil {
			err = failed
		} else if in {
			counted.in(c.snapshot.Unit(s), c.query.typ.Aggregation).Add(&s.Place, s.Value, part.from, part.to)
		}
	}
	return errors.Join(err, scan.Close())
}

// inQuarters says whether a sample is in the figures of quarters and not beside them.
func (c *collection) inQuarters(source *view.Source, s *view.Sample) (bool, error) {
	if uint64(s.End)-uint64(s.Start) > quartered || s.Start < firstMicro || s.End > lastMicro+quartered {
		return false, nil
	}
	object, err := c.details.Object(source.App(), s)
	return err == nil && (object == nil || object.Chunks == 0), err
}

// noteSample records that a sample beside the quarters, or its entries, lies in the period.
func (c *collection) noteSample(group int, source *view.Source, s *view.Sample) {
	p := period{max(s.Start, c.period().from), c.period().to}
	if s.End < p.to {
		p.to = s.End + 1 // an entry without a length may be there
	}
	c.note(group, sourceRows{source, besideRows}, p)
}

// join adds figures of what follows a time to those of the interval.
func (c *collection) join(group int, unit string, f *aggregate.Figures, from int64) error {
	b, err := c.bucket(from)
	if err != nil {
		return err
	}
	add := (*aggregate.Figures).Fold
	if from == b.period.from {
		add = (*aggregate.Figures).Merge
	}
	add(&b.all.in(unit, c.query.typ.Aggregation).Figures, f)
	if !c.query.bySource {
		return nil
	}
	t, err := c.alone(b, group)
	if err == nil {
		add(&t.in(unit, c.query.typ.Aggregation).Figures, f)
	}
	return err
}
