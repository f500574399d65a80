package projector

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/authz/authztest"
	"healthledger/ledger"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// decide has a decision signed, puts it into the log, and returns its sequence when it
// counts.
func (h *house) decide(t testing.TB, s *service, draft *pb.SignDecisionRequest) uint64 {
	t.Helper()
	draft.Sequence, _, _ = h.store.Head()
	signed, err := s.SignDecision(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	sequence, err := h.store.Decide(t.Context(), signed.GetDecision())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: sequence, Wait: true}); err != nil {
		t.Fatal(err)
	}
	return sequence
}

// opened returns a projector that has the store open.
func (h *house) opened(t testing.TB) *service {
	t.Helper()
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	return s
}

func codeOf(t testing.TB, name string) uint32 {
	t.Helper()
	found, ok := catalog.Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	return found.Code
}

func unitsFor(t testing.TB, s *service, app uint64, types ...string) *pb.QueryPreferredUnitsResponse {
	t.Helper()
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_PreferredUnits{
		PreferredUnits: &pb.QueryPreferredUnitsRequest{Types: types},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return answer[pb.QueryPreferredUnitsResponse](resp)
}

// An app that has asked about a type learns its unit, whatever the answer was, and one
// that has not does not.
func TestPreferredUnitsTellThatAnAppHasAskedAndNoMore(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	hash := make([]byte, 32)
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{
		AddApp: &pb.AppDraft{Manifest: authztest.Manifest("org.example.a"), Key: ledger.NewAppKey(), TokenHash: hash},
	}})
	open, err := s.opened()
	if err != nil {
		t.Fatal(err)
	}
	app, _ := open.live.state.AppByBundle("org.example.a")
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetPreferredUnits{SetPreferredUnits: &pb.PreferredUnitsSet{
		Units: []*pb.TypeUnit{{Type: codeOf(t, "bodyMass"), Unit: "lb"}, {Type: codeOf(t, "height"), Unit: "ft"}},
	}}})
	of := func(mass, height string) *pb.QueryPreferredUnitsResponse {
		return &pb.QueryPreferredUnitsResponse{Units: []*pb.PreferredUnit{
			{Type: "height", Unit: height}, {Type: "stepCount", Unit: "count"}, {Type: "bodyMass", Unit: mass}, {Type: "height", Unit: height},
		}}
	}
	want := func(what string, reader uint64, want *pb.QueryPreferredUnitsResponse) {
		t.Helper()
		if got := unitsFor(t, s, reader, "height", "stepCount", "HKQuantityTypeIdentifierBodyMass", "height"); !proto.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	mass, _ := catalog.Lookup("bodyMass")
	height, _ := catalog.Lookup("height")
	want("the owner", 0, of("lb", "ft"))
	want("an app that never asked", app.Number, of(mass.Unit, height.Unit))
	for _, extent := range []pb.ReadExtent{pb.ReadExtent_READ_EXTENT_NONE, pb.ReadExtent_READ_EXTENT_ALL, pb.ReadExtent_READ_EXTENT_NONE} {
		h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: &pb.DecideRequest{
			BundleId: "org.example.a", Reads: []*pb.ReadGrant{{Type: mass.Code, Extent: extent}},
		}}})
		want("an app that asked: "+extent.String(), app.Number, of("lb", height.Unit))
	}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetPreferredUnits{SetPreferredUnits: &pb.PreferredUnitsSet{
		Units: []*pb.TypeUnit{{Type: mass.Code}},
	}}})
	want("set back", 0, of(mass.Unit, "ft"))
	for field, types := range map[string][]string{
		"types[1]": {"height", "noSuchType"}, "types[0]": {"sleepAnalysis"}, "types": make([]string, maxUnits+1),
	} {
		_, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: app.Number}, Query: &pb.ReadRequest_PreferredUnits{
			PreferredUnits: &pb.QueryPreferredUnitsRequest{Types: types},
		}})
		if d := rpc.Detail(err); d.GetReason() != rpc.ReasonInvalidArgument || d.GetField() != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// What cannot be meant is refused before it is signed.
func TestDraftsThatMeanNothingAreRefusedByName(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	for field, draft := range map[string]*pb.SignDecisionRequest{
		"sources": {Draft: &pb.SignDecisionRequest_SetSourceOrder{SetSourceOrder: &pb.SourceOrderSet{
			Type: codeOf(t, "stepCount"), Sources: []*pb.SourceName{{App: "a"}, {App: "a"}},
		}}},
		"units.unit": {Draft: &pb.SignDecisionRequest_SetPreferredUnits{SetPreferredUnits: &pb.PreferredUnitsSet{
			Units: []*pb.TypeUnit{{Type: codeOf(t, "stepCount"), Unit: "kg"}},
		}}},
		"bundle_id": {Draft: &pb.SignDecisionRequest_RemoveApp{RemoveApp: &pb.RemoveAppRequest{BundleId: "org.example.none"}}},
	} {
		_, err := s.SignDecision(t.Context(), draft)
		if d := rpc.Detail(err); d.GetField() != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := s.SignDecision(t.Context(), &pb.SignDecisionRequest{}); rpc.Reason(err) != rpc.ReasonInternal {
		t.Error(err)
	}
}
