package view

import (
	"cmp"
	"slices"
)

// draft is what becomes of the entry of one (type, source).
type draft struct {
	entry
	typeCode uint32
	prefix   []byte // of the keys of its samples
	// storedMax is the greatest end in the view itself, if there is one. While samples are
	// removed, it and the entry's stay what they were.
	stored    bool
	storedMax int64
	// changed are the days that the batch changes, which settle puts among the others.
	changed map[int32]*day
	current *day // the one used last
	places  pendingPlaces
	blocks  blocks
	// added and removed are where rows came and went in the segment rangesOf, by day.
	added, removed endRanges
	rangesOf       uint64
	// derived are where the samples without UUIDs lie that the event derivedOf brought,
	// counted in the batch, by month, and derivedEnd is when the last of them ends.
	derived    endRanges
	derivedOf  uint64
	derivedEnd int64
}

type draftKey struct {
	typeCode uint32
	source   uint32
}

func (b *Batch) draft(typeCode uint32, o *origin) *draft {
	key := draftKey{typeCode, o.id}
	if d, ok := b.drafts[key]; ok {
		return d
	}
	d := &draft{entry: entry{origin: o}, typeCode: typeCode, prefix: appendSamplePrefix(nil, typeCode, o.id), changed: map[int32]*day{}}
	if e := b.view.current.directory.find(typeCode, o); e != nil {
		d.entry, d.stored, d.storedMax = *e, true, e.maxEnd
	}
	d.blocks.style = styleOf(typeCode)
	b.drafts[key] = d
	return d
}

// blank says that the draft has no row and never had one.
func (d *draft) blank() bool { return len(d.days) == 0 && len(d.changed) == 0 }

// day returns a day to be changed.
func (d *draft) day(number int32) *day {
	if d.current != nil && d.current.number == number {
		return d.current
	}
	one := d.changed[number]
	if one == nil {
		one = &day{number: number}
		if i, there := findDay(d.days, number); there {
			*one = d.days[i]
		}
		d.changed[number] = one
	}
	d.current = one
	return one
}

// settle puts the days that the batch has changed so far among the others. The slice of
// the entry is shared, and stays what it is.
func (d *draft) settle() {
	changed := make([]day, 0, len(d.changed))
	for _, one := range d.changed {
		changed = append(changed, *one)
	}
	slices.SortFunc(changed, compareDays)
	d.days = merged(d.days, changed, compareDays)
}

func compareDays(a, b day) int { return cmp.Compare(a.number, b.number) }

// putDraft writes the entry, and the days that have changed.
func (b *Batch) putDraft(key draftKey, d *draft) {
	if d.blank() {
		return
	}
	b.putRanges(d)
	d.settle()
	b.key = appendEntryKey(b.key[:0], familyEntry, key.typeCode, key.source)
	b.value = d.appendRow(b.value[:0])
	b.set(b.key, b.value)
	for _, one := range d.changed {
		b.key = appendDayKey(b.key[:0], key.typeCode, key.source, one.number)
		b.value = one.appendRow(b.value[:0])
		b.set(b.key, b.value)
	}
}
