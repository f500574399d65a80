package authz

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"

	"healthledger/authz/authztest"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

func TestZeroScopeSeesNothing(t *testing.T) {
	for code := range uint32(300) {
		for app := range uint64(4) {
			if _, ok := (Scope{}).Access(code).Since(app, ""); ok {
				t.Fatalf("type %d of app %d is seen", code, app)
			}
		}
	}
	if _, ok := (Access{}).Since(0, ""); ok {
		t.Fatal("a zero Access sees something")
	}
}

func TestOwnerSeesEverything(t *testing.T) {
	scope := NewState(anna, true).OwnerScope()
	if since, ok := scope.Access(77).Since(5, ""); !ok || since != math.MinInt64 || scope.Reader() != 0 {
		t.Fatal("the owner does not")
	}
}

func TestAccessSince(t *testing.T) {
	scope := Scope{app: 3, reads: map[uint32]Read{1: {Extent: ExtentSince, Since: 50}, 2: {Extent: ExtentAll, Since: 9}, 4: {Since: 9}}}
	for _, c := range []struct {
		code  uint32
		app   uint64
		since int64
		ok    bool
	}{
		{1, 3, math.MinInt64, true}, {1, 4, 50, true}, {1, 0, 50, true},
		{2, 3, math.MinInt64, true}, {2, 4, math.MinInt64, true},
		{3, 3, math.MinInt64, true}, {3, 4, 0, false}, {3, 0, 0, false},
		{4, 3, math.MinInt64, true}, {4, 4, 0, false},
	} {
		since, ok := scope.Access(c.code).Since(c.app, "")
		if ok != c.ok || ok && since != c.since {
			t.Errorf("type %d of app %d: %d, %v", c.code, c.app, since, ok)
		}
	}
}

// What was handed out before a decision does not change with it.
func TestScopesAndAppsAreSnapshots(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	decide := func(d *pb.NewDecision, err error) {
		t.Helper()
		if err == nil {
			err = state.Decide(d.GetDecision(), d.GetDetail())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	decide(author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example"), Key: "k", TokenHash: aHash}, false, []*pb.ShareGrant{{Type: 1, Allowed: true}}))
	decide(author.Grant(2, &pb.DecideRequest{BundleId: "org.example", Reads: []*pb.ReadGrant{{Type: 1, Extent: pb.ReadExtent_READ_EXTENT_ALL}}}))
	scope, app := state.Scope(1), state.Apps()[0]
	reads := app.Reads()
	reads[9] = Read{Extent: ExtentAll}
	decide(author.RemoveApp(3, "org.example"))
	if _, ok := scope.Access(1).Since(8, ""); !ok || app.Removed || app.Share(1) != ShareAuthorized || len(app.Reads()) != 1 {
		t.Fatal("an old value changed")
	}
	if _, ok := state.Scope(1).Access(1).Since(8, ""); ok {
		t.Fatal("a new scope sees what was revoked")
	}
	if _, ok := state.Scope(1).Access(1).Since(1, ""); ok {
		t.Fatal("a removed app sees its own")
	}
}

func TestAuthorRefusesBundleIDs(t *testing.T) {
	author := &Author{State: NewState(anna, true), Signer: anna, Random: rand.Reader}
	for _, id := range []string{
		"", "a", "a.", ".a", "a..b", "a b.c", "a.b*", "a.>", "é.b", "a.b\n", "a_b.c",
		"1.2.3.4.5.6.7.8.9.10.11", "a." + strings.Repeat("b", 154),
	} {
		if _, err := author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest(id), Key: "k", TokenHash: aHash}, false, nil); partOf(err) != "bundle_id" {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"a.b", "1.2.3.4.5.6.7.8.9.10", "Com.Example-x.Y", "a." + strings.Repeat("b", 153)} {
		if _, err := author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest(id), Key: "k", TokenHash: aHash}, false, nil); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestAuthorNeedsTheAppToBeThere(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	if _, err := author.RemoveApp(1, "org.example"); !errors.Is(err, ErrNoApp) {
		t.Error(err)
	}
	if _, err := author.Grant(1, &pb.DecideRequest{BundleId: "org.example"}); !errors.Is(err, ErrNoApp) {
		t.Error(err)
	}
	d, err := author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example"), Key: "k", TokenHash: aHash}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Decide(d.GetDecision(), d.GetDetail()); err != nil {
		t.Fatal(err)
	}
	if _, err := author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example"), Key: "l", TokenHash: aHash}, false, nil); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if _, err := author.RemoveApp(1, ""); !errors.Is(err, ErrNoApp) {
		t.Error(err)
	}
}

func TestPolicyIsOneOfTwo(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	for _, p := range []pb.Plausibility{0, 3, -1} {
		if _, err := author.SetPolicy(1, &pb.PolicySet{Plausibility: p}); !errors.Is(err, ErrPolicy) {
			t.Errorf("%d: %v", p, err)
		}
	}
	// Nor does it get into a state under the owner's own signature.
	forged, err := author.sign(&pb.Decision{Body: &pb.Decision_PolicySet{PolicySet: &pb.PolicySet{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Decide(forged.GetDecision(), nil); !errors.Is(err, ErrForged) {
		t.Error(err)
	}
	if state.Plausibility() != pb.Plausibility_PLAUSIBILITY_WARN {
		t.Error("nothing was decided, and it does not warn")
	}
}

// A deletion that no view can apply would end the log there for good.
func TestDeletionsThatNoViewTakesAreNotDecided(t *testing.T) {
	for name, c := range map[string]struct {
		deletion *pb.DeletedSamples
		want     error
	}{
		"a pair":              {&pb.DeletedSamples{Type: 1 << 16}, ErrForged},
		"no UUID":             {&pb.DeletedSamples{Type: 1, Uuids: [][]byte{{1}}}, ErrForged},
		"a type of all types": {&pb.DeletedSamples{Type: 1, AllTypes: true}, ErrForged},
		"two times":           {&pb.DeletedSamples{Type: 1, From: proto.Int64(1), EndedBefore: proto.Int64(2)}, ErrForged},
		"UUIDs and a time":    {&pb.DeletedSamples{Type: 1, Uuids: [][]byte{make([]byte, 16)}, EndedBefore: proto.Int64(2)}, ErrForged},
		"an end":              {&pb.DeletedSamples{Type: 1, EndedBefore: proto.Int64(2)}, nil},
		"all types":           {&pb.DeletedSamples{AllTypes: true, App: 7}, nil},
	} {
		state := NewState(anna, true)
		author := &Author{State: state, Signer: anna, Random: rand.Reader}
		d, err := author.DeleteSamples(1, &pb.OwnerDeleted{Deletions: []*pb.DeletedSamples{c.deletion}})
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Decide(d.GetDecision(), d.GetDetail()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheLastKeyringThatWasDecidedCounts(t *testing.T) {
	for _, details := range []bool{false, true} {
		state := NewState(anna, details)
		author := &Author{State: state, Signer: anna, Random: rand.Reader}
		if state.Keyring() != nil {
			t.Error("a keyring before the first decision")
		}
		for _, hash := range [][32]byte{{1}, {2}} {
			d, err := author.ReplaceKeyring(1, hash)
			if err != nil {
				t.Fatal(err)
			}
			if err := state.Decide(d.GetDecision(), nil); err != nil || !bytes.Equal(state.Keyring(), hash[:]) {
				t.Errorf("%x: %x %v", hash, state.Keyring(), err)
			}
		}
		forged, err := author.sign(&pb.Decision{Body: &pb.Decision_KeyringReplaced{KeyringReplaced: &pb.KeyringReplaced{Hash: make([]byte, 31)}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Decide(forged.GetDecision(), nil); !errors.Is(err, ErrForged) || state.Keyring()[0] != 2 {
			t.Error(err)
		}
	}
}

// Every type says whether it is granted as a whole, by what it is.
func TestGrantableTypes(t *testing.T) {
	for _, c := range []struct {
		name                  string
		share, imported, read bool
	}{
		{"stepCount", true, true, true}, {"sleepAnalysis", true, true, true}, {"appleStandTime", false, true, true},
		{"bloodPressure", false, false, false}, {"food", false, false, false}, {"workout", true, true, true},
		{"workoutRoute", true, true, true}, {"electrocardiogram", false, true, true}, {"audiogram", true, true, true},
		{"visionPrescription", true, true, false}, {"medicationDoseEvent", false, true, false},
		{"dateOfBirth", false, true, true}, {"labResultRecord", false, true, true}, {"activitySummary", false, true, true},
		{"sleepDurationGoal", false, true, false}, {"importedElement", false, true, false},
	} {
		found, ok := catalog.Lookup(c.name)
		if !ok {
			t.Fatal(c.name)
		}
		if got := WhyNoShare(found, false) == ""; got != c.share {
			t.Errorf("%s: an app may write it: %v", c.name, got)
		}
		if got := WhyNoShare(found, true) == ""; got != c.imported {
			t.Errorf("%s: an importer may write it: %v", c.name, got)
		}
		if got := WhyNoRead(found) == ""; got != c.read {
			t.Errorf("%s: an app may read it: %v", c.name, got)
		}
	}
	pressure, _ := catalog.Lookup("bloodPressure")
	for _, member := range pressure.Members() {
		if !strings.Contains(WhyNoRead(pressure), member.Short()) {
			t.Errorf("%q does not name %s", WhyNoRead(pressure), member)
		}
	}
}

// The hash of a detail stands in the open; without a salt it would answer guesses.
func TestDetailsAreSalted(t *testing.T) {
	author := &Author{State: NewState(anna, true), Signer: anna, Random: rand.Reader}
	draft := &pb.AppDraft{Manifest: authztest.Manifest("org.example"), Key: "k", TokenHash: aHash}
	a, errA := author.AddApp(1, draft, false, nil)
	b, errB := author.AddApp(1, draft, false, nil)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.GetDetail(), b.GetDetail()) {
		t.Fatal("two details are the same")
	}
	if bytes.Contains(a.GetDecision().GetDecision(), []byte("org.example")) {
		t.Fatal("the public part names the app")
	}
	author.Random = iotest.ErrReader(errors.New("no randomness"))
	if _, err := author.AddApp(1, draft, false, nil); err == nil {
		t.Fatal("a detail without a salt")
	}
}

func FuzzDecide(f *testing.F) {
	author := &Author{State: NewState(anna, true), Signer: anna, Random: rand.Reader}
	d, err := author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example"), Key: "k", TokenHash: aHash}, false, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.GetDecision().GetDecision(), d.GetDetail())
	reads, _ := proto.Marshal(&pb.DecisionDetail{Number: 1, Body: &pb.DecisionDetail_ReadsDecided{}})
	f.Add([]byte{}, reads)
	f.Fuzz(func(t *testing.T, decision, detail []byte) {
		signed := &pb.SignedDecision{Decision: decision, Signature: anna.SignDecision(decision)}
		for _, details := range []bool{true, false} {
			s := NewState(anna, details)
			before := picture(s)
			checked := s.Check(signed, detail)
			err := s.Decide(signed, detail)
			if err != nil && (!errors.Is(err, ErrForged) || picture(s) != before) {
				t.Fatal(err)
			}
			if checked == nil && err != nil {
				t.Fatal("checked, but", err)
			}
		}
	})
}
