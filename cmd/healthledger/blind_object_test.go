package main

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
)

// pickedTypes are those that are granted object by object: the owner picks among the objects
// that both stores have, and the app sees no other but its own.
var pickedTypes = []string{prescription, "userAnnotatedMedication", "medicationDoseEvent"}

func isObjectType(name string) bool { return slices.Contains(pickedTypes, name) }

// everyType names the types of the histories.
func everyType() []string {
	names := slices.Clone(pickedTypes)
	for _, t := range blindTypes {
		names = append(names, t.name)
	}
	return names
}

// importersOnly says whether apps cannot write a type.
func importersOnly(name string) bool {
	return name == "electrocardiogram" || isObjectType(name) && name != prescription
}

// The medications: one that both stores have, and one that only one has.
const (
	takenInBoth = "drug|1"
	takenInOne  = "drug|2"
)

// object draws a prescription, a medication or a dose that starts then.
func (h *history) object(kind string, start time.Time) *pb.Sample {
	r := h.r
	concept := rapid.SampledFrom([]string{takenInBoth, takenInOne}).Draw(r, "concept")
	s := &pb.Sample{Type: kind, Source: &pb.Source{Name: rapid.SampledFrom(sourceNames).Draw(r, "source")}}
	switch kind {
	case prescription:
		s.Object = lenses(rapid.IntRange(0, 20).Draw(r, "lenses")).GetObject()
	case "userAnnotatedMedication":
		start = time.Unix(0, 0)
		s.Object = &pb.Sample_Medication{Medication: &pb.Medication{Concept: concept, Name: rapid.SampledFrom([]string{"Ironol", "Restol"}).Draw(r, "name")}}
	case "medicationDoseEvent":
		s.Object = &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: &pb.MedicationDoseEvent{Medication: concept, Status: "taken", Schedule: "asNeeded"}}
	}
	s.Start, s.End = timestamppb.New(start), timestamppb.New(start)
	return s
}

// isInBoth says whether both stores get an object that somebody else saves.
func (h *history) isInBoth(s *pb.Sample) bool {
	return h.pickable[s.GetUuid()] || s.GetMedication().GetConcept() == takenInBoth || s.GetMedicationDoseEvent().GetMedication() == takenInBoth
}

// ownerPicks decides which objects the app sees, the same in both stores. What he decides in
// one about objects that the other does not have, is nothing to the app.
func (h *history) ownerPicks() {
	name, only := rapid.SampledFrom(pickedTypes[:2]).Draw(h.r, "type"), -1
	req := &pb.DecideObjectsRequest{BundleId: blindApp, Type: name}
	of, names := h.seen[name], &req.Granted
	switch rapid.IntRange(0, 6).Draw(h.r, "picks") {
	case 0:
		names = &req.Revoked
	case 1:
		req.RevokeAll = true
	case 2:
		req.Own = rapid.SampledFrom([]pb.OwnObjects{pb.OwnObjects_OWN_OBJECTS_HIDDEN, pb.OwnObjects_OWN_OBJECTS_READABLE}).Draw(h.r, "own")
	case 3:
		of, req.BundleId, only = h.hidden[name], otherApp, rapid.IntRange(0, 1).Draw(h.r, "only in one")
	case 4:
		of, names, only = h.hidden[name], &req.Revoked, rapid.IntRange(0, 1).Draw(h.r, "only in one")
	}
	ids := h.someOf(of)
	revokes := names == &req.Revoked
	h.r.Logf("the owner picks, in one only: %d, %v of %v", only, req, ids)
	h.each(func(i int, w *twin) {
		if only >= 0 && i != only {
			return
		}
		d := &pb.DecideObjectsRequest{BundleId: req.GetBundleId(), Type: name, RevokeAll: req.GetRevokeAll(), Own: req.GetOwn()}
		if len(ids) > 0 && revokes {
			d.Revoked = w.objects(name, ids...)
		} else if len(ids) > 0 {
			d.Granted = w.objects(name, ids...)
		}
		w.decideObjects(d)
	})
}

// someOf are the UUIDs of some that are not the app's too.
func (h *history) someOf(all []pair) (ids []string) {
	for _, p := range all {
		if !slices.Contains(h.colliding, p.texts[0]) && rapid.Bool().Draw(h.r, "this one") {
			ids = append(ids, p.texts[0])
		}
	}
	return ids
}

// othersDeleteObjects takes back prescriptions that the app may see, or such that it may not
// where they are.
func (h *history) othersDeleteObjects() {
	of, only := h.seen[prescription], -1
	if rapid.Bool().Draw(h.r, "hidden") {
		of, only = h.hidden[prescription], rapid.IntRange(-1, 1).Draw(h.r, "only in one")
	}
	of = slices.DeleteFunc(slices.Clone(of), func(p pair) bool { return p.of != otherApp })
	if ids := h.someOf(of); len(ids) > 0 {
		h.deleteOthers(&pb.Deletion{Type: prescription, Uuids: ids}, only)
	}
}

// pickObjects lets the app see an object of each kind, and asks as if it did not know.
func (h *history) pickObjects() {
	for _, kind := range pickedTypes {
		s := h.object(kind, h.drawTime())
		if s.Uuid = h.newID(); kind == prescription {
			h.pickable[s.GetUuid()] = true
		}
		if d := s.GetMedicationDoseEvent(); d != nil {
			d.Medication = takenInBoth
		}
		if m := s.GetMedication(); m != nil {
			m.Concept = takenInBoth
		}
		h.save(0, ledger.ImporterID, []*pb.Sample{s})
		if kind == "medicationDoseEvent" {
			continue
		}
		h.each(func(_ int, w *twin) {
			names := w.objects(kind, s.GetUuid())
			if kind != prescription { // another of the concept may have come before
				names = slices.DeleteFunc(w.objects(kind), func(n *pb.ObjectName) bool { return string(n.GetName()) != takenInBoth })
			}
			w.decideObjects(&pb.DecideObjectsRequest{BundleId: blindApp, Type: kind, Granted: names})
		})
		h.tell("RequestObjectAuthorization", &pb.RequestObjectAuthorizationRequest{Type: kind})
	}
	for _, kind := range pickedTypes {
		req := &pb.QuerySamplesRequest{Types: []string{kind}}
		a, _, err := h.call(wires[0], healthMethod("QuerySamples"), req, nil, req)
		if err == nil && (a == nil || len(a.Interface().(*pb.QuerySamplesResponse).GetSamples()) == 0) {
			err = fmt.Errorf("nothing of what was picked is seen")
		}
		if err != nil {
			h.r.Fatalf("%s: %v", kind, err)
		}
	}
}
