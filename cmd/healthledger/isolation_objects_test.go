package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

const prescription = "visionPrescription"

// lenses are a prescription; which tells it apart.
func lenses(which int) *pb.Sample {
	start := timestamppb.New(time.Date(2024, 3, 1, 0, which, 0, 0, time.UTC))
	return &pb.Sample{
		Type: prescription, Uuid: fmt.Sprintf("6ba7b810-9dad-41d1-80b4-00c04fd5%04x", which), Start: start, End: start,
		Object: &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{
			Type: "glasses", RightEye: &pb.LensSpecification{Sphere: &pb.Quantity{Value: float64(which) / 4, Unit: "D"}},
		}},
	}
}

// What is granted object by object and was not granted is as if it were not there, to every
// read there is and to the request for it, whatever was decided before.
func TestObjectsThatAreNotGrantedEqualAnEmptyStore(t *testing.T) {
	h := &history{house: newHouse(t), names: newNames(), answered: map[string]int{}, failed: map[string]int{}}
	defer h.close()
	share := []*pb.ShareGrant{{Type: typeCodeOf(prescription), Allowed: true}}
	h.both(func(i int, w **twin) {
		*w = h.house.newTwin(t)
		for _, app := range []string{blindApp, otherApp} {
			(*w).addApp(app)
			(*w).decide(&pb.DecideRequest{BundleId: app, Shares: share})
		}
		(*w).connect()
		(*w).unlock()
		(*w).ready()
	})
	first, foreign := h.twins[0], lenses(5)
	var many []*pb.Sample
	for i := range 300 {
		many = append(many, lenses(i))
	}
	first.save(otherApp, 1, many...)
	want := func(what string, seen int, differ ...string) {
		t.Helper()
		if got := h.differing(t); !slices.Equal(got, differ) {
			t.Errorf("%s: %v differ, want %v", what, got, differ)
		}
		if n := first.prescriptions(t); n != seen {
			t.Errorf("%s: %d prescriptions are seen, want %d", what, n, seen)
		}
	}
	decide := func(w *twin, req *pb.DecideObjectsRequest) {
		req.BundleId, req.Type = blindApp, prescription
		w.decideObjects(req)
	}
	want("others'", 0)
	h.each(func(_ int, w *twin) { w.save(blindApp, 2, lenses(1000), lenses(1001)) })
	want("its own", 2)

	names := first.objects(prescription, foreign.GetUuid())
	decide(first, &pb.DecideObjectsRequest{Granted: names})
	want("granted", 3, "QueryChanges", "QuerySamples", "QuerySources")
	decide(first, &pb.DecideObjectsRequest{RevokeAll: true})
	want("revoked", 2)
	h.each(func(_ int, w *twin) { decide(w, &pb.DecideObjectsRequest{Own: pb.OwnObjects_OWN_OBJECTS_HIDDEN}) })
	want("its own hidden", 0)
	decide(first, &pb.DecideObjectsRequest{Granted: names})
	first.deletePrescription(foreign)
	want("deleted while it was granted", 0)
}

// differing are the methods of which an answer differs between the stores. Changes are
// asked for from the beginning and on from there.
func (h *history) differing(t *testing.T) (methods []string) {
	note := func(method string, w *wire, bodies [2][]byte) (a, b *pb.QueryChangesResponse) {
		of := typeOf(healthMethod("QuerySamples").Output())
		if m := healthMethod(method); m != nil {
			of = typeOf(m.Output())
		}
		x, y, err := h.send(w, method, bodies, of, nil)
		if err != nil && !slices.Contains(methods, method) {
			methods = append(methods, method)
		}
		if x == nil || y == nil {
			return nil, nil
		}
		a, _ = x.Interface().(*pb.QueryChangesResponse)
		b, _ = y.Interface().(*pb.QueryChangesResponse)
		return a, b
	}
	for _, m := range reads(t, prescription, "AAAA") {
		if m.Subject == "GetRequestStatus" || m.Subject == "QueryOutcome" {
			continue // of types that are granted as a whole, and of the app's own saves
		}
		w := &wire{name: "NATS", send: overNATS, contentType: m.Header.Get("Content-Type"), json: m.Header.Get("Content-Type") == "application/json"}
		a, b := note(m.Subject, w, [2][]byte{m.Data, m.Data})
		if a == nil || b == nil || w.json {
			continue
		}
		var then [2][]byte
		for i, anchor := range []string{a.GetAnchor(), b.GetAnchor()} {
			then[i] = encoded(t, &pb.QueryChangesRequest{Type: prescription, Anchor: anchor})
		}
		note("QueryChanges", w, then)
	}
	for _, limit := range []uint32{0, 7} {
		asked := encoded(t, &pb.RequestObjectAuthorizationRequest{Type: prescription, Limit: limit})
		note("RequestObjectAuthorization", wires[0], [2][]byte{asked, asked})
	}
	slices.Sort(methods)
	return methods
}

// prescriptions counts those that the app sees.
func (w *twin) prescriptions(t *testing.T) int {
	var seen *pb.QuerySamplesResponse
	w.as(blindApp, func(ctx context.Context, c *client.Client) (err error) {
		seen, err = c.Health().QuerySamples(ctx, &pb.QuerySamplesRequest{Types: []string{prescription}})
		return err
	})
	return len(seen.GetSamples())
}

func (w *twin) deletePrescription(s *pb.Sample) {
	w.as(otherApp, func(ctx context.Context, c *client.Client) error {
		_, err := c.Delete(ctx, &pb.DeleteRequest{RequestId: bytes.Repeat([]byte{7}, 16), Deletions: []*pb.Deletion{{Type: s.GetType(), Uuids: []string{s.GetUuid()}}}})
		return err
	})
}

// objects are the names under which the owner finds those with UUIDs, or all.
func (w *twin) objects(typeName string, uuids ...string) (names []*pb.ObjectName) {
	ctx, cancel := soon(w.t)
	defer cancel()
	req := &pb.ListObjectsRequest{BundleId: blindApp, Type: typeName}
	if len(uuids) > 0 {
		req.Predicate = &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: uuids}}}
	}
	list := must[*pb.ListObjectsResponse](w.t)(w.owner.Owner().ListObjects(ctx, req))
	for _, o := range list.GetObjects() {
		names = append(names, proto.CloneOf(o.GetName()))
	}
	return names
}

func (w *twin) decideObjects(req *pb.DecideObjectsRequest) {
	ctx, cancel := soon(w.t)
	defer cancel()
	must[*pb.DecideObjectsResponse](w.t)(w.owner.Owner().DecideObjects(ctx, req))
}
