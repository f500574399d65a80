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
	"healthledger/proto/health"
)

// ByUUID returns the sample of a type that has this UUID in the answers to the scope, and
// its source. Of an UUID that several apps gave, it is that of the app registered first.
// See AllByUUID.
func (s *Snapshot) ByUUID(scope authz.Scope, typeCode uint32, id [16]byte) (*Source, *Sample, bool, error) {
	all, err := s.AllByUUID(scope, typeCode, id)
	if err != nil || len(all) == 0 {
		return nil, nil, false, err
	}
	return all[0].Source, all[0].Sample, true, nil
}

// Found is a sample with its source.
type Found struct {
	Source *Source
	Sample *Sample
}

// AllByUUID returns the samples of a type that have this UUID in the answers to the scope,
// those of an app registered earlier first: apps, and what an importer brought of several,
// may give the same ones. A correlation may come by way of several of its types. What is
// looked up depends on nothing that the scope may not see: a row that names a place there
// is not followed. A UUID that was derived costs the samples of the source that end among
// those of its segment.
func (s *Snapshot) AllByUUID(scope authz.Scope, typeCode uint32, id [16]byte) ([]Found, error) {
	var all []Found
	sources := s.ofType(scope, typeCode)
	for len(sources) > 0 {
		n := 1
		for n < len(sources) && sources[n].App() == sources[0].App() {
			n++
		}
		own, err := s.byOwnUUID(sources[:n], id)
		if err == nil {
			all = append(all, own...)
			own, err = s.byDerivedUUID(sources[:n], typeCode, id)
		}
		if err != nil {
			return nil, fmt.Errorf("find a sample by UUID: %w", s.view.damage(err))
		}
		all = append(all, own...)
		sources = sources[n:]
	}
	return all, nil
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

// byOwnUUID looks for the objects of an app that brought the UUID.
func (s *Snapshot) byOwnUUID(sources []Source, id [16]byte) (all []Found, err error) {
	var tried [][16]byte
	for i := range sources {
		own := sources[i].entry.origin.ownUUID(id)
		if slices.Contains(tried, own) {
			continue
		}
		tried = append(tried, own)
		value, err := s.get(appendObjectKey(nil, familyUUID, sources[i].App(), &own))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows, ok := readObjectRows(value)
		if !ok {
			return nil, errDamaged
		}
		for _, row := range rows {
			source := find(sources, row.Type, row.Source)
			if source == nil || row.memberEnd < source.since {
				continue
			}
			sample, err := source.at(row.Place)
			if err != nil {
				return nil, err
			}
			if sample != nil {
				all = append(all, Found{source, sample})
				break
			}
		}
	}
	return all, nil
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

// byDerivedUUID looks for the samples of an app whose UUID was derived from their request.
func (s *Snapshot) byDerivedUUID(sources []Source, typeCode uint32, id [16]byte) (all []Found, err error) {
	var tried []uint32
	for i := range sources {
		code := sources[i].typeCode
		if slices.Contains(tried, code) {
			continue
		}
		tried = append(tried, code)
		value, err := s.get(appendDerivedKey(nil, sources[i].App(), code, [12]byte(id[:])))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d, ok := readDerived(value)
		if !ok {
			return nil, errDamaged
		}
		for _, at := range d.sources {
			source := find(sources, code, at.id)
			if source == nil || at.end < source.since {
				continue
			}
			sample, err := source.derived(typeCode, &d, id)
			if err != nil {
				return nil, err
			}
			if sample != nil {
				all = append(all, Found{source, sample})
				break
			}
		}
	}
	return all, nil
}

// derived looks for a sample among those that a request brought without UUIDs.
func (s *Source) derived(typeCode uint32, d *derived, id [16]byte) (*Sample, error) {
	row, err := s.snapshot.get(appendEventKey(nil, d.sequence, d.event))
	if err != nil {
		return nil, err
	}
	request, app, _, ok := readEvent(row)
	if !ok {
		return nil, errDamaged
	}
	deriver := health.NewDeriver(request, app, typeCode)
	index, ok := deriver.Index(id)
	if !ok {
		return nil, nil
	}
	for _, number := range s.months() {
		value, err := s.snapshot.get(appendChangeKey(nil, s.typeCode, s.entry.origin.id, number, d.sequence))
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, ok := readChange(number, value)
		if !ok {
			return nil, errDamaged
		}
		if sample, err := s.scanFor(s.clamp(c), d.sequence, d.event, index); err != nil || sample != nil {
			return sample, err
		}
	}
	return nil, nil
}

// scanFor reads through a range for the sample that stands at a place in the log and has
// no UUID of its own.
func (s *Source) scanFor(c changeRange, sequence uint64, event, index uint32) (found *Sample, err error) {
	if c.first > c.last {
		return nil, nil
	}
	scan, err := s.Scan(c.first, c.last)
	if err != nil {
		return nil, err
	}
	for ok := scan.First(); ok; ok = scan.Next() {
		p := scan.Sample()
		if p.Sequence == sequence && p.Event == event && p.Index == index && !p.HasUUID {
			sample := *p
			found = &sample
			break
		}
	}
	return found, scan.Close()
}

// months returns the months in which visible samples can end. That of the bound is among
// them whatever is in it, so that what is before the bound changes nothing.
func (s *Source) months() []int32 {
	var numbers []int32
	bound := int64(math.MinInt64)
	if s.since > math.MinInt64 {
		bound = int64(monthOf(s.since))
		numbers = append(numbers, int32(bound))
	}
	for _, m := range s.entry.months {
		if int64(m.number) > bound {
			numbers = append(numbers, m.number)
		}
	}
	return numbers
}

// clamp takes from a range what may not be seen. Where the bound is in the month, the range
// begins there, wherever samples begin.
func (s *Source) clamp(c changeRange) changeRange {
	if s.since > math.MinInt64 && monthOf(s.since) == c.month {
		c.first = s.since
	}
	return c
}
