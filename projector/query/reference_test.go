package query

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"sort"
	"time"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// obviously answers a request for statistics the slow way: it looks at every piece of time
// between two moments at which anything happens, and adds fractions.
type obviously struct {
	q     *pb.QueryStatisticsRequest
	order []*pb.SourceName
	typ   *catalog.Type
	unit  string
	zone  *time.Location
}

// name is a source as the owner sees it.
type name struct{ app, name string }

func (n name) source() *pb.Source { return &pb.Source{App: n.app, Name: n.name} }

func nameOf(m *measured) name {
	s := measuring[m.source].source
	return name{cmp.Or(s.App, bundleID(m.app)), s.Name}
}

// answer is nil if there is nothing at all to be answered. Seen is everything that the
// reader may see, which predicates can ask about.
func (o *obviously) answer(samples []measured, seen []reference) *pb.QueryStatisticsResponse {
	o.typ, _ = catalog.Lookup(o.q.GetType())
	o.unit = cmp.Or(o.q.GetUnit(), o.typ.Unit)
	o.zone, _ = parseZone(o.q.GetTimeZone())
	p := always
	if o.q.From != nil {
		p.from = o.q.From.AsTime().UnixMicro()
	}
	if o.q.To != nil {
		p.to = o.q.To.AsTime().UnixMicro()
	}
	names := o.sorted(samples)
	samples = overlapping(samples, p)
	if o.q.Predicate != nil {
		samples = slices.DeleteFunc(samples, func(m measured) bool { return !fulfils(o.q.Predicate, m.message, seen) })
	}
	answer := &pb.QueryStatisticsResponse{}
	for _, i := range o.intervals(samples, p) {
		if there := overlapping(samples, i); len(there) > 0 || o.q.IncludeEmpty && o.q.GetInterval().GetUnit() != 0 {
			answer.Statistics = append(answer.Statistics, o.whole(there, i, names))
		}
	}
	if len(samples) == 0 && o.q.GetInterval().GetUnit() == 0 {
		return nil
	}
	// What is empty counts between the first and the last that is not.
	if o.q.From == nil || o.q.To == nil {
		full := func(s *pb.Statistics) bool { return s.Count > 0 }
		first := slices.IndexFunc(answer.Statistics, full)
		if first < 0 {
			return &pb.QueryStatisticsResponse{}
		}
		for !full(answer.Statistics[len(answer.Statistics)-1]) {
			answer.Statistics = answer.Statistics[:len(answer.Statistics)-1]
		}
		answer.Statistics = answer.Statistics[first:]
	}
	return answer
}

func overlapping(samples []measured, p period) []measured {
	return slices.DeleteFunc(slices.Clone(samples), func(m measured) bool {
		return p.from >= p.to || m.Start >= p.to || m.End < p.from || m.End == p.from && m.Start < m.End
	})
}

// sorted returns the sources in their order.
func (o *obviously) sorted(samples []measured) []name {
	type rank struct {
		place, class int
		app          uint64
	}
	ranks := map[name]rank{}
	for i := range samples {
		m := &samples[i]
		n := nameOf(m)
		r, ok := ranks[n]
		if !ok {
			r = rank{place: math.MaxInt, class: math.MaxInt}
		}
		for place, named := range o.order {
			if r.place == math.MaxInt && n == (name{named.App, named.Name}) {
				r.place = place
			}
		}
		r.class, r.app = min(r.class, measuring[m.source].class), max(r.app, m.app)
		ranks[n] = r
	}
	var names []name
	for n := range ranks {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b name) int {
		x, y := ranks[a], ranks[b]
		return cmp.Or(cmp.Compare(x.place, y.place), cmp.Compare(x.class, y.class), cmp.Compare(y.app, x.app),
			cmp.Compare(a.name, b.name), cmp.Compare(a.app, b.app))
	})
	return names
}

// convert returns a value in the unit of the answer.
func (o *obviously) convert(value float64, from string) float64 {
	a, errA := unit.Parse(from)
	b, errB := unit.Parse(o.unit)
	v, err := unit.Convert(value, a, b)
	if errA != nil || errB != nil || err != nil {
		panic(err)
	}
	return v
}

func (o *obviously) whole(there []measured, p period, names []name) *pb.Statistics {
	s := o.alone(there, p)
	cumulative := o.typ.Aggregation == catalog.Cumulative
	if cumulative && len(there) > 0 {
		sum, seconds, won := o.merge(there, p, names)
		s.Sum, s.Duration = &sum, seconds
		if o.q.Explain {
			s.Won = won
		}
	}
	for _, n := range names {
		of := slices.DeleteFunc(slices.Clone(there), func(m measured) bool { return nameOf(&m) != n })
		if o.q.BySource && len(of) > 0 {
			s.BySource = append(s.BySource, &pb.SourceStatistics{Source: n.source(), Statistics: o.alone(of, p)})
		}
	}
	return s
}

// alone makes statistics of samples as if they were of one source.
func (o *obviously) alone(there []measured, p period) *pb.Statistics {
	s := &pb.Statistics{Unit: o.unit, Count: uint64(len(there))}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	least, most := math.Inf(1), math.Inf(-1)
	var recent *measured
	var lasts int64
	totals, weights := totals{}, map[string]int64{}
	for i := range there {
		m := &there[i]
		inside := max(0, min(m.End, p.to)-max(m.Start, p.from))
		lasts += inside
		first, last = min(first, m.Start), max(last, m.End)
		least, most = min(least, o.convert(m.value, m.unit)), max(most, o.convert(m.value, m.unit))
		if recent == nil || m.End > recent.End || m.End == recent.End && m.Compare(&recent.Place) > 0 {
			recent = m
		}
		weight := max(inside, 1)
		switch o.typ.Aggregation {
		case catalog.Cumulative:
			totals.part(m, p)
			continue
		case catalog.DiscreteArithmetic:
			weight = 1
			totals.add(m.unit, rat(m.value))
		case catalog.DiscreteTemporallyWeighted:
			totals.add(m.unit, new(big.Rat).Mul(rat(m.value), new(big.Rat).SetInt64(weight)))
		default:
			totals.add(m.unit, new(big.Rat).Mul(rat(math.Pow(10, m.value/10)), new(big.Rat).SetInt64(weight)))
		}
		weights[m.unit] += weight
	}
	if p.from == math.MinInt64 {
		p.from = first
	}
	if p.to == math.MaxInt64 {
		p.to = last
	}
	s.Start, s.End = health.Timestamp(p.from), health.Timestamp(p.to)
	if recent == nil {
		return s
	}
	value := o.convert(recent.value, recent.unit)
	s.MostRecent, s.MostRecentStart, s.MostRecentEnd = &value, health.Timestamp(recent.Start), health.Timestamp(recent.End)
	s.Duration = rounded(big.NewRat(lasts, 1e6))
	if o.typ.Aggregation == catalog.Cumulative {
		sum := o.total(totals)
		s.Sum = &sum
		return s
	}
	average := o.average(totals, weights)
	s.Average, s.Minimum, s.Maximum = &average, &least, &most
	return s
}

// average of the averages by unit.
func (o *obviously) average(totals totals, weights map[string]int64) float64 {
	all, weight := new(big.Rat), int64(0)
	var only float64
	for unit, total := range totals {
		only = rounded(new(big.Rat).Quo(total, big.NewRat(weights[unit], 1)))
		if o.typ.Aggregation == catalog.DiscreteEquivalentContinuousLevel {
			only = 10 * math.Log10(only)
		}
		only = o.convert(only, unit)
		all.Add(all, rat(only*float64(weights[unit])))
		weight += weights[unit]
	}
	if len(totals) == 1 {
		return only
	}
	return rounded(all.Quo(all, big.NewRat(weight, 1)))
}

// merge looks at every piece of the time.
func (o *obviously) merge(there []measured, p period, names []name) (float64, float64, []*pb.Won) {
	all := totals{}
	var lasts int64
	type part struct {
		*pb.Won
		totals totals
	}
	var parts []part
	look := func(from, to int64, is func(m *measured) bool) {
		var running []name
		for _, n := range names {
			if slices.ContainsFunc(there, func(m measured) bool { return nameOf(&m) == n && is(&m) }) {
				running = append(running, n)
			}
		}
		if len(running) == 0 {
			return
		}
		won := part{&pb.Won{Source: running[0].source(), Start: health.Timestamp(from), End: health.Timestamp(to)}, totals{}}
		for _, n := range running[1:] {
			won.Over = append(won.Over, n.source())
		}
		for i := range there {
			m := &there[i]
			if nameOf(m) != running[0] || !is(m) || from == to && m.Start < m.End {
				continue
			}
			all.part(m, period{from, to})
			won.totals.part(m, period{from, to})
			lasts += to - from
		}
		parts = append(parts, won)
	}
	moments := edges(there, p)
	for i, at := range moments {
		if slices.ContainsFunc(there, func(m measured) bool { return m.Start == at && m.End == at }) {
			look(at, at, func(m *measured) bool { return m.Start <= at && (m.End > at || m.End == at && m.Start == at) })
		}
		if i+1 < len(moments) {
			look(at, moments[i+1], func(m *measured) bool { return m.Start <= at && m.End >= moments[i+1] })
		}
	}
	// Pieces that follow each other and are alike are one part.
	var won []*pb.Won
	before := -1
	for i, w := range parts {
		lasting := w.Start.AsTime() != w.End.AsTime()
		if b := before; lasting && b >= 0 && parts[b].End.AsTime().Equal(w.Start.AsTime()) && same(parts[b].Source, w.Source) && slices.EqualFunc(parts[b].Over, w.Over, same) {
			parts[b].End = w.End
			for unit, total := range w.totals {
				parts[b].totals.add(unit, total)
			}
			continue
		}
		if lasting {
			before = i
		}
		won = append(won, w.Won)
	}
	for _, w := range parts {
		w.Sum = o.total(w.totals)
	}
	sort.SliceStable(won, func(i, j int) bool {
		a, b := won[i], won[j]
		return a.Start.AsTime().Before(b.Start.AsTime()) || a.Start.AsTime().Equal(b.Start.AsTime()) && a.End.AsTime().Before(b.End.AsTime())
	})
	return o.total(all), rounded(big.NewRat(lasts, 1e6)), won
}

func same(a, b *pb.Source) bool { return a.App == b.App && a.Name == b.Name }

// edges are the moments of a period at which something begins or ends.
func edges(there []measured, p period) []int64 {
	var moments []int64
	for _, m := range there {
		moments = append(moments, min(max(m.Start, p.from), p.to), min(max(m.End, p.from), p.to))
	}
	slices.Sort(moments)
	return slices.Compact(moments)
}

// totals are exact, by unit.
type totals map[string]*big.Rat

func (t totals) add(unit string, x *big.Rat) {
	if t[unit] == nil {
		t[unit] = new(big.Rat)
	}
	t[unit].Add(t[unit], x)
}

// part adds what of a value lies in a period: what has come together at its end, less what
// had at its beginning.
func (t totals) part(m *measured, p period) {
	if m.Start == m.End {
		t.add(m.unit, rat(m.value))
		return
	}
	until := func(at int64) *big.Rat {
		at = min(max(at, m.Start), m.End)
		f := big.NewRat(at-m.Start, m.End-m.Start)
		return rat(rounded(f.Mul(f, rat(m.value))))
	}
	t.add(m.unit, until(p.to))
	t.add(m.unit, new(big.Rat).Neg(until(p.from)))
}

func (o *obviously) total(t totals) float64 {
	all := new(big.Rat)
	for unit, x := range t {
		all.Add(all, rat(o.convert(rounded(x), unit)))
	}
	return rounded(all)
}

func rat(x float64) *big.Rat { return new(big.Rat).SetFloat64(x) }

func rounded(x *big.Rat) float64 {
	f, _ := x.Float64()
	return f
}

// intervals returns those that samples can lie in, in order.
func (o *obviously) intervals(samples []measured, p period) []period {
	unit := o.q.GetInterval().GetUnit()
	if unit == 0 {
		return []period{p}
	}
	if p.from >= p.to {
		return nil
	}
	low, high := p.from, p.to
	if p.from == math.MinInt64 || p.to == math.MaxInt64 {
		if len(samples) == 0 {
			return nil
		}
		low, high = int64(math.MaxInt64), int64(math.MinInt64)
		for _, m := range samples {
			low, high = max(p.from, min(low, m.Start)), min(p.to, max(high, m.End+1))
		}
	}
	var all []period
	add := func(from, to int64) {
		if from, to := max(from, p.from), min(to, p.to); from < to {
			all = append(all, period{from, to})
		}
	}
	i := o.q.GetInterval()
	if length := map[pb.CalendarUnit]int64{1: 60e6, 2: 3600e6}[i.Unit]; length > 0 && i.Anchor == nil && i.Count <= 1 {
		for at := low; at < high; at = all[len(all)-1].to {
			clock := o.onTheClock(at, length)
			add(clock.from, clock.to)
		}
		return all
	}
	reach := map[pb.CalendarUnit]int64{1: 1 << 25, 2: 1 << 20, 3: 1 << 15, 4: 1 << 12, 5: 1 << 10, 6: 1 << 7}[i.Unit]
	n := int64(sort.Search(int(2*reach), func(n int) bool { return o.edge(int64(n)-reach) > low })) - reach - 1
	for from := o.edge(n); from < high; n++ {
		to := o.edge(n + 1)
		add(from, to)
		from = to
	}
	return all
}

// step is what the times at which the clocks of a zone change are multiples of.
func (o *obviously) step() time.Duration {
	if o.zone.String() == "America/St_Johns" {
		return time.Minute
	}
	return 15 * time.Minute
}

// onTheClock looks at the clock every now and then.
func (o *obviously) onTheClock(at, length int64) period {
	shown := func(at int64) [2]int64 {
		t := time.UnixMicro(at).In(o.zone)
		_, offset := t.Zone()
		day := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, time.UTC).UnixMicro()
		return [2]int64{day + int64(t.Minute())*60e6/length*length, int64(offset)}
	}
	step := min(length, o.step().Microseconds())
	p := period{from: at - ((at%step)+step)%step}
	for shown(p.from-1) == shown(at) {
		p.from -= step
	}
	for p.to = p.from + step; shown(p.to) == shown(at); {
		p.to += step
	}
	return p
}

// edge returns where the n-th interval after the anchor begins.
func (o *obviously) edge(n int64) int64 {
	i := o.q.GetInterval()
	anchor, count := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), int(n)*max(1, int(i.Count))
	if i.Anchor != nil {
		if n == 0 {
			return i.Anchor.AsTime().UnixMicro()
		}
		local := i.Anchor.AsTime().In(o.zone)
		_, offset := local.Zone()
		anchor = i.Anchor.AsTime().Add(time.Duration(offset) * time.Second)
	}
	months := 0
	switch i.Unit {
	case 1:
		return o.start(i, anchor) + int64(count)*60e6
	case 2:
		return o.start(i, anchor) + int64(count)*3600e6
	case 3:
		return o.shows(anchor.AddDate(0, 0, count))
	case 4:
		return o.shows(anchor.AddDate(0, 0, 7*count))
	case 5:
		months = count
	case 6:
		months = 12 * count
	}
	for day := anchor.Day(); ; day-- {
		// A day that the month does not have is one of the next.
		t := time.Date(anchor.Year(), anchor.Month()+time.Month(months), day, anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), time.UTC)
		if t.Day() == day {
			return o.shows(t)
		}
	}
}

func (o *obviously) start(i *pb.Interval, anchor time.Time) int64 {
	if i.Anchor != nil {
		return i.Anchor.AsTime().UnixMicro()
	}
	return o.shows(anchor)
}

// shows returns the first moment at which the clock of the zone shows a time, given in UTC,
// or a later one. No clock in the tests is more than fourteen hours ahead of UTC.
func (o *obviously) shows(wall time.Time) int64 {
	for t := wall.Add(-14 * time.Hour); ; t = t.Add(o.step()) {
		for _, t := range []time.Time{t.Truncate(o.step()), t} {
			_, offset := t.In(o.zone).Zone()
			if shown := t.Add(time.Duration(offset) * time.Second); !shown.Before(wall) {
				return t.UnixMicro()
			}
		}
	}
}
