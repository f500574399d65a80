package ledger

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/authz/authztest"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// withApps is a home with a history: decisions and saves by turns.
func withApps(t *testing.T) *home {
	h := newHome(t)
	h.addApp("org.example.a", 1)
	h.save(0)
	h.addApp("org.example.b")
	h.decide(h.author.Grant(1, &pb.DecideRequest{BundleId: "org.example.a", Shares: []*pb.ShareGrant{{Type: 1}}}))
	h.decide(h.author.RemoveApp(1, "org.example.b"))
	h.save(1)
	return h
}

func TestReopenedStoreIsTheSame(t *testing.T) {
	h := withApps(t)
	for range 3 {
		before := h.face()
		h.reopen(nil)
		if after := h.face(); after != before {
			t.Fatalf("was\n%s\nis\n%s", before, after)
		}
		h.save(2)
		h.addApp("org.example.n"+strings.ToLower(h.genesis.Key[:4])+string(rune('a'+rand.IntN(26)))+NewAppKey(), 1)
	}
}

// The cache is no authority: whatever happens to it, the state is what the log says.
func TestDecisionCacheIsRebuiltFromTheLog(t *testing.T) {
	h := withApps(t)
	want := h.face()
	whole := h.read("decisions")
	forged := func(d *pb.SignedDecision) []byte {
		var b bytes.Buffer
		if _, err := protodelim.MarshalTo(&b, d); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	number, hash := h.live().State().Head()
	next, err := proto.Marshal(&pb.Decision{Number: number + 1, Previous: hash, Body: &pb.Decision_AppRegistered{
		AppRegistered: &pb.AppRegistered{Key: "eve", Shares: []*pb.ShareGrant{{Type: 1, Allowed: true}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	for name, content := range map[string][]byte{
		"missing":         nil,
		"empty":           {},
		"torn":            whole[:len(whole)-7],
		"behind":          whole[:len(whole)/3],
		"flipped":         flipped,
		"garbage behind":  append(bytes.Clone(whole), 0xff, 0xff, 1, 2),
		"zeros behind":    append(bytes.Clone(whole), make([]byte, 100)...),
		"forged behind":   append(bytes.Clone(whole), forged(&pb.SignedDecision{Decision: next, Signature: make([]byte, 64)})...),
		"repeated behind": append(bytes.Clone(whole), whole...),
		"garbage":         bytes.Repeat([]byte{0x80}, 200),
	} {
		t.Run(name, func(t *testing.T) {
			h.reopen(func() {
				if content == nil {
					if err := os.Remove(h.path("decisions")); err != nil {
						t.Fatal(err)
					}
					return
				}
				h.write("decisions", content)
			})
			if got := h.face(); got != want {
				t.Fatalf("was\n%s\nis\n%s", want, got)
			}
			if _, _, ok := h.ledger.AppByKey("eve"); ok {
				t.Fatal("a forged app is there")
			}
			if got := h.read("decisions"); !bytes.Equal(got, whole) {
				t.Fatal("the cache was not repaired")
			}
		})
	}
	// And it goes on from there.
	h.addApp("org.example.c", 2)
	before := h.face()
	h.reopen(nil)
	if h.face() != before {
		t.Fatal("what was decided afterwards is lost")
	}
}

// The owner did sign it, but the log has lost it: everybody else would go by less.
func TestDecisionThatOnlyTheCacheHasIsDataLoss(t *testing.T) {
	h := withApps(t)
	d, err := h.author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example.z"), Key: NewAppKey(), TokenHash: make([]byte, 32)}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, d.GetDecision()); err != nil {
		t.Fatal(err)
	}
	h.reopen(func() { h.write("decisions", append(h.read("decisions"), b.Bytes()...)) })
	if err := h.live().Damage(); !errors.Is(err, ErrDataLoss) {
		t.Fatal(err)
	}
	h.refusesWrites(h.importer())
}

// A decision that no reader could follow would be the end of the log for all of them.
func TestUnsoundDecisionNeverReachesTheLog(t *testing.T) {
	h := withApps(t)
	good, err := h.author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example.z"), Key: NewAppKey(), TokenHash: make([]byte, 32)}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	alter := func(change func(*pb.NewDecision)) *pb.NewDecision {
		d := proto.CloneOf(good)
		change(d)
		return d
	}
	sign := func(change func(*pb.Decision)) *pb.NewDecision {
		number, hash := h.author.State.Head()
		d := &pb.Decision{Number: number + 1, Previous: hash}
		change(d)
		b, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return &pb.NewDecision{Decision: &pb.SignedDecision{Decision: b, Signature: h.author.Signer.SignDecision(b)}}
	}
	before, events := h.face(), len(h.events())
	for name, c := range map[string]struct {
		decision *pb.NewDecision
		want     error
	}{
		"nothing":         {&pb.NewDecision{}, authz.ErrForged},
		"signature":       {alter(func(d *pb.NewDecision) { d.Decision.Signature[3] ^= 1 }), authz.ErrForged},
		"detail missing":  {alter(func(d *pb.NewDecision) { d.Detail = nil }), authz.ErrForged},
		"detail altered":  {alter(func(d *pb.NewDecision) { d.Detail[0] ^= 1 }), authz.ErrForged},
		"repeated":        {h.genesis.Request.GetDecisions()[1], authz.ErrForged},
		"detail too many": {&pb.NewDecision{Decision: sign(func(*pb.Decision) {}).GetDecision(), Detail: good.GetDetail()}, authz.ErrForged},
		"key that is used": {sign(func(d *pb.Decision) {
			d.Body = &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{Key: h.genesis.Key}}
		}), authz.ErrForged},
		"app of nobody": {sign(func(d *pb.Decision) { d.Body = &pb.Decision_AppRemoved{AppRemoved: &pb.AppRemoved{App: 99}} }), authz.ErrForged},
		"another daemon": {sign(func(d *pb.Decision) {
			d.Body = &pb.Decision_DeviceEnrolled{DeviceEnrolled: &pb.DeviceEnrolled{SigningKey: make([]byte, 32), SealingKey: make([]byte, 1216)}}
		}), ErrNotEnrolled},
	} {
		if _, err := h.live().Decide(t.Context(), c.decision); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h.face() != before || len(h.events()) != events {
		t.Fatal("a refused decision left something behind")
	}
	h.decide(good, nil)
}

func TestDecisionIsInTheLogAfterItsDetail(t *testing.T) {
	h := newHome(t)
	app := h.addApp("org.example.a", 1)
	events := h.events()
	detail, decision := events[len(events)-2], events[len(events)-1]
	if detail.class != seal.Health || len(detail.event.GetDecisionDetail()) == 0 {
		t.Error("no sealed detail before the decision")
	}
	if decision.class != seal.Management || decision.event.GetDecision() == nil {
		t.Error("no decision that the daemon can open")
	}
	if events[0].class != seal.Open || events[0].event.GetDecision() == nil {
		t.Error("the enrolment cannot be read by everybody")
	}
	if app.BundleID() != "" {
		t.Error("the daemon knows the app's name")
	}
}
