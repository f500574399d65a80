package projector

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"healthledger/authz/authztest"
	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// erasedTwice is a store in which epochs were erased, and what was left of them lies in an
// epoch that was erased, too.
func erasedTwice(t testing.TB) *eraser {
	t.Helper()
	h := newHouse(t)
	for n := range 4 {
		h.save(t, n*10, 10)
		h.saveObjects(t, n)
		if _, err := h.store.EndEpoch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e := erasing(t, h)
	for n, d := range []*pb.DeletedSamples{
		minutes(t, "stepCount", 3, 12), minutes(t, "bloodPressure", 0, 1), minutes(t, "stepCount", 100, 101),
	} {
		if _, err := e.erase(d); err != nil {
			t.Fatal(n, err)
		}
		h.save(t, 100+n, 1)
		h.save(t, 200+n, 1)
	}
	// Saved after the first erasure, in the epoch that has what is left.
	if samples, err := e.erase(minutes(t, "stepCount", 100, 102), minutes(t, "stepCount", 20, 22)); err != nil || samples == 0 {
		t.Fatal(samples, err)
	}
	return e
}

// A view that is made of the log alone, knowing of the erasures or not, is the same as the one
// that has seen them happen.
func TestTheLogGivesTheSameViewAfterErasures(t *testing.T) {
	e := erasedTwice(t)
	want := mustDump(t, e.service)
	payloads := e.payloads(t)
	for name, known := range map[string][]*pb.SignedDecision{"told": e.house.store.Foreknown(), "found": nil} {
		config := e.house.config(t, e.server, e.folder(t))
		if err := os.Remove(filepath.Join(config.GetDirectory(), "view.key")); err != nil {
			t.Fatal(err)
		}
		config.Decisions = known
		s := open(t, config, payloads)
		waitReady(t, s, payloads)
		if got := mustDump(t, s); got != want {
			t.Errorf("%s: another view: %s, want %s", name, got.counts, want.counts)
		}
	}
}

// Whatever the daemon tells of decisions must be in the log.
func TestDecisionsThatAreToldMustCome(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	payloads := h.payloads(t)
	e := erasing(t, h)
	if _, err := e.erase(minutes(t, "stepCount", 3, 5)); err != nil {
		t.Fatal(err)
	}
	config := h.config(t, h.replica(t, payloads), h.folder(t))
	if err := os.Remove(filepath.Join(config.GetDirectory(), "view.key")); err != nil {
		t.Fatal(err)
	}
	config.Decisions = h.store.Foreknown()
	s := open(t, config, payloads)
	if err := catchUp(s, uint64(len(payloads))); err == nil {
		t.Error("a log without the erasure is served")
	}
}

var errStopped = errors.New("stopped")

// pastSteps are how many samples of stepCount a view of the past answers with.
func pastSteps(t testing.TB, s *service, session string) (int, error) {
	t.Helper()
	out, err := s.Read(t.Context(), &pb.ReadRequest{
		Reader: &pb.Reader{Past: session}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}}},
	})
	if err != nil {
		return 0, err
	}
	return len(answer[pb.QuerySamplesResponse](out).GetSamples()), nil
}

// The past has no more of what is erased, whether it was open before or not.
func TestThePastForgetsWhatIsErased(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	e := erasing(t, h)
	before := &pb.OpenPastRequest{AsOf: &pb.OpenPastRequest_Sequence{Sequence: e.head()}}
	opened, err := opensPast(t, e.service, before)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := pastSteps(t, e.service, opened.GetSession()); err != nil || n != 10 {
		t.Fatal(n, err)
	}
	if samples, err := e.erase(minutes(t, "stepCount", 2, 5)); err != nil || samples != 3 {
		t.Fatal(samples, err)
	}
	if n, err := pastSteps(t, e.service, opened.GetSession()); rpc.Detail(err).GetField() != "session" {
		t.Errorf("the past that was open has %d samples, %v", n, err)
	}
	if opened, err = opensPast(t, e.service, before); err != nil {
		t.Fatal(err)
	}
	if n, err := pastSteps(t, e.service, opened.GetSession()); err != nil || n != 7 {
		t.Errorf("the past has %d samples, %v", n, err)
	}
}

// A view from before an erasure, put back with its key, is not opened: it has what is erased.
func TestAViewFromBeforeAnErasureIsNotOpened(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	e := erasing(t, h)
	viewBefore := viewIn(t, h.store.Path())
	before := h.folder(t)
	if samples, err := e.erase(minutes(t, "stepCount", 2, 5)); err != nil || samples != 3 {
		t.Fatal(samples, err)
	}
	want := mustDump(t, e.service)
	if err := e.shutdown(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(before, "view.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(viewBefore, os.DirFS(filepath.Join(before, filepath.Base(viewBefore)))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.store.Path(), "view.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	e = erasing(t, h)
	if now := viewIn(t, h.store.Path()); now == viewBefore {
		t.Error("the view from before is the live one")
	}
	if got := mustDump(t, e.service); got != want {
		t.Errorf("another view: %s, want %s", got.counts, want.counts)
	}
	// The one that is made then stays.
	now := viewIn(t, h.store.Path())
	if err := e.shutdown(); err != nil {
		t.Fatal(err)
	}
	if erasing(t, h); viewIn(t, h.store.Path()) != now {
		t.Error("the view is made anew without need")
	}
}

// An app that may not read what is erased goes on with its anchor as if nothing had been: it is told
// of no change, and of what comes afterwards once.
func TestAnErasureIsNothingToAnAppThatCouldNotReadIt(t *testing.T) {
	h := newHouse(t)
	e := erasing(t, h)
	h.decide(t, e.service, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{
		AddApp: &pb.AppDraft{Manifest: authztest.Manifest("org.example.a"), Key: ledger.NewAppKey(), TokenHash: make([]byte, 32)},
	}})
	h.decide(t, e.service, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: &pb.DecideRequest{
		BundleId: "org.example.a", Reads: []*pb.ReadGrant{{Type: codeOf(t, "bloodPressureSystolic"), Extent: pb.ReadExtent_READ_EXTENT_ALL}},
	}}})
	open, err := e.service.opened()
	if err != nil {
		t.Fatal(err)
	}
	app, _ := open.live.state.AppByBundle("org.example.a")
	reads := func(anchor string) *pb.QueryChangesResponse {
		t.Helper()
		h.advance(t, e.service)
		return changesOf(t, e.service, app.Number, &pb.QueryChangesRequest{Type: "bloodPressureSystolic", Anchor: anchor})
	}
	h.save(t, 0, 10)
	h.saveObjects(t, 0)
	first := reads("")
	if len(first.GetSamples()) != 1 {
		t.Fatalf("%d samples", len(first.GetSamples()))
	}
	for n, d := range []*pb.DeletedSamples{minutes(t, "stepCount", 2, 5), minutes(t, "stepCount", 5, 7)} {
		if samples, err := e.erase(d); err != nil || samples == 0 {
			t.Fatal(samples, err)
		}
		if after := reads(first.GetAnchor()); len(after.GetSamples())+len(after.GetDeleted()) > 0 || after.GetMore() {
			t.Errorf("erasure %d: the app is told %v", n+1, after)
		}
	}
	h.saveObjects(t, 2)
	if after := reads(first.GetAnchor()); len(after.GetSamples()) != 1 || len(after.GetDeleted()) > 0 || after.GetSamples()[0].GetUuid() == first.GetSamples()[0].GetUuid() {
		t.Errorf("then the app is told %v", after)
	}
}
