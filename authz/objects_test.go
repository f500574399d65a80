package authz

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"healthledger/authz/authztest"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// modelObjects is what was decided about objects of a type, the obvious way: since which
// decision each may be read.
type modelObjects struct {
	granted map[Object]uint64
	hidden  bool
	shown   uint64
}

var (
	prescriptions = codeNamed("visionPrescription")
	medications   = codeNamed("userAnnotatedMedication")
	doses         = codeNamed("medicationDoseEvent")
)

func drawNames(r *rapid.T) []*pb.ObjectName {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) *pb.ObjectName {
		return &pb.ObjectName{App: rapid.Uint64Range(1, 4).Draw(r, "of"), Name: []byte(rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name"))}
	}), 0, 3).Draw(r, "names")
}

// drawObjects draws a decision, now and then one that nobody may make.
func drawObjects(r *rapid.T, app uint64) *pb.ObjectsDecided {
	d := &pb.ObjectsDecided{
		App: app, Type: rapid.SampledFrom([]uint32{prescriptions, medications, doses, 1, 9999}).Draw(r, "type"),
		RevokeAll: rapid.Bool().Draw(r, "all"), Revoked: drawNames(r), Granted: drawNames(r),
		Own: pb.OwnObjects(rapid.Int32Range(0, 3).Draw(r, "own")),
	}
	if len(d.Granted) > 0 && rapid.IntRange(0, 5).Draw(r, "nameless") == 0 {
		d.Granted[0].Name = nil
	}
	return d
}

// decideObjects lets an author decide about an app's objects, and wants it refused if the
// app's manifest does not explain reading.
func (m *modelApp) decideObjects(r *rapid.T, author *Author, now int64) (*pb.NewDecision, error) {
	t, _ := catalog.ByCode(rapid.SampledFrom([]uint32{prescriptions, medications}).Draw(r, "type"))
	req := &pb.DecideObjectsRequest{
		BundleId: m.manifest.GetBundleId(), Type: t.Short(), RevokeAll: rapid.Bool().Draw(r, "all"),
		Revoked: drawNames(r), Granted: drawNames(r), Own: pb.OwnObjects(rapid.Int32Range(0, 2).Draw(r, "own")),
	}
	if len(req.Granted) > 0 && m.manifest.GetReadUsageDescription() == "" {
		if _, err := author.DecideObjects(now, req); partOf(err) != "granted" {
			r.Fatalf("what the manifest does not explain is granted: %v", err)
		}
		req.Granted = nil
	}
	o := m.objects[t.Code]
	if o == nil {
		o = &modelObjects{granted: map[Object]uint64{}}
		m.objects[t.Code] = o
	}
	number, _ := author.State.Head()
	number++
	if req.RevokeAll {
		clear(o.granted)
	}
	for _, name := range req.Revoked {
		delete(o.granted, objectOf(name))
	}
	for _, name := range req.Granted {
		if o.granted[objectOf(name)] == 0 {
			o.granted[objectOf(name)] = number
		}
	}
	if o.hidden && req.Own == pb.OwnObjects_OWN_OBJECTS_READABLE {
		o.shown = number
	}
	if req.Own != pb.OwnObjects_OWN_OBJECTS_UNSPECIFIED {
		o.hidden = req.Own == pb.OwnObjects_OWN_OBJECTS_HIDDEN
	}
	return author.DecideObjects(now, req)
}

// checkObjects wants of every type that the app sees what was granted and its own, unless
// that is hidden, and nothing else. Without details there are no grants to know of.
func (m *modelApp) checkObjects(r *rapid.T, scope Scope, details bool) {
	for code, by := range map[uint32]uint32{prescriptions: prescriptions, medications: medications, doses: medications} {
		want := m.objects[by]
		if want == nil || !details {
			want = &modelObjects{}
		}
		for of := range uint64(5) {
			for _, name := range []string{"", "a", "b", "c"} {
				object := Object{of, name}
				granted := want.granted[object] > 0
				own := of == m.number && !want.hidden
				if _, ok := scope.Access(code).Since(of, name); ok != (granted || own) {
					r.Fatalf("type %d, %v: %v, granted %v, own %v", code, object, ok, granted, own)
				}
				if since, ok := scope.Access(code).Objects().since(scope.Reader(), object); ok && !own && since != want.granted[object] {
					r.Fatalf("type %d, %v since %d, want %d", code, object, since, want.granted[object])
				}
			}
		}
		objects := scope.Access(code).Objects()
		for after := range scope.Decision() + 1 {
			grew := want.shown > after && !want.hidden
			for _, since := range want.granted {
				grew = grew || since > after
			}
			if objects.Grew(after) != grew {
				r.Fatalf("type %d grew after %d: %v", code, after, !grew)
			}
		}
	}
}

// Pitfall 6: a type that is granted object by object cannot be asked for as a whole, nor
// another one object by object, nor doses beside their medication.
func TestPerObjectTypesAreAskedForObjectByObjectOnly(t *testing.T) {
	app := &App{explained: Explained{Share: true, Read: true, Clinical: true}}
	for _, typ := range catalog.All() {
		_, general := app.ParseRequest(nil, []string{typ.Short()})
		got, single := app.ParseObjectRequest(typ.Identifier)
		if typ.PerObject && partOf(general) != "read" {
			t.Errorf("%s is asked for as a whole: %v", typ, general)
		}
		if may := typ.Code == prescriptions || typ.Code == medications; may != (single == nil) || may && got != typ {
			t.Errorf("%s is asked for object by object: %v", typ, single)
		} else if !may && partOf(single) != "type" {
			t.Errorf("%s: %v", typ, single)
		}
	}
	for _, name := range []string{"", "steps"} {
		if _, err := app.ParseObjectRequest(name); partOf(err) != "type" {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := (&App{explained: Explained{Share: true}}).ParseObjectRequest("visionPrescription"); partOf(err) != "type" {
		t.Errorf("without an explanation: %v", err)
	}
}

// A grant of the type as a whole, which no author writes, opens nothing.
func TestAGrantOfAPerObjectTypeAsAWholeIsNone(t *testing.T) {
	scope := Scope{app: 1, reads: map[uint32]Read{prescriptions: {Extent: ExtentAll}}}
	if _, ok := scope.Access(prescriptions).Since(2, "a"); ok {
		t.Error("all objects are seen")
	}
	if _, ok := (Scope{}).Access(prescriptions).Since(0, "a"); ok {
		t.Error("the empty scope sees something")
	}
}

func TestADecisionAndAGrantOfObjectsAreBounded(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	take := func(d *pb.NewDecision, err error) {
		t.Helper()
		if err == nil {
			err = state.Decide(d.GetDecision(), d.GetDetail())
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	take(author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example.app"), Key: "k", TokenHash: make([]byte, 32)}, false, nil))
	for n := 0; ; n += maxNamed {
		req := &pb.DecideObjectsRequest{BundleId: "org.example.app", Type: "visionPrescription"}
		for i := range maxNamed {
			req.Granted = append(req.Granted, &pb.ObjectName{App: 9, Name: fmt.Append(nil, n+i)})
		}
		d, err := author.DecideObjects(1, req)
		if n == maxGranted {
			if partOf(err) != "granted" {
				t.Errorf("%d objects: %v", n+maxNamed, err)
			}
			return
		}
		take(d, err)
		req.Granted = append(req.Granted, req.Granted[0])
		if _, err := author.DecideObjects(1, req); partOf(err) != "granted" {
			t.Errorf("%d at once: %v", len(req.Granted), err)
		}
		if err := setObjects(&pb.Decision{}, state.Apps()[0], &pb.ObjectsDecided{Type: prescriptions, Granted: req.Granted}); !errors.Is(err, ErrForged) {
			t.Errorf("%d at once are taken: %v", len(req.Granted), err)
		}
	}
}
