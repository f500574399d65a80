package erase

import (
	"fmt"
	"slices"

	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// selection says which rows deletions of the owner name: as they would have deleted them.
type selection struct {
	fates *view.Fates
	// whole name all of some types, timed what was at some time.
	whole, timed []*pb.DeletedSamples
	// ids are UUIDs with those whose samples they name, who are all in named.
	ids      map[[16]byte][]whose
	named    []whose
	prefixes map[[12]byte]struct{}

	// deriver is that of the request and type looked at last, nil: no UUID that is looked for
	// can be of it.
	deriver *health.Deriver
	of      derivation
}

// whose says of which app and type samples are; 0: of any.
type whose struct {
	app      uint64
	typeCode uint32
}

func whoseOf(d *pb.DeletedSamples) whose { return whose{d.GetApp(), d.GetType()} }

func (w whose) holds(app uint64, typeCode uint32) bool {
	return (w.app == 0 || w.app == app) && (w.typeCode == 0 || w.typeCode == typeCode)
}

type derivation struct {
	app      uint64
	request  [16]byte
	typeCode uint32
}

func newSelection(deletions []*pb.DeletedSamples, fates *view.Fates) (*selection, error) {
	s := &selection{fates: fates, ids: map[[16]byte][]whose{}, prefixes: map[[12]byte]struct{}{}}
	for _, d := range deletions {
		switch {
		case d.GetAllTypes() != (d.GetType() == 0):
			return nil, fmt.Errorf("a deletion of no type")
		case len(d.GetUuids()) > 0:
			if err := s.addUUIDs(d); err != nil {
				return nil, err
			}
		case d.From == nil && d.To == nil && d.EndedBefore == nil:
			s.whole = append(s.whole, d)
		default:
			s.timed = append(s.timed, d)
		}
	}
	return s, nil
}

func (s *selection) addUUIDs(d *pb.DeletedSamples) error {
	w := whoseOf(d)
	if !slices.Contains(s.named, w) {
		s.named = append(s.named, w)
	}
	for _, id := range d.GetUuids() {
		if len(id) != 16 {
			return fmt.Errorf("a UUID of %d bytes", len(id))
		}
		s.ids[[16]byte(id)] = append(s.ids[[16]byte(id)], w)
		s.prefixes[[12]byte(id)] = struct{}{}
	}
	return nil
}

// concern says whether deletions can name samples of an app and type.
func concern(all []*pb.DeletedSamples, app uint64, typeCode uint32) bool {
	return slices.ContainsFunc(all, func(d *pb.DeletedSamples) bool { return whoseOf(d).holds(app, typeCode) })
}

// isPossible says whether any sample of an app and type can be named.
func (s *selection) isPossible(app uint64, typeCode uint32) bool {
	return s.byUUID(app, typeCode) || concern(s.whole, app, typeCode) || concern(s.timed, app, typeCode)
}

// isPartial says whether some samples of an app and type can be named, and others not.
func (s *selection) isPartial(app uint64, typeCode uint32) bool {
	return !concern(s.whole, app, typeCode) && (s.byUUID(app, typeCode) || concern(s.timed, app, typeCode))
}

// byUUID says whether samples of an app and type are named by UUID.
func (s *selection) byUUID(app uint64, typeCode uint32) bool {
	return slices.ContainsFunc(s.named, func(w whose) bool { return w.holds(app, typeCode) })
}

// byTime says whether a row is named for when it was, or with all of its type.
func (s *selection) byTime(row *view.Row) bool {
	return concern(s.whole, row.App, row.Type) || slices.ContainsFunc(s.timed, func(d *pb.DeletedSamples) bool {
		return whoseOf(d).holds(row.App, row.Type) && view.Names(d, row.Start, row.End)
	})
}

// holds says whether a row is named.
func (s *selection) holds(row *view.Row) bool {
	if s.byTime(row) {
		return true
	}
	if !s.byUUID(row.App, row.Type) {
		return false
	}
	id, ok := s.uuid(row)
	return ok && slices.ContainsFunc(s.ids[id], func(w whose) bool { return w.holds(row.App, row.Type) })
}

// uuid returns the UUID of a row, false if it is not one that is looked for.
func (s *selection) uuid(row *view.Row) ([16]byte, bool) {
	if row.HasUUID {
		return row.UUID, true
	}
	if of := (derivation{row.App, row.Request, row.Type}); s.of != of {
		d := s.fates.Deriver(of.app, of.request, of.typeCode)
		s.deriver, s.of = nil, of
		if _, ok := s.prefixes[d.Prefix()]; ok {
			s.deriver = &d
		}
	}
	if s.deriver == nil {
		return [16]byte{}, false
	}
	return s.deriver.UUID(row.Index), true
}

// isEverything says whether all that an app has saved is named, for all time.
func (s *selection) isEverything(app uint64) bool {
	return slices.ContainsFunc(s.whole, func(d *pb.DeletedSamples) bool { return d.GetAllTypes() && whoseOf(d).holds(app, 0) })
}
