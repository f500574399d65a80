package view

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	pb "healthledger/proto/healthledger/v1"
)

// ErrEvent is wrapped by the errors of Apply about an event that breaks the schema's
// rules. The log is authentic, so whoever wrote it was wrong; nothing of it is skipped.
var ErrEvent = errors.New("event of the log cannot be applied")

// Batch is a part of the log on its way into the view. Nothing of it can be seen before
// Commit. A view has one batch at a time, and only one goroutine may use it.
type Batch struct {
	view  *View
	batch *pebble.Batch
	err   error

	sequence uint64 // of the last event
	event    int
	counts   Counts
	drafts   map[draftKey]*draft
	requests map[named]struct{}
	uuids    map[named]Locator
	// fresh are rows of this batch that it may have to find again; nil: deleted.
	fresh map[string][]byte
	// gone are the keys of samples that the batch removes.
	gone map[string]struct{}

	// What the batch adds to the dictionaries; the view's own change at Commit.
	units     []string
	unitIDs   map[string]uint32
	sources   []*origin
	sourceIDs map[string]uint32
	kin       map[string][]*origin

	// Metadata of the batch's samples, and the content of bodies, encoded.
	metadata []metadata
	bodies   [][]byte
	column   column

	keys    *pebble.Iterator // finds single rows
	run     run
	scratch []byte
	key     []byte
	value   []byte
}

// metadata is encoded metadata and what it says about synchronisation.
type metadata struct {
	row  []byte
	sync *syncMark
}

// named identifies what an app has named itself.
type named struct {
	app uint64
	id  [16]byte
}

// Begin starts a batch. The one before it must have been committed or closed.
func (v *View) Begin() *Batch {
	if v.open != nil {
		panic("view: a batch is begun before the last one has ended")
	}
	b := &Batch{
		view: v, batch: v.db.NewBatch(), sequence: v.current.cursor.Sequence, event: -1, counts: v.current.counts,
		drafts: map[draftKey]*draft{}, requests: map[named]struct{}{}, uuids: map[named]Locator{}, fresh: map[string][]byte{},
		gone:    map[string]struct{}{},
		unitIDs: map[string]uint32{}, sourceIDs: map[string]uint32{}, kin: map[string][]*origin{},
	}
	v.open = b
	return b
}

// Len returns the size of the batch so far in bytes.
func (b *Batch) Len() int { return b.batch.Len() }

// PutDecision keeps a record of the caller's, so that View.Decisions returns it; one
// with the same number is replaced.
func (b *Batch) PutDecision(number uint64, record []byte) {
	b.set(decisionKey(number), record)
}

// set is for the few keys whose error cannot be returned at once; Commit returns it.
func (b *Batch) set(key, value []byte) {
	if err := b.batch.Set(key, value, nil); err != nil {
		b.err = errors.Join(b.err, err)
	}
}

// Apply adds the event with this ordinal in the segment with this sequence. Events come
// in the order of the log, each once; those that leave no trace in the view may be left
// out. After an error, ErrEvent or one of the database, the batch can only be closed.
func (b *Batch) Apply(sequence uint64, event int, ev *pb.Event) error {
	if err := b.apply(sequence, event, ev); err != nil {
		b.err = errors.Join(b.err, err)
		return fmt.Errorf("view: event %d of segment %d: %w", event, sequence, err)
	}
	return nil
}

func (b *Batch) apply(sequence uint64, event int, ev *pb.Event) error {
	if err := b.advance(sequence, event); err != nil {
		return err
	}
	switch body := ev.GetBody().(type) {
	case nil:
		return fmt.Errorf("%w: it is of no known kind", ErrEvent)
	case *pb.Event_SamplesSaved:
		return b.save(ev.GetTime(), body.SamplesSaved)
	case *pb.Event_PartSaved:
		return b.savePart(body.PartSaved)
	case *pb.Event_SamplesDeleted:
		return b.remove(body.SamplesDeleted)
	case *pb.Event_UpdatesSet:
		return b.setUpdates(body.UpdatesSet)
	case *pb.Event_UpdatesAcked:
		return b.ackUpdates(ev.GetTime(), body.UpdatesAcked)
	case *pb.Event_AuthorizationRequested:
		return b.ask(ev.GetTime(), body.AuthorizationRequested)
	case *pb.Event_ObjectsRequested:
		b.askObjects(ev.GetTime(), body.ObjectsRequested)
	case *pb.Event_AccessRecorded:
		return b.recordAccess(body.AccessRecorded)
	case *pb.Event_AccessCounted:
		return b.countAccess(body.AccessCounted)
	case *pb.Event_DisclosureBegun:
		return b.beginDisclosure(body.DisclosureBegun)
	case *pb.Event_DisclosureEnded:
		return b.endDisclosure(body.DisclosureEnded)
	case *pb.Event_RefusalRecorded:
		return b.recordRefusal(ev.GetTime(), body.RefusalRecorded)
	}
	return nil
}

// advance moves to the next event.
func (b *Batch) advance(sequence uint64, event int) error {
	first := b.event < 0 && sequence > b.sequence
	next := b.event >= 0 && (sequence > b.sequence || sequence == b.sequence && event > b.event)
	if event < 0 || event > 1<<31-1 || !first && !next {
		return fmt.Errorf("%w: it is out of order", ErrEvent)
	}
	b.sequence, b.event = sequence, event
	return nil
}

// Commit makes the batch part of the view, all at once, and ends it. The cursor's
// sequence is that of the last segment the batch covers, whether or not Apply saw it.
func (b *Batch) Commit(c Cursor) error {
	if b.view.open != b {
		return errors.New("view: the batch has ended")
	}
	defer b.Close()
	if b.err != nil {
		return fmt.Errorf("view: commit: %w", b.err)
	}
	if c.Sequence < b.sequence {
		return fmt.Errorf("view: commit: cursor %d is before event %d of segment %d", c.Sequence, b.event, b.sequence)
	}
	if err := b.commitFigures(); err != nil {
		return fmt.Errorf("view: commit: %w", b.view.damage(err))
	}
	for key, d := range b.drafts {
		b.putDraft(key, d)
	}
	b.set(stateKey(), appendState(nil, c, b.counts))
	if b.err != nil {
		return fmt.Errorf("view: commit: %w", b.err)
	}
	if err := b.view.commit(b, c); err != nil {
		return fmt.Errorf("view: commit: %w", err)
	}
	return nil
}

// Close ends the batch. Without a Commit before it, the view stays as it was.
func (b *Batch) Close() {
	if b.view.open != b {
		return
	}
	b.view.open = nil
	// Nothing was written through these, so there is nothing their errors could tell.
	if b.keys != nil {
		_ = b.keys.Close()
	}
	b.run.close()
	_ = b.batch.Close()
}

// stored returns a row of the view itself, and of the batch if that is indexed. It is
// good until the next call.
func (b *Batch) stored(key []byte) (row []byte, there bool, err error) {
	if b.batch.Indexed() {
		row, err := get(b.batch, key)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, false, nil
		}
		return row, err == nil, err
	}
	if b.keys == nil {
		iter, err := b.view.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
		if err != nil {
			return nil, false, err
		}
		b.keys = iter
	}
	if !b.keys.SeekPrefixGE(key) {
		return nil, false, b.keys.Error()
	}
	row, err = b.keys.ValueAndErr()
	return row, err == nil, err
}

// find returns a row of the view or one that the batch keeps, which need not be in it.
func (b *Batch) find(key []byte) (row []byte, there bool, err error) {
	if row, ok := b.fresh[string(key)]; ok {
		return row, row != nil, nil
	}
	return b.stored(key)
}

// keep sets a row that the batch itself may have to find again.
func (b *Batch) keep(key, value []byte) {
	b.set(key, value)
	b.fresh[string(key)] = value
}

// drop deletes a row.
func (b *Batch) drop(key []byte) {
	if err := b.batch.Delete(key, nil); err != nil {
		b.err = errors.Join(b.err, err)
	}
	if _, ok := b.fresh[string(key)]; ok {
		b.fresh[string(key)] = nil
	}
}

// unit returns the id of a unit, 0 for the empty one.
func (b *Batch) unit(unit string) uint32 {
	if unit == "" {
		return 0
	}
	if id, ok := b.view.unitIDs[unit]; ok {
		return id
	}
	if id, ok := b.unitIDs[unit]; ok {
		return id
	}
	id := uint32(len(b.view.current.units) + len(b.units))
	b.units = append(b.units, unit)
	b.unitIDs[unit] = id
	b.key = appendID(b.key[:0], familyUnit, id)
	b.set(b.key, []byte(unit))
	return id
}

// source returns the source with this content that belongs to the app.
func (b *Batch) source(app uint64, s *pb.Source, what about) *origin {
	b.scratch = appendSource(what.append(binary.AppendUvarint(b.scratch[:0], app)), s)
	v := b.view
	if id, ok := v.sourceIDs[string(b.scratch)]; ok {
		return v.sources[id]
	}
	if id, ok := b.sourceIDs[string(b.scratch)]; ok {
		return b.sources[int(id)-len(v.sources)]
	}
	id := uint32(len(v.sources) + len(b.sources))
	o, ok := readOrigin(id, b.scratch)
	if !ok {
		panic("view: a source does not read back")
	}
	b.sources = append(b.sources, o)
	b.kin[o.kin] = append(b.kin[o.kin], o)
	b.sourceIDs[string(b.scratch)] = id
	b.key = appendID(b.key[:0], familySource, id)
	b.set(b.key, b.scratch)
	return o
}

// origin returns the source with this id, nil if there is none.
func (b *Batch) origin(id uint32) *origin {
	v := b.view
	switch {
	case int(id) < len(v.sources):
		return v.sources[id]
	case int(id)-len(v.sources) < len(b.sources):
		return b.sources[int(id)-len(v.sources)]
	}
	return nil
}

func readOrigin(id uint32, row []byte) (*origin, bool) {
	r := reader{b: row}
	o := &origin{id: id, app: r.uvarint()}
	sum := sha256.Sum256(r.b)
	o.rank = binary.BigEndian.Uint64(sum[:])
	o.about = about{r.text(), r.text()}
	var ok bool
	if o.source, ok = readSource(r.b); !ok || r.bad {
		return nil, false
	}
	o.kin = kinOf(o.app, o.source, o.about)
	return o, true
}
