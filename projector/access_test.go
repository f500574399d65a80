package projector

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// asks records that somebody asked, in as many minutes from one on, once in each.
func (h *house) asks(t testing.TB, app uint64, name, operation string, minute int64, minutes int) {
	t.Helper()
	counted := &pb.AccessCounted{App: app}
	var events []*pb.Event
	for i := range int64(minutes) {
		events = append(events, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{
			App: app, Type: codeOf(t, name), Operation: operation, Minute: minute + i, CountedBy: 1,
		}}})
		counted.Counts = append(counted.Counts, &pb.AccessCount{Type: codeOf(t, name), Operation: operation, Minute: minute + i, Count: 1})
	}
	events = append(events, &pb.Event{Body: &pb.Event_AccessCounted{AccessCounted: counted}})
	if _, err := h.store.Record(t.Context(), app, events...); err != nil {
		t.Fatal(err)
	}
}

func listAccess(t testing.TB, s *service, app uint64, req *pb.ListAccessRequest) (*pb.ListAccessResponse, error) {
	t.Helper()
	answer, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Access{Access: req}})
	page := &pb.ListAccessResponse{}
	if err == nil {
		err = proto.Unmarshal(answer.GetAnswer(), page)
	}
	return page, err
}

func TestAccessLogComesInPagesToTheOwnerOnly(t *testing.T) {
	h := newHouse(t)
	const minute = 28_000_000
	h.asks(t, h.app.Number, "stepCount", "samples", minute, 5)
	h.asks(t, 0, "stepCount", "statistics", minute+3, 4)
	h.asks(t, 0, "bodyMass", "statistics", minute+3, 1)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, s, payloads)

	var all, paged []*pb.Access
	page, err := listAccess(t, s, 0, &pb.ListAccessRequest{})
	if all = page.GetAccesses(); err != nil || len(all) != 10 || page.GetNextPageToken() != "" {
		t.Fatal(page, err)
	}
	for token := ""; ; token = page.GetNextPageToken() {
		if page, err = listAccess(t, s, 0, &pb.ListAccessRequest{Limit: 3, PageToken: token}); err != nil {
			t.Fatal(err)
		}
		if paged = append(paged, page.GetAccesses()...); page.GetNextPageToken() == "" {
			break
		}
	}
	if !proto.Equal(&pb.ListAccessResponse{Accesses: all}, &pb.ListAccessResponse{Accesses: paged}) {
		t.Errorf("%v in pages, %v at once", paged, all)
	}
	at := func(i time.Duration) *timestamppb.Timestamp {
		return timestamppb.New(time.Unix(minute*60, 0).Add(i * time.Minute))
	}
	if first, last := all[0], all[9]; !first.GetMinute().AsTime().Equal(at(6).AsTime()) || first.GetBundleId() != "" || first.GetPurposes() != nil ||
		!last.GetMinute().AsTime().Equal(at(0).AsTime()) || last.GetBundleId() != ledger.ImporterID || len(last.GetPurposes()) == 0 || last.GetCount() != 1 {
		t.Error(first, last)
	}
	for _, c := range []struct {
		filter *pb.AccessFilter
		want   int
	}{
		{&pb.AccessFilter{App: ledger.ImporterID}, 5}, {&pb.AccessFilter{Owner: true}, 5}, {&pb.AccessFilter{Owner: true, App: ledger.ImporterID}, 10},
		{&pb.AccessFilter{Types: []string{"bodyMass"}}, 1}, {&pb.AccessFilter{Types: []string{"heartRate"}}, 0},
		{&pb.AccessFilter{From: at(3), To: at(4)}, 3}, {&pb.AccessFilter{From: timestamppb.New(at(1).AsTime().Add(-time.Nanosecond)), To: at(1)}, 1},
		{&pb.AccessFilter{To: timestamppb.New(at(1).AsTime().Add(time.Nanosecond))}, 2}, {&pb.AccessFilter{From: at(4), To: at(3)}, 0},
	} {
		if page, err := listAccess(t, s, 0, &pb.ListAccessRequest{Filter: c.filter}); err != nil || len(page.GetAccesses()) != c.want {
			t.Errorf("%v: %v, %v", c.filter, page, err)
		}
	}
	for _, req := range []*pb.ListAccessRequest{
		{PageToken: "YQ"}, {Filter: &pb.AccessFilter{App: "com.example.nobody"}}, {Filter: &pb.AccessFilter{Types: []string{"mood"}}},
	} {
		if _, err := listAccess(t, s, 0, req); rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
	if page, err := listAccess(t, s, h.app.Number, &pb.ListAccessRequest{}); err == nil {
		t.Error("an app reads the access log:", page)
	}
}

func TestAccessIsSummarized(t *testing.T) {
	h := newHouse(t)
	h.asks(t, h.app.Number, "stepCount", "samples", 100, 3)
	h.asks(t, h.app.Number, "stepCount", "samples", 90, 1)
	h.asks(t, 0, "stepCount", "samples", 100, 1)
	// It is never counted.
	if _, err := h.store.Record(t.Context(), h.app.Number, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{
		App: h.app.Number, Type: codeOf(t, "stepCount"), Operation: "samples", Minute: 200, CountedBy: 5,
	}}}); err != nil {
		t.Fatal(err)
	}
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, s, payloads)
	answer, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{}, Query: &pb.ReadRequest_AccessSummary{AccessSummary: &pb.SummarizeAccessRequest{}}})
	if err != nil {
		t.Fatal(err)
	}
	got := &pb.SummarizeAccessResponse{}
	if err := proto.Unmarshal(answer.GetAnswer(), got); err != nil {
		t.Fatal(err)
	}
	minute := func(n int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(n*60, 0)) }
	want := &pb.SummarizeAccessResponse{Summaries: []*pb.AccessSummary{
		{Type: "stepCount", Operation: "samples", First: minute(100), Last: minute(100), Count: 1},
		{
			BundleId: ledger.ImporterID, Purposes: []string{"personal_export"}, Type: "stepCount", Operation: "samples",
			First: minute(90), Last: minute(200), Count: 4, Unknown: 1,
		},
	}}
	if !proto.Equal(want, got) {
		t.Errorf("%v, want %v", got, want)
	}
}
