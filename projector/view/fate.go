package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Row is a sample as the log has it, in a column or as a member of another one.
type Row struct {
	App       uint64
	Request   [16]byte
	ByContent bool
	Type      uint32
	Source    *pb.Source
	Place
	HasUUID  bool
	UUID     [16]byte
	Metadata *pb.Metadata // nil: none
	Body     *pb.Sample   // nil: none
}

// Fate is what became of a row.
type Fate struct {
	// Stored says that it was in the view, and Gone which segment deleted or replaced it;
	// 0: none has.
	Stored bool
	Gone   uint64
	// Ends are, of a correlation that was stored, the types of its members, in order, and when
	// the last one of each ended.
	Ends []*pb.GhostEnd
}

// Fates tells what became of the rows of the log. It sees all of the view, and is for
// whoever writes the log anew, never for a reader. It is for one goroutine and must be closed
// before its snapshot.
type Fates struct {
	snapshot *Snapshot
	sources  map[string]uint32
	there    seeker
	gone     seeker
	key      []byte
}

// Fates begins to look rows up.
func (s *Snapshot) Fates() (*Fates, error) {
	f := &Fates{snapshot: s, sources: map[string]uint32{}}
	for _, o := range s.state.sources {
		f.sources[string(appendSource(o.about.append(binary.AppendUvarint(nil, o.app)), o.source))] = o.id
	}
	for _, one := range [...]struct {
		*seeker
		family byte
	}{{&f.there, familySample}, {&f.gone, familyDeletion}} {
		iter, err := s.state.db.NewIter(&pebble.IterOptions{LowerBound: []byte{one.family}, UpperBound: []byte{one.family + 1}})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("look up rows of the log: %w", s.view.damage(err)), f.Close())
		}
		one.iter = iter
	}
	return f, nil
}

// Close ends the look-ups.
func (f *Fates) Close() error {
	var errs []error
	for _, s := range []*seeker{&f.there, &f.gone} {
		if s.iter != nil {
			errs = append(errs, s.iter.Close())
			s.iter = nil
		}
	}
	return errors.Join(errs...)
}

// Of returns what became of a row. What was decided about other samples since then does not
// count: only where the row itself was, and until when.
func (f *Fates) Of(r *Row) (Fate, error) {
	fate, err := f.of(r)
	if err != nil {
		return Fate{}, fmt.Errorf("look up rows of the log: %w", f.snapshot.view.damage(err))
	}
	return fate, nil
}

func (f *Fates) of(r *Row) (fate Fate, err error) {
	source, there := f.source(r)
	if !there {
		return fate, nil
	}
	at := Locator{Type: r.Type, Source: source, Place: r.Place}
	if !isCorrelation(r.Type) {
		_, err := f.row(&at, &fate)
		return fate, err
	}
	t, _ := catalog.ByCode(r.Type)
	for _, member := range t.Members() {
		end, found, err := f.pair(&at, member, r, &fate)
		if err != nil {
			return fate, err
		}
		if found {
			fate.Ends = append(fate.Ends, &pb.GhostEnd{Type: member.Code, End: end})
		}
	}
	return fate, nil
}

// pair looks for the row of a correlation under a type of its members, which is where one of
// them ended, and returns when the last of them did.
func (f *Fates) pair(whole *Locator, member *catalog.Type, r *Row, fate *Fate) (end int64, found bool, err error) {
	tried := map[int64]struct{}{}
	for _, m := range r.Body.GetMembers() {
		if t, ok := catalog.Lookup(m.GetType()); !ok || t != member {
			continue
		}
		end := m.GetGhost().GetEnd()
		if m.GetGhost() == nil {
			_, _, _, row, err := health.Member(m)
			if err != nil {
				return 0, false, fmt.Errorf("%w: a malformed member", ErrEvent)
			}
			end = row.End
		}
		at := *whole
		at.Type, at.End = Pair(whole.Type, member.Code), max(whole.End, end)
		if _, again := tried[at.End]; again {
			continue
		}
		tried[at.End] = struct{}{}
		e, err := f.row(&at, fate)
		if err != nil || e != nil {
			return e.memberEnd(), e != nil, err
		}
	}
	return 0, false, nil
}

func (e *ends) memberEnd() int64 {
	if e == nil {
		return 0
	}
	return e.member
}

// row looks for one row, and notes its fate. It returns nil if it never was there.
func (f *Fates) row(at *Locator, fate *Fate) (*ends, error) {
	f.key = at.appendKey(append(f.key[:0], familyDeletion))
	value, there, err := f.gone.find(f.key)
	if err != nil {
		return nil, err
	}
	s := Sample{Place: at.Place}
	if there {
		sequence, e, ok := readDeletion(value, at.Type, &s)
		if !ok {
			return nil, errDamaged
		}
		fate.Stored, fate.Gone = true, sequence
		return &e, nil
	}
	f.key[0] = familySample
	if value, there, err = f.there.find(f.key); err != nil || !there {
		return nil, err
	}
	e, ok := readRow(value, at.Type, &s)
	if !ok {
		return nil, errDamaged
	}
	fate.Stored = true
	return &e, nil
}

// source returns the source under which a row lies, if there is one.
func (f *Fates) source(r *Row) (uint32, bool) {
	what := about{}
	if t, ok := catalog.ByCode(r.Type); ok && t.PerObject {
		what = about{object: f.Object(r)}
		if !isNamed(t) {
			what.period = string(appendPeriod(nil, r.Start, r.End))
		}
	}
	f.key = appendSource(what.append(binary.AppendUvarint(f.key[:0], r.App)), r.Source)
	id, ok := f.sources[string(f.key)]
	return id, ok
}

// Object returns the name by which a row of a type that is granted object by object goes;
// empty: the type is not.
func (f *Fates) Object(r *Row) string {
	t, ok := catalog.ByCode(r.Type)
	if !ok || !t.PerObject {
		return ""
	}
	s := Sample{HasUUID: r.HasUUID, UUID: r.UUID, Place: r.Place}
	return health.ObjectName(t, r.Source, f.snapshot.view.uuidOf(r.Request, r.App, r.Type, &s), r.Body)
}

// GoesByName says whether the name of the type's objects is one of their own, not their UUID.
func GoesByName(t *catalog.Type) bool { return t.PerObject && isNamed(t) }

// KnowsUUID says whether the UUID that a row brought is that of an object that was stored, be it
// gone or erased since.
func (f *Fates) KnowsUUID(r *Row) (bool, error) {
	id := (&origin{source: r.Source}).ownUUID(r.UUID)
	_, err := f.snapshot.get(appendObjectKey(nil, familyUUID, r.App, &id))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up rows of the log: %w", f.snapshot.view.damage(err))
	}
	return true, nil
}

// Identity returns what a row shares with others of the same app and type of which each
// takes the place of the one before; false: nothing replaces it.
func (f *Fates) Identity(r *Row) (hash [sha256.Size]byte, ok bool) {
	o := &incoming{typeCode: r.Type, origin: &origin{source: r.Source}, body: r.Body}
	id := identify(o, syncOf(r.Metadata), r.ByContent)
	if id == nil {
		return hash, false
	}
	return id.name.hash, true
}

// Deriver makes the UUIDs of samples of a request that came without.
func (f *Fates) Deriver(app uint64, request [16]byte, typeCode uint32) health.Deriver {
	return health.NewDeriver(request, f.snapshot.view.appKey(app), typeCode)
}

// Kin returns a text that sources of an app share which differ in the device only.
func Kin(app uint64, s *pb.Source) string { return kinOf(app, s, about{}) }

// seeker finds keys with one iterator, which goes forward while they do.
type seeker struct {
	iter *pebble.Iterator
	last []byte
}

func (s *seeker) find(key []byte) ([]byte, bool, error) {
	order := 1
	if s.iter.Valid() && len(s.last) > 0 && bytes.Compare(s.last, key) <= 0 {
		for range nearby {
			if order = bytes.Compare(key, s.iter.Key()); order <= 0 || !s.iter.Next() {
				break
			}
		}
	}
	s.last = append(s.last[:0], key...)
	if order > 0 {
		s.iter.SeekGE(key)
	}
	if !s.iter.Valid() || !bytes.Equal(s.iter.Key(), key) {
		return nil, false, s.iter.Error()
	}
	value, err := s.iter.ValueAndErr()
	return value, true, err
}
