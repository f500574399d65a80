package query

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/authz/statetest"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// perObject are the types that are granted object by object, with the one that is granted.
var perObject = map[string]string{
	"visionPrescription": "visionPrescription", "userAnnotatedMedication": "userAnnotatedMedication", "medicationDoseEvent": "userAnnotatedMedication",
}

var perObjectNames = []string{"visionPrescription", "userAnnotatedMedication", "medicationDoseEvent"}

// decide adds a decision about an app's objects.
func decide(t testing.TB, state *authz.State, d *pb.ObjectsDecided) {
	t.Helper()
	statetest.Decide(t, state, &pb.Decision{}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ObjectsDecided{ObjectsDecided: d}})
}

// grantable is an object that is saved, deleted, granted and revoked.
type grantable struct {
	app      uint64
	typeName string
	which    byte
	// hidden ones are never granted to bert.
	hidden bool
}

// uuid tells it apart; a dose has another than its medication.
func (g grantable) uuid() uuid.UUID {
	return uuid.UUID{byte(g.app), byte(slices.Index(perObjectNames, g.typeName) + 1), 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, g.which}
}

func (g grantable) concept() string { return string(rune('a' + g.which)) }

func (g grantable) name() *pb.ObjectName {
	if g.typeName == "visionPrescription" {
		id := g.uuid()
		return &pb.ObjectName{App: g.app, Name: id[:]}
	}
	return &pb.ObjectName{App: g.app, Name: []byte(g.concept())}
}

func (g grantable) sample(start int64) *pb.Sample {
	s := &pb.Sample{Type: g.typeName, Uuid: g.uuid().String(), Start: health.Timestamp(start), End: health.Timestamp(start), Source: &pb.Source{Name: "watch"}}
	switch g.typeName {
	case "visionPrescription":
		s.Object = &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{
			Type: "contacts", Brand: g.concept(), Attachments: []*pb.Attachment{{Identifier: "a", Size: 3}},
		}}
		s.Payload = []*pb.Chunk{{Data: []byte("pdf")}}
	case "userAnnotatedMedication":
		s.Start, s.End = health.Timestamp(0), health.Timestamp(0)
		s.Object = &pb.Sample_Medication{Medication: &pb.Medication{Concept: g.concept(), Name: g.concept()}}
	case "medicationDoseEvent":
		s.Object = &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: &pb.MedicationDoseEvent{Medication: g.concept(), Status: "taken"}}
	}
	return s
}

func drawGrantable(r *rapid.T) grantable {
	g := grantable{
		app: rapid.SampledFrom([]uint64{anna, anna, bert, carl}).Draw(r, "app"), typeName: rapid.SampledFrom(perObjectNames).Draw(r, "type"),
		which: rapid.ByteRange(0, 5).Draw(r, "which"),
	}
	g.hidden = g.app != bert && g.which >= 3
	return g
}

// learner is an app that keeps what an anchor tells it.
type learner struct {
	anchor string
	known  map[string]bool
}

func (f *learner) follow(t testing.TB, s *store, scope authz.Scope, name string) (answers []*pb.QueryChangesResponse) {
	for {
		a, err := s.engine.Changes(context.Background(), scope, &pb.QueryChangesRequest{Type: name, Anchor: f.anchor, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range a.GetSamples() {
			f.known[sample.GetUuid()] = true
		}
		for _, d := range a.GetDeleted() {
			delete(f.known, d.GetUuid())
		}
		f.anchor = a.GetAnchor()
		answers = append(answers, a)
		if !a.GetMore() {
			return answers
		}
	}
}

// grantPair are two stores that differ only in objects that bert never may read.
type grantPair struct {
	full, bare *store
	state      *authz.State
	alive      map[grantable]bool
	granted    map[grantable]bool
	hidden     map[string]bool // what bert's own is hidden of, by granted type
	followers  map[*store]map[string]*learner
}

func newGrantPair(t testing.TB) *grantPair {
	p := &grantPair{
		full: newStore(t), bare: newStore(t), state: grants(t, nil), alive: map[grantable]bool{}, granted: map[grantable]bool{}, hidden: map[string]bool{},
		followers: map[*store]map[string]*learner{},
	}
	for _, s := range []*store{p.full, p.bare} {
		p.followers[s] = map[string]*learner{}
		for _, name := range perObjectNames {
			p.followers[s][name] = &learner{known: map[string]bool{}}
			s.sequence++
			s.applyEvent(t, &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{App: bert, Type: code(name), Frequency: pb.Frequency_FREQUENCY_IMMEDIATE}}})
		}
	}
	return p
}

// step saves or deletes an object, or decides about one.
func (p *grantPair) step(r *rapid.T, t testing.TB) {
	g := drawGrantable(r)
	start := base + rapid.Int64Range(0, 3).Draw(r, "start")*second
	switch what := rapid.IntRange(0, 6).Draw(r, "what"); {
	case what <= 2:
		p.apply(t, g, func(s *store) { s.saveSamples(t, g.app, 0, g.sample(start)) })
		if _, known := p.alive[g]; !known { // a UUID that was deleted does not come back
			p.alive[g] = true
		}
	case what == 3 && p.alive[g]:
		id := g.uuid()
		p.apply(t, g, func(s *store) {
			s.sequence++
			s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
				App: g.app, RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), s.sequence), Deletions: []*pb.DeletedSamples{{Type: code(g.typeName), Uuids: [][]byte{id[:]}}},
			}}})
		})
		p.alive[g] = false
	case what == 4:
		hide := rapid.Bool().Draw(r, "hide")
		p.hidden[perObject[g.typeName]] = hide
		own := map[bool]pb.OwnObjects{false: pb.OwnObjects_OWN_OBJECTS_READABLE, true: pb.OwnObjects_OWN_OBJECTS_HIDDEN}
		decide(t, p.state, &pb.ObjectsDecided{App: bert, Type: code(perObject[g.typeName]), Own: own[hide]})
	case g.hidden:
		// Others are granted it, which is nothing to bert.
		decide(t, p.state, &pb.ObjectsDecided{App: carl, Type: code(perObject[g.typeName]), Granted: []*pb.ObjectName{g.name()}})
	default:
		d := &pb.ObjectsDecided{App: bert, Type: code(perObject[g.typeName])}
		if d.Revoked = []*pb.ObjectName{g.name()}; what == 5 {
			d.Granted, d.Revoked = d.Revoked, nil
		}
		decide(t, p.state, d)
		for _, name := range perObjectNames {
			if perObject[name] == perObject[g.typeName] {
				p.granted[grantable{g.app, name, g.which, g.hidden}] = what == 5
			}
		}
	}
}

// apply changes both stores, or with what bert never sees the one and the other's cursor.
func (p *grantPair) apply(t testing.TB, g grantable, change func(*store)) {
	change(p.full)
	if !g.hidden {
		change(p.bare)
		return
	}
	p.bare.sequence++
	p.bare.applyEvent(t, nothing())
}

func (p *grantPair) visible(g grantable) bool {
	return p.granted[g] || g.app == bert && !p.hidden[perObject[g.typeName]]
}

// compare asks both stores whatever bert can ask, and wants of the samples that they are
// those that it may read.
func (p *grantPair) compare(r *rapid.T, t testing.TB) {
	scope := p.state.Scope(bert)
	for _, name := range perObjectNames {
		req := &pb.QuerySamplesRequest{Types: []string{name}}
		if rapid.IntRange(0, 3).Draw(r, "by UUID") == 0 {
			g := drawGrantable(r)
			req.Predicate = &pb.Predicate{Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: []string{g.uuid().String()}}}}
		}
		x, errX := p.full.engine.Samples(context.Background(), scope, req)
		y, errY := p.bare.engine.Samples(context.Background(), scope, req)
		if errX != nil || errY != nil {
			r.Fatal(errX, errY)
		}
		compareAnswers(r, lengths(x), lengths(y))
		comparePayloads(r, p.full, p.bare, x, y, scope)
		if req.Predicate == nil {
			p.check(r, name, x)
		}
		v, errV := p.full.engine.Sources(context.Background(), scope, &pb.QuerySourcesRequest{Type: name})
		w, errW := p.bare.engine.Sources(context.Background(), scope, &pb.QuerySourcesRequest{Type: name})
		if errV != nil || errW != nil || (len(v.GetSources()) > 0) != (req.Predicate != nil || len(x.GetSamples()) > 0) && req.Predicate == nil {
			r.Fatal(errV, errW, v)
		}
		compareAnswers(r, v, w)
		p.compareChanges(r, t, scope, name)
	}
	due, _ := p.full.due(t, scope, base)
	bareDue, _ := p.bare.due(t, scope, base)
	compareAnswers(r, &pb.DueResponse{Updates: due}, &pb.DueResponse{Updates: bareDue})
}

func (p *grantPair) check(r *rapid.T, name string, answer *pb.QuerySamplesResponse) {
	var want, got []string
	for g, alive := range p.alive {
		if alive && g.typeName == name && p.visible(g) {
			want = append(want, g.uuid().String())
		}
	}
	for _, s := range answer.GetSamples() {
		got = append(got, s.GetUuid())
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("%s: %s", name, diff)
	}
}

// compareChanges wants that an app that follows knows what it may read, whenever it was
// granted, and hears of nothing else; of what was revoked it keeps what it has.
func (p *grantPair) compareChanges(r *rapid.T, t testing.TB, scope authz.Scope, name string) {
	f := p.followers[p.full][name]
	x, y := f.follow(t, p.full, scope, name), p.followers[p.bare][name].follow(t, p.bare, scope, name)
	if len(x) != len(y) {
		r.Fatalf("%d pages of changes, and %d without what is hidden", len(x), len(y))
	}
	for i := range x {
		if len(x[i].Anchor) != len(y[i].Anchor) {
			r.Fatal("the anchors differ in length")
		}
		x[i].Anchor, y[i].Anchor = "", ""
		for _, s := range slices.Concat(x[i].Samples, y[i].Samples) {
			s.PayloadToken = fmt.Sprint(len(s.PayloadToken))
		}
		compareAnswers(r, x[i], y[i])
	}
	for g, alive := range p.alive {
		switch id := g.uuid().String(); {
		case g.typeName != name || !p.visible(g) && !g.hidden:
		case f.known[id] != (alive && !g.hidden):
			r.Fatalf("%+v, alive %v, known %v", g, alive, f.known[id])
		}
	}
}

// Spec section 1.6: an app reads the objects that were granted to it and what it has saved
// itself, unless that is hidden, and for all that it can ask the others might not exist.
func TestObjectsThatAreNotGrantedEqualNone(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := newGrantPair(t)
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			p.step(r, t)
			if rapid.Bool().Draw(r, "asks") {
				p.compare(r, t)
			}
		}
		p.compare(r, t)
		p.full.close(t)
		p.bare.close(t)
	})
}

// The keys that are touched are those of a store without what was not granted, however much
// of it there is, from the same app and in the same minute.
func TestObjectsThatAreNotGrantedAreNotTouched(t *testing.T) {
	var touched [2]map[string]int
	for i := range touched {
		s, state := newStore(t), grants(t, nil)
		for _, name := range perObjectNames {
			seen := grantable{app: anna, typeName: name}
			s.saveSamples(t, anna, 0, seen.sample(base))
			decide(t, state, &pb.ObjectsDecided{App: bert, Type: code(perObject[name]), Granted: []*pb.ObjectName{seen.name()}})
		}
		for n := range byte(20) {
			for _, name := range perObjectNames {
				if hidden := (grantable{app: anna + 2*uint64(n%2), typeName: name, which: n + 1}); i == 0 {
					s.saveSamples(t, hidden.app, 0, hidden.sample(base))
				} else {
					s.sequence++
				}
			}
		}
		s.sequence++
		s.applyEvent(t, nothing())
		clear(s.touched)
		for _, name := range perObjectNames {
			f := &learner{known: map[string]bool{}}
			f.follow(t, s, state.Scope(bert), name)
			f.follow(t, s, state.Scope(bert), name)
			for _, predicate := range []*pb.Predicate{nil, {Kind: &pb.Predicate_Uuid{Uuid: &pb.UuidPredicate{Uuids: []string{grantable{app: anna, typeName: name, which: 1}.uuid().String()}}}}} {
				if _, err := s.engine.Samples(context.Background(), state.Scope(bert), &pb.QuerySamplesRequest{Types: []string{name}, Predicate: predicate}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.engine.Sources(context.Background(), state.Scope(bert), &pb.QuerySourcesRequest{Type: name}); err != nil {
				t.Fatal(err)
			}
		}
		touched[i] = s.touched
		s.close(t)
	}
	if diff := cmp.Diff(touched[0], touched[1]); diff != "" || len(touched[0]) == 0 {
		t.Error(diff)
	}
}

// nothing is an event that changes nothing.
func nothing() *pb.Event {
	return &pb.Event{Body: &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{App: carl}}}
}

// Pitfall 11 for single objects: what is granted later appears as added, once, whenever it
// was saved; what is deleted then comes as deleted, once; and a revocation tells nothing.
func TestALaterGrantOfAnObjectAppearsOnceAsAdded(t *testing.T) {
	s, state := newStore(t), grants(t, nil)
	object := grantable{app: anna, typeName: "medicationDoseEvent"}
	s.saveSamples(t, anna, 0, object.sample(base))
	f := &learner{known: map[string]bool{}}
	want := func(what string, added, deleted int) {
		t.Helper()
		answers := f.follow(t, s, state.Scope(bert), object.typeName)
		if n := len(answers); n != 1 || len(answers[0].GetSamples()) != added || len(answers[0].GetDeleted()) != deleted {
			t.Errorf("%s: %v", what, answers)
		}
	}
	name := []*pb.ObjectName{object.name()}
	want("before", 0, 0)
	decide(t, state, &pb.ObjectsDecided{App: bert, Type: code("userAnnotatedMedication"), Granted: name})
	want("granted", 1, 0)
	want("again", 0, 0)
	decide(t, state, &pb.ObjectsDecided{App: bert, Type: code("userAnnotatedMedication"), Granted: name})
	want("granted again", 0, 0)
	decide(t, state, &pb.ObjectsDecided{App: bert, Type: code("userAnnotatedMedication"), RevokeAll: true})
	want("revoked", 0, 0)
	decide(t, state, &pb.ObjectsDecided{App: bert, Type: code("userAnnotatedMedication"), Granted: name})
	want("granted anew", 1, 0)
	id := object.uuid()
	s.sequence++
	s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
		App: anna, RequestId: make([]byte, 16), Deletions: []*pb.DeletedSamples{{Type: code(object.typeName), Uuids: [][]byte{id[:]}}},
	}}})
	want("deleted", 0, 1)
	want("deleted again", 0, 0)
	s.close(t)
}

// Apps may give the same UUIDs: the owner sees each object once, with its own name, on
// whichever page it stands.
func TestObjectsWithOneUUIDAreListedApart(t *testing.T) {
	s, state := newStore(t), grants(t, nil)
	defer s.close(t)
	var want []string
	for i, app := range []uint64{anna, bert, carl} {
		sample := grantable{app: anna, typeName: "visionPrescription"}.sample(base - int64(i)*second)
		s.saveSamples(t, app, 0, sample)
		want = append(want, fmt.Sprint(app, sample.GetUuid()))
	}
	for limit := range uint32(4) {
		var got []string
		req := &pb.ListObjectsRequest{Type: "visionPrescription", Limit: limit}
		list, err := s.engine.Objects(t.Context(), state.OwnerScope(), state.Scope(bert), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.GetObjects() {
			got = append(got, fmt.Sprint(o.GetName().GetApp(), o.GetSample().GetUuid()))
			if own := o.GetName().GetApp() == bert; o.GetOwn() != own || o.GetReadable() != own {
				t.Errorf("%v", o)
			}
		}
		if limit == 0 {
			limit = uint32(len(want))
		}
		if diff := cmp.Diff(want[:limit], got); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
}
