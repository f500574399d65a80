package ledger

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// update is the token of an update of a type for an app.
func (h *home) update(app *authz.App, name string, sequence uint64) string {
	h.t.Helper()
	t, _ := catalog.Lookup(name)
	u, err := h.live().Update(app, t, sequence)
	if err != nil {
		h.t.Fatal(err)
	}
	if u.GetType() != t.Short() {
		h.t.Errorf("an update of %s says %s", name, u.GetType())
	}
	return u.GetToken()
}

func TestUpdatesAreSetAndAcknowledgedInTheLog(t *testing.T) {
	h := newHome(t)
	// Grants are never looked at.
	app := h.addApp("org.example.a")
	before := len(h.events())
	_, err := h.live().SetUpdates(t.Context(), app, &pb.SetUpdatesRequest{Type: "HKQuantityTypeIdentifierStepCount", Frequency: pb.Frequency_FREQUENCY_HOURLY})
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{h.update(app, "stepCount", 9), h.update(app, "bloodPressure", 300), h.update(app, "stepCount", 5)}
	if _, err := h.live().AckUpdates(t.Context(), app, &pb.AckUpdatesRequest{Tokens: tokens}); err != nil {
		t.Fatal(err)
	}
	var got []*pb.Event
	segments := map[uint64]bool{}
	for _, e := range h.events()[before:] {
		segments[e.sequence] = true
		if e.class != seal.Health || e.event.GetTime() == 0 {
			t.Errorf("an event of class %v at %d", e.class, e.event.GetTime())
		}
		e.event.Time = 0
		got = append(got, e.event)
	}
	if len(segments) != 2 {
		t.Errorf("%d segments, want one of the setting and one of what is acknowledged at once", len(segments))
	}
	slices.SortFunc(got, func(a, b *pb.Event) int { return strings.Compare(a.String(), b.String()) })
	want := []*pb.Event{
		{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{App: app.Number, Type: code(t, "stepCount"), Frequency: pb.Frequency_FREQUENCY_HOURLY}}},
		{Body: &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{App: app.Number, Type: code(t, "bloodPressure"), Sequence: 300}}},
		{Body: &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{App: app.Number, Type: code(t, "stepCount"), Sequence: 9}}},
	}
	slices.SortFunc(want, func(a, b *pb.Event) int { return strings.Compare(a.String(), b.String()) })
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// Whatever is no token of the app's is refused alike, and then nothing is appended.
func TestUpdateTokensAreGoodForTheirAppInItsStoreAlone(t *testing.T) {
	h := newHome(t)
	app, other := h.addApp("org.example.a"), h.addApp("org.example.b")
	good := h.update(app, "stepCount", 1)
	if far := h.update(app, "bloodPressure", 1<<62); len(far) != len(good) || far == h.update(app, "bloodPressure", 1<<62) {
		t.Error("tokens are of several lengths, or alike")
	}
	elsewhere := h.house.store()
	saved, err := h.live().Save(t.Context(), h.importer(), request(steps(0, 1)))
	if err != nil {
		t.Fatal(err)
	}
	short, err := h.live().writer.Load().updates.Seal(h.live().tokenContext(app), make([]byte, 11))
	if err != nil {
		t.Fatal(err)
	}
	before := h.face()
	_, refusal := h.live().AckUpdates(t.Context(), app, &pb.AckUpdatesRequest{Tokens: []string{"forged"}})
	for what, token := range map[string]string{
		"none": "", "another app's": h.update(other, "stepCount", 1), "another store's": elsewhere.update(app, "stepCount", 1),
		"a receipt": saved.GetReceipt(), "too short": short, "longer": good + "A",
	} {
		_, err := h.live().AckUpdates(t.Context(), app, &pb.AckUpdatesRequest{Tokens: []string{good, token}})
		if rpc.Reason(err) != rpc.ReasonInvalidArgument || err.Error() != refusal.Error() || !proto.Equal(rpc.Detail(err), rpc.Detail(refusal)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if h.face() != before {
		t.Error("something was appended")
	}
	h.reopen(nil)
	if _, err := h.live().AckUpdates(t.Context(), app, &pb.AckUpdatesRequest{Tokens: []string{good}}); err != nil {
		t.Error("after a restart:", err)
	}
}

func TestBadUpdatesAreRefused(t *testing.T) {
	h := newHome(t)
	app := h.addApp("org.example.a")
	before := h.face()
	for field, req := range map[string]*pb.SetUpdatesRequest{
		"type":      {Type: "mood", Frequency: pb.Frequency_FREQUENCY_DAILY},
		"frequency": {Type: "stepCount"},
	} {
		if _, err := h.live().SetUpdates(t.Context(), app, req); rpc.Reason(err) != rpc.ReasonInvalidArgument || rpc.Detail(err).GetField() != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := h.live().SetUpdates(t.Context(), app, &pb.SetUpdatesRequest{Type: "stepCount", Frequency: 6})
	if rpc.Detail(err).GetField() != "frequency" {
		t.Error(err)
	}
	if _, err := h.live().AckUpdates(t.Context(), app, &pb.AckUpdatesRequest{}); rpc.Detail(err).GetField() != "tokens" {
		t.Error(err)
	}
	if h.face() != before {
		t.Error("something was appended")
	}
}
