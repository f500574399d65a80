package client_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// updates are those of a small store.
type updates struct {
	mu sync.Mutex
	// due is what a query answers, asked how often one came.
	due     []string
	refusal error
	asked   int
	set     []*pb.SetUpdatesRequest
	acked   []string
}

func (l *ledger) SetUpdates(_ context.Context, r *pb.SetUpdatesRequest) (*pb.SetUpdatesResponse, error) {
	u := &l.updates
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.set = append(u.set, r); len(u.set) == 1 {
		return nil, rpc.Error(connect.CodeUnavailable, nil, "not now")
	}
	return &pb.SetUpdatesResponse{}, nil
}

func (l *ledger) AckUpdates(_ context.Context, r *pb.AckUpdatesRequest) (*pb.AckUpdatesResponse, error) {
	u := &l.updates
	u.mu.Lock()
	defer u.mu.Unlock()
	u.acked = append(u.acked, r.Tokens...)
	return &pb.AckUpdatesResponse{}, nil
}

func (l *ledger) QueryUpdates(context.Context, *pb.QueryUpdatesRequest) (*pb.QueryUpdatesResponse, error) {
	u := &l.updates
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	if u.refusal != nil {
		return nil, u.refusal
	}
	return response(u.due...), nil
}

func response(tokens ...string) *pb.QueryUpdatesResponse {
	r := &pb.QueryUpdatesResponse{}
	for _, token := range tokens {
		r.Updates = append(r.Updates, &pb.Update{Type: "stepCount", Token: token})
	}
	return r
}

func (u *updates) answer(refusal error, due ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.due, u.refusal = due, refusal
}

// push tells the app of updates.
func (d *daemon) push(t testing.TB, tokens ...string) {
	t.Helper()
	b, err := proto.Marshal(response(tokens...))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.service.Publish(rpc.UpdatesSubject(store, key), b); err != nil {
		t.Fatal(err)
	}
}

// listen sends the tokens of the updates that come, and at the end the reason why.
func listen(ctx context.Context, d *daemon, t testing.TB) (tokens <-chan string, closeClient func()) {
	c := dial(t, d)
	ch := make(chan string, 100)
	go func() {
		for u, err := range c.Updates(ctx) {
			if err != nil {
				ch <- rpc.Reason(err)
				return
			}
			ch <- u.GetToken()
		}
	}()
	return ch, c.Close
}

func expect(t testing.TB, tokens <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-tokens:
			if got != w {
				t.Errorf("%q, want %q", got, w)
			}
		case <-time.After(8 * time.Second):
			t.Fatalf("no %q", w)
		}
	}
}

func TestUpdatesAreAskedForThenPushed(t *testing.T) {
	l := &ledger{}
	l.updates.answer(nil, "a", "b")
	d := run(t, l, t.TempDir(), "")
	ctx, cancel := context.WithCancel(t.Context())
	tokens, _ := listen(ctx, d, t)
	expect(t, tokens, "a", "b")
	d.push(t, "c")
	d.push(t, "d", "c")
	expect(t, tokens, "c", "d", "c")
	cancel()
	expect(t, tokens, rpc.ReasonCanceled)
}

// While the store is locked, or the daemon away, there are none; then they come.
func TestUpdatesOutlastALockAndARestart(t *testing.T) {
	l, dir := &ledger{}, t.TempDir()
	l.updates.answer(rpc.StoreLocked())
	d := run(t, l, dir, "")
	tokens, closeClient := listen(t.Context(), d, t)
	for deadline := time.Now().Add(8 * time.Second); ; time.Sleep(time.Millisecond) {
		l.updates.mu.Lock()
		asked := l.updates.asked
		l.updates.mu.Unlock()
		if asked > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody asked")
		}
	}
	d.push(t, "a")
	expect(t, tokens, "a")
	l.updates.answer(nil, "b")
	d.kill()
	d = run(t, l, dir, strings.TrimPrefix(d.srv.URL(), "nats://"))
	expect(t, tokens, "b")
	d.push(t, "c")
	expect(t, tokens, "c")
	closeClient()
	expect(t, tokens, rpc.ReasonUnavailable)
}

func TestUpdatesEndWithTheFirstError(t *testing.T) {
	l := &ledger{}
	l.updates.answer(rpc.Unauthenticated())
	tokens, _ := listen(t.Context(), run(t, l, t.TempDir(), ""), t)
	expect(t, tokens, rpc.ReasonUnauthenticated)
	l.updates.answer(nil)
	d := run(t, l, t.TempDir(), "")
	tokens, _ = listen(t.Context(), d, t)
	for range 100 { // until it listens
		if err := d.service.Publish(rpc.UpdatesSubject(store, key), []byte("\xff")); err != nil {
			t.Fatal(err)
		}
		select {
		case reason := <-tokens:
			if reason != rpc.ReasonInternal {
				t.Error(reason)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("what is no update is taken for one")
}

func TestUpdatesAreSetAndAcknowledged(t *testing.T) {
	l := &ledger{}
	c := dial(t, run(t, l, t.TempDir(), ""))
	if err := c.SetUpdates(t.Context(), "stepCount", pb.Frequency_FREQUENCY_DAILY); err != nil {
		t.Error("not repeated:", err)
	}
	if len(l.updates.set) != 2 || l.updates.set[1].GetType() != "stepCount" || l.updates.set[1].GetFrequency() != pb.Frequency_FREQUENCY_DAILY {
		t.Error(l.updates.set)
	}
	if err := c.AckUpdates(t.Context(), response("a", "b").Updates...); err != nil || !slices.Equal(l.updates.acked, []string{"a", "b"}) {
		t.Error(l.updates.acked, err)
	}
}
