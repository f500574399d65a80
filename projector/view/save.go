package view

import (
	"fmt"
	"slices"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// save applies a SamplesSaved event. A request that was seen before adds nothing.
func (b *Batch) save(time int64, saved *pb.SamplesSaved) error {
	if len(saved.GetRequestId()) != 16 {
		return fmt.Errorf("%w: a request id of %d bytes", ErrEvent, len(saved.GetRequestId()))
	}
	request := named{app: saved.GetApp(), id: [16]byte(saved.GetRequestId())}
	seen, err := b.seenRequest(request)
	if err != nil {
		return err
	}
	if seen {
		return b.countAgain(saved)
	}
	before := b.counts
	b.key = appendEventKey(b.key[:0], b.sequence, uint32(b.event))
	b.value = appendEvent(b.value[:0], request.id, request.app, time)
	b.set(b.key, b.value)

	b.column.begin(saved)
	for _, c := range saved.GetColumns() {
		if err := b.saveColumn(c); err != nil {
			return err
		}
	}
	b.putDerived(request)
	b.putRequest(request, before, saved.GetOutcome())
	return nil
}

// seenRequest says whether a request is known, and remembers it.
func (b *Batch) seenRequest(request named) (bool, error) {
	b.key = appendObjectKey(b.key[:0], familyRequest, request.app, &request.id)
	if _, ok := b.requests[request]; ok {
		return true, nil
	}
	_, found, err := b.stored(b.key)
	if err != nil || found {
		return found, err
	}
	b.requests[request] = struct{}{}
	return false, nil
}

// countAgain counts what a repeated request would have brought.
func (b *Batch) countAgain(saved *pb.SamplesSaved) error {
	for _, c := range saved.GetColumns() {
		b.counts.Duplicates += uint64(health.Count(c))
		for _, row := range c.GetBody() {
			body, err := parseBody(row)
			if err != nil {
				return err
			}
			b.counts.Duplicates += uint64(len(body.GetMembers()))
		}
	}
	return nil
}

func parseBody(row []byte) (*pb.Sample, error) {
	body, err := health.ParseBody(row)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	return body, nil
}

// column is where in an event the batch is.
type column struct {
	app       uint64
	request   [16]byte
	byContent bool
	all       []*pb.SampleColumns
	// indexes counts the samples of each type in the request, members those that are
	// members: they come after all that stand for themselves.
	indexes, members []typeIndex
	// base is the number of the first metadata of the column within the event, bodies the
	// number of the next body.
	base, bodies uint32
	metadata     []metadataUse
	// ofMembers are the metadata that members have, by content.
	ofMembers map[string]*metadataUse
	// relaxed are where members may lie that a column repeats.
	relaxed []*draft
	// event counts the events of the batch, and derived are where those samples lie that
	// came in this one without a UUID.
	event   uint64
	derived []*draft
}

type typeIndex struct{ typeCode, next uint32 }

// metadataUse is metadata of an event: where in the batch's list they are, -1 if not yet
// there, their number in the event, and whether their row is.
type metadataUse struct {
	at      int32
	number  uint32
	written bool
}

func (c *column) begin(saved *pb.SamplesSaved) {
	c.app, c.byContent, c.all, c.base, c.bodies = saved.GetApp(), saved.GetByContent(), saved.GetColumns(), 0, 0
	c.indexes, c.members, c.derived = c.indexes[:0], c.members[:0], c.derived[:0]
	c.request = [16]byte(saved.GetRequestId())
	c.event++
	clear(c.ofMembers)
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

// memberIndex returns the index in the request of the next member of a type.
func (c *column) memberIndex(typeCode uint32) uint32 {
	i := slices.IndexFunc(c.members, func(t typeIndex) bool { return t.typeCode == typeCode })
	if i < 0 {
		i = len(c.members)
		next := 0
		for _, other := range c.all {
			if other.GetType() == typeCode {
				next += health.Count(other)
			}
		}
		c.members = append(c.members, typeIndex{typeCode, uint32(next)})
	}
	c.members[i].next++
	return c.members[i].next - 1
}

func (c *column) open(count int) {
	c.metadata = slices.Grow(c.metadata[:0], count)[:count]
	for i := range c.metadata {
		c.metadata[i] = metadataUse{at: -1, number: c.base + uint32(i)}
	}
}

func (b *Batch) saveColumn(c *pb.SampleColumns) error {
	count := health.Count(c)
	for _, n := range [...]int{len(c.GetMetadataIndex()), len(c.GetBody()), len(c.GetErased())} {
		if n != 0 && n != count {
			return fmt.Errorf("%w: %d samples with a column of %d", ErrEvent, count, n)
		}
	}
	o := b.source(b.column.app, c.GetSource(), about{})
	s := Sample{unit: b.unit(c.GetUnit()), HasValue: len(c.GetMantissa()) > 0 || len(c.GetReal()) > 0}
	s.Sequence, s.Event = b.sequence, uint32(b.event)
	first := b.column.index(c.GetType(), count)
	b.column.open(len(c.GetMetadata()))
	d := b.draft(c.GetType(), o)
	if b.column.relaxed = nil; b.column.byContent {
		b.column.relaxed = b.relaxed(c.GetType(), o, true)
	}
	erased, ends := c.GetErased(), c.GetErasedEnd()
	for i, row := range health.Rows(c) {
		if len(erased) > 0 && erased[i] > 0 {
			var err error
			if ends, err = b.saveGhostRow(o, c, i, first+uint32(i), &row, ends); err != nil {
				return err
			}
			continue
		}
		if row.End < row.Start {
			return fmt.Errorf("%w: a sample that ends before it starts", ErrEvent)
		}
		s.Start, s.End, s.Index = row.Start, row.End, first+uint32(i)
		s.Value, s.Created, s.HasCreated = row.Value, row.Created, row.HasCreated
		s.UUID, s.HasUUID = row.UUID, row.HasUUID
		use, err := b.columnMetadata(c, i, row.Metadata != nil)
		if err != nil {
			return err
		}
		if len(row.Body) == 0 && (use == nil || b.metadata[use.at].sync == nil) && !isObject(c.GetType()) {
			err = b.saveSample(d, &s, c.GetExponent(), use)
		} else {
			err = b.saveRow(o, &s, c, use, row.Body)
		}
		if err != nil {
			return err
		}
	}
	b.column.base += uint32(len(c.GetMetadata()))
	return nil
}

// isObject says whether samples of the type are more than a row, whatever they hold.
func isObject(typeCode uint32) bool {
	t, ok := catalog.ByCode(typeCode)
	return ok && (t.Kind == catalog.Correlation || t.PerObject)
}

func isCorrelation(typeCode uint32) bool {
	t, ok := catalog.ByCode(typeCode)
	return ok && t.Kind == catalog.Correlation
}

// columnMetadata returns the metadata of a sample of the column, nil if it has none.
func (b *Batch) columnMetadata(c *pb.SampleColumns, i int, has bool) (*metadataUse, error) {
	if !has {
		return nil, nil
	}
	number := int(c.GetMetadataIndex()[i]) - 1
	if number < 0 || number >= len(c.GetMetadata()) {
		return nil, fmt.Errorf("%w: a sample with metadata that is not there", ErrEvent)
	}
	use := &b.column.metadata[number]
	if use.at < 0 {
		use.at = b.addMetadata(c.GetMetadata()[number])
	}
	return use, nil
}

// addMetadata returns where in the batch's list metadata lie.
func (b *Batch) addMetadata(m *pb.Metadata) int32 {
	b.metadata = append(b.metadata, metadata{row: appendMetadata(nil, m), sync: syncOf(m)})
	return int32(len(b.metadata)) - 1
}

// describe notes a sample's metadata in it and returns where they are in the batch's list.
func (s *Sample) describe(use *metadataUse) int32 {
	if s.metadata = 0; use == nil {
		return -1
	}
	s.metadata = use.number + 1
	return use.at
}

// saveSample adds one sample that is nothing but a row, unless it is a duplicate.
func (b *Batch) saveSample(d *draft, s *Sample, exponent uint32, use *metadataUse) error {
	known := contentOf(s, s.End, s.describe(use), -1)
	if b.column.byContent {
		same, err := b.sameAnywhere(d, &sought{start: s.Start, end: s.End, content: known})
		if err != nil || same {
			b.counts.Duplicates++
			return err
		}
	}
	if s.HasUUID {
		_, there, err := b.knownUUID(d.origin, s.UUID)
		if err != nil || there {
			b.counts.Duplicates++
			return err
		}
	}
	if err := b.write(d, s, s.End, &ends{member: s.End}, exponent, use, false); err != nil {
		return err
	}
	d.places.add(s, known)
	b.counts.Samples++
	if s.HasUUID {
		b.rememberUUID(d.origin, s.UUID, []objectRow{{Locator{d.typeCode, d.origin.id, s.Place}, s.End}})
	}
	return nil
}

// sameAnywhere says whether a sample that stands for itself is there already, from its
// own source or as a member from one that differs only in the device.
func (b *Batch) sameAnywhere(d *draft, s *sought) (bool, error) {
	same, err := b.same(d, s)
	if same || err != nil || len(b.column.relaxed) == 0 {
		return same, err
	}
	asMember := *s
	asMember.members = true
	for _, other := range b.column.relaxed {
		if same, err := b.same(other, &asMember); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// write writes a row of a sample under the type of the draft, and leaves it in b.key and
// b.value. Every row comes this way. Series says whether the sample stands for the entries
// of its payload.
func (b *Batch) write(d *draft, s *Sample, keyEnd int64, e *ends, exponent uint32, use *metadataUse, series bool) error {
	if use != nil && !use.written {
		use.written = true
		b.key = appendMetadataKey(b.key[:0], s.Sequence, s.Event, use.number)
		b.set(b.key, b.metadata[use.at].row)
	}
	b.noteAdded(d, s.Start, keyEnd)
	if !s.HasUUID {
		b.noteDerived(d, keyEnd, e.member)
	}
	b.key = append(b.key[:0], d.prefix...)
	b.key = appendPeriod(b.key, s.Start, keyEnd)
	b.key = appendTie(b.key, s.Sequence, s.Event, s.Index)
	b.value = appendRow(b.value[:0], d.typeCode, s, keyEnd, e, exponent)
	op := b.batch.SetDeferred(len(b.key), len(b.value))
	copy(op.Key, b.key)
	copy(op.Value, b.value)
	if err := op.Finish(); err != nil {
		return err
	}
	b.putFigures(d, s, series)
	return nil
}

// noteAdded notes a row in the entry and in the changes of the segment.
func (b *Batch) noteAdded(d *draft, start, end int64) {
	if d.blank() || end > d.maxEnd {
		d.maxEnd = end
	}
	d.count++
	b.noteChange(d, &d.added, end)
	if duration := uint64(end) - uint64(start); duration > 0 {
		one := d.day(dayOf(end))
		one.longest = max(one.longest, duration)
	}
}
