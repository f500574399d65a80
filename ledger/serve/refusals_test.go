package serve

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// shelf takes refusals when it is let, or fails.
type shelf struct {
	let   chan struct{}
	taken chan *pb.RefusalRecorded
	err   error
}

func newShelf() *shelf {
	return &shelf{let: make(chan struct{}), taken: make(chan *pb.RefusalRecorded, 100)}
}

func (s *shelf) Record(_ context.Context, app uint64, events ...*pb.Event) (uint64, error) {
	<-s.let
	for _, e := range events {
		if r := e.GetRefusalRecorded(); r.GetApp() == app {
			s.taken <- r
		}
	}
	return 1, s.err
}

func (s *shelf) refusals(now func() time.Time) *refusals {
	r := newRefusals(nil, slog.New(slog.DiscardHandler))
	r.store, r.now = s, now
	return r
}

func TestRefusalsAreRecordedOnceAMinuteForEachReason(t *testing.T) {
	s, now := newShelf(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	close(s.let)
	r := s.refusals(func() time.Time { return now })
	one := func(value string) *pb.RefusalRecorded {
		return &pb.RefusalRecorded{App: 7, Operation: "request", Field: "read", Value: value, Why: "unknown type"}
	}
	another, other := one("a"), one("a")
	another.App, other.Why = 8, "may not"
	for _, c := range []struct {
		note  *pb.RefusalRecorded
		after time.Duration
		want  int
	}{
		{one("a"), 0, 1}, {one("a"), 0, 0}, {one("b"), 59 * time.Second, 0}, {another, 0, 1}, {other, 0, 1}, {one("b"), time.Second, 1}, {one("a"), 0, 0},
	} {
		now = now.Add(c.after)
		r.Note(c.note)
		r.Settle()
		if got := len(s.taken); got != c.want {
			t.Errorf("%v at %s: %d recorded", c.note, now, got)
		}
		for range c.want {
			<-s.taken
		}
	}
	// What could not be recorded is not tried for ever.
	s.err = errors.New("no space")
	now = now.Add(time.Minute)
	r.Note(one("a"))
	r.Note(one("a"))
	if r.Settle(); len(s.taken) != 1 {
		t.Error(len(s.taken))
	}
}

// An app that asks for what it may not ask for hears the same, at once, whether that can be
// recorded or not, and so does the owner with a manifest.
func TestRefusalsWaitForNoRecord(t *testing.T) {
	recorded := newShelf()
	close(recorded.let)
	stuck := newShelf()
	stuck.err = errors.New("no space")
	var answers [][]string
	var last *refusals
	for _, s := range []*shelf{recorded, stuck} {
		f := newFront(t)
		f.unlock(t)
		k, err := f.keeper(f.store.ID())
		if err != nil {
			t.Fatal(err)
		}
		last = s.refusals(time.Now)
		k.refusals = last
		_, asked := f.app.Health().RequestAuthorization(t.Context(), &pb.RequestAuthorizationRequest{Read: []string{"stepCount"}})
		_, status := f.app.Health().GetRequestStatus(t.Context(), &pb.GetRequestStatusRequest{Share: []string{"noSuchType"}})
		if rpc.Reason(asked) != rpc.ReasonInvalidArgument || rpc.Reason(status) != rpc.ReasonInvalidArgument {
			t.Error(asked, status)
		}
		answers = append(answers, []string{asked.Error() + rpc.Detail(asked).String(), status.Error() + rpc.Detail(status).String()})
	}
	for i := range answers[0] {
		if answers[0][i] != answers[1][i] {
			t.Errorf("%s when it is recorded, %s when not", answers[0][i], answers[1][i])
		}
	}
	if len(stuck.taken) > 0 {
		t.Error("it was recorded")
	}
	close(stuck.let)
	last.Settle()
	for _, s := range []*shelf{recorded, stuck} {
		for range 2 {
			r := <-s.taken
			if want := (map[string]string{"request": "read", "request status": "share"})[r.GetOperation()]; r.GetField() != want || r.GetWhy() == "" {
				t.Error(r)
			}
		}
	}
}
