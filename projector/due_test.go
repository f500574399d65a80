package projector

import (
	"context"
	"errors"
	"testing"
	"time"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// dueTo asks as the daemon would after it has appended everything.
func (h *house) dueTo(ctx context.Context, t testing.TB, s *service, app uint64, wait time.Duration) ([]*pb.DueUpdate, error) {
	t.Helper()
	sequence, _, _ := h.store.Head()
	resp, err := s.Read(ctx, &pb.ReadRequest{
		Reader: &pb.Reader{App: app}, Sequence: sequence, Query: &pb.ReadRequest_Due{Due: &pb.DueRequest{WaitMs: uint32(wait.Milliseconds())}},
	})
	return answer[pb.DueResponse](resp).GetUpdates(), err
}

func (h *house) advance(t testing.TB, s *service) {
	t.Helper()
	sequence, _, _ := h.store.Head()
	if _, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: sequence, Wait: true}); err != nil {
		t.Fatal(err)
	}
}

func (h *house) setUpdates(t testing.TB, name string, frequency pb.Frequency) {
	t.Helper()
	if _, err := h.store.SetUpdates(t.Context(), h.app, &pb.SetUpdatesRequest{Type: name, Frequency: frequency}); err != nil {
		t.Fatal(err)
	}
}

// ack acknowledges an update with its token.
func (h *house) ack(t testing.TB, due *pb.DueUpdate) {
	t.Helper()
	typ, _ := catalog.ByCode(due.GetType())
	u, err := h.store.Update(h.app, typ, due.GetSequence())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.AckUpdates(t.Context(), h.app, &pb.AckUpdatesRequest{Tokens: []string{u.GetToken()}}); err != nil {
		t.Fatal(err)
	}
}

func TestUpdateIsDueOnceUntilTheNextChange(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 3)
	h.setUpdates(t, "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, s, payloads)
	due := func(app uint64, want int) *pb.DueUpdate {
		t.Helper()
		got, err := h.dueTo(t.Context(), t, s, app, 0)
		if err != nil || len(got) != want {
			t.Fatalf("%d updates, want %d: %v", len(got), want, err)
		}
		if want == 0 {
			return nil
		}
		return got[0]
	}
	due(h.app.Number, 0) // what was there before is not told
	h.save(t, 10, 1)
	head, _, _ := h.store.Head()
	first := due(h.app.Number, 1)
	if first.GetSequence() != head || first.GetApp() != h.app.Number {
		t.Error(first)
	}
	if again := due(0, 1); again.GetSequence() != head || again.GetApp() != h.app.Number {
		t.Error("the owner's daemon is told", again)
	}
	h.save(t, 10, 1) // a repeated request changes nothing
	if again := due(h.app.Number, 1); again.GetSequence() != head || again.GetAfter() != first.GetAfter() {
		t.Error(again)
	}
	h.ack(t, first)
	due(h.app.Number, 0)
	due(h.app.Number+1, 0)
	h.save(t, 20, 1)
	if next := due(h.app.Number, 1); next.GetAfter() != first.GetSequence() {
		t.Error(next)
	}
	h.setUpdates(t, "stepCount", pb.Frequency_FREQUENCY_HOURLY)
	due(h.app.Number, 0) // an hour has not passed since the acknowledgement
	h.setUpdates(t, "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE)
	due(h.app.Number, 1)
	h.setUpdates(t, "stepCount", pb.Frequency_FREQUENCY_NEVER)
	due(h.app.Number, 0)
}

// A call that waits is answered by a change of its type, by nothing else, and ends with
// its time, its caller and the store.
func TestWhoWaitsForAnUpdateIsToldOfOneAlone(t *testing.T) {
	h := newHouse(t)
	h.setUpdates(t, "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, s, payloads)
	began := time.Now()
	if got, err := h.dueTo(t.Context(), t, s, h.app.Number, 50*time.Millisecond); err != nil || len(got) > 0 || time.Since(began) < 50*time.Millisecond {
		t.Error(got, err, time.Since(began))
	}
	type answer struct {
		due []*pb.DueUpdate
		err error
	}
	wait := func(ctx context.Context) <-chan answer {
		ch := make(chan answer, 1)
		go func() {
			due, err := h.dueTo(ctx, t, s, h.app.Number, time.Minute)
			ch <- answer{due, err}
		}()
		time.Sleep(30 * time.Millisecond)
		return ch
	}
	ch := wait(t.Context())
	h.setUpdates(t, "heartRate", pb.Frequency_FREQUENCY_DAILY)
	h.advance(t, s)
	select {
	case a := <-ch:
		t.Fatal("answered by nothing", a)
	case <-time.After(3 * pace):
	}
	h.save(t, 0, 1)
	h.advance(t, s)
	a := <-ch
	if a.err != nil || len(a.due) != 1 {
		t.Fatal(a)
	}
	h.ack(t, a.due[0])
	h.advance(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	ch = wait(ctx)
	cancel()
	if a := <-ch; !errors.Is(a.err, context.Canceled) {
		t.Error(a)
	}
	ch = wait(t.Context())
	if err := s.shutdown(); err != nil {
		t.Error(err)
	}
	if a := <-ch; !errors.Is(a.err, context.Canceled) {
		t.Error(a)
	}
}

func TestSubscriptionsSurviveARebuild(t *testing.T) {
	h := newHouse(t)
	h.setUpdates(t, "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE)
	h.setUpdates(t, "bloodPressure", pb.Frequency_FREQUENCY_WEEKLY)
	h.save(t, 0, 2)
	h.saveObjects(t, 1)
	for range 2 {
		payloads := h.payloads(t)
		s := open(t, h.config(t, h.server, h.folder(t)), payloads)
		waitReady(t, s, payloads)
		due, err := h.dueTo(t.Context(), t, s, h.app.Number, 0)
		if err != nil || len(due) != 2 {
			t.Fatal(due, err)
		}
	}
}
