package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz/authztest"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// asksOwner has the owner's question answered, however many calls that takes.
func asksOwner[R any, M interface {
	*R
	proto.Message
	GetRun() string
}](t testing.TB, s *service, ask func(run string) *pb.ReadRequest) (M, error) {
	t.Helper()
	for run := ""; ; {
		resp, err := s.Read(t.Context(), ask(run))
		if err != nil {
			return nil, err
		}
		m := answer[R, M](resp)
		if run = m.GetRun(); run == "" {
			return m, nil
		}
	}
}

func replays(t testing.TB, s *service, check bool) (*pb.ReplayResponse, error) {
	return asksOwner[pb.ReplayResponse](t, s, func(run string) *pb.ReadRequest {
		return &pb.ReadRequest{Query: &pb.ReadRequest_Replay{Replay: &pb.ReplayRequest{Run: run, Check: check}}}
	})
}

func opensPast(t testing.TB, s *service, req *pb.OpenPastRequest) (*pb.OpenPastResponse, error) {
	return asksOwner[pb.OpenPastResponse](t, s, func(run string) *pb.ReadRequest {
		next := proto.CloneOf(req)
		next.Run = run
		return &pb.ReadRequest{Query: &pb.ReadRequest_OpenPast{OpenPast: next}}
	})
}

// drawnHistory is a house in which an app saves and deletes and another one's grants change.
func drawnHistory(t testing.TB, random *rand.Rand, steps int) (h *house, s *service) {
	t.Helper()
	h = newHouse(t)
	s = h.opened(t)
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{AddApp: &pb.AppDraft{
		Manifest: authztest.Manifest("org.example.reader"), Key: "abcdefghijklmnopqrstuvwxyz", TokenHash: make([]byte, 32),
	}}})
	extents := []pb.ReadExtent{pb.ReadExtent_READ_EXTENT_NONE, pb.ReadExtent_READ_EXTENT_ALL, pb.ReadExtent_READ_EXTENT_SINCE}
	for n := range steps {
		switch random.IntN(5) {
		case 0, 1:
			h.save(t, random.IntN(40), 1+random.IntN(5))
		case 2:
			h.saveObjects(t, random.IntN(3))
		case 3:
			h.deleteFirst(t, n+1)
		case 4:
			read := &pb.ReadGrant{Type: codeOf(t, "stepCount"), Extent: extents[random.IntN(3)]}
			if read.Extent == pb.ReadExtent_READ_EXTENT_SINCE {
				read.Since = time.Date(2024, 5, 1, 0, random.IntN(20), 0, 0, time.UTC).UnixMicro()
			}
			h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: &pb.DecideRequest{
				BundleId: "org.example.reader", Reads: []*pb.ReadGrant{read},
			}}})
		}
	}
	h.advance(t, s)
	return h, s
}

// differences compares two views key for key.
func differences(t testing.TB, one, other *view.View) string {
	t.Helper()
	a, err := one.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := other.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	rows, d, err := view.Compare(t.Context(), a, b)
	if err != nil || rows == 0 {
		t.Fatal(rows, err)
	}
	if d != nil {
		return fmt.Sprintf("%x: %v", d.Key, d.Bytes)
	}
	return ""
}

func TestReplayOfADrawnHistoryIsTheViewKeyForKey(t *testing.T) {
	h, s := drawnHistory(t, rand.New(rand.NewPCG(7, 8)), 40)
	want := mustDump(t, s)
	resp, err := replays(t, s, true)
	if err != nil || resp.GetDifference() != nil || resp.GetRows() == 0 || resp.GetSamples() == 0 {
		t.Fatal(resp, err)
	}
	viewIn(t, h.store.Path())
	if resp, err = replays(t, s, false); err != nil || resp.GetDone() != resp.GetTotal() {
		t.Fatal(resp, err)
	}
	if got := mustDump(t, s); got != want {
		t.Error("another view")
	}
	if resp, err = replays(t, s, true); err != nil || resp.GetDifference() != nil {
		t.Error(resp, err)
	}
}

// A row that no event has put there is found, and named.
func TestCheckFindsARowThatIsNotOfTheLog(t *testing.T) {
	h := history(t)
	s := open(t, h.config(t, h.server, h.store.Path()), h.payloads(t))
	waitReady(t, s, h.payloads(t))
	p := s.open.live
	batch := p.view.Begin()
	batch.PutDecision(1<<40, []byte("forged"))
	if err := batch.Commit(p.view.Cursor()); err != nil {
		t.Fatal(err)
	}
	resp, err := replays(t, s, true)
	d := resp.GetDifference()
	if err != nil || d.GetFamily() != "decision (02)" || d.GetViewBytes() != 6 || d.ReplayBytes != nil {
		t.Error(resp, err)
	}
	viewIn(t, h.store.Path())
}

// The past is what a store would show that only got so much of the log: key for key, to the
// owner, and to an app with the grants of then.
func TestPastIsTheStoreAsItWas(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	h, s := drawnHistory(t, random, 30)
	payloads := h.payloads(t)
	for range 4 {
		sequence := uint64(6 + random.IntN(len(payloads)-6))
		resp, err := opensPast(t, s, &pb.OpenPastRequest{AsOf: &pb.OpenPastRequest_Sequence{Sequence: sequence}})
		if err != nil || resp.GetSequence() != sequence {
			t.Fatal(sequence, resp, err)
		}
		then := payloads[:sequence]
		fresh := open(t, h.config(t, h.replica(t, then), h.folder(t)), then)
		waitReady(t, fresh, then)
		if d := differences(t, s.open.pasts[sequence].view, fresh.open.live.view); d != "" {
			t.Errorf("as of segment %d another view: %s", sequence, d)
		}
		app, known := fresh.open.live.state.AppByBundle("org.example.reader")
		byApp, err := opensPast(t, s, &pb.OpenPastRequest{
			AsOf: &pb.OpenPastRequest_Sequence{Sequence: sequence}, BundleId: "org.example.reader",
		})
		if !known {
			if rpc.Detail(err).GetField() != "bundle_id" {
				t.Error("as an app that there was not yet:", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for session, number := range map[string]uint64{resp.GetSession(): 0, byApp.GetSession(): app.Number} {
			for name, query := range map[string]*pb.ReadRequest{
				"samples": {Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}}}},
				"statistics": {Query: &pb.ReadRequest_Statistics{Statistics: &pb.QueryStatisticsRequest{
					Type: "stepCount",
				}}},
				"sources": {Query: &pb.ReadRequest_Sources{Sources: &pb.QuerySourcesRequest{Type: "stepCount"}}},
				"changes": {Query: &pb.ReadRequest_Changes{Changes: &pb.QueryChangesRequest{Type: "stepCount"}}},
			} {
				past, live := proto.CloneOf(query), proto.CloneOf(query)
				past.Reader, live.Reader = &pb.Reader{Past: session}, &pb.Reader{App: number}
				got, err1 := s.Read(t.Context(), past)
				want, err2 := fresh.Read(t.Context(), live)
				if rpc.Reason(err1) != rpc.Reason(err2) {
					t.Errorf("%s as of segment %d by %d: %v, %v", name, sequence, number, err1, err2)
				}
				if name == "changes" { // anchors are sealed anew each time
					a, b := answer[pb.QueryChangesResponse](got), answer[pb.QueryChangesResponse](want)
					a.Anchor, b.Anchor = "", ""
					if !proto.Equal(a, b) {
						t.Errorf("%s as of segment %d by %d", name, sequence, number)
					}
				} else if string(got.GetAnswer()) != string(want.GetAnswer()) {
					t.Errorf("%s as of segment %d by %d", name, sequence, number)
				}
			}
		}
	}
	if len(s.open.pasts) > maxPasts {
		t.Errorf("%d views of the past are open", len(s.open.pasts))
	}
}

// A time means the last segment that was written until then.
func TestPastIsFoundByItsTime(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	timeOf := func(sequence uint64) int64 {
		events, err := s.open.live.follower.eventsAt(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		return events[0].GetTime()
	}
	at := func(micros int64) (*pb.OpenPastResponse, error) {
		return opensPast(t, s, &pb.OpenPastRequest{AsOf: &pb.OpenPastRequest_Time{Time: timestamppb.New(time.UnixMicro(micros))}})
	}
	last := uint64(len(payloads))
	for _, sequence := range []uint64{7, last} {
		resp, err := at(timeOf(sequence))
		if err != nil || timeOf(resp.GetSequence()) != timeOf(sequence) || resp.GetSequence() < last && timeOf(resp.GetSequence()+1) <= timeOf(sequence) {
			t.Errorf("the time of segment %d is that of segment %d: %v", sequence, resp.GetSequence(), err)
		}
	}
	if resp, err := at(timeOf(last) + 1e12); err != nil || resp.GetSequence() != last {
		t.Error("the future:", resp, err)
	}
	if _, err := at(timeOf(1) - 1); rpc.Detail(err).GetField() != "time" {
		t.Error("before the log:", err)
	}
	for _, sequence := range []uint64{0, last + 1} {
		if _, err := opensPast(t, s, &pb.OpenPastRequest{AsOf: &pb.OpenPastRequest_Sequence{Sequence: sequence}}); rpc.Detail(err).GetField() != "sequence" {
			t.Errorf("as of segment %d: %v", sequence, err)
		}
	}
}

// With the grants of now an app is shown what it would see of then; what is over leaves
// nothing, and no other question is answered.
func TestPastIsReadWithGrantsOfNowAndGoesAtLock(t *testing.T) {
	h, s := drawnHistory(t, rand.New(rand.NewPCG(1, 1)), 0)
	h.save(t, 0, 3)
	before, _, _ := h.store.Head()
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: &pb.DecideRequest{
		BundleId: "org.example.reader", Reads: []*pb.ReadGrant{{Type: codeOf(t, "stepCount"), Extent: pb.ReadExtent_READ_EXTENT_ALL}},
	}}})
	h.save(t, 10, 3)
	h.advance(t, s)
	steps := func(grants pb.PastGrants) (string, int) {
		resp, err := opensPast(t, s, &pb.OpenPastRequest{
			AsOf: &pb.OpenPastRequest_Sequence{Sequence: before}, BundleId: "org.example.reader", Grants: grants,
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Read(t.Context(), &pb.ReadRequest{
			Reader: &pb.Reader{Past: resp.GetSession()}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetSession(), len(answer[pb.QuerySamplesResponse](out).GetSamples())
	}
	session, then := steps(pb.PastGrants_PAST_GRANTS_UNSPECIFIED)
	if _, now := steps(pb.PastGrants_PAST_GRANTS_NOW); then != 0 || now != 3 {
		t.Errorf("with the grants of then %d samples, of now %d", then, now)
	}
	if _, err := s.Read(t.Context(), &pb.ReadRequest{
		Reader: &pb.Reader{Past: session}, Query: &pb.ReadRequest_Access{Access: &pb.ListAccessRequest{}},
	}); rpc.Reason(err) != rpc.ReasonInvalidArgument {
		t.Error("the access log of the past:", err)
	}
	folder := s.open.pasts[before].folder
	crashed := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(crashed, os.DirFS(h.store.Path())); err != nil {
		t.Fatal(err)
	}
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Error("a view of the past is left by the lock")
	}
	s = open(t, h.config(t, h.server, crashed), h.payloads(t))
	viewIn(t, crashed)
	if _, err := s.Read(t.Context(), &pb.ReadRequest{
		Reader: &pb.Reader{Past: session}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}}},
	}); rpc.Detail(err).GetField() != "session" {
		t.Error("a session of before the lock:", err)
	}
}

// The events of the log come in their order, whole, whatever the pages.
func TestLogIsReadInPages(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	var content []byte
	var read [][2]uint64
	req := &pb.ReadLogRequest{}
	for {
		out, err := s.Read(t.Context(), &pb.ReadRequest{Query: &pb.ReadRequest_ReadLog{ReadLog: req}})
		if err != nil {
			t.Fatal(err)
		}
		page, size := answer[pb.ReadLogResponse](out), 0
		for _, part := range page.GetParts() {
			size += len(part.GetContent())
			if content = append(content, part.GetContent()...); part.GetMore() {
				continue
			}
			event := &pb.Event{}
			if err := proto.Unmarshal(content, event); err != nil || event.GetBody() == nil {
				t.Fatal(part.GetSequence(), event, err)
			}
			content = nil
			read = append(read, [2]uint64{part.GetSequence(), uint64(part.GetEvent())})
		}
		if size > maxLogBytes {
			t.Errorf("a page of %d bytes", size)
		}
		req = &pb.ReadLogRequest{Sequence: page.GetSequence(), Event: page.GetEvent(), Offset: page.GetOffset()}
		if page.GetSequence() > page.GetLast() {
			break
		}
	}
	var want [][2]uint64
	for i := range payloads {
		events, err := s.open.live.follower.eventsAt(t.Context(), uint64(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		for n := range events {
			want = append(want, [2]uint64{uint64(i) + 1, uint64(n)})
		}
	}
	if fmt.Sprint(read) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", read, want)
	}
	req.WaitMs = 60_000
	told := make(chan int)
	go func() {
		out, _ := s.Read(context.WithoutCancel(t.Context()), &pb.ReadRequest{Query: &pb.ReadRequest_ReadLog{ReadLog: req}})
		told <- len(answer[pb.ReadLogResponse](out).GetParts())
	}()
	h.save(t, 600, 1)
	h.advance(t, s)
	if n := <-told; n == 0 {
		t.Error("who waited for the next event is told of none")
	}
}
