package authz

import (
	"crypto/rand"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/authz/authztest"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

func TestForgedLossesAreRefused(t *testing.T) {
	state := NewState(anna, true)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	first, err := author.SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_WARN})
	if err == nil {
		err = state.Decide(first.GetDecision(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	gone := pb.LossKind_LOSS_KIND_GONE
	losing := func(change func(*pb.LossAccepted)) *pb.Decision {
		l := &pb.LossAccepted{Lost: []*pb.LostSegments{{From: 3, To: 5, Kind: gone}, {From: 6, To: 6, Kind: pb.LossKind_LOSS_KIND_SEALED}}, Tree: []byte{1}}
		change(l)
		return &pb.Decision{Body: &pb.Decision_LossAccepted{LossAccepted: l}}
	}
	decisions := &pb.DecisionDetail{Body: &pb.DecisionDetail_LostDecisions{LostDecisions: &pb.LostDecisions{Decisions: []*pb.SignedDecision{first.GetDecision()}}}}
	for name, c := range map[string]struct {
		d      *pb.Decision
		detail *pb.DecisionDetail
		ok     bool
	}{
		"sound":               {losing(func(*pb.LossAccepted) {}), nil, true},
		"sound, a decision":   {losing(func(l *pb.LossAccepted) { l.Decisions = []uint64{1} }), decisions, true},
		"nothing":             {losing(func(l *pb.LossAccepted) { l.Lost = nil }), nil, false},
		"no tree":             {losing(func(l *pb.LossAccepted) { l.Tree = nil }), nil, false},
		"of no kind":          {losing(func(l *pb.LossAccepted) { l.Lost[1].Kind = 0 }), nil, false},
		"out of order":        {losing(func(l *pb.LossAccepted) { l.Lost[1].From = 5 }), nil, false},
		"ends before":         {losing(func(l *pb.LossAccepted) { l.Lost[0].To = 2 }), nil, false},
		"segment 0":           {losing(func(l *pb.LossAccepted) { l.Lost[0].From = 0 }), nil, false},
		"decision 0":          {losing(func(l *pb.LossAccepted) { l.Decisions = []uint64{0} }), decisions, false},
		"its own":             {losing(func(l *pb.LossAccepted) { l.Decisions = []uint64{2} }), decisions, false},
		"one twice":           {losing(func(l *pb.LossAccepted) { l.Decisions = []uint64{1, 1} }), decisions, false},
		"decisions not there": {losing(func(l *pb.LossAccepted) { l.Decisions = []uint64{1} }), nil, false},
		"decisions unnamed":   {losing(func(*pb.LossAccepted) {}), decisions, false},
		"decisions alone":     {&pb.Decision{}, decisions, false},
	} {
		var detail *pb.DecisionDetail
		if c.detail != nil {
			detail = proto.CloneOf(c.detail)
		}
		d, err := author.sign(c.d, detail)
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Check(d.GetDecision(), d.GetDetail()); errors.Is(err, ErrForged) == c.ok || c.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a lost detail may have taken away is taken away, from every app, until the owner
// decides again. What stands in the decisions themselves stands.
func TestALostDetailEndsWhatItMayHaveEnded(t *testing.T) {
	state, public := NewState(anna, true), NewState(anna, false)
	author := &Author{State: state, Signer: anna, Random: rand.Reader}
	lost := false
	decide := func(d *pb.NewDecision, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if lost {
			err = state.DecideWithout(d.GetDecision())
		} else {
			err = state.Decide(d.GetDecision(), d.GetDetail())
		}
		if err := errors.Join(err, public.DecideWithout(d.GetDecision())); err != nil {
			t.Fatal(err)
		}
	}
	steps, _ := catalog.Lookup("stepCount")
	object, _ := catalog.Lookup("visionPrescription")
	add := func(bundle, key string) uint64 {
		t.Helper()
		decide(author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest(bundle), Key: key, TokenHash: make([]byte, 32)}, false, nil))
		number, _ := state.Head()
		return number
	}
	first := add("org.example.first", "a")
	decide(author.Grant(1, &pb.DecideRequest{
		BundleId: "org.example.first", Shares: []*pb.ShareGrant{{Type: steps.Code, Allowed: true}},
		Reads: []*pb.ReadGrant{{Type: steps.Code, Extent: pb.ReadExtent_READ_EXTENT_ALL}},
	}))
	decide(author.DecideObjects(1, &pb.DecideObjectsRequest{
		BundleId: "org.example.first", Type: object.Short(), Granted: []*pb.ObjectName{{App: first, Name: []byte("one")}},
	}))
	seen := func() (others, own bool) {
		_, others = state.Scope(first).Access(steps.Code).Since(77, "")
		_, own = state.Scope(first).Access(object.Code).Since(first, "one")
		return others, own
	}
	if others, own := seen(); !others || !own {
		t.Fatal("nothing was granted")
	}
	lost = true
	second := add("org.example.second", "b")
	if others, own := seen(); others || own {
		t.Errorf("it still reads of others: %v, objects: %v", others, own)
	}
	if a, _ := state.AppByNumber(first); a.Share(steps.Code) != ShareAuthorized || a.BundleID() != "org.example.first" {
		t.Error("what is known of the first app is gone")
	}
	nameless, ok := state.AppByNumber(second)
	if !ok || nameless.BundleID() == "" {
		t.Fatal("the owner has no name for the second app")
	}
	lost = false
	decide(author.Grant(1, &pb.DecideRequest{
		BundleId: "org.example.first", Reads: []*pb.ReadGrant{{Type: steps.Code, Extent: pb.ReadExtent_READ_EXTENT_ALL}},
	}))
	if others, _ := seen(); !others {
		t.Error("he cannot grant it again")
	}
	decide(author.RemoveApp(1, nameless.BundleID()))
	if a, _ := state.AppByNumber(second); !a.Removed {
		t.Error("he cannot remove it")
	}
	if got, want := len(public.Apps()), len(state.Apps()); got != want {
		t.Errorf("without details there are %d apps, with them %d", got, want)
	}
}
