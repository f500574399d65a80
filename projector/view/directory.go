package view

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	pb "healthledger/proto/healthledger/v1"
)

// monthLength is how finely the longest durations are kept. It needs no calendar.
const monthLength = 30 * 24 * 3600 * 1_000_000

// A directory says what is stored of every type, by app and by source. It never
// changes: a commit makes the next one, and what did not change is shared.
type directory map[uint32][]owned

// owned is what one app has written of one type. A reader who may not see the app's
// samples passes over all of its sources at once.
type owned struct {
	app     uint64
	entries []*entry // by id of the source
}

// origin is a source of samples: who measured, for which app.
type origin struct {
	id     uint32
	app    uint64
	source *pb.Source
	// kin is what it shares with sources that differ only in the device.
	kin string
	// rank is a digest of who measured.
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
	// months in which samples end, in order.
	months []month
}

// month is the longest duration, in microseconds, of the samples that end in it, and the
// last segment that added or removed one.
type month struct {
	number  int32
	longest uint64
	changed uint64
}

func monthOf(end int64) int32 {
	n := end / monthLength
	if end%monthLength < 0 {
		n--
	}
	return int32(n)
}

// bounds returns the first and the last microsecond of a month.
func (m month) bounds() (first, last int64) {
	first = saturate(int64(m.number), monthLength)
	if m.number == monthOf(math.MaxInt64) {
		return first, math.MaxInt64
	}
	return first, (int64(m.number)+1)*monthLength - 1
}

func saturate(n, unit int64) int64 {
	if n < math.MinInt64/unit {
		return math.MinInt64
	}
	return n * unit
}

func (dir directory) find(typeCode uint32, o *origin) *entry {
	apps := dir[typeCode]
	i, ok := findApp(apps, o.app)
	if !ok {
		return nil
	}
	j, ok := findEntry(apps[i].entries, o.id)
	if !ok {
		return nil
	}
	return apps[i].entries[j]
}

func findApp(apps []owned, app uint64) (int, bool) {
	return slices.BinarySearchFunc(apps, app, func(o owned, app uint64) int { return cmp.Compare(o.app, app) })
}

func findEntry(entries []*entry, id uint32) (int, bool) {
	return slices.BinarySearchFunc(entries, id, func(e *entry, id uint32) int { return cmp.Compare(e.origin.id, id) })
}

// with returns the directory with the drafts in it.
func (dir directory) with(drafts map[draftKey]*draft) directory {
	if len(drafts) == 0 {
		return dir
	}
	next := maps.Clone(dir)
	if next == nil {
		next = directory{}
	}
	copied := map[uint32]map[uint64]bool{}
	for key, d := range drafts {
		if len(d.months) == 0 {
			continue
		}
		if copied[key.typeCode] == nil {
			copied[key.typeCode] = map[uint64]bool{}
			next[key.typeCode] = slices.Clone(next[key.typeCode])
		}
		next.put(key.typeCode, &entry{
			origin: d.origin, count: d.count, maxEnd: d.maxEnd, members: d.members, months: d.months,
		}, copied[key.typeCode])
	}
	return next
}

// put sets an entry in slices that are this directory's own; copied tells of which apps
// they are already.
func (dir directory) put(typeCode uint32, e *entry, copied map[uint64]bool) {
	apps := dir[typeCode]
	i, ok := findApp(apps, e.origin.app)
	if !ok {
		apps = slices.Insert(apps, i, owned{app: e.origin.app})
	} else if !copied[e.origin.app] {
		apps[i].entries = slices.Clone(apps[i].entries)
	}
	copied[e.origin.app] = true
	j, ok := findEntry(apps[i].entries, e.origin.id)
	if ok {
		apps[i].entries[j] = e
	} else {
		apps[i].entries = slices.Insert(apps[i].entries, j, e)
	}
	dir[typeCode] = apps
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

func readMonth(key, value []byte) (typeCode, source uint32, m month, ok bool) {
	typeCode, rest, ok := readOrdered32(key[1:])
	if !ok {
		return 0, 0, m, false
	}
	source, rest, ok = readOrdered32(rest)
	if !ok || len(rest) != 4 {
		return 0, 0, m, false
	}
	m.number = int32(binary.BigEndian.Uint32(rest) ^ 1<<31)
	r := reader{b: value}
	m.longest, m.changed = r.uvarint(), r.uvarint()
	return typeCode, source, m, r.done() && m.changed > 0 &&
		m.number >= monthOf(math.MinInt64) && m.number <= monthOf(math.MaxInt64)
}

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
// earlier, in order and without overlap. What ends before low changes nothing in them
// unless it ends in the same month.
func (e *entry) spans(low, until int64) []Span {
	if low > e.maxEnd {
		return nil
	}
	var spans []Span
	add := func(s Span) {
		if last := uint64(math.MaxInt64) - uint64(until); s.Longest < last {
			s.Last = min(s.Last, int64(uint64(until)+s.Longest))
		}
		if s.Last = min(s.Last, e.maxEnd); s.First <= s.Last {
			spans = append(spans, s)
		}
	}
	short := Span{First: low, Last: e.maxEnd}
	for _, m := range e.months {
		first, last := m.bounds()
		if last < low {
			continue
		}
		if m.longest <= shortDuration {
			short.Longest = max(short.Longest, m.longest)
			continue
		}
		if first > short.First {
			add(Span{First: short.First, Last: first - 1, Longest: short.Longest})
		}
		add(Span{First: max(first, low), Last: last, Longest: m.longest})
		if last >= e.maxEnd {
			return spans
		}
		short = Span{First: last + 1, Last: e.maxEnd}
	}
	add(short)
	return spans
}
