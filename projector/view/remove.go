package view

import (
	"encoding/binary"
	"fmt"
	"slices"

	pb "healthledger/proto/healthledger/v1"
)

// remove applies a SamplesDeleted event. A request that was seen before deletes nothing.
func (b *Batch) remove(deleted *pb.SamplesDeleted) error {
	if len(deleted.GetRequestId()) != 16 || deleted.GetApp() == 0 {
		return fmt.Errorf("%w: a deletion of nobody", ErrEvent)
	}
	request := named{app: deleted.GetApp(), id: [16]byte(deleted.GetRequestId())}
	_, err := b.removeAll(request, deleted.GetDeletions(), deleted.GetOutcome())
	return err
}

// DeleteForOwner deletes samples of any app: what the owner's decision with this number
// orders, which the event holds. It takes the place of Apply. Its outcome is that of a
// request of app 0: see OwnerRequest. A number that was seen before deletes nothing.
func (b *Batch) DeleteForOwner(sequence uint64, event int, number int, d []*pb.DeletedSamples) (deleted uint64, err error) {
	if err = b.advance(sequence, event); err == nil {
		deleted, err = b.removeAll(named{id: OwnerRequest(number)}, d, nil)
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
func (b *Batch) removeAll(request named, deletions []*pb.DeletedSamples, given *pb.RequestOutcome) (uint64, error) {
	seen, err := b.seenRequest(request)
	if err != nil || seen {
		return 0, err
	}
	if err := b.index(); err != nil {
		return 0, err
	}
	before := b.counts
	removals, err := b.removals(request.app, deletions)
	if err != nil {
		return 0, err
	}
	for _, r := range removals {
		if err := r.run(); err != nil {
			return 0, err
		}
	}
	b.putRequest(request, before, given)
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
	return b.dropBody(first, sample.body-1)
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
