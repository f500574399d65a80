package view

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	pb "healthledger/proto/healthledger/v1"
)

// dayLength is how finely the directory tells of times. It needs no calendar.
const dayLength = 24 * 3600 * 1_000_000

// A directory says what is stored of every type, by app and by source. It never
// changes: a commit makes the next one, and what did not change is shared.
type directory map[uint32][]owned

// owned is what one app has written of one type or, of a type that is granted object by
// object, of one object. A reader who may not see it passes over all of its sources at once,
// and comes by no object that it is not granted.
type owned struct {
	app     uint64
	object  string
	entries []*entry // by id of the source
}

// origin is a source of samples: who measured, for which app.
type origin struct {
	id     uint32
	app    uint64
	source *pb.Source
	about
	// kin is what it shares with sources that differ only in the device and, of those about
	// single objects, in the object.
	kin string
	// rank is a digest of who measured, and of what.
	rank uint64
}

// compareOrigins is the order of sources where readers see it: it depends on what they are
// and not on when they came, which may have been with something that the reader may not see.
// No source comes first.
func compareOrigins(a, b *origin) int {
	switch {
	case a == b:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.rank, b.rank), cmp.Compare(a.id, b.id))
}

// entry describes the samples of one type from one source. A published one never changes.
// When samples go, the greatest end, the longest durations and the members stay bounds from
// above. An entry never goes away: readers still have to hear what was there.
type entry struct {
	origin *origin
	count  uint64
	maxEnd int64
	// members is how many came as members of other objects and have no identity.
	members uint64
	// days in which samples end, in order.
	days []day
}

// day is the longest duration, in microseconds, of the samples that end in it, and the
// last segment that added or removed one.
type day struct {
	number  int32
	longest uint64
	changed uint64
}

func dayOf(end int64) int32 { return numberOf(end, dayLength) }

// boundsOf returns the first and the last microsecond of a day.
func boundsOf(day int32) (first, last int64) {
	first = saturate(int64(day), dayLength)
	if day == dayOf(math.MaxInt64) {
		return first, math.MaxInt64
	}
	return first, (int64(day)+1)*dayLength - 1
}

// numberOf returns in which stretch of a length a time is.
func numberOf(t, length int64) int32 {
	n := t / length
	if t%length < 0 {
		n--
	}
	return int32(n)
}

func saturate(n, unit int64) int64 {
	if n < math.MinInt64/unit {
		return math.MinInt64
	}
	return n * unit
}

func (dir directory) find(typeCode uint32, o *origin) *entry {
	apps := dir[typeCode]
	i, ok := findOwned(apps, o.app, o.object)
	if !ok {
		return nil
	}
	j, ok := findEntry(apps[i].entries, o.id)
	if !ok {
		return nil
	}
	return apps[i].entries[j]
}

func findOwned(all []owned, app uint64, object string) (int, bool) {
	return slices.BinarySearchFunc(all, object, func(o owned, object string) int {
		return cmp.Or(cmp.Compare(o.app, app), cmp.Compare(o.object, object))
	})
}

func findEntry(entries []*entry, id uint32) (int, bool) {
	return slices.BinarySearchFunc(entries, id, func(e *entry, id uint32) int { return cmp.Compare(e.origin.id, id) })
}

// with returns the directory with the drafts in it.
func (dir directory) with(drafts map[draftKey]*draft) directory {
	changed := map[uint32][]*entry{}
	for key, d := range drafts {
		if !d.blank() {
			changed[key.typeCode] = append(changed[key.typeCode], &entry{
				origin: d.origin, count: d.count, maxEnd: d.maxEnd, members: d.members, days: d.days,
			})
		}
	}
	return dir.replacing(changed)
}

// replacing returns the directory with entries, by type, instead of those of the same sources.
func (dir directory) replacing(changed map[uint32][]*entry) directory {
	if len(changed) == 0 {
		return dir
	}
	next := maps.Clone(dir)
	if next == nil {
		next = directory{}
	}
	for typeCode, entries := range changed {
		next[typeCode] = merged(next[typeCode], next.owners(typeCode, entries), compareOwned)
	}
	return next
}

// owners returns those of some entries, with all that they have of the type.
func (dir directory) owners(typeCode uint32, entries []*entry) []owned {
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.origin.app, b.origin.app), cmp.Compare(a.origin.object, b.origin.object), compareEntries(a, b))
	})
	var all []owned
	for len(entries) > 0 {
		o, n := entries[0].origin, 1
		for n < len(entries) && entries[n].origin.app == o.app && entries[n].origin.object == o.object {
			n++
		}
		one := owned{app: o.app, object: o.object, entries: slices.Clone(entries[:n])}
		if i, there := findOwned(dir[typeCode], o.app, o.object); there {
			one.entries = merged(dir[typeCode][i].entries, one.entries, compareEntries)
		}
		all, entries = append(all, one), entries[n:]
	}
	return all
}

func compareOwned(a, b owned) int {
	return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.object, b.object))
}

func compareEntries(a, b *entry) int { return cmp.Compare(a.origin.id, b.origin.id) }

// merged returns what stands in two slices, both in order, and of equals what has changed.
func merged[T any](before, changed []T, compare func(a, b T) int) []T {
	all := make([]T, 0, len(before)+len(changed))
	for _, one := range changed {
		i, there := slices.BinarySearchFunc(before, one, compare)
		all = append(append(all, before[:i]...), one)
		if there {
			i++
		}
		before = before[i:]
	}
	return append(all, before...)
}

func (e *entry) appendRow(dst []byte) []byte {
	dst = binary.AppendVarint(binary.AppendUvarint(dst, e.count), e.maxEnd)
	return binary.AppendUvarint(dst, e.members)
}

func readEntry(key, value []byte) (typeCode, source uint32, e *entry, ok bool) {
	typeCode, rest, ok := readOrdered32(key[1:])
	if !ok {
		return 0, 0, nil, false
	}
	source, rest, ok = readOrdered32(rest)
	r := reader{b: value}
	e = &entry{count: r.uvarint(), maxEnd: r.varint(), members: r.uvarint()}
	return typeCode, source, e, ok && len(rest) == 0 && r.done()
}

func (d *day) appendRow(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, d.longest), d.changed)
}

func readDay(key, value []byte) (typeCode, source uint32, d day, ok bool) {
	typeCode, rest, ok := readOrdered32(key[1:])
	if !ok {
		return 0, 0, d, false
	}
	source, rest, ok = readOrdered32(rest)
	if !ok || len(rest) != 4 {
		return 0, 0, d, false
	}
	d.number = int32(binary.BigEndian.Uint32(rest) ^ 1<<31)
	r := reader{b: value}
	d.longest, d.changed = r.uvarint(), r.uvarint()
	return typeCode, source, d, r.done() && d.changed > 0 &&
		d.number >= dayOf(math.MinInt64) && d.number <= dayOf(math.MaxInt64)
}
