package projector

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz/authztest"
	pb "healthledger/proto/healthledger/v1"
)

// picking is a store in which an app is granted single objects that an import brought.
type picking struct {
	*asker
	random   *rand.Rand
	requests uint64
	saved    []*pb.Sample
}

var pickedTypes = []string{"visionPrescription", "userAnnotatedMedication", "medicationDoseEvent"}

// granted is the type through which another is granted.
func granted(name string) string {
	if name == "medicationDoseEvent" {
		return "userAnnotatedMedication"
	}
	return name
}

func (p *picking) request() []byte {
	p.requests++
	return binary.BigEndian.AppendUint64(make([]byte, 8), p.requests)
}

// object draws one of few, so that they meet again.
func (p *picking) object() *pb.Sample {
	n := p.random.IntN(4)
	s := &pb.Sample{Type: pickedTypes[p.random.IntN(len(pickedTypes))], Source: &pb.Source{Name: []string{"Watch", "Diary"}[p.random.IntN(2)]}}
	start := time.Date(2024, 5, 1, p.random.IntN(3), 0, 0, 0, time.UTC)
	concept := fmt.Sprint("drug|", n)
	switch s.GetType() {
	case "visionPrescription":
		s.Object = &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{Type: "contacts", Brand: concept}}
	case "userAnnotatedMedication":
		start = time.Unix(0, 0)
		s.Object = &pb.Sample_Medication{Medication: &pb.Medication{Concept: concept, Name: fmt.Sprint(p.random.IntN(2))}}
	default:
		s.Object = &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: &pb.MedicationDoseEvent{Medication: concept, Status: "taken", Schedule: "asNeeded"}}
	}
	if p.random.IntN(2) == 0 {
		s.Uuid = fmt.Sprintf("6ba7b810-9dad-41d1-80b4-00c04fd5%02x%02x", slices.Index(pickedTypes, s.GetType()), p.random.IntN(6))
	}
	s.Start, s.End = timestamppb.New(start), timestamppb.New(start)
	return s
}

// list is what the owner is shown of a type.
func (p *picking) list(name string) []*pb.StoredObject {
	p.t.Helper()
	return readAs[pb.ListObjectsResponse](p.asker, 0, &pb.ReadRequest{Query: &pb.ReadRequest_Objects{Objects: &pb.ListObjectsRequest{BundleId: p.id, Type: name}}}).GetObjects()
}

// readAs asks a projector when it knows the whole log.
func readAs[A any, M interface {
	*A
	proto.Message
}](a *asker, app uint64, req *pb.ReadRequest) M {
	a.t.Helper()
	req.Reader = &pb.Reader{App: app}
	req.Sequence, _, _ = a.h.store.Head()
	resp, err := a.s.Read(a.t.Context(), req)
	if err != nil {
		a.t.Fatal(err)
	}
	m := M(new(A))
	if err := proto.Unmarshal(resp.GetAnswer(), m); err != nil {
		a.t.Fatal(err)
	}
	return m
}

func (p *picking) step() {
	p.t.Helper()
	fail := func(_ any, err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	name := pickedTypes[p.random.IntN(2)]
	switch p.random.IntN(7) {
	case 0, 1:
		req := &pb.SaveRequest{RequestId: p.request()}
		for range 1 + p.random.IntN(3) {
			req.Samples = append(req.Samples, p.object())
		}
		fail(p.h.store.Save(p.t.Context(), p.h.app, req))
		p.saved = append(p.saved, req.GetSamples()...)
	case 2:
		d := &pb.Deletion{Type: pickedTypes[p.random.IntN(len(pickedTypes))], From: timestamppb.New(time.Date(2024, 5, 1, p.random.IntN(4), 0, 0, 0, time.UTC))}
		fail(p.h.store.Delete(p.t.Context(), p.h.app, &pb.DeleteRequest{RequestId: p.request(), Deletions: []*pb.Deletion{d}}))
	case 3:
		if len(p.saved) > 0 && p.random.IntN(2) == 0 {
			s := p.saved[p.random.IntN(len(p.saved))]
			from := s.GetStart().AsTime().UnixMicro()
			p.h.decide(p.t, p.s, deletesSamples(&pb.DeletedSamples{Type: codeOf(p.t, s.GetType()), From: &from}))
		}
	case 4:
		req := &pb.RequestObjectAuthorizationRequest{Type: name, Limit: uint32(p.random.IntN(3))}
		fail(p.h.store.RequestObjectAuthorization(p.t.Context(), p.app, req))
	default:
		p.decidesObjects(name)
	}
}

func (p *picking) decidesObjects(name string) {
	p.t.Helper()
	d := &pb.DecideObjectsRequest{BundleId: p.id, Type: name, RevokeAll: p.random.IntN(6) == 0, Own: pb.OwnObjects(p.random.IntN(3))}
	for _, o := range p.list(name) {
		switch p.random.IntN(3) {
		case 0:
			d.Granted = append(d.Granted, o.GetName())
		case 1:
			d.Revoked = append(d.Revoked, o.GetName())
		}
	}
	p.h.decide(p.t, p.s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_DecideObjects{DecideObjects: d}})
}

// seen is what the owner and the app are told.
func (p *picking) seen() string {
	p.t.Helper()
	var text strings.Builder
	say := func(m proto.Message) {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&text, "%x\n", b)
	}
	for _, name := range pickedTypes {
		for _, app := range []uint64{0, p.app.Number, p.h.app.Number} {
			say(readAs[pb.QuerySamplesResponse](p.asker, app, &pb.ReadRequest{Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{name}}}}))
			say(readAs[pb.QuerySourcesResponse](p.asker, app, &pb.ReadRequest{Query: &pb.ReadRequest_Sources{Sources: &pb.QuerySourcesRequest{Type: name}}}))
			changes := readAs[pb.QueryChangesResponse](p.asker, app, &pb.ReadRequest{Query: &pb.ReadRequest_Changes{Changes: &pb.QueryChangesRequest{Type: name}}})
			changes.Anchor = ""
			say(changes)
		}
		if granted(name) == name {
			for _, o := range p.list(name) {
				say(o)
			}
		}
	}
	sequence, _, _ := p.h.store.Head()
	requests, err := p.s.ReadRequests(p.t.Context(), &pb.ReadRequestsRequest{Sequence: sequence})
	if err != nil {
		p.t.Fatal(err)
	}
	say(requests)
	apps, err := p.s.ReadApps(p.t.Context(), &pb.ReadAppsRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	say(apps)
	return text.String()
}

// Whatever was saved, deleted, asked for and decided, in whatever order: a projector that
// reads the log from its start shows the owner and the app the same, down to what is pending.
func TestObjectsAreTheSameRebuilt(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := &picking{asker: newAsker(t, h, s, authztest.Manifest("org.example.picks")), random: rand.New(rand.NewPCG(seed, 0))}
	picked := false
	// Until the app was let see something, which is a matter of luck.
	for round := 0; round < 4 || !picked && round < 50; round++ {
		for range 15 {
			p.step()
		}
		want := p.seen()
		picked = picked || slices.ContainsFunc(pickedTypes, func(name string) bool {
			return len(readAs[pb.QuerySamplesResponse](p.asker, p.app.Number, &pb.ReadRequest{Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{name}}}}).GetSamples()) > 0
		})
		payloads := h.payloads(t)
		p.s = open(t, h.config(t, h.server, h.folder(t)), payloads)
		waitReady(t, p.s, payloads)
		if got := p.seen(); got != want {
			t.Fatalf("round %d: rebuilt\n%s\nnot\n%s", round, got, want)
		}
		p.s = s
	}
	if !picked {
		t.Error("the app never saw anything")
	}
}
