package view

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"healthledger/proto/health"
)

// What a segment adds to a type and source lies in few ranges of ends, mostly in one. A
// row for each, by month, leads from the segment to its samples without a row for each of
// them, and says nothing of other months to a reader who may not see those.

// changeRange is where the samples of one segment end that end in one month.
type changeRange struct {
	month       int32
	first, last int64
}

// extend notes that the segment adds a row with this end.
func (b *Batch) extend(d *draft, number int32, end int64) {
	if d.rangesOf != b.sequence {
		b.putRanges(d)
		d.rangesOf = b.sequence
	}
	i := len(d.ranges) - 1
	for i >= 0 && d.ranges[i].month != number {
		i--
	}
	if i < 0 {
		d.ranges = append(d.ranges, changeRange{number, end, end})
		d.touch(number, b.sequence)
		return
	}
	d.ranges[i].first, d.ranges[i].last = min(d.ranges[i].first, end), max(d.ranges[i].last, end)
}

// putRanges writes the rows of the segment before.
func (b *Batch) putRanges(d *draft) {
	for i := range d.ranges {
		r := &d.ranges[i]
		b.key = appendChangeKey(b.key[:0], d.typeCode, d.origin.id, r.month, d.rangesOf)
		b.value = r.append(b.value[:0])
		b.set(b.key, b.value)
	}
	d.ranges = d.ranges[:0]
}

func (r *changeRange) append(dst []byte) []byte {
	first, _ := month{number: r.month}.bounds()
	dst = binary.AppendUvarint(dst, uint64(r.first)-uint64(first))
	return binary.AppendUvarint(dst, uint64(r.last)-uint64(r.first))
}

func readChange(number int32, value []byte) (c changeRange, ok bool) {
	first, last := month{number: number}.bounds()
	r := reader{b: value}
	from, length := r.uvarint(), r.uvarint()
	room := uint64(last) - uint64(first)
	if !r.done() || from > room || length > room-from {
		return c, false
	}
	c = changeRange{month: number, first: int64(uint64(first) + from)}
	c.last = int64(uint64(c.first) + length)
	return c, true
}

// noteDerived notes that a row of the event has a UUID that is derived from its request.
func (b *Batch) noteDerived(d *draft, end int64) {
	if d.derivedOf != b.column.event {
		d.derivedOf, d.derivedEnd = b.column.event, end
		b.column.derived = append(b.column.derived, d)
		return
	}
	d.derivedEnd = max(d.derivedEnd, end)
}

// putDerived writes under what their UUIDs begin with where the samples of the event lie.
func (b *Batch) putDerived(request named) {
	all := b.column.derived
	slices.SortStableFunc(all, func(x, y *draft) int { return int(int64(x.typeCode) - int64(y.typeCode)) })
	for len(all) > 0 {
		typeCode, n := all[0].typeCode, 0
		b.value = appendOrdered(appendOrdered(b.value[:0], b.sequence), uint64(b.event))
		for n < len(all) && all[n].typeCode == typeCode {
			b.value = binary.AppendVarint(appendOrdered(b.value, uint64(all[n].origin.id)), all[n].derivedEnd)
			n++
		}
		deriver := health.NewDeriver(request.id, request.app, ownType(typeCode))
		b.key = appendDerivedKey(b.key[:0], request.app, typeCode, deriver.Prefix())
		b.set(b.key, b.value)
		all = all[n:]
	}
}

// derived says where the samples of a request lie that came without a UUID.
type derived struct {
	sequence uint64
	event    uint32
	sources  []derivedSource
}

// derivedSource is a source of them, and when the last of them ends.
type derivedSource struct {
	id  uint32
	end int64
}

// reaches says whether one of them can lie under a type code in a month. A correlation can
// go on long after the last of its members.
func (s *derivedSource) reaches(code uint32, number int32) bool {
	return isPair(code) || number <= monthOf(s.end)
}

// brought says whether a sample came in the request and without a UUID.
func (d *derived) brought(s *Sample) bool {
	return s.Sequence == d.sequence && s.Event == d.event && !s.HasUUID
}

// indexesOf returns which samples of a type UUIDs mean that begin alike, by the row of the
// event that brought these.
func indexesOf(event []byte, typeCode uint32, alike [][16]byte) (map[uint32]struct{}, bool) {
	request, app, _, ok := readEvent(event)
	if !ok {
		return nil, false
	}
	deriver, indexes := health.NewDeriver(request, app, typeCode), map[uint32]struct{}{}
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
		if s.id, rest, ok = readOrdered32(rest); ok {
			s.end, n = binary.Varint(rest)
			if ok = n > 0; ok {
				rest = rest[n:]
				d.sources = append(d.sources, s)
			}
		}
	}
	return d, ok && len(d.sources) > 0
}
