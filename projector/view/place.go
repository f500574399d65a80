package view

import (
	"cmp"
	"math"
	"slices"
)

// content is what two samples of one type and source must share to be duplicates of
// each other, beside their place.
type content struct {
	bits       uint64 // of the value
	created    int64
	unit       uint32
	metadata   int32 // index into the batch's metadata, -1: none
	body       int32 // index into the batch's bodies, -1: none
	hasCreated bool
	hasValue   bool
	// keyEnd is where the key of its row ends, for a correlation that of its first.
	keyEnd int64
	// member says that it came as one; it is not compared.
	member bool
}

func contentOf(s *Sample, keyEnd int64, metadata, body int32) content {
	return content{
		keyEnd: keyEnd, bits: math.Float64bits(s.Value), created: s.Created, unit: s.unit, metadata: metadata, body: body,
		hasCreated: s.HasCreated, hasValue: s.HasValue, member: s.member,
	}
}

// sameNumbers compares everything but metadata and bodies.
func (c *content) sameNumbers(o *content) bool {
	return c.keyEnd == o.keyEnd && c.bits == o.bits && c.created == o.created && c.unit == o.unit && c.hasCreated == o.hasCreated && c.hasValue == o.hasValue &&
		(c.metadata < 0) == (o.metadata < 0) && (c.body < 0) == (o.body < 0)
}

// pending is a sample of the batch that is not in the view yet.
type pending struct {
	start, end int64
	content
	index uint32
	next  int32 // the one before it at the same place, -1: none
}

// pendingPlaces holds the samples that a batch adds to one (type, source), so that later
// ones can be compared with them. Samples mostly come in order of time, and then a
// sorted list is enough; the first look-up out of order makes an index. Samples with an
// identity are not among them.
type pendingPlaces struct {
	list   []pending
	sorted bool
	index  map[period]int32
	events []pendingEvent
}

// pendingEvent says of which event the samples from one on are.
type pendingEvent struct {
	from     int
	sequence uint64
	event    uint32
}

type period struct{ start, end int64 }

func (p *pendingPlaces) add(s *Sample, c content) {
	n := len(p.list)
	if n == 0 {
		p.sorted = true
	} else if p.sorted {
		last := &p.list[n-1]
		p.sorted = last.end < s.End || last.end == s.End && last.start <= s.Start
	}
	if last := len(p.events) - 1; last < 0 || p.events[last].sequence != s.Sequence || p.events[last].event != s.Event {
		p.events = append(p.events, pendingEvent{n, s.Sequence, s.Event})
	}
	p.list = append(p.list, pending{start: s.Start, end: s.End, content: c, index: s.Index, next: -1})
	if p.index != nil {
		p.link(int32(n))
	}
}

func (p *pendingPlaces) link(i int32) {
	s := &p.list[i]
	key := period{s.start, s.end}
	s.next = -1
	if before, ok := p.index[key]; ok {
		s.next = before
	}
	p.index[key] = i
}

// find returns the first sample in order of Place of those that are the one, -1 if none is.
// That is not always the one that came first: members of an object come before samples of
// their type whose index is lower.
func (p *pendingPlaces) find(start, end int64, is func(i int, c *content) bool) int {
	found := -1
	p.each(start, end, func(i int) {
		if is(i, &p.list[i].content) && (found < 0 || p.before(i, found)) {
			found = i
		}
	})
	return found
}

// each calls look with all of one period.
func (p *pendingPlaces) each(start, end int64, look func(int)) {
	if len(p.list) == 0 {
		return
	}
	if p.sorted && p.index == nil {
		i, _ := slices.BinarySearchFunc(p.list, period{start, end}, func(s pending, at period) int {
			return cmp.Or(cmp.Compare(s.end, at.end), cmp.Compare(s.start, at.start))
		})
		for ; i < len(p.list) && p.list[i].end == end && p.list[i].start == start; i++ {
			look(i)
		}
		return
	}
	if p.index == nil {
		p.index = make(map[period]int32, len(p.list))
		for i := range p.list {
			p.link(int32(i))
		}
	}
	i, ok := p.index[period{start, end}]
	for ok && i >= 0 {
		look(int(i))
		i = p.list[i].next
	}
}

// before compares the places of two samples of one period.
func (p *pendingPlaces) before(i, j int) bool {
	a, b := p.place(i), p.place(j)
	return a.Compare(&b) < 0
}

// place returns where the sample with this index in the list stands.
func (p *pendingPlaces) place(i int) Place {
	at, ok := slices.BinarySearchFunc(p.events, i, func(e pendingEvent, i int) int { return cmp.Compare(e.from, i) })
	if !ok {
		at--
	}
	e, s := &p.events[at], &p.list[i]
	return Place{Start: s.start, End: s.end, Sequence: e.sequence, Event: e.event, Index: s.index}
}
