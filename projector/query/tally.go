package query

import (
	"cmp"
	"math"
	"slices"

	"healthledger/projector/aggregate"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// The first and the last microsecond of the years 1 to 9999.
const (
	firstMicro = -62_135_596_800_000_000
	lastMicro  = 253_402_300_799_999_999
)

// entry is what counts: a sample, or an entry of the series that one stands for.
type entry struct {
	aggregate.Place
	value float64
	unit  string
	group int
}

// figures are what has been counted in one unit. Sums are converted once, when they are
// complete, so that it does not matter how they were put together.
type figures struct {
	unit string
	aggregate.Figures
}

// share is what of a cumulative type counts where sources are merged, in one unit.
type share struct {
	unit          string
	sum, duration aggregate.Sum
}

type tally []*figures

func (t *tally) in(unit string, style catalog.Aggregation) *figures {
	for _, f := range *t {
		if f.unit == unit {
			return f
		}
	}
	f := &figures{unit: unit, Figures: aggregate.Figures{Style: style}}
	*t = append(*t, f)
	return f
}

type shares []*share

func (s *shares) in(unit string) *share {
	for _, part := range *s {
		if part.unit == unit {
			return part
		}
	}
	part := &share{unit: unit}
	*s = append(*s, part)
	return part
}

// add counts what of an entry lies between two times, which it fills.
func (s *shares) add(e *entry, from, to int64) {
	part := s.in(e.unit)
	if e.Start == e.End {
		part.sum.Add(e.value)
		return
	}
	part.sum.AddPart(e.value, e.Start, e.End, from, to)
	part.duration.AddInt(uint64(to) - uint64(from))
}

// withdraw takes back what of an entry lies between two times.
func (s *shares) withdraw(e *entry, from, to int64) {
	part := s.in(e.unit)
	if e.Start == e.End {
		part.sum.Sub(e.value)
		return
	}
	from, to = max(from, e.Start), min(to, e.End)
	part.sum.AddPart(e.value, e.Start, e.End, to, from)
	part.duration.AddProduct(-1, uint64(to)-uint64(from))
}

// shares returns what counts: everything, and what sources that overlap change in it.
func (t tally) shares(change shares) shares {
	var s shares
	for _, f := range t {
		part := s.in(f.unit)
		part.sum.AddSum(&f.Sum)
		part.duration.AddSum(&f.Duration)
	}
	for _, c := range change {
		part := s.in(c.unit)
		part.sum.AddSum(&c.sum)
		part.duration.AddSum(&c.duration)
	}
	return s
}

// total returns the sum in the unit of the answer.
func (s shares) total(m *measure) float64 {
	var total aggregate.Sum
	for _, part := range s {
		total.Add(m.of(part.sum.Float64(), part.unit))
	}
	return total.Float64()
}

// seconds returns how long all of it lasts.
func (s shares) seconds() float64 {
	var micros, second aggregate.Sum
	for _, part := range s {
		micros.AddSum(&part.duration)
	}
	second.AddInt(microsPerSecond)
	return micros.Over(&second)
}

// average returns the mean of the units' averages, weighted as they are. Levels have one
// unit.
func (t tally) average(m *measure, style catalog.Aggregation) float64 {
	if len(t) == 1 {
		average := t[0].Total().Over(t[0].Weight())
		if style == catalog.DiscreteEquivalentContinuousLevel {
			average = 10 * math.Log10(average)
		}
		return m.of(average, t[0].unit)
	}
	var total, weights aggregate.Sum
	for _, f := range t {
		weight := f.Weight()
		total.Add(float64(m.of(f.Total().Over(weight), f.unit) * weight.Float64()))
		weights.AddSum(weight)
	}
	return total.Over(&weights)
}

// bucket is what has been counted of one interval.
type bucket struct {
	period period
	all    tally
	// merged is what is added to all and taken from it where sources of a cumulative type
	// overlap.
	merged shares
	// groups are the sources alone, by their place in the order, if they are asked for.
	groups map[int]*tally
	won    []*won
}

// won is a part of an interval in which one group counted.
type won struct {
	group    int
	over     []int
	from, to int64
	shares   shares
}

// statistics makes the answer of an interval, or of one group in it.
func (q *statisticsQuery) statistics(p period, t tally, counts shares) *pb.Statistics {
	s := &pb.Statistics{Unit: q.measure.unit}
	var recent *figures
	least, most := math.Inf(1), math.Inf(-1)
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, f := range t {
		s.Count += f.Count()
		least, most = min(least, q.measure.of(f.Least, f.unit)), max(most, q.measure.of(f.Most, f.unit))
		first, last = min(first, f.First), max(last, f.Recent.End)
		if recent == nil || f.Recent.Later(&recent.Recent) {
			recent = f
		}
	}
	if p.from == math.MinInt64 {
		p.from = first
	}
	if p.to == math.MaxInt64 {
		p.to = last
	}
	// Days at both ends of time reach beyond what a timestamp holds.
	s.Start, s.End = health.Timestamp(max(p.from, firstMicro)), health.Timestamp(min(p.to, lastMicro))
	if recent == nil {
		return s
	}
	value := q.measure.of(recent.RecentValue, recent.unit)
	s.MostRecent, s.MostRecentStart, s.MostRecentEnd = &value, health.Timestamp(recent.Recent.Start), health.Timestamp(recent.Recent.End)
	s.Duration = counts.seconds()
	if q.typ.Aggregation == catalog.Cumulative {
		total := counts.total(q.measure)
		s.Sum = &total
		return s
	}
	average := t.average(q.measure, q.typ.Aggregation)
	s.Average, s.Minimum, s.Maximum = &average, &least, &most
	return s
}

// write makes the answer of an interval with what was asked for beside it.
func (q *statisticsQuery) write(b *bucket, groups []*group) *pb.Statistics {
	s := q.statistics(b.period, b.all, b.all.shares(b.merged))
	for i, g := range groups {
		if t, ok := b.groups[i]; ok {
			s.BySource = append(s.BySource, &pb.SourceStatistics{Source: g.source(), Statistics: q.statistics(b.period, *t, t.shares(nil))})
		}
	}
	slices.SortStableFunc(b.won, func(x, y *won) int { return cmp.Or(cmp.Compare(x.from, y.from), cmp.Compare(x.to, y.to)) })
	for _, w := range b.won {
		part := &pb.Won{
			Source: groups[w.group].source(), Start: health.Timestamp(w.from), End: health.Timestamp(w.to), Sum: w.shares.total(q.measure),
		}
		for _, i := range w.over {
			part.Over = append(part.Over, groups[i].source())
		}
		s.Won = append(s.Won, part)
	}
	return s
}
