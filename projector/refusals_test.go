package projector

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz/authztest"
	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func TestRefusalsComeInPagesToTheOwnerOnly(t *testing.T) {
	h := newHouse(t)
	refused := func(app uint64, bundleID, operation string) {
		t.Helper()
		if _, err := h.store.Record(t.Context(), app, &pb.Event{Body: &pb.Event_RefusalRecorded{RefusalRecorded: &pb.RefusalRecorded{
			App: app, BundleId: bundleID, Operation: operation, Field: "field", Value: "value", Why: "why",
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	refused(0, "com.example.never", "registration")
	refused(0, ledger.ImporterID, "update")
	between := timestamppb.New(time.Now().Truncate(time.Microsecond))
	refused(h.app.Number, "", "request")
	s := h.opened(t)
	list := func(req *pb.ListAccessRequest) *pb.ListAccessResponse {
		t.Helper()
		req.Refused = true
		page, err := listAccess(t, s, 0, req)
		if err != nil || len(page.GetAccesses()) > 0 {
			t.Fatal(page, err)
		}
		return page
	}
	all := list(&pb.ListAccessRequest{}).GetRefusals()
	if len(all) != 3 || all[0].GetOperation() != "request" || all[0].GetBundleId() != ledger.ImporterID || all[2].GetBundleId() != "com.example.never" ||
		all[2].GetField() != "field" || all[2].GetValue() != "value" || all[2].GetWhy() != "why" || time.Since(all[2].GetTime().AsTime()) > time.Hour {
		t.Fatal(all)
	}
	var paged []*pb.Refusal
	for token := ""; ; {
		page := list(&pb.ListAccessRequest{Limit: 1, PageToken: token})
		paged = append(paged, page.GetRefusals()...)
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if !proto.Equal(&pb.ListAccessResponse{Refusals: all}, &pb.ListAccessResponse{Refusals: paged}) {
		t.Errorf("%v in pages, %v at once", paged, all)
	}
	for _, c := range []struct {
		filter *pb.AccessFilter
		want   int
	}{
		{&pb.AccessFilter{App: "com.example.never"}, 1}, {&pb.AccessFilter{App: ledger.ImporterID}, 2}, {&pb.AccessFilter{App: "com.example.other"}, 0},
		{&pb.AccessFilter{Owner: true}, 2}, {&pb.AccessFilter{Owner: true, App: ledger.ImporterID}, 3},
		{&pb.AccessFilter{From: between}, 1}, {&pb.AccessFilter{To: between}, 2},
	} {
		if page := list(&pb.ListAccessRequest{Filter: c.filter}); len(page.GetRefusals()) != c.want {
			t.Errorf("%v: %v", c.filter, page)
		}
	}
	reads, err := listAccess(t, s, 0, &pb.ListAccessRequest{Limit: 1})
	if err != nil || len(reads.GetAccesses())+len(reads.GetRefusals()) > 0 {
		t.Errorf("nothing was read: %v, %v", reads, err)
	}
	for _, req := range []*pb.ListAccessRequest{
		{Refused: true, PageToken: "YQ"}, {Refused: true, Filter: &pb.AccessFilter{Types: []string{"stepCount"}}},
		{Refused: true, Filter: &pb.AccessFilter{From: &timestamppb.Timestamp{Nanos: -1}}},
	} {
		if _, err := listAccess(t, s, 0, req); rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
	if page, err := listAccess(t, s, h.app.Number, &pb.ListAccessRequest{Refused: true}); err == nil {
		t.Error("an app reads what was refused:", page)
	}
}

// An app that says later that it reads for something else has not read for that before.
func TestAccessHasThePurposesOfItsTime(t *testing.T) {
	h := newHouse(t)
	s := h.opened(t)
	before, after := authztest.Manifest("org.example.a"), authztest.Manifest("org.example.a")
	before.Purposes, after.Purposes = []string{"health"}, []string{"fitness"}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{
		AddApp: &pb.AppDraft{Manifest: before, Key: ledger.NewAppKey(), TokenHash: make([]byte, 32)},
	}})
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_UpdateApp{UpdateApp: &pb.UpdateAppRequest{Manifest: after}}})
	open, err := s.opened()
	if err != nil {
		t.Fatal(err)
	}
	app, _ := open.live.state.AppByBundle("org.example.a")
	now := minuteOf(time.Now())
	h.asks(t, app.Number, "stepCount", "samples", now-5, 2)
	h.asks(t, app.Number, "stepCount", "samples", now+5, 1)
	last, _, _ := h.store.Head()
	if _, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: last, Wait: true}); err != nil {
		t.Fatal(err)
	}
	page, err := listAccess(t, s, 0, &pb.ListAccessRequest{})
	if err != nil || len(page.GetAccesses()) != 3 {
		t.Fatal(page, err)
	}
	for i, want := range []string{"fitness", "health", "health"} {
		if got := page.GetAccesses()[i].GetPurposes(); len(got) != 1 || got[0] != want {
			t.Errorf("%v, want %s", page.GetAccesses()[i], want)
		}
	}
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{}, Query: &pb.ReadRequest_AccessSummary{AccessSummary: &pb.SummarizeAccessRequest{}}})
	if err != nil {
		t.Fatal(err)
	}
	sums := answer[pb.SummarizeAccessResponse](resp).GetSummaries()
	if len(sums) != 2 || sums[0].GetPurposes()[0] != "health" || sums[0].GetCount() != 2 || sums[1].GetPurposes()[0] != "fitness" || sums[1].GetCount() != 1 {
		t.Error(sums)
	}
}
