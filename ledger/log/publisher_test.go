package log

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"healthledger/ledger/seal"
)

// content returns the payloads of a log.
func content(t testing.TB, r *Reader) [][]byte {
	t.Helper()
	last, err := r.Last(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	var payloads [][]byte
	if err := r.Read(testContext(t), 1, last, func(e Entry) error {
		payloads = append(payloads, e.Payload)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return payloads
}

func wantContent(t testing.TB, r *Reader, want ...string) {
	t.Helper()
	got := content(t, r)
	if len(got) != len(want) {
		t.Fatalf("%d segments in the log, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i]) != want[i] {
			t.Errorf("segment %d is %q, want %q", i+1, got[i], want[i])
		}
	}
}

func TestPublishAppendsAtItsSequenceOnly(t *testing.T) {
	conn := startServer(t).connectInProcess()
	store := testStore(1)
	createStream(t, conn, store)
	p := NewPublisher(conn, store)
	ctx := testContext(t)
	for i, payload := range []string{"one", "two", "three"} {
		if err := p.Publish(ctx, uint64(i+1), []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Publish(ctx, 2, []byte("another")); !errors.Is(err, ErrConflict) {
		t.Errorf("a place that is taken: %v", err)
	}
	if err := p.Publish(ctx, 2, []byte("two")); err != nil {
		t.Errorf("the same segment again: %v", err)
	}
	var loss *LossError
	if err := p.Publish(ctx, 7, []byte("seven")); !errors.As(err, &loss) || *loss != (LossError{4, 6}) {
		t.Errorf("a log that is too short: %v", err)
	}
	for name, bad := range map[string]struct {
		sequence uint64
		payload  []byte
	}{"sequence 0": {0, []byte("x")}, "nothing": {4, nil}, "too much": {4, make([]byte, MaxSegment+1)}} {
		if err := p.Publish(ctx, bad.sequence, bad.payload); err == nil {
			t.Errorf("%s was published", name)
		}
	}
	if err := p.Publish(ctx, 4, payloadOf(4, MaxSegment)); err != nil {
		t.Errorf("a full segment: %v", err)
	}
	if got := content(t, NewReader(conn, store)); len(got) != 4 || !bytes.Equal(got[3], payloadOf(4, MaxSegment)) {
		t.Errorf("%d segments in the log", len(got))
	}
}

// Of two that want the same place one gets it, and both learn who.
func TestPublishersThatCompeteAgree(t *testing.T) {
	srv := startServer(t)
	store := testStore(1)
	createStream(t, srv.connectInProcess(), store)
	publishers := []*Publisher{NewPublisher(srv.connect(), store), NewPublisher(srv.connect(), store)}
	for sequence := uint64(1); sequence <= 50; sequence++ {
		results := make(chan error, 2)
		for i, p := range publishers {
			go func() { results <- p.Publish(t.Context(), sequence, []byte{byte(i), byte(sequence)}) }()
		}
		a, b := <-results, <-results
		if (a == nil) == (b == nil) || a != nil && !errors.Is(a, ErrConflict) || b != nil && !errors.Is(b, ErrConflict) {
			t.Fatalf("segment %d: %v and %v", sequence, a, b)
		}
	}
	if got := content(t, NewReader(srv.connect(), store)); len(got) != 50 {
		t.Errorf("%d segments", len(got))
	}
}

// A faultyDialer makes connections that break at the next exchange, with what was
// written lost, or delivered and the answer lost.
type faultyDialer struct {
	loseRequest, loseAnswer atomic.Bool
	broken                  atomic.Int32
}

type faultyConn struct {
	net.Conn
	dialer *faultyDialer
	mark   []byte
	cut    atomic.Bool
}

func (d *faultyDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: conn, dialer: d, mark: []byte("Nats-Expected-Last-Sequence")}, nil
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, c.mark) {
		switch {
		case c.dialer.loseRequest.CompareAndSwap(true, false):
			c.dialer.broken.Add(1)
			c.Close()
			return 0, net.ErrClosed
		case c.dialer.loseAnswer.CompareAndSwap(true, false):
			c.cut.Store(true)
		}
	}
	return c.Conn.Write(p)
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.cut.Load() {
		c.dialer.broken.Add(1)
		c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func newFaulty(t *testing.T) (*natsServer, *faultyDialer, *Publisher, seal.StoreID) {
	t.Helper()
	srv := startServer(t)
	store := testStore(1)
	createStream(t, srv.connectInProcess(), store)
	dialer := &faultyDialer{}
	p := NewPublisher(srv.connect(nats.SetCustomDialer(dialer)), store)
	p.attempt = 300 * time.Millisecond
	return srv, dialer, p, store
}

func TestALostAnswerIsResolvedByReadingTheLog(t *testing.T) {
	srv, dialer, p, store := newFaulty(t)
	for i, payload := range []string{"one", "two", "three"} {
		dialer.loseAnswer.Store(true)
		if err := p.Publish(testContext(t), uint64(i+1), []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if got := dialer.broken.Load(); got != 3 {
		t.Errorf("%d broken connections", got)
	}
	wantContent(t, NewReader(srv.connect(), store), "one", "two", "three")
}

func TestALostRequestIsSentAgain(t *testing.T) {
	srv, dialer, p, store := newFaulty(t)
	for i, payload := range []string{"one", "two", "three"} {
		dialer.loseRequest.Store(true)
		if err := p.Publish(testContext(t), uint64(i+1), []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if got := dialer.broken.Load(); got != 3 {
		t.Errorf("%d broken connections", got)
	}
	wantContent(t, NewReader(srv.connect(), store), "one", "two", "three")
}

func TestALostAnswerDoesNotHideAConflict(t *testing.T) {
	srv, dialer, p, store := newFaulty(t)
	if err := NewPublisher(srv.connect(), store).Publish(testContext(t), 1, []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	dialer.loseAnswer.Store(true)
	if err := p.Publish(testContext(t), 1, []byte("ours")); !errors.Is(err, ErrConflict) {
		t.Errorf("err = %v, want ErrConflict", err)
	}
	wantContent(t, NewReader(srv.connect(), store), "theirs")
}

// Whatever moment the server goes down at, what Publish says is what the log holds.
func TestServerShutDownAroundAPublish(t *testing.T) {
	srv := startServer(t)
	store := testStore(1)
	conn := srv.connect()
	createStream(t, conn, store)
	p := NewPublisher(conn, store)
	p.attempt = 300 * time.Millisecond
	const last = 200
	failed := make(chan error, 1)
	var reached atomic.Uint64
	go func() {
		for sequence := uint64(1); sequence <= last; sequence++ {
			if err := p.Publish(context.Background(), sequence, payloadOf(sequence, 500)); err != nil {
				failed <- err
				return
			}
			reached.Store(sequence)
		}
		failed <- nil
	}()
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		srv.stop()
		srv.start()
	}
	if err := <-failed; err != nil {
		t.Fatalf("after %d: %v", reached.Load(), err)
	}
	r := NewReader(srv.connect(), store)
	if got, err := r.Last(testContext(t)); err != nil || got != last {
		t.Fatalf("Last = %d, %v", got, err)
	}
	if _, err := readAll(testContext(t), t, r, 1, last, constant(500)); err != nil {
		t.Error(err)
	}
}

func TestAnOutcomeThatStaysUnknownIsSaidToBe(t *testing.T) {
	srv := startServer(t)
	store := testStore(1)
	conn := srv.connect()
	createStream(t, conn, store)
	p := NewPublisher(conn, store)
	p.attempt, p.patience, p.reader.stall = 50*time.Millisecond, 200*time.Millisecond, 50*time.Millisecond
	srv.stop()
	if err := p.Publish(testContext(t), 1, []byte("one")); !errors.Is(err, ErrUnknown) {
		t.Errorf("patience at its end: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, 1, []byte("one")); !errors.Is(err, ErrUnknown) {
		t.Errorf("context at its end: %v", err)
	}
	srv.start()
	p.patience, p.attempt, p.reader.stall = 20*time.Second, time.Second, time.Second
	if err := p.Publish(testContext(t), 1, []byte("one")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, NewReader(srv.connect(), store), "one")
}

func TestNoSpaceIsToldApart(t *testing.T) {
	srv := startServer(t, func(o *server.Options) { o.JetStreamMaxStore = 1 << 20 })
	store := testStore(1)
	conn := srv.connect()
	createStream(t, conn, store)
	p := NewPublisher(conn, store)
	var err error
	appended := uint64(0)
	for err == nil && appended < 20 {
		if err = p.Publish(testContext(t), appended+1, payloadOf(appended+1, 200_000)); err == nil {
			appended++
		}
	}
	if !errors.Is(err, ErrNoSpace) || errors.Is(err, ErrUnknown) {
		t.Fatalf("after %d segments: %v", appended, err)
	}
	if got := content(t, NewReader(conn, store)); uint64(len(got)) != appended {
		t.Errorf("%d segments in the log, %d acknowledged", len(got), appended)
	}
	conn.Close()
	srv.stop()
	srv.options.JetStreamMaxStore = 0
	srv.start()
	if err := NewPublisher(srv.connect(), store).Publish(testContext(t), appended+1, []byte("room again")); err != nil {
		t.Error(err)
	}
}

func BenchmarkPublish(b *testing.B) {
	conn := startServer(b).connectInProcess()
	store := testStore(1)
	createStream(b, conn, store)
	p := NewPublisher(conn, store)
	payload := payloadOf(1, 8000)
	sequence := uint64(0)
	for b.Loop() {
		sequence++
		if err := p.Publish(b.Context(), sequence, payload); err != nil {
			b.Fatal(err)
		}
	}
}
