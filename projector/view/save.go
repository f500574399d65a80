package view

import (
	"fmt"
	"slices"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// save applies a SamplesSaved event. A request that was seen before adds nothing.
func (b *Batch) save(time int64, saved *pb.SamplesSaved) error {
	if len(saved.GetRequestId()) != 16 {
		return fmt.Errorf("%w: a request id of %d bytes", ErrEvent, len(saved.GetRequestId()))
	}
	request := object{app: saved.GetApp(), id: [16]byte(saved.GetRequestId())}
	b.key = appendObjectKey(b.key[:0], familyRequest, request.app, &request.id)
	seen, err := b.seen(b.requests, request)
	if err != nil {
		return err
	}
	if seen {
		for _, c := range saved.GetColumns() {
			b.counters.duplicates += uint64(health.Count(c))
		}
		return nil
	}
	b.value = appendOrdered(appendOrdered(b.value[:0], b.sequence), uint64(b.event))
	b.set(b.key, b.value)
	b.key = appendEventKey(b.key[:0], b.sequence, uint32(b.event))
	b.value = appendEvent(b.value[:0], request.id, request.app, time)
	b.set(b.key, b.value)

	b.column.begin(request.app, saved.GetByContent())
	for _, c := range saved.GetColumns() {
		if err := b.saveColumn(c); err != nil {
			return err
		}
	}
	return nil
}

// seen says whether the object whose key is in b.key is known, and remembers it.
func (b *Batch) seen(known map[object]struct{}, o object) (bool, error) {
	if _, ok := known[o]; ok {
		return true, nil
	}
	found, err := b.exists(b.key)
	if err != nil || found {
		return found, err
	}
	known[o] = struct{}{}
	return false, nil
}

// column is where in an event the batch is.
type column struct {
	app       uint64
	byContent bool
	// indexes counts the samples of each type in the request.
	indexes []typeIndex
	// base is the number of the first metadata of the column within the event.
	base uint32
	// metadata: where in the batch's list the column's own lies, -1 if not yet there.
	metadata []int32
	written  []bool
}

type typeIndex struct{ typeCode, next uint32 }

func (c *column) begin(app uint64, byContent bool) {
	c.app, c.byContent, c.base = app, byContent, 0
	c.indexes = c.indexes[:0]
}

// index returns the index in the request of the next samples of a type.
func (c *column) index(typeCode uint32, count int) uint32 {
	for i := range c.indexes {
		if c.indexes[i].typeCode == typeCode {
			first := c.indexes[i].next
			c.indexes[i].next += uint32(count)
			return first
		}
	}
	c.indexes = append(c.indexes, typeIndex{typeCode, uint32(count)})
	return 0
}

func (c *column) open(count int) {
	c.metadata, c.written = slices.Grow(c.metadata[:0], count)[:count], slices.Grow(c.written[:0], count)[:count]
	for i := range c.metadata {
		c.metadata[i], c.written[i] = -1, false
	}
}

func (b *Batch) saveColumn(c *pb.SampleColumns) error {
	count := health.Count(c)
	if n := len(c.GetMetadataIndex()); n != 0 && n != count {
		return fmt.Errorf("%w: %d samples with %d references to metadata", ErrEvent, count, n)
	}
	d := b.draft(c.GetType(), b.source(b.column.app, c.GetSource()))
	s := Sample{unit: b.unit(c.GetUnit())}
	s.Sequence, s.Event = b.sequence, uint32(b.event)
	first := b.column.index(c.GetType(), count)
	b.column.open(len(c.GetMetadata()))
	for i, row := range health.Rows(c) {
		if row.End < row.Start {
			return fmt.Errorf("%w: a sample that ends before it starts", ErrEvent)
		}
		s.Start, s.End, s.Index = row.Start, row.End, first+uint32(i)
		s.Value, s.Created, s.HasCreated = row.Value, row.Created, row.HasCreated
		s.UUID, s.HasUUID = row.UUID, row.HasUUID
		number := -1
		if row.Metadata != nil {
			number = int(c.GetMetadataIndex()[i]) - 1
			if number < 0 || number >= len(c.GetMetadata()) {
				return fmt.Errorf("%w: a sample with metadata that is not there", ErrEvent)
			}
		}
		if err := b.saveSample(d, &s, c, number); err != nil {
			return err
		}
	}
	b.column.base += uint32(len(c.GetMetadata()))
	return nil
}

// saveSample adds one sample unless it is a duplicate. Number is its metadata within
// the column, -1 for none.
func (b *Batch) saveSample(d *draft, s *Sample, c *pb.SampleColumns, number int) error {
	at, meta := int32(-1), uint32(0)
	if number >= 0 {
		at, meta = b.metadataAt(c, number), b.column.base+uint32(number)+1
	}
	s.metadata = meta
	known := contentOf(s, at)
	if b.column.byContent {
		same, err := b.same(d, s, known)
		if err != nil || same {
			b.counters.duplicates++
			return err
		}
	}
	if s.HasUUID {
		same, err := b.sameUUID(s)
		if err != nil || same {
			b.counters.duplicates++
			return err
		}
	}
	if number >= 0 && !b.column.written[number] {
		b.column.written[number] = true
		b.key = appendMetadataKey(b.key[:0], s.Sequence, s.Event, meta-1)
		b.set(b.key, b.metadata[at])
	}
	b.key = append(b.key[:0], d.prefix...)
	b.key = appendPeriod(b.key, s.Start, s.End)
	b.key = appendTie(b.key, s.Sequence, s.Event, s.Index)
	b.value = appendValue(b.value[:0], s, c.GetExponent())
	op := b.batch.SetDeferred(len(b.key), len(b.value))
	copy(op.Key, b.key)
	copy(op.Value, b.value)
	if err := op.Finish(); err != nil {
		return err
	}
	if s.HasUUID {
		b.value = append(b.value[:0], b.key[1:]...)
		b.key = appendObjectKey(b.key[:0], familyUUID, b.column.app, &s.UUID)
		b.set(b.key, b.value)
	}
	d.add(s, known)
	b.counters.samples++
	return nil
}

// metadataAt returns where in the batch's list the metadata of a column lies.
func (b *Batch) metadataAt(c *pb.SampleColumns, number int) int32 {
	if at := b.column.metadata[number]; at >= 0 {
		return at
	}
	at := int32(len(b.metadata))
	b.metadata = append(b.metadata, appendMetadata(nil, c.GetMetadata()[number]))
	b.column.metadata[number] = at
	return at
}

func (d *draft) add(s *Sample, known content) {
	if d.count == 0 || s.End > d.maxEnd {
		d.maxEnd = s.End
	}
	d.count++
	if duration := uint64(s.End) - uint64(s.Start); duration > 0 {
		d.lengthen(monthOf(s.End), duration)
	}
	d.places.add(s.Start, s.End, known)
}

// lengthen notes a duration of a month.
func (d *draft) lengthen(number int32, duration uint64) {
	i := len(d.months)
	for i > 0 && d.months[i-1].number > number {
		i--
	}
	if i > 0 && d.months[i-1].number == number {
		if d.months[i-1].longest >= duration {
			return
		}
		i--
	}
	if !d.monthsOwned {
		d.months, d.monthsOwned = slices.Clone(d.months), true
		d.changed = map[int32]uint64{}
	}
	if i < len(d.months) && d.months[i].number == number {
		d.months[i].longest = duration
	} else {
		d.months = slices.Insert(d.months, i, month{number, duration})
	}
	d.changed[number] = duration
}
