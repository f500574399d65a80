package view

import (
	"cmp"
	"math"
	"slices"
)

// Span is a range of ends in which no sample is longer than Longest microseconds.
type Span struct {
	// First and Last end, both inclusive.
	First, Last int64
	Longest     uint64
}

// shortDuration bounds what may share a span: a few long samples, or one that never
// ends, must not make every query look far.
const shortDuration = 24 * 3600 * 1_000_000

// spans returns where samples lie that end at low or later and start at until or
// earlier, in order and without overlap. What ends before since changes nothing in them:
// of the day that holds it nobody asks what the longest duration is.
func (e *entry) spans(since, low, until int64) []Span {
	if low = max(low, since); low > e.maxEnd {
		return nil
	}
	l := spanList{last: e.maxEnd, until: until, short: Span{First: low, Last: e.maxEnd}}
	from := dayOf(low)
	if since > math.MinInt64 && from == dayOf(since) {
		first, last := boundsOf(from)
		l.add(first, last, math.MaxUint64)
		from++
	}
	for _, d := range e.daysFrom(from) {
		first, last := boundsOf(d.number)
		l.add(first, last, d.longest)
	}
	l.put(l.short)
	return l.spans
}

// daysFrom returns the days from one on.
func (e *entry) daysFrom(number int32) []day {
	i, _ := findDay(e.days, number)
	return e.days[i:]
}

func findDay(days []day, number int32) (int, bool) {
	return slices.BinarySearchFunc(days, number, func(d day, number int32) int { return cmp.Compare(d.number, number) })
}

// spanList is spans in the making.
type spanList struct {
	last, until int64
	spans       []Span
	// short is the next, as far as it is known.
	short Span
}

// add adds a stretch of time after those before.
func (l *spanList) add(first, last int64, longest uint64) {
	if longest <= shortDuration {
		l.short.Longest = max(l.short.Longest, longest)
		return
	}
	if first > l.short.First {
		l.put(Span{First: l.short.First, Last: first - 1, Longest: l.short.Longest})
	}
	l.put(Span{First: max(first, l.short.First), Last: last, Longest: longest})
	if l.short = (Span{First: 1, Last: 0}); last < l.last {
		l.short = Span{First: last + 1, Last: l.last}
	}
}

// put puts a span as far as samples can lie in it.
func (l *spanList) put(s Span) {
	if room := uint64(math.MaxInt64) - uint64(l.until); s.Longest < room {
		s.Last = min(s.Last, int64(uint64(l.until)+s.Longest))
	}
	if s.Last = min(s.Last, l.last); s.First <= s.Last {
		l.spans = append(l.spans, s)
	}
}
