package view

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"

	"healthledger/proto/health"
)

// What a segment adds to a type and source, and what it deletes there, lies in few ranges of
// ends, mostly in one. A row for each, by day, leads from the segment to its samples without
// a row for each of them. It lies where the last one ends: a reader who may not see that
// does not come by it.

// endRange is where samples end that end in one stretch of time.
type endRange struct {
	number      int32 // of the stretch
	first, last int64
}

// endRanges are such ranges, each of another stretch.
type endRanges struct {
	list []endRange
	at   map[int32]int // by number
	used int           // the last time
}

// extend notes an end and says whether it is the first of its stretch.
func (r *endRanges) extend(number int32, end int64) bool {
	if r.used >= len(r.list) || r.list[r.used].number != number {
		i, there := r.at[number]
		if r.used = i; !there {
			if r.at == nil {
				r.at = map[int32]int{}
			}
			r.used, r.at[number] = len(r.list), len(r.list)
			r.list = append(r.list, endRange{number, end, end})
			return true
		}
	}
	e := &r.list[r.used]
	e.first, e.last = min(e.first, end), max(e.last, end)
	return false
}

func (r *endRanges) reset() {
	r.list = r.list[:0]
	clear(r.at)
}

// noteChange notes that the segment adds or removes a row with this end.
func (b *Batch) noteChange(d *draft, ranges *endRanges, end int64) {
	if d.rangesOf != b.sequence {
		b.putRanges(d)
		d.rangesOf = b.sequence
	}
	if number := dayOf(end); ranges.extend(number, end) {
		// An erasure may have set it to a later one.
		one := d.day(number)
		one.changed = max(one.changed, b.sequence)
	}
}

// putRanges writes the rows of the segment before.
func (b *Batch) putRanges(d *draft) {
	b.putChanges(familyAddition, d, &d.added)
	b.putChanges(familyRemoval, d, &d.removed)
}

func (b *Batch) putChanges(family byte, d *draft, ranges *endRanges) {
	for _, e := range ranges.list {
		b.key = appendTime(appendEntryKey(b.key[:0], family, d.typeCode, d.origin.id), e.last)
		b.key = appendOrdered(b.key, d.rangesOf)
		b.value = binary.AppendUvarint(b.value[:0], uint64(e.last)-uint64(e.first))
		b.set(b.key, b.value)
	}
	ranges.reset()
}

// change is a range of what a segment added or deleted.
type change struct {
	sequence    uint64
	first, last int64
}

// readChange decodes what follows the source in the key of a range, and its value.
func readChange(key, value []byte) (c change, ok bool) {
	if len(key) < 8 {
		return c, false
	}
	c.last = readTime(key)
	sequence, n := readOrdered(key[8:], 0)
	r := reader{b: value}
	length := r.uvarint()
	start, _ := boundsOf(dayOf(c.last))
	if n == 0 || n != len(key)-8 || !r.done() || length > uint64(c.last)-uint64(start) {
		return c, false
	}
	c.sequence, c.first = sequence, int64(uint64(c.last)-length)
	return c, true
}

// monthLength is how finely is kept where the samples of a request lie.
const monthLength = 30 * dayLength

// noteDerived notes that a row of the event has a UUID that is derived from its request.
func (b *Batch) noteDerived(d *draft, keyEnd, memberEnd int64) {
	if d.derivedOf != b.column.event {
		d.derivedOf, d.derivedEnd = b.column.event, memberEnd
		d.derived.reset()
		b.column.derived = append(b.column.derived, d)
	}
	d.derivedEnd = max(d.derivedEnd, memberEnd)
	d.derived.extend(numberOf(keyEnd, monthLength), keyEnd)
}

// putDerived writes under what their UUIDs begin with where the samples of the event lie.
func (b *Batch) putDerived(request named) {
	all := b.column.derived
	slices.SortStableFunc(all, func(x, y *draft) int { return int(int64(x.typeCode) - int64(y.typeCode)) })
	for len(all) > 0 {
		typeCode, n := all[0].typeCode, 0
		b.value = appendOrdered(appendOrdered(b.value[:0], b.sequence), uint64(b.event))
		for n < len(all) && all[n].typeCode == typeCode {
			b.value = all[n].appendDerived(b.value)
			n++
		}
		deriver := health.NewDeriver(request.id, b.view.appKey(request.app), ownType(typeCode))
		b.key = appendDerivedKey(b.key[:0], request.app, typeCode, deriver.Prefix())
		b.set(b.key, b.value)
		all = all[n:]
	}
}

// appendDerived encodes where the samples of the event lie.
func (d *draft) appendDerived(dst []byte) []byte {
	slices.SortFunc(d.derived.list, func(a, b endRange) int { return cmp.Compare(a.number, b.number) })
	dst = binary.AppendVarint(appendOrdered(dst, uint64(d.origin.id)), d.derivedEnd)
	dst = binary.AppendUvarint(dst, uint64(len(d.derived.list)))
	before := d.derivedEnd
	for _, e := range d.derived.list {
		dst = binary.AppendVarint(dst, int64(uint64(e.first)-uint64(before)))
		dst = binary.AppendUvarint(dst, uint64(e.last)-uint64(e.first))
		before = e.last
	}
	return dst
}

// derived says where the samples of a request lie that came without a UUID.
type derived struct {
	sequence uint64
	event    uint32
	sources  []derivedSource
}

// derivedSource is a source of them: when the last of them ends, in correlations the last
// of the members, and between what ends their rows lie, by month.
type derivedSource struct {
	id     uint32
	end    int64
	ranges []endRange
}

// brought says whether a sample came in the request and without a UUID.
func (d *derived) brought(s *Sample) bool {
	return s.Sequence == d.sequence && s.Event == d.event && !s.HasUUID
}

// indexesOf returns which samples of a type UUIDs mean that begin alike, by the row of the
// event that brought these.
func (v *View) indexesOf(event []byte, typeCode uint32, alike [][16]byte) (map[uint32]struct{}, bool) {
	request, app, _, ok := readEvent(event)
	if !ok {
		return nil, false
	}
	deriver, indexes := health.NewDeriver(request, v.appKey(app), typeCode), map[uint32]struct{}{}
	for _, id := range alike {
		if index, ok := deriver.Index(id); ok {
			indexes[index] = struct{}{}
		}
	}
	return indexes, true
}

// byPrefix goes through UUIDs by what derived ones of one request and type share.
func byPrefix(ids [][16]byte) iter.Seq[[][16]byte] {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return func(yield func([][16]byte) bool) {
		for rest := ids; len(rest) > 0; {
			n := 1
			for n < len(rest) && [12]byte(rest[n][:]) == [12]byte(rest[0][:]) {
				n++
			}
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

func readDerived(value []byte) (d derived, ok bool) {
	sequence, n := readOrdered(value, 0)
	if n == 0 {
		return d, false
	}
	d.sequence = sequence
	event, rest, ok := readOrdered32(value[n:])
	d.event = event
	for ok && len(rest) > 0 {
		var s derivedSource
		if s.id, rest, ok = readOrdered32(rest); !ok {
			break
		}
		r := reader{b: rest}
		s.end = r.varint()
		before := s.end
		for range r.count() {
			e := endRange{first: int64(uint64(before) + uint64(r.varint()))}
			e.last = int64(uint64(e.first) + r.uvarint())
			e.number = numberOf(e.first, monthLength)
			ok = ok && e.last >= e.first && numberOf(e.last, monthLength) == e.number &&
				(len(s.ranges) == 0 || e.number > s.ranges[len(s.ranges)-1].number)
			s.ranges = append(s.ranges, e)
			before = e.last
		}
		ok, rest = ok && !r.bad && len(s.ranges) > 0, r.b
		d.sources = append(d.sources, s)
	}
	return d, ok && len(d.sources) > 0
}
