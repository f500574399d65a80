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
	hasCreated bool
	unit       uint32
	metadata   int32 // index into the batch's metadata, -1: none
}

func contentOf(s *Sample, metadata int32) content {
	return content{
		bits: math.Float64bits(s.Value), created: s.Created, hasCreated: s.HasCreated, unit: s.unit, metadata: metadata,
	}
}

// pending is a sample of the batch that is not in the view yet.
type pending struct {
	start, end int64
	content
	next int32 // the one before it at the same place, -1: none
}

// places holds the samples that a batch adds to one (type, source), so that later
// ones can be compared with them. Samples mostly come in order of time, and then a
// sorted list is enough; the first look-up out of order makes an index.
type places struct {
	list   []pending
	sorted bool
	index  map[period]int32
}

type period struct{ start, end int64 }

func (p *places) add(start, end int64, c content) {
	n := len(p.list)
	if n == 0 {
		p.sorted = true
	} else if p.sorted {
		last := &p.list[n-1]
		p.sorted = last.end < end || last.end == end && last.start <= start
	}
	p.list = append(p.list, pending{start: start, end: end, content: c, next: -1})
	if p.index != nil {
		p.link(int32(n))
	}
}

func (p *places) link(i int32) {
	s := &p.list[i]
	key := period{s.start, s.end}
	s.next = -1
	if before, ok := p.index[key]; ok {
		s.next = before
	}
	p.index[key] = i
}

// holds says whether a sample is there for which equal holds.
func (p *places) holds(start, end int64, equal func(*content) bool) bool {
	if len(p.list) == 0 {
		return false
	}
	if p.sorted && p.index == nil {
		i, _ := slices.BinarySearchFunc(p.list, period{start, end}, func(s pending, at period) int {
			return cmp.Or(cmp.Compare(s.end, at.end), cmp.Compare(s.start, at.start))
		})
		for ; i < len(p.list) && p.list[i].end == end && p.list[i].start == start; i++ {
			if equal(&p.list[i].content) {
				return true
			}
		}
		return false
	}
	if p.index == nil {
		p.index = make(map[period]int32, len(p.list))
		for i := range p.list {
			p.link(int32(i))
		}
	}
	i, ok := p.index[period{start, end}]
	for ok && i >= 0 {
		if equal(&p.list[i].content) {
			return true
		}
		i = p.list[i].next
	}
	return false
}
