package serve

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// reading is a projector that answers.
type reading struct {
	*fake
	asked chan *pb.ReadRequest
	*updating
}

// answered is an answer as a projector gives it.
func answered(m proto.Message) *pb.ReadResponse {
	content, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &pb.ReadResponse{Answer: content}
}

func (r reading) Read(ctx context.Context, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	if req.GetDue() != nil {
		return r.due(ctx, req)
	}
	r.asked <- req
	switch req.GetQuery().(type) {
	case *pb.ReadRequest_Outcome:
		return answered(&pb.QueryOutcomeResponse{}), nil
	case *pb.ReadRequest_Samples:
		return answered(&pb.QuerySamplesResponse{}), nil
	}
	return answered(&pb.QueryPayloadResponse{Chunks: []*pb.Chunk{{Data: []byte("FHIR")}}, Done: true}), nil
}

func (r reading) ReadApps(context.Context, *pb.ReadAppsRequest) (*pb.ReadAppsResponse, error) {
	return &pb.ReadAppsResponse{Apps: []*pb.App{{Manifest: &pb.Manifest{BundleId: ledger.ImporterID}, Importer: true}, {Manifest: &pb.Manifest{BundleId: "org.example.a"}}}}, nil
}

// front is a daemon with one store, its owner and its importer.
type front struct {
	*Daemon
	genesis   *ledger.Genesis
	store     *ledger.Store
	owner     *client.OwnerClient
	app       *client.Client
	projector reading
}

func newFront(t *testing.T) *front { return newFrontWith(t, Options{HTTP: "127.0.0.1:0"}) }

// newFrontWith listens as the options say.
func newFrontWith(t *testing.T, options Options) *front {
	f := &front{projector: reading{newFake(), make(chan *pb.ReadRequest, 1), newUpdating()}}
	options.Dir = t.TempDir()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	options.Launch = func(context.Context, *pb.ProjectorConfig) (Projector, error) { return f.projector, nil }
	var err error
	f.Daemon, err = Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	address := f.Address()
	g, err := ledger.NewGenesis([]byte("passphrase"), seal.MinCost, &pb.DeviceEnrolled{SigningKey: address.SigningKey, SealingKey: address.SealingKey})
	if err != nil {
		t.Fatal(err)
	}
	f.genesis = g
	if f.owner, err = client.DialOwner(t.Context(), address.Credentials(), g.Store.String(), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.owner.Close)
	if _, err := f.owner.Owner().CreateStore(t.Context(), g.Request); err != nil {
		t.Fatal(err)
	}
	if f.store, err = f.ledger.Store(g.Store); err != nil {
		t.Fatal(err)
	}
	f.app, err = client.Dial(t.Context(), address.Remote.Credentials(g.Store.String(), g.Key, g.Token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.app.Close)
	return f
}

func (f *front) unlock(t *testing.T) {
	t.Helper()
	if _, err := f.owner.Owner().BeginUnlock(t.Context(), &pb.BeginUnlockRequest{}); err != nil {
		t.Fatal(err)
	}
	resp, err := f.owner.Owner().Unlock(t.Context(), &pb.UnlockRequest{SealedPassphrase: []byte("right")})
	if err != nil {
		t.Fatal(err)
	}
	f.owner.SetSession(resp.GetSession())
	f.projector.caughtUp(nil)
	eventually(t, "unlocked", func() bool {
		s, err := f.owner.Owner().Status(t.Context(), &pb.StatusRequest{})
		at, _, _ := f.store.Head()
		size, _ := f.store.LastCheckpoint() // after which nothing is appended by itself
		return err == nil && s.GetState() == pb.LockState_LOCK_STATE_UNLOCKED && at == size+1
	})
}

func aPart() *pb.SavePartRequest {
	return &pb.SavePartRequest{Type: "cda", Upload: []byte("0123456789abcdef"), Chunk: &pb.Chunk{Data: []byte("<ClinicalDocument/>")}}
}

// Whatever method there is: it writes, or a locked store answers it like every other.
func TestLockedStoreTakesWritesAndAnswersReadsAlike(t *testing.T) {
	f := newFront(t)
	service := reflect.ValueOf(f.app.Health())
	for i := range service.NumMethod() {
		method := service.Type().Method(i)
		out := service.Method(i).Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.New(method.Type.In(2).Elem())})
		err, _ := out[1].Interface().(error)
		want := rpc.ReasonStoreLocked
		if always(method.Name) {
			want = rpc.ReasonInvalidArgument
		}
		if rpc.Reason(err) != want {
			t.Errorf("%s: %v", method.Name, err)
		}
	}
	k, err := f.keeper(f.store.ID())
	if err != nil {
		t.Fatal(err)
	}
	k.refusals.Settle() // they come into the log, too
	before, _, _ := f.store.Head()
	if _, err := f.app.Health().SavePart(t.Context(), aPart()); err != nil {
		t.Error(err)
	}
	if after, _, _ := f.store.Head(); after != before+1 {
		t.Errorf("%d segments for a part", after-before)
	}
}

func TestPayloadIsReadByTheProjectorAfterItIsRecorded(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	for _, c := range []struct {
		reader   uint64
		service  pb.HealthServiceClient
		segments uint64
	}{
		// The second read of a minute is recorded already.
		{2, f.app.Health(), 1}, {2, f.app.Health(), 0}, {0, f.owner.Health(), 1},
	} {
		before, _, _ := f.store.Head()
		query := &pb.QueryPayloadRequest{Type: "labResultRecord", PayloadToken: "token"}
		answer, err := c.service.QueryPayload(t.Context(), query)
		if err != nil || !answer.GetDone() || string(answer.GetChunks()[0].GetData()) != "FHIR" {
			t.Fatal(answer, err)
		}
		asked := <-f.projector.asked
		if asked.GetReader().GetApp() != c.reader || asked.GetSequence() != before || asked.GetPayload().GetPayloadToken() != "token" {
			t.Error(asked)
		}
		if after, _, _ := f.store.Head(); after != before+c.segments {
			t.Errorf("%d records", after-before)
		}
	}
	if _, err := f.app.Health().QueryPayload(t.Context(), &pb.QueryPayloadRequest{Type: "mood"}); rpc.Detail(err).GetField() != "type" {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"save": func() error { _, err := f.owner.Health().Save(t.Context(), &pb.SaveRequest{}); return err }(),
		"part": func() error { _, err := f.owner.Health().SavePart(t.Context(), aPart()); return err }(),
	} {
		if rpc.Reason(err) != rpc.ReasonShareDenied {
			t.Errorf("%s by the owner: %v", what, err)
		}
	}
}

func TestPolicyIsAskedForByName(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	s, err := f.owner.Owner().Status(t.Context(), &pb.StatusRequest{})
	if err != nil || s.GetPlausibility() != pb.Plausibility_PLAUSIBILITY_WARN {
		t.Error(s, err)
	}
	for _, p := range []pb.Plausibility{0, 3} {
		_, err := f.owner.Owner().SetPolicy(t.Context(), &pb.SetPolicyRequest{Plausibility: p})
		if d := rpc.Detail(err); d.GetReason() != rpc.ReasonInvalidArgument || d.GetField() != "plausibility" {
			t.Error(err)
		}
	}
	f.owner.SetSession("")
	s, err = f.owner.Owner().Status(t.Context(), &pb.StatusRequest{})
	if err != nil || s.GetPlausibility() != pb.Plausibility_PLAUSIBILITY_UNSPECIFIED {
		t.Error("the status tells it without a session", err)
	}
	_, err = f.owner.Owner().SetPolicy(t.Context(), &pb.SetPolicyRequest{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE})
	if rpc.Reason(err) != rpc.ReasonReauthenticate {
		t.Error(err)
	}
}

func TestGrantsThatMeanNothingAreRefused(t *testing.T) {
	code := func(name string) uint32 {
		found, ok := catalog.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		return found.Code
	}
	share := func(name string, allowed bool) *pb.DecideRequest {
		return &pb.DecideRequest{Shares: []*pb.ShareGrant{{Type: code(name), Allowed: allowed}}}
	}
	read := func(name string, extent pb.ReadExtent) *pb.DecideRequest {
		return &pb.DecideRequest{Reads: []*pb.ReadGrant{{Type: code(name), Extent: extent}}}
	}
	const all, none = pb.ReadExtent_READ_EXTENT_ALL, pb.ReadExtent_READ_EXTENT_NONE
	for _, c := range []struct {
		req      *pb.DecideRequest
		importer bool
		value    string
	}{
		{share("workout", true), false, ""}, {share("visionPrescription", true), false, ""},
		{share("cda", true), true, ""}, {share("cda", false), false, ""}, {share("cda", true), false, "cda"},
		{share("bloodPressure", true), false, "bloodPressure"}, {share("food", true), true, "food"},
		{read("electrocardiogram", all), false, ""}, {read("dateOfBirth", all), false, ""}, {read("cda", none), false, ""},
		{read("bloodPressure", all), false, "bloodPressure"}, {read("visionPrescription", all), false, "visionPrescription"},
		{read("medicationDoseEvent", all), true, "medicationDoseEvent"}, {read("sleepDurationGoal", all), false, "sleepDurationGoal"},
		{read("importedElement", all), true, "importedElement"}, {read("stepCount", 0), false, "stepCount"},
	} {
		err := checkGrants(c.req, c.importer)
		if (err == nil) != (c.value == "") || rpc.Detail(err).GetValue() != c.value {
			t.Errorf("%v: %v", c.req, err)
		}
	}
	for _, req := range []*pb.DecideRequest{
		{}, {Shares: []*pb.ShareGrant{{Type: 999_999, Allowed: true}}}, {Reads: []*pb.ReadGrant{{Type: 999_999, Extent: all}}},
	} {
		if err := checkGrants(req, false); rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
}

func aDelete(id string) *pb.DeleteRequest {
	return &pb.DeleteRequest{RequestId: []byte(id), Deletions: []*pb.Deletion{{Type: "stepCount", Uuids: []string{"6ba7b810-9dad-41d1-80b4-00c04fd40001"}}}}
}

// Whatever the lock state is, a delete is taken alike: one segment, a receipt, no more.
func TestDeleteIsAnsweredAlikeLockedAndUnlocked(t *testing.T) {
	f := newFront(t)
	try := func(state string) string {
		t.Helper()
		before, _, _ := f.store.Head()
		answer, err := f.app.Health().Delete(t.Context(), aDelete("0123456789abcdef"))
		if err != nil {
			t.Fatal(state, err)
		}
		if after, _, _ := f.store.Head(); after != before+1 {
			t.Errorf("%s: %d segments", state, after-before)
		}
		_, refused := f.app.Health().Delete(t.Context(), aDelete("short"))
		if _, err := f.owner.Health().Delete(t.Context(), aDelete("0123456789abcdef")); state == "unlocked" && rpc.Reason(err) != rpc.ReasonShareDenied {
			t.Error("the owner deletes as an app:", err)
		}
		return fmt.Sprint(len(answer.GetReceipt()), refused, rpc.Detail(refused))
	}
	locked := try("locked")
	f.unlock(t)
	if unlocked := try("unlocked"); unlocked != locked {
		t.Errorf("%s\n%s", locked, unlocked)
	}
}

func TestReceiptOfAnotherIsNone(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	answer, err := f.app.Health().Delete(t.Context(), aDelete("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.app.Health().QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{Receipt: answer.GetReceipt()}); err != nil {
		t.Fatal(err)
	}
	if asked := <-f.projector.asked; string(asked.GetOutcome().GetRequestId()) != "0123456789abcdef" || asked.GetReader().GetApp() != 2 {
		t.Error(asked)
	}
	query := &pb.QuerySamplesRequest{Types: []string{"stepCount"}, Receipt: answer.GetReceipt()}
	if _, err := f.app.Health().QuerySamples(t.Context(), query); err != nil {
		t.Error(err)
	}
	<-f.projector.asked
	before, _, _ := f.store.Head()
	for who, service := range map[string]pb.HealthServiceClient{"owner": f.owner.Health(), "app": f.app.Health()} {
		receipt := answer.GetReceipt()
		if who == "app" {
			receipt = flipped(receipt)
		}
		_, outcome := service.QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{Receipt: receipt})
		_, none := service.QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{})
		_, samples := service.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Receipt: receipt})
		for _, err := range []error{outcome, none, samples} {
			if d := rpc.Detail(err); d.GetReason() != rpc.ReasonInvalidArgument || d.GetField() != "receipt" {
				t.Errorf("%s: %v", who, err)
			}
		}
	}
	if after, _, _ := f.store.Head(); after != before {
		t.Error("a refused read is recorded")
	}
}

// What a request names is bounded, and the field that is wrong is named as the request has it.
func TestTypesOfARequestAreBoundedAndNamed(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	samples := func(types ...string) error {
		_, err := f.app.Health().QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: types})
		return err
	}
	before, _, _ := f.store.Head()
	for field, err := range map[string]error{
		"types": samples(slices.Repeat([]string{"stepCount"}, maxTypes+1)...), "types[1]": samples("stepCount", "mood"),
		"type": func() error {
			_, err := f.app.Health().QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{Type: "mood"})
			return err
		}(),
		"types[0]": func() error {
			_, err := f.app.Health().GetAuthorizationStatus(t.Context(), &pb.GetAuthorizationStatusRequest{Types: []string{"mood"}})
			return err
		}(),
		"units[0].type": func() error {
			_, err := f.owner.Owner().SetPreferredUnits(t.Context(), &pb.SetPreferredUnitsRequest{Units: []*pb.PreferredUnit{{Type: "mood"}}})
			return err
		}(),
	} {
		if d := rpc.Detail(err); d.GetReason() != rpc.ReasonInvalidArgument || d.GetField() != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := samples(slices.Repeat([]string{"stepCount"}, maxTypes)...); err != nil {
		t.Error(err)
	}
	if after, _, _ := f.store.Head(); after != before+1 {
		t.Errorf("%d segments for one read", after-before)
	}
}

// flipped is a token whose first character is another.
func flipped(token string) string {
	if token[0] == 'A' {
		return "B" + token[1:]
	}
	return "A" + token[1:]
}
