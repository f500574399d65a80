package ledger

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// writer is an app that may write every type that an app may be granted.
func (h *home) writer() *authz.App {
	var codes []uint32
	for _, t := range catalog.All() {
		if authz.WhyNoShare(t, false) == "" {
			codes = append(codes, t.Code)
		}
	}
	return h.addApp("org.example.writer", codes...)
}

func TestImporterSavesEveryTypeAndAppsTheirs(t *testing.T) {
	h := newHome(t)
	importer, writer := h.importer(), h.writer()
	sent := map[string]*pb.SampleColumns{}
	for _, typ := range catalog.All() {
		sample := healthtest.Example(typ, 3)
		want, err := health.Collect([]*pb.Sample{sample}, nil, health.Policy{Importer: true})
		if err != nil {
			t.Fatal(typ, err)
		}
		req := request(sample)
		if _, err := h.live().Save(t.Context(), importer, req); err != nil {
			t.Errorf("%s from an import: %v", typ, err)
			continue
		}
		sent[string(req.GetRequestId())] = want[0]
		_, err = h.live().Save(t.Context(), writer, request(sample))
		if typ.ReadOnly && rpc.Reason(err) != rpc.ReasonInvalidSample || !typ.ReadOnly && err != nil {
			t.Errorf("%s from an app: %v", typ, err)
		}
	}
	for _, e := range h.events() {
		saved := e.event.GetSamplesSaved()
		if want := sent[string(saved.GetRequestId())]; want != nil {
			if len(saved.GetColumns()) != 1 || !proto.Equal(saved.GetColumns()[0], want) {
				t.Errorf("type %d is not in the log as it came", want.GetType())
			}
			delete(sent, string(saved.GetRequestId()))
		}
	}
	if len(sent) > 0 {
		t.Errorf("%d types are not in the log", len(sent))
	}
}

func TestShareIsAskedOfMembersAndNotOfCorrelations(t *testing.T) {
	h := newHome(t)
	at := steps(0, 1).GetStart()
	part := func(name string, value float64) *pb.Sample {
		return &pb.Sample{Type: name, Start: at, Value: &value, Unit: "mmHg"}
	}
	pressure := &pb.Sample{Type: "bloodPressure", Start: at, Members: []*pb.Sample{
		part("bloodPressureSystolic", 120), part("bloodPressureDiastolic", 80),
	}}
	workout := &pb.Sample{
		Type: "workout", Start: at, End: steps(0, 1).GetEnd(), Object: &pb.Sample_Workout{Workout: &pb.Workout{Activity: "running"}},
		Members: []*pb.Sample{steps(0, 1)},
	}
	for _, c := range []struct {
		bundle       string
		shares       []string
		sample       *pb.Sample
		field, value string
	}{
		{"org.example.a", nil, pressure, "members.type", "bloodPressureSystolic"},
		{"org.example.b", []string{"bloodPressureSystolic"}, pressure, "members.type", "bloodPressureDiastolic"},
		{"org.example.c", []string{"bloodPressureSystolic", "bloodPressureDiastolic"}, pressure, "", ""},
		{"org.example.d", []string{"stepCount"}, workout, "type", "workout"},
		{"org.example.e", []string{"workout"}, workout, "members.type", "stepCount"},
		{"org.example.f", []string{"workout", "stepCount"}, workout, "", ""},
	} {
		var codes []uint32
		for _, name := range c.shares {
			codes = append(codes, code(t, name))
		}
		app := h.addApp(c.bundle, codes...)
		before := h.face()
		_, err := h.live().Save(t.Context(), app, request(c.sample))
		detail := rpc.Detail(err)
		if detail.GetField() != c.field || detail.GetValue() != c.value || (err == nil) != (c.field == "") {
			t.Errorf("%v: %v %v", c.shares, err, detail)
		}
		if err != nil && (detail.GetReason() != rpc.ReasonShareNotDetermined || h.face() != before) {
			t.Errorf("%v: %v, or a half was stored", c.shares, err)
		}
	}
}

func TestMemberThatIsRefusedIsNamed(t *testing.T) {
	h := newHome(t)
	value := 120.0
	at := steps(0, 1).GetStart()
	pressure := &pb.Sample{Type: "bloodPressure", Start: at, Members: []*pb.Sample{
		{Type: "bloodPressureSystolic", Start: at, Value: &value, Unit: "mmHg"},
		{Type: "bloodPressureDiastolic", Start: at, Value: &value, Unit: "kg"},
	}}
	_, err := h.live().Save(t.Context(), h.importer(), request(steps(0, 1), pressure))
	if d := rpc.Detail(err); d.GetReason() != rpc.ReasonInvalidSample || d.GetIndex() != 1 || d.GetField() != "members[1].unit" {
		t.Error(err, d)
	}
}

func TestImplausibleValuesAreWarnedOfOrRefusedAsTheOwnerDecides(t *testing.T) {
	h := newHome(t)
	app := h.writer()
	heavy := func(kilograms float64) *pb.Sample {
		return &pb.Sample{Type: "bodyMass", Start: steps(0, 1).GetStart(), Value: &kilograms, Unit: "kg"}
	}
	columns, err := health.Columns([]*pb.Sample{heavy(80), heavy(1001)}, health.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	both := func() *pb.SaveRequest {
		req := request(steps(0, 1), heavy(70), heavy(2000))
		req.Columns = columns
		return req
	}
	set := func(p pb.Plausibility) { h.decide(h.author.SetPolicy(1, &pb.PolicySet{Plausibility: p})) }
	warned := func(app *authz.App) {
		t.Helper()
		resp, err := h.live().Save(t.Context(), app, both())
		if w := resp.GetWarnings(); err != nil || resp.GetAccepted() != 5 || len(w) != 2 || w[0].GetIndex() != 2 || w[1].GetIndex() != 4 ||
			w[0].GetField() != "value" || w[0].GetValue() != "2000 kg" || w[0].GetWhy() == "" {
			t.Fatal(resp, err)
		}
	}
	warned(app)
	set(pb.Plausibility_PLAUSIBILITY_REFUSE)
	before := h.face()
	_, err = h.live().Save(t.Context(), app, both())
	if d := rpc.Detail(err); d.GetReason() != rpc.ReasonInvalidSample || d.GetIndex() != 2 || d.GetField() != "value" || d.GetWhy() == "" {
		t.Fatal(err, d)
	}
	if h.face() != before {
		t.Fatal("something was stored")
	}
	if resp, err := h.live().Save(t.Context(), app, request(heavy(70))); err != nil || len(resp.GetWarnings()) > 0 {
		t.Fatal(resp, err)
	}
	warned(h.importer())
	// A daemon that starts anew still knows.
	h.reopen(func() {})
	if h.live().State().Plausibility() != pb.Plausibility_PLAUSIBILITY_REFUSE {
		t.Fatal("the policy is forgotten")
	}
	set(pb.Plausibility_PLAUSIBILITY_WARN)
	warned(app)
	many := request()
	for range 150 {
		many.Samples = append(many.Samples, heavy(5000))
	}
	if resp, err := h.live().Save(t.Context(), app, many); err != nil || len(resp.GetWarnings()) != maxWarnings || resp.GetAccepted() != 150 {
		t.Fatal(resp.GetAccepted(), len(resp.GetWarnings()), err)
	}
}

func part(typeName string, number uint32, chunk *pb.Chunk) *pb.SavePartRequest {
	return &pb.SavePartRequest{Type: typeName, Upload: []byte("0123456789abcdef"), Number: number, Chunk: chunk}
}

func TestPartsAreInTheLogAsTheyCame(t *testing.T) {
	h := newHome(t)
	app := h.addApp("org.example.a", code(t, "workoutRoute"), code(t, "heartbeatSeries"), code(t, "visionPrescription"), code(t, "stepCount"))
	sent := []*pb.SavePartRequest{
		part("workoutRoute", 0, &pb.Chunk{Locations: &pb.Locations{Time: []int64{5}, Latitude: []float64{1}, Longitude: []float64{math.Pi}}}),
		part("HKDataTypeIdentifierHeartbeatSeries", health.MaxParts-1, &pb.Chunk{Beats: &pb.Beats{Offset: []int64{1, 2}, AfterGap: []uint32{1}}}),
		part("visionPrescription", 7, &pb.Chunk{Data: noise(health.MaxChunk-16, 1)}),
		part("stepCount", 1, &pb.Chunk{Quantities: &pb.Quantities{Offset: []int64{1}, Value: []float64{2}}}),
	}
	for _, req := range sent {
		if _, err := h.live().SavePart(t.Context(), app, req); err != nil {
			t.Fatal(req.GetType(), err)
		}
	}
	for _, e := range h.events() {
		if p := e.event.GetPartSaved(); p != nil {
			want := &pb.PartSaved{App: app.Number, Upload: sent[0].GetUpload(), Number: sent[0].GetNumber(), Chunk: sent[0].GetChunk()}
			if !proto.Equal(p, want) || e.class != seal.Health {
				t.Errorf("part %d is %v of class %s", want.GetNumber(), p, e.class)
			}
			sent = sent[1:]
		}
	}
	if len(sent) > 0 {
		t.Errorf("%d parts are not in the log", len(sent))
	}
}

func TestPartThatIsNoneIsRefusedByName(t *testing.T) {
	h := newHome(t)
	app := h.addApp("org.example.a", code(t, "workoutRoute"), code(t, "sleepAnalysis"))
	bytes, beats := &pb.Chunk{Data: []byte("x")}, &pb.Chunk{Beats: &pb.Beats{Offset: []int64{1}}}
	route := &pb.Chunk{Locations: &pb.Locations{Time: []int64{1}, Latitude: []float64{1}, Longitude: []float64{1}}}
	short := part("workoutRoute", 0, route)
	short.Upload = short.Upload[:15]
	before := h.face()
	for _, c := range []struct {
		req           *pb.SavePartRequest
		reason, field string
	}{
		{part("mood", 0, route), rpc.ReasonInvalidArgument, "type"},
		{short, rpc.ReasonInvalidArgument, "upload"},
		{part("workoutRoute", health.MaxParts, route), rpc.ReasonInvalidArgument, "number"},
		{part("workoutRoute", 0, nil), rpc.ReasonInvalidSample, "chunk"},
		{part("workoutRoute", 0, &pb.Chunk{}), rpc.ReasonInvalidSample, "chunk"},
		{part("workoutRoute", 0, beats), rpc.ReasonInvalidSample, "chunk"},
		{part("workoutRoute", 0, &pb.Chunk{Locations: &pb.Locations{Time: []int64{1}, Latitude: []float64{91}, Longitude: []float64{1}}}),
			rpc.ReasonInvalidSample, "chunk.locations.latitude"},
		{part("sleepAnalysis", 0, bytes), rpc.ReasonInvalidSample, "chunk"},
		{part("workout", 0, route), rpc.ReasonInvalidSample, "chunk"},
		{part("cda", 0, &pb.Chunk{Data: noise(health.MaxChunk, 1)}), rpc.ReasonInvalidSample, "chunk"},
		{part("heartbeatSeries", 0, beats), rpc.ReasonShareNotDetermined, "type"},
		{part("cda", 0, bytes), rpc.ReasonShareNotDetermined, "type"},
	} {
		_, err := h.live().SavePart(t.Context(), app, c.req)
		if d := rpc.Detail(err); d.GetReason() != c.reason || d.GetField() != c.field {
			t.Errorf("%s: %v %v", c.req.GetType(), err, d)
		}
	}
	if h.face() != before {
		t.Error("something was stored")
	}
}

// held is a publisher that waits until it is let go.
type held struct {
	publisher
	entered, release chan struct{}
}

func (p *held) Publish(ctx context.Context, sequence uint64, payload []byte) error {
	p.entered <- struct{}{}
	<-p.release
	return p.publisher.Publish(ctx, sequence, payload)
}

// What waits while the owner takes a share, or the app, away is not written after that.
func TestWriteBehindARevocationIsRefused(t *testing.T) {
	h := newHome(t)
	steps1, mass := code(t, "stepCount"), code(t, "bodyMass")
	writes := map[string]func(*authz.App) error{
		"save": func(app *authz.App) error {
			_, err := h.live().Save(t.Context(), app, request(steps(0, 1)))
			return err
		},
		"part": func(app *authz.App) error {
			_, err := h.live().SavePart(t.Context(), app, &pb.SavePartRequest{
				Type: "stepCount", Upload: make([]byte, 16), Chunk: &pb.Chunk{Quantities: &pb.Quantities{Offset: []int64{1}, Value: []float64{2}}},
			})
			return err
		},
		"delete": func(app *authz.App) error {
			_, err := h.live().Delete(t.Context(), app, deleteRequest(&pb.Deletion{Type: "stepCount", Uuids: []string{someUUID}}))
			return err
		},
		"updates": func(app *authz.App) error {
			_, err := h.live().SetUpdates(t.Context(), app, &pb.SetUpdatesRequest{Type: "stepCount", Frequency: pb.Frequency_FREQUENCY_DAILY})
			return err
		},
		"ack": func(app *authz.App) error {
			_, err := h.live().AckUpdates(t.Context(), app, &pb.AckUpdatesRequest{Tokens: []string{h.update(app, "stepCount", 1)}})
			return err
		},
		"request": func(app *authz.App) error {
			_, err := h.live().RequestAuthorization(t.Context(), app, &pb.RequestAuthorizationRequest{Share: []string{"height"}})
			return err
		},
	}
	shares := []string{"save", "part", "delete"}
	for _, c := range []struct {
		what, reason string
		decide       func(bundle string) (*pb.NewDecision, error)
		refused      []string
	}{
		{"share", rpc.ReasonShareDenied, func(bundle string) (*pb.NewDecision, error) {
			return h.author.Grant(1, &pb.DecideRequest{BundleId: bundle, Shares: []*pb.ShareGrant{{Type: steps1}}})
		}, shares},
		{"another share", "", func(bundle string) (*pb.NewDecision, error) {
			return h.author.Grant(1, &pb.DecideRequest{BundleId: bundle, Shares: []*pb.ShareGrant{{Type: mass}}})
		}, nil},
		{"app", rpc.ReasonUnauthenticated, func(bundle string) (*pb.NewDecision, error) {
			return h.author.RemoveApp(1, bundle)
		}, slices.Collect(maps.Keys(writes))},
	} {
		for what, write := range writes {
			app := h.addApp("org.example."+NewAppKey(), steps1, mass)
			bundle, _ := h.author.State.AppByNumber(app.Number)
			decision, err := c.decide(bundle.BundleID())
			if err != nil {
				t.Fatal(err)
			}
			a := h.live().appender
			free := a.publisher
			p := &held{free, make(chan struct{}), make(chan struct{})}
			a.publisher = p
			decided, written := make(chan struct{}), make(chan error)
			go func() { defer close(decided); h.decide(decision, nil) }()
			<-p.entered
			go func() { written <- write(app) }()
			for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
				a.mu.Lock()
				waiting = len(a.waiting)
				a.mu.Unlock()
			}
			a.publisher = free
			close(p.release)
			<-decided
			want := ""
			if slices.Contains(c.refused, what) {
				want = c.reason
			}
			if err := <-written; rpc.Reason(err) != want {
				t.Errorf("%s while the %s is taken away: %v", what, c.what, err)
			}
		}
	}
}
