package projector

import (
	"cmp"
	"context"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func changesOf(t testing.TB, s *service, app uint64, r *pb.QueryChangesRequest) *pb.QueryChangesResponse {
	t.Helper()
	r.Type = cmp.Or(r.Type, "stepCount")
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Changes{Changes: r}})
	if err != nil {
		t.Error(err)
	}
	return answer[pb.QueryChangesResponse](resp)
}

// deleteFirst deletes the steps of the first n minutes that house.save saves.
func (h *house) deleteFirst(t testing.TB, n int) {
	t.Helper()
	req := &pb.DeleteRequest{RequestId: append(make([]byte, 15), byte(n)), Deletions: []*pb.Deletion{
		{Type: "stepCount", To: timestamppb.New(time.Date(2024, 5, 1, 0, n, 0, 0, time.UTC))},
	}}
	if _, err := h.store.Delete(t.Context(), h.app, req); err != nil {
		t.Fatal(err)
	}
}

// A reader goes on with its anchor after the view was rebuilt from a log that went on
// meanwhile, in the middle of a segment too, and misses nothing.
func TestAnchorsSurviveARebuild(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 20)
	h.save(t, 50, 5)
	payloads := h.payloads(t)
	config := h.config(t, h.server, h.store.Path())
	s := open(t, config, payloads)
	waitReady(t, s, payloads)
	held := map[string]bool{}
	apply := func(answer *pb.QueryChangesResponse) (anchor string) {
		for _, sample := range answer.GetSamples() {
			held[sample.GetUuid()] = true
		}
		for _, d := range answer.GetDeleted() {
			delete(held, d.GetUuid())
		}
		return answer.GetAnchor()
	}
	anchor := apply(changesOf(t, s, h.app.Number, &pb.QueryChangesRequest{Limit: 7}))
	if len(held) != 7 {
		t.Fatalf("%d samples on a page of 7", len(held))
	}
	h.save(t, 100, 30)
	h.deleteFirst(t, 3)
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(viewIn(t, config.GetDirectory())); err != nil {
		t.Fatal(err)
	}
	payloads = h.payloads(t)
	s = open(t, config, payloads)
	waitReady(t, s, payloads)
	for more := true; more; {
		answer := changesOf(t, s, h.app.Number, &pb.QueryChangesRequest{Anchor: anchor, Limit: 7})
		anchor, more = apply(answer), answer.GetMore()
	}
	if want := stepsOf(t, s); len(held) != want || want != 52 {
		t.Errorf("the reader holds %d, there are %d", len(held), want)
	}
	_, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{}, Query: &pb.ReadRequest_Changes{
		Changes: &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchor},
	}})
	if rpc.Detail(err).GetField() != "anchor" {
		t.Error("an anchor of another reader:", err)
	}
}

// A wait ends with a change that the reader may see, with the time it wants to wait, or
// with the call; not with what it may not see.
func TestChangesAreWaitedFor(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 3)
	s := h.opened(t)
	tell := func() {
		head, _, _ := h.store.Head()
		if _, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: head, Wait: true}); err != nil {
			t.Error(err)
		}
	}
	stranger, owner := h.app.Number+7, uint64(0)
	anchors := map[uint64]string{}
	for _, reader := range []uint64{stranger, owner} {
		anchors[reader] = changesOf(t, s, reader, &pb.QueryChangesRequest{FromNow: true, WaitMs: 1}).GetAnchor()
	}
	told := make(chan *pb.QueryChangesResponse)
	go func() {
		told <- changesOf(t, s, owner, &pb.QueryChangesRequest{Anchor: anchors[owner], WaitMs: 60_000})
	}()
	began := time.Now()
	denied := make(chan *pb.QueryChangesResponse)
	go func() {
		denied <- changesOf(t, s, stranger, &pb.QueryChangesRequest{Anchor: anchors[stranger], WaitMs: 300})
	}()
	time.Sleep(20 * time.Millisecond)
	h.save(t, 10, 2)
	tell()
	if answer := <-told; len(answer.GetSamples()) != 2 {
		t.Errorf("the owner is told %v", answer)
	}
	if answer := <-denied; len(answer.GetSamples()) > 0 || time.Since(began) < 300*time.Millisecond {
		t.Errorf("who may see nothing is told %v after %s", answer, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := s.Read(ctx, &pb.ReadRequest{Reader: &pb.Reader{App: stranger}, Query: &pb.ReadRequest_Changes{
		Changes: &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchors[stranger], WaitMs: 60_000},
	}}); err == nil {
		t.Error("a call that has ended is answered")
	}
}

// Who asks from now on and waits is told what comes while it waits.
func TestFromNowIsWhenTheReaderAsked(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 3)
	s := h.opened(t)
	told := make(chan *pb.QueryChangesResponse)
	go func() { told <- changesOf(t, s, 0, &pb.QueryChangesRequest{FromNow: true, WaitMs: 60_000}) }()
	time.Sleep(100 * time.Millisecond)
	h.save(t, 10, 2)
	h.advance(t, s)
	if answer := <-told; len(answer.GetSamples()) != 2 {
		t.Errorf("%d samples of 2 were told", len(answer.GetSamples()))
	}
}
