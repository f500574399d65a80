package view

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// remove applies a SamplesDeleted event. A request that was seen before deletes nothing.
func (b *Batch) remove(deleted *pb.SamplesDeleted) error {
	if len(deleted.GetRequestId()) != 16 || deleted.GetApp() == 0 {
		return fmt.Errorf("%w: a deletion of nobody", ErrEvent)
	}
	request := named{app: deleted.GetApp(), id: [16]byte(deleted.GetRequestId())}
	_, err := b.removeAll(request, deleted.GetDeletions())
	return err
}

// DeleteForOwner deletes samples of any app: what the owner's decision with this number
// orders, which the event holds. It takes the place of Apply. Its outcome is that of a
// request of app 0: see OwnerRequest. A number that was seen before deletes nothing.
func (b *Batch) DeleteForOwner(sequence uint64, event int, number int, d []*pb.DeletedSamples) (deleted uint64, err error) {
	if err = b.advance(sequence, event); err == nil {
		deleted, err = b.removeAll(named{id: OwnerRequest(number)}, d)
	}
	if err != nil {
		b.err = err
		return 0, fmt.Errorf("view: event %d of segment %d: %w", event, sequence, err)
	}
	return deleted, nil
}

// OwnerRequest is the request id under which the outcome of a decision is kept.
func OwnerRequest(number int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[8:], uint64(number))
	return id
}

// removeAll deletes what the deletions of a request name; those of app 0 are the owner's.
func (b *Batch) removeAll(request named, deletions []*pb.DeletedSamples) (uint64, error) {
	seen, err := b.seenRequest(request)
	if err != nil || seen {
		return 0, err
	}
	if err := b.index(); err != nil {
		return 0, err
	}
	before := b.counts
	for _, d := range deletions {
		if isPair(d.GetType()) {
			return 0, fmt.Errorf("%w: a deletion of no type", ErrEvent)
		}
		r := &removal{batch: b, app: request.app, typeCode: d.GetType()}
		if len(d.GetUuids()) > 0 {
			err = r.named(d.GetUuids())
		} else {
			err = r.overlapping(d)
		}
		if err != nil {
			return 0, err
		}
	}
	b.putRequest(request, before)
	return b.counts.Deleted - before.Deleted, nil
}

// index makes what the batch has written readable. Only deletions need that, and batches
// without any are faster.
func (b *Batch) index() error {
	if b.batch.Indexed() {
		return nil
	}
	indexed := b.view.db.NewIndexedBatch()
	if err := indexed.Apply(b.batch, nil); err != nil {
		return err
	}
	last := b.batch
	b.batch = indexed
	return last.Close()
}

// removal deletes samples of one type, of an app or, for app 0, of all.
type removal struct {
	batch    *Batch
	app      uint64
	typeCode uint32
}

// codes are the type codes under which samples of the type lie.
func (r *removal) codes() []uint32 {
	t, ok := catalog.ByCode(r.typeCode)
	if !ok || t.Kind != catalog.Correlation {
		return []uint32{r.typeCode}
	}
	var codes []uint32
	for _, m := range t.Members() {
		codes = append(codes, Pair(r.typeCode, m.Code))
	}
	return codes
}

// drafts are where samples of the app lie under a type code.
func (r *removal) drafts(code uint32) []*draft {
	var all []*draft
	for _, o := range r.batch.view.current.directory[code] {
		if r.app != 0 && o.app != r.app {
			continue
		}
		for _, e := range o.entries {
			all = append(all, r.batch.draft(code, e.origin))
		}
	}
	for key, d := range r.batch.drafts {
		if key.typeCode == code && !d.stored && (r.app == 0 || d.origin.app == r.app) {
			all = append(all, d)
		}
	}
	return all
}

// named deletes the samples with these UUIDs.
func (r *removal) named(ids [][]byte) error {
	var wanted [][16]byte
	for _, id := range ids {
		if len(id) != 16 {
			return fmt.Errorf("%w: a UUID of %d bytes", ErrEvent, len(id))
		}
		wanted = append(wanted, [16]byte(id))
	}
	var all []*draft
	for _, code := range r.codes() {
		all = append(all, r.drafts(code)...)
	}
	for _, d := range distinct(all, func(d *draft) uuidsOf { return d.origin.uuids() }) {
		for _, id := range wanted {
			if err := r.own(d.origin, id); err != nil {
				return err
			}
		}
	}
	all = distinct(all, func(d *draft) appType { return appType{d.origin.app, d.typeCode} })
	for alike := range byPrefix(wanted) {
		if err := r.derived(all, alike); err != nil {
			return err
		}
	}
	return nil
}

// own deletes the object that brought the UUID, as one of the origin's app.
func (r *removal) own(o *origin, id [16]byte) error {
	id = o.ownUUID(id)
	value, there, err := r.batch.stored(appendObjectKey(nil, familyUUID, o.app, &id))
	if err != nil || !there {
		return err
	}
	rows, ok := readObjectRows(value)
	if !ok {
		return errDamaged
	}
	if ownType(rows[0].Type) != r.typeCode {
		return nil
	}
	return r.batch.removeObject(rows)
}

// derived deletes the samples whose UUIDs, which begin alike, were derived from their
// request.
func (r *removal) derived(all []*draft, alike [][16]byte) error {
	found := map[uint32][]objectRow{} // by index in the request
	for _, d := range all {
		value, there, err := r.batch.stored(appendDerivedKey(nil, d.origin.app, d.typeCode, [12]byte(alike[0][:])))
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		at, ok := readDerived(value)
		if !ok {
			return errDamaged
		}
		if err := r.ofRequest(d.typeCode, &at, alike, found); err != nil {
			return err
		}
	}
	for _, rows := range found {
		if err := r.batch.removeObject(rows); err != nil {
			return err
		}
	}
	return nil
}

// ofRequest finds the rows under a type code of samples of a request.
func (r *removal) ofRequest(code uint32, at *derived, alike [][16]byte, found map[uint32][]objectRow) error {
	b := r.batch
	value, there, err := b.stored(appendEventKey(nil, at.sequence, at.event))
	if err != nil {
		return err
	}
	indexes, ok := r.batch.view.indexesOf(value, r.typeCode, alike)
	if !there || !ok {
		return errDamaged
	}
	for _, s := range at.sources {
		for _, c := range s.ranges {
			err := scanRows(b.batch, code, s.id, c.first, c.last, func(row *Locator, sample *Sample) error {
				if _, wanted := indexes[row.Index]; wanted && at.brought(sample) {
					found[row.Index] = append(found[row.Index], objectRow{Locator: *row})
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// scanRows calls fn with the rows under a type code that end in a range, of the view or of
// a batch with the view. Fn may remove them; row and sample are good during the call only.
func scanRows(reader pebble.Reader, code, source uint32, first, last int64, fn func(*Locator, *Sample) error) error {
	prefix := appendSamplePrefix(nil, code, source)
	iter, err := reader.NewIter(&pebble.IterOptions{
		LowerBound: appendTime(slices.Clone(prefix), first), UpperBound: successor(appendTime(slices.Clone(prefix), last)),
	})
	if err != nil {
		return err
	}
	row, sample := &Locator{Type: code, Source: source}, &Sample{}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		var value []byte
		if value, err = iter.ValueAndErr(); err != nil {
			break
		}
		if !readPlace(iter.Key()[len(prefix):], &row.Place) {
			err = errDamaged
			break
		}
		sample.Place = row.Place
		if _, ok := readRow(value, code, sample); !ok {
			err = errDamaged
			break
		}
		err = fn(row, sample)
	}
	if closed := iter.Close(); err == nil {
		err = closed
	}
	return err
}

// overlapping deletes the samples that overlap a period.
func (r *removal) overlapping(d *pb.DeletedSamples) error {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if d.From != nil {
		from = d.GetFrom()
	}
	if d.To != nil {
		to = d.GetTo()
	}
	if from >= to {
		return nil
	}
	// The rows of a correlation lie under several codes.
	objects := map[Locator][]objectRow{}
	for _, code := range r.codes() {
		for _, d := range r.drafts(code) {
			d.settle()
			for _, span := range d.spans(math.MinInt64, from, to-1) {
				err := scanRows(r.batch.batch, code, d.origin.id, span.First, span.Last, func(row *Locator, s *Sample) error {
					if s.Start >= to || s.End < from || s.End == from && s.Start < from {
						return nil
					}
					if !isPair(code) {
						return r.batch.removeObject([]objectRow{{Locator: *row}})
					}
					id := Locator{Source: row.Source, Place: s.Place}
					objects[id] = append(objects[id], objectRow{Locator: *row})
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
	}
	for _, rows := range objects {
		if err := r.batch.removeObject(rows); err != nil {
			return err
		}
	}
	return nil
}

// removeObject deletes an object with all its rows, unless it is gone already. Its UUID
// stays known; by its identity it can be saved again.
func (b *Batch) removeObject(rows []objectRow) error {
	var sample *Sample
	for i := range rows {
		s, err := b.removeRow(&rows[i].Locator)
		if err != nil {
			return err
		}
		if s == nil {
			return nil
		}
		sample = s
	}
	b.counts.Samples--
	b.counts.Deleted++
	first := &rows[0].Locator
	if err := b.forget(first, sample); err != nil {
		return err
	}
	if sample.body == 0 {
		return nil
	}
	return b.dropBody(first.Sequence, first.Event, sample.body-1)
}

// removeRow removes a row and notes that it is deleted. Every row goes this way. It returns
// the sample, nil if there is none.
func (b *Batch) removeRow(row *Locator) (*Sample, error) {
	key := row.appendKey([]byte{familySample})
	value, there, err := b.find(key)
	if err != nil || !there {
		return nil, err
	}
	s := &Sample{Place: row.Place}
	e, ok := readRow(value, row.Type, s)
	o := b.origin(row.Source)
	if !ok || o == nil {
		return nil, errDamaged
	}
	d := b.draft(row.Type, o)
	if d.count == 0 {
		return nil, errDamaged
	}
	b.drop(key)
	b.gone[string(key)] = struct{}{}
	b.dropFigures(d, s)
	d.count--
	d.places.remove(s.Place)
	b.noteChange(d, &d.removed, row.End)
	b.key = row.appendKey(append(b.key[:0], familyDeletion))
	b.value = appendDeletion(b.value[:0], row, s, &e, b.sequence)
	b.set(b.key, b.value)
	return s, nil
}

// forget drops the identity of an object that is deleted, if it has one.
func (b *Batch) forget(row *Locator, s *Sample) error {
	o := &incoming{typeCode: ownType(row.Type), origin: b.origin(row.Source)}
	if s.body != 0 {
		value, there, err := b.find(appendBodyKey(nil, row.Sequence, row.Event, s.body-1))
		if err != nil {
			return err
		}
		stored, ok := readObject(value)
		if !there || !ok {
			return errDamaged
		}
		if o.body, ok = stored.readRest(); !ok {
			return errDamaged
		}
	}
	var mark *syncMark
	if s.metadata != 0 {
		value, there, err := b.stored(appendMetadataKey(nil, row.Sequence, row.Event, s.metadata-1))
		if err != nil {
			return err
		}
		entries, ok := readMetadata(value)
		if !there || !ok {
			return errDamaged
		}
		mark = syncOf(&pb.Metadata{Entries: entries})
	}
	for _, importing := range [...]bool{false, true} {
		id := identify(o, mark, importing)
		if id == nil {
			return nil
		}
		key := appendIdentityKey(nil, o.origin.app, id.name.typeCode, &id.name.hash)
		value, there, err := b.find(key)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		k, ok := readKnown(value)
		if !ok {
			return errDamaged
		}
		if slices.ContainsFunc(k.rows, func(l Locator) bool { return l == *row }) {
			b.drop(key)
			b.fresh[string(key)] = nil
			return nil
		}
	}
	return nil
}
