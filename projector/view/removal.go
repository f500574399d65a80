package view

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// removal deletes samples of one type, of an app or, for app 0, of all: those that have one
// of some UUIDs, those that overlap one of some periods, and those that ended before a time.
// Whatever a request names of a
// type is looked for together, so that no row is read twice: nobody can end an apply that
// takes long.
type removal struct {
	batch    *Batch
	app      uint64
	typeCode uint32
	ids      [][16]byte
	periods  []halfOpen
	ended    int64
	// near is all that the periods and what ended before can overlap, in order and apart.
	near []halfOpen

	// derived are the samples whose UUIDs were derived from their requests, by index.
	derived map[rowID]struct{}
	// spans are where the rows may lie that are looked for, in order and without overlap.
	spans map[draftKey][]Span
	// correlations are what was found of them: their rows lie under several codes.
	correlations map[Locator][]objectRow
}

// halfOpen is the period [from, to).
type halfOpen struct{ from, to int64 }

// periodOf returns the period of a deletion, which may hold nothing.
func periodOf(d *pb.DeletedSamples) halfOpen {
	p := halfOpen{math.MinInt64, math.MaxInt64}
	if d.From != nil {
		p.from = d.GetFrom()
	}
	if d.To != nil {
		p.to = d.GetTo()
	}
	return p
}

// holds says whether a sample overlaps the period. One without a length is where it starts,
// and one that ends where the period begins is outside.
func (p halfOpen) holds(start, end int64) bool {
	return p.from < p.to && start < p.to && (end > p.from || start >= p.from)
}

// Names says whether a deletion without UUIDs names a sample of its type for when that was.
func Names(d *pb.DeletedSamples, start, end int64) bool {
	if d.EndedBefore != nil {
		return end < d.GetEndedBefore()
	}
	return periodOf(d).holds(start, end)
}

// removals groups what deletions name by app and type.
func (b *Batch) removals(app uint64, deletions []*pb.DeletedSamples) ([]*removal, error) {
	var all []*removal
	of := map[appType]*removal{}
	for _, d := range deletions {
		if isPair(d.GetType()) || d.GetAllTypes() && d.GetType() != 0 || app != 0 && (d.GetAllTypes() || d.GetApp() != 0 || d.EndedBefore != nil) {
			return nil, fmt.Errorf("%w: a deletion of no type", ErrEvent)
		}
		types := []uint32{d.GetType()}
		if d.GetAllTypes() {
			types = b.types()
		}
		for _, typeCode := range types {
			key := appType{max(app, d.GetApp()), typeCode}
			r := of[key]
			if r == nil {
				r = &removal{
					batch: b, app: key.app, typeCode: typeCode, ended: math.MinInt64,
					derived: map[rowID]struct{}{}, spans: map[draftKey][]Span{}, correlations: map[Locator][]objectRow{},
				}
				of[key], all = r, append(all, r)
			}
			if err := r.add(d); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// types are all of which there ever were samples.
func (b *Batch) types() []uint32 {
	there := map[uint32]struct{}{}
	for code := range b.view.current.directory {
		there[ownType(code)] = struct{}{}
	}
	for key := range b.drafts {
		there[ownType(key.typeCode)] = struct{}{}
	}
	return slices.Sorted(maps.Keys(there))
}

// add adds what a deletion names: UUIDs or, without any, a time.
func (r *removal) add(d *pb.DeletedSamples) error {
	for _, id := range d.GetUuids() {
		if len(id) != 16 {
			return fmt.Errorf("%w: a UUID of %d bytes", ErrEvent, len(id))
		}
		r.ids = append(r.ids, [16]byte(id))
	}
	switch {
	case len(d.GetUuids()) > 0:
	case d.EndedBefore != nil:
		r.ended = max(r.ended, d.GetEndedBefore())
	default:
		r.periods = append(r.periods, periodOf(d))
	}
	return nil
}

func (r *removal) run() error {
	if err := r.own(); err != nil {
		return err
	}
	if err := r.locate(); err != nil {
		return err
	}
	for key, spans := range r.spans {
		for _, s := range spans {
			if err := scanRows(r.batch.batch, key.typeCode, key.source, s.First, s.Last, r.found); err != nil {
				return err
			}
		}
	}
	for _, rows := range r.correlations {
		if err := r.batch.removeObject(rows); err != nil {
			return err
		}
	}
	return nil
}

// found deletes what a row is of, if that is looked for.
func (r *removal) found(row *Locator, s *Sample) error {
	_, derived := r.derived[rowID{row.Sequence, row.Event, row.Index}]
	if !(derived && !s.HasUUID) && s.End >= r.ended && !r.overlaps(s) {
		return nil
	}
	if !isPair(row.Type) {
		return r.batch.removeObject([]objectRow{{Locator: *row}})
	}
	id := Locator{Source: row.Source, Place: s.Place}
	r.correlations[id] = append(r.correlations[id], objectRow{Locator: *row})
	return nil
}

// overlaps says whether a sample overlaps one of the periods, which are in order.
func (r *removal) overlaps(s *Sample) bool {
	i, _ := slices.BinarySearchFunc(r.periods, s.Start, func(p halfOpen, start int64) int {
		if p.to <= start {
			return -1
		}
		return 1
	})
	return i < len(r.periods) && r.periods[i].holds(s.Start, s.End)
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

// drafts are where samples of the app lie.
func (r *removal) drafts() []*draft {
	var all []*draft
	for _, code := range r.codes() {
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
	}
	return all
}

// own deletes the objects that brought the UUIDs.
func (r *removal) own() error {
	for _, d := range distinct(r.drafts(), func(d *draft) uuidsOf { return d.origin.uuids() }) {
		for _, id := range r.ids {
			if err := r.ownOf(d.origin, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownOf deletes the object that brought the UUID, as one of the origin's app.
func (r *removal) ownOf(o *origin, id [16]byte) error {
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

// locate finds where the rows may lie of what is looked for by derived UUIDs and periods.
func (r *removal) locate() error {
	all := r.drafts()
	types := distinct(all, func(d *draft) appType { return appType{d.origin.app, d.typeCode} })
	for alike := range byPrefix(r.ids) {
		for _, d := range types {
			if err := r.locateDerived(d, alike); err != nil {
				return err
			}
		}
	}
	r.periods = united(r.periods)
	r.near = united(append(slices.Clone(r.periods), halfOpen{math.MinInt64, r.ended}))
	if len(r.near) > 0 {
		for _, d := range all {
			r.locateOverlapping(d)
		}
	}
	for key, spans := range r.spans {
		r.spans[key] = unitedSpans(spans)
	}
	return nil
}

// locateDerived finds where those lie whose UUIDs, which begin alike, were derived from a
// request of an app.
func (r *removal) locateDerived(d *draft, alike [][16]byte) error {
	value, there, err := r.batch.stored(appendDerivedKey(nil, d.origin.app, d.typeCode, [12]byte(alike[0][:])))
	if err != nil || !there {
		return err
	}
	at, ok := readDerived(value)
	if !ok {
		return errDamaged
	}
	if value, there, err = r.batch.stored(appendEventKey(nil, at.sequence, at.event)); err != nil {
		return err
	}
	indexes, ok := r.batch.view.indexesOf(value, r.typeCode, alike)
	if !there || !ok {
		return errDamaged
	}
	for index := range indexes {
		r.derived[rowID{at.sequence, at.event, index}] = struct{}{}
	}
	for _, s := range at.sources {
		key := draftKey{d.typeCode, s.id}
		for _, e := range s.ranges {
			r.spans[key] = append(r.spans[key], Span{First: e.first, Last: e.last})
		}
	}
	return nil
}

// locateOverlapping finds where those may lie that overlap one of the periods, or ended before.
// There may be many periods, so that the days are gone through once.
func (r *removal) locateOverlapping(d *draft) {
	d.settle()
	key := draftKey{d.typeCode, d.origin.id}
	for _, one := range d.days {
		if s, ok := r.within(&one); ok {
			r.spans[key] = append(r.spans[key], s)
		}
	}
}

// within returns between what ends samples that end in a day can overlap one of the periods.
func (r *removal) within(d *day) (s Span, ok bool) {
	first, last := boundsOf(d.number)
	earliest := int64(math.MinInt64)
	if d.longest <= uint64(first)+1<<63 {
		earliest = int64(uint64(first) - d.longest)
	}
	from := sort.Search(len(r.near), func(i int) bool { return r.near[i].to > earliest })
	to := sort.Search(len(r.near), func(i int) bool { return r.near[i].from > last })
	if from >= to {
		return s, false
	}
	if until := r.near[to-1].to - 1; d.longest <= uint64(math.MaxInt64)-uint64(until) {
		last = min(last, int64(uint64(until)+d.longest))
	}
	s = Span{First: max(first, r.near[from].from), Last: last}
	return s, s.First <= s.Last
}

// united returns the periods that cover the same time, in order and apart.
func united(all []halfOpen) []halfOpen {
	all = slices.DeleteFunc(all, func(p halfOpen) bool { return p.from >= p.to })
	slices.SortFunc(all, func(a, b halfOpen) int { return cmp.Compare(a.from, b.from) })
	var apart []halfOpen
	for _, p := range all {
		if n := len(apart) - 1; n >= 0 && p.from <= apart[n].to {
			apart[n].to = max(apart[n].to, p.to)
			continue
		}
		apart = append(apart, p)
	}
	return apart
}

// unitedSpans returns the spans that hold the same ends, in order and apart.
func unitedSpans(all []Span) []Span {
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.First, b.First) })
	var apart []Span
	for _, s := range all {
		if n := len(apart) - 1; n >= 0 && (s.First <= apart[n].Last || s.First == apart[n].Last+1) {
			apart[n].Last = max(apart[n].Last, s.Last)
			continue
		}
		apart = append(apart, s)
	}
	return apart
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
