package query

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

const (
	// maxWon bounds an explanation.
	maxWon = 10_000
	// smallestStatistics have a unit, four times, a count and two numbers.
	smallestStatistics = 32
)

// collection counts samples by interval.
type collection struct {
	query    *statisticsQuery
	way      way // one of the two
	patience *patience
	snapshot *view.Snapshot
	details  *view.Details
	filter   *filter
	groups   []*group
	buckets  map[int64]*bucket // by their start
	current  *bucket           // the one used last
	present  []presence
	won      int
	least    int   // bytes that the answer has whatever else comes
	entry    entry // for entries
}

// run counts everything. What counts without conditions stands in the figures of quarters;
// sums of cumulative types need all sources at once where several have samples.
func (c *collection) run() error {
	switch c.way = c.query.way; {
	case c.way == eitherWay && c.merges() && c.sparse():
		c.way = bySamples
	case c.way == eitherWay:
		c.way = byFigures
	}
	switch {
	case c.way == byFigures:
		return c.byFigures()
	case c.merges():
		return c.sweepAll()
	}
	for i, g := range c.groups {
		for j := range g.sources {
			for _, span := range g.sources[j].Spans(c.period().from, c.period().to-1) {
				if err := c.scan(i, &g.sources[j], span); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sparse says that no source has enough samples for figures.
func (c *collection) sparse() bool {
	for _, g := range c.groups {
		for i := range g.sources {
			if !g.sources[i].Sparse() {
				return false
			}
		}
	}
	return true
}

func (c *collection) byFigures() error {
	for i, g := range c.groups {
		for j := range g.sources {
			if err := c.quarters(i, &g.sources[j]); err != nil {
				return err
			}
		}
	}
	return c.sweepContested()
}

func (c *collection) period() period { return c.query.calendar.period }

func (c *collection) merges() bool {
	return c.query.typ.Aggregation == catalog.Cumulative && len(c.groups) > 1 || c.query.explains()
}

func (c *collection) scan(group int, source *view.Source, span view.Span) error {
	scan, err := source.Scan(span.First, span.Last)
	if err != nil {
		return err
	}
	for ok := scan.First(); ok && err == nil; ok = scan.Next() {
		err = c.entries(c.period(), group, source, scan.Sample(), c.count)
	}
	return errors.Join(err, scan.Close())
}

// entries calls fn with what a sample of the query stands for in a part of its period: the
// entries of its series, or else itself. The next entry overwrites it.
func (c *collection) entries(p period, group int, source *view.Source, s *view.Sample, fn func(*entry) error) error {
	if err := c.patience.spend(); err != nil {
		return err
	}
	if !c.period().overlaps(s.Start, s.End) {
		return nil
	}
	if ok, err := c.filter.matches(source, s); err != nil || !ok {
		return err
	}
	e := &c.entry
	*e = entry{Place: s.Place, value: s.Value, unit: c.snapshot.Unit(s), group: group}
	object, err := c.details.Object(source.App(), s)
	if err != nil {
		return err
	}
	if object == nil || object.Chunks == 0 {
		if !p.overlaps(s.Start, s.End) {
			return nil
		}
		return fn(e)
	}
	for number := range object.Chunks {
		chunk, err := c.details.Chunk(object, number)
		if err != nil {
			return err
		}
		for i, offset := range chunk.GetQuantities().GetOffset() {
			e.Start, e.value = s.Start+offset, chunk.Quantities.Value[i]
			e.End = e.Start
			if len(chunk.Quantities.Duration) > 0 {
				e.End += chunk.Quantities.Duration[i]
			}
			if p.overlaps(e.Start, e.End) {
				err = fn(e)
			}
			if err := errors.Join(err, c.patience.spend()); err != nil {
				return err
			}
		}
	}
	return nil
}

// count counts an entry in every interval that it overlaps. Merged sums are the sweep's.
func (c *collection) count(e *entry) error {
	style := c.query.typ.Aggregation
	for at := max(e.Start, c.period().from); ; {
		b, err := c.interval(at)
		if err != nil {
			return err
		}
		p := b.period
		b.all.in(e.unit, style).Add(&e.Place, e.value, p.from, p.to)
		if c.query.bySource {
			t, err := c.alone(b, e.group)
			if err != nil {
				return err
			}
			t.in(e.unit, style).Add(&e.Place, e.value, p.from, p.to)
		}
		if at = p.to; at >= e.End || at >= c.period().to {
			return nil
		}
	}
}

// alone returns what is counted of one group in an interval, if the answer has room for it.
func (c *collection) alone(b *bucket, group int) (*tally, error) {
	t, ok := b.groups[group]
	if !ok {
		if err := c.grow(c.groups[group].bytes + smallestStatistics); err != nil {
			return nil, err
		}
		t = &tally{}
		b.groups[group] = t
	}
	return t, nil
}

// interval is bucket for one of the intervals of an entry, which may be many.
func (c *collection) interval(at int64) (*bucket, error) {
	if err := c.patience.spend(); err != nil {
		return nil, err
	}
	return c.bucket(at)
}

// bucket returns the one that holds a time of the period.
func (c *collection) bucket(at int64) (*bucket, error) {
	if b := c.current; b != nil && at >= b.period.from && at < b.period.to {
		return b, nil
	}
	b, ok := c.buckets[at]
	if ok {
		c.current = b
		return b, nil
	}
	p := c.query.calendar.containing(at)
	if b, ok = c.buckets[p.from]; !ok {
		if len(c.buckets) >= maxIntervals {
			return nil, tooMany()
		}
		b = &bucket{period: p, groups: map[int]*tally{}}
		c.buckets[p.from] = b
	}
	c.current = b
	return b, nil
}

// grow notes what the answer will have at least, and refuses it before all that is too much
// for it is in memory.
func (c *collection) grow(bytes int) error {
	if c.least += bytes; c.least > maxStatistics {
		return tooLarge()
	}
	return nil
}

func tooLarge() error {
	return refuse("interval", "", fmt.Sprintf("the answer has more than %d bytes: ask for longer ones or a shorter period", maxStatistics))
}

// answer writes the intervals in order.
func (c *collection) answer() (*pb.QueryStatisticsResponse, error) {
	q := c.query
	if q.includeEmpty {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	starts := make([]int64, 0, len(c.buckets))
	for start := range c.buckets {
		starts = append(starts, start)
	}
	if len(starts) == 0 && q.calendar.unit == pb.CalendarUnit_CALENDAR_UNIT_UNSPECIFIED {
		return nil, ErrNoData
	}
	slices.Sort(starts)
	answer := &pb.QueryStatisticsResponse{}
	size := 0
	for _, start := range starts {
		statistics := q.write(c.buckets[start], c.groups)
		answer.Statistics = append(answer.Statistics, statistics)
		if size += protowire.SizeTag(1) + protowire.SizeBytes(proto.Size(statistics)); size > maxStatistics {
			return nil, tooLarge()
		}
	}
	return answer, nil
}

// fill makes the intervals without samples that are wanted.
func (c *collection) fill() error {
	if c.query.calendar.unit == pb.CalendarUnit_CALENDAR_UNIT_UNSPECIFIED || c.period().empty() {
		return nil
	}
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for _, b := range c.buckets {
		from, to = min(from, b.period.from), max(to, b.period.to)
	}
	if p := c.period(); p.from != math.MinInt64 && p.to != math.MaxInt64 {
		from, to = p.from, p.to
	}
	for from < to {
		b, err := c.bucket(from)
		if err != nil {
			return err
		}
		from = b.period.to
	}
	return nil
}
