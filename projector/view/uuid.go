package view

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/authz"
	"healthledger/proto/catalog"
)

// Found is a sample with its source.
type Found struct {
	Source *Source
	Sample *Sample
}

// ByUUID returns the samples of a type that have one of these UUIDs in the answers to the
// scope, those of an app registered earlier first: apps, and what an importer brought of
// several, may give the same ones. A correlation may come by way of several of its types.
// What is looked up depends on nothing that the scope may not see: a row that names a place
// there is not followed. UUIDs that were derived cost, all of one request together, the
// samples of the source that end among those of its segment. Spend is called for every
// row that is read, and ends the search with its error.
func (s *Snapshot) ByUUID(scope authz.Scope, typeCode uint32, ids [][16]byte, spend func() error) ([]Found, error) {
	w := &search{snapshot: s, typeCode: typeCode, ids: ids, spending: spending{view: s.view, ask: spend}}
	sources := s.ofType(scope, typeCode)
	for len(sources) > 0 {
		n := 1
		for n < len(sources) && sources[n].App() == sources[0].App() {
			n++
		}
		w.sources = sources[:n]
		err := w.own()
		if err == nil {
			err = w.derived()
		}
		if err != nil {
			return nil, fmt.Errorf("find samples by UUID: %w", w.damage(err))
		}
		sources = sources[n:]
	}
	return w.found, nil
}

// search looks for samples by UUID.
type search struct {
	spending
	snapshot *Snapshot
	typeCode uint32
	ids      [][16]byte
	sources  []Source // of one app
	found    []Found
}

// ofType returns where samples of a type lie that the scope may see, by app.
func (s *Snapshot) ofType(scope authz.Scope, typeCode uint32) []Source {
	t, ok := catalog.ByCode(typeCode)
	if !ok || t.Kind != catalog.Correlation {
		return s.Sources(scope, typeCode)
	}
	var sources []Source
	for _, m := range t.Members() {
		sources = append(sources, s.Sources(scope, Pair(typeCode, m.Code))...)
	}
	slices.SortStableFunc(sources, func(a, b Source) int { return cmp.Compare(a.App(), b.App()) })
	return sources
}

// own looks for the objects that brought the UUIDs.
func (w *search) own() error {
	for _, source := range distinct(w.sources, func(s Source) uuidsOf { return s.entry.origin.uuids() }) {
		for _, id := range w.ids {
			if err := w.ownOf(source.entry.origin, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *search) ownOf(o *origin, id [16]byte) error {
	if err := w.spend(); err != nil {
		return err
	}
	id = o.ownUUID(id)
	value, err := w.snapshot.get(appendObjectKey(nil, familyUUID, o.app, &id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	rows, ok := readObjectRows(value)
	if !ok {
		return errDamaged
	}
	for _, row := range rows {
		source := find(w.sources, row.Type, row.Source)
		if source == nil || row.memberEnd < source.since {
			continue
		}
		sample, err := source.at(row.Place)
		if err != nil {
			return err
		}
		if sample != nil {
			w.found = append(w.found, Found{source, sample})
			break
		}
	}
	return nil
}

func find(sources []Source, typeCode, id uint32) *Source {
	i := slices.IndexFunc(sources, func(s Source) bool { return s.typeCode == typeCode && s.entry.origin.id == id })
	if i < 0 {
		return nil
	}
	return &sources[i]
}

// at reads the sample at a place, nil if none is there.
func (s *Source) at(p Place) (*Sample, error) {
	at := Locator{Type: s.typeCode, Source: s.entry.origin.id, Place: p}
	row, err := s.snapshot.get(at.appendKey([]byte{familySample}))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sample := &Sample{Place: p}
	if _, ok := readRow(row, s.typeCode, sample); !ok || int(sample.unit) >= len(s.snapshot.state.units) {
		return nil, errDamaged
	}
	return sample, nil
}

// derived looks for the samples whose UUIDs were derived from their requests.
func (w *search) derived() error {
	types := distinct(w.sources, func(s Source) uint32 { return s.typeCode })
	for alike := range byPrefix(w.ids) {
		for _, source := range types {
			if err := w.derivedOf(source.App(), source.typeCode, alike); err != nil {
				return err
			}
		}
	}
	return nil
}

// derivedOf looks for those of an app under a type code whose UUIDs begin alike.
func (w *search) derivedOf(app uint64, code uint32, alike [][16]byte) error {
	if err := w.spend(); err != nil {
		return err
	}
	value, err := w.snapshot.get(appendDerivedKey(nil, app, code, [12]byte(alike[0][:])))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d, ok := readDerived(value)
	if !ok {
		return errDamaged
	}
	var indexes map[uint32]struct{}
	for _, at := range d.sources {
		source := find(w.sources, code, at.id)
		if source == nil || at.end < source.since {
			continue
		}
		if indexes == nil {
			event, err := w.snapshot.get(appendEventKey(nil, d.sequence, d.event))
			if err != nil {
				return err
			}
			if indexes, ok = w.snapshot.view.indexesOf(event, w.typeCode, alike); !ok {
				return errDamaged
			}
		}
		if err := w.ofRequest(source, &d, &at, indexes); err != nil {
			return err
		}
	}
	return nil
}

// ofRequest looks among the samples of a source for those with some indexes that a request
// brought without UUIDs. What is found is not looked for any more. Where the bound is in the
// month, the range begins there, wherever samples begin.
func (w *search) ofRequest(source *Source, d *derived, at *derivedSource, indexes map[uint32]struct{}) error {
	for _, r := range at.ranges {
		if len(indexes) == 0 {
			return nil
		}
		if r.last < source.since {
			continue
		}
		if source.since > math.MinInt64 && r.number == numberOf(source.since, monthLength) {
			r.first = source.since
		}
		if err := w.scanFor(source, r, d, indexes); err != nil {
			return err
		}
	}
	return nil
}

// scanFor reads through a range for samples of a request.
func (w *search) scanFor(source *Source, r endRange, d *derived, indexes map[uint32]struct{}) error {
	scan, err := source.Scan(r.first, r.last)
	if err != nil {
		return err
	}
	for ok := scan.First(); ok && err == nil && len(indexes) > 0; ok = scan.Next() {
		s := scan.Sample()
		if _, wanted := indexes[s.Index]; wanted && d.brought(s) {
			sample := *s
			w.found = append(w.found, Found{source, &sample})
			delete(indexes, s.Index)
		}
		err = w.spend()
	}
	return errors.Join(err, scan.Close())
}
