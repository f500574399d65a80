package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// readAll reads a range and checks that each entry is the one it should be.
func readAll(ctx context.Context, t testing.TB, r *Reader, from, to uint64, size func(uint64) int) (last uint64, err error) {
	t.Helper()
	last = from - 1
	err = r.Read(ctx, from, to, func(e Entry) error {
		if e.Sequence != last+1 {
			t.Fatalf("segment %d follows %d", e.Sequence, last)
		}
		if !bytes.Equal(e.Payload, payloadOf(e.Sequence, size(e.Sequence))) {
			t.Fatalf("segment %d has another payload", e.Sequence)
		}
		if e.Time.IsZero() {
			t.Fatalf("segment %d has no time", e.Sequence)
		}
		last = e.Sequence
		return nil
	})
	return last, err
}

func mixed(sequence uint64) int {
	switch {
	case sequence%200 == 0:
		return MaxSegment
	case sequence%20 == 0:
		return 40_000
	}
	return 64 + int(sequence%700)
}

func TestReadBringsEverySegmentInOrder(t *testing.T) {
	conn := startServer(t, func(o *server.Options) { o.SyncAlways = false }).connectInProcess()
	store := testStore(1)
	createStream(t, conn, store)
	const last = 1000
	fill(t, conn, store, 1, last, mixed)
	r := NewReader(conn, store)
	r.batchBytes = 1 << 20 // several batches
	if got, err := r.Last(t.Context()); err != nil || got != last {
		t.Fatalf("Last = %d, %v", got, err)
	}
	for _, c := range []struct{ from, to uint64 }{{1, last}, {last, last}, {1, 1}, {199, 201}, {600, 999}} {
		if got, err := readAll(testContext(t), t, r, c.from, c.to, mixed); err != nil || got != c.to {
			t.Errorf("Read(%d, %d) ended at %d: %v", c.from, c.to, got, err)
		}
	}
	if err := r.Read(t.Context(), 5, 4, func(Entry) error { return errors.New("called") }); err != nil {
		t.Errorf("an empty range: %v", err)
	}
	if err := r.Read(t.Context(), 0, 4, func(Entry) error { return nil }); err == nil {
		t.Error("a range from 0 is read")
	}
	entry, err := r.Get(t.Context(), 200)
	if err != nil || entry.Sequence != 200 || !bytes.Equal(entry.Payload, payloadOf(200, mixed(200))) {
		t.Errorf("Get(200): %v", err)
	}
}

func TestReadIsWholeWhileOthersAppend(t *testing.T) {
	srv := startServer(t)
	store := testStore(1)
	writer := srv.connect()
	createStream(t, writer, store)
	const last = 150
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := NewPublisher(writer, store)
		for sequence := uint64(1); sequence <= last; sequence++ {
			if err := p.Publish(context.Background(), sequence, payloadOf(sequence, 300)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var readers sync.WaitGroup
	for range 2 {
		r := NewReader(srv.connectInProcess(), store)
		readers.Go(func() {
			for next := uint64(1); next <= last; {
				to, err := r.Last(t.Context())
				if err == nil {
					_, err = readAll(t.Context(), t, r, next, to, constant(300))
				}
				if err != nil {
					t.Error(err)
					return
				}
				next = to + 1
			}
		})
	}
	readers.Wait()
	<-done
}

func TestReadEndsWithTheErrorOfItsCaller(t *testing.T) {
	conn := startServer(t, func(o *server.Options) { o.SyncAlways = false }).connectInProcess()
	store := testStore(1)
	createStream(t, conn, store)
	fill(t, conn, store, 1, 60, constant(100_000))
	stop := errors.New("enough")
	calls := 0
	err := NewReader(conn, store).Read(t.Context(), 1, 60, func(e Entry) error {
		if calls++; e.Sequence == 10 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 10 {
		t.Errorf("%d calls, err = %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = NewReader(conn, store).Read(ctx, 1, 60, func(Entry) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestASlowCallerLosesNothing(t *testing.T) {
	conn := startServer(t, func(o *server.Options) { o.SyncAlways = false }).connect()
	store := testStore(1)
	createStream(t, conn, store)
	const last = 120
	fill(t, conn, store, 1, last, constant(25_000))
	r := NewReader(conn, store)
	r.stall, r.batchBytes = 100*time.Millisecond, 512<<10
	next := uint64(1)
	err := r.Read(testContext(t), 1, last, func(e Entry) error {
		if e.Sequence != next {
			t.Fatalf("segment %d follows %d", e.Sequence, next-1)
		}
		if next%40 == 0 {
			time.Sleep(3 * r.stall)
		}
		next++
		return nil
	})
	if err != nil || next != last+1 {
		t.Errorf("ended at %d: %v", next-1, err)
	}
}

// cutConn breaks a connection after so many bytes were read from it.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("cut")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

type cutDialer struct {
	sync.Mutex
	rng  *rand.Rand
	cuts int
}

func (d *cutDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	d.Lock()
	defer d.Unlock()
	d.cuts++
	return &cutConn{Conn: conn, left: 64<<10 + d.rng.IntN(768<<10)}, nil
}

func TestBrokenConnectionsLoseNothing(t *testing.T) {
	srv := startServer(t, func(o *server.Options) { o.SyncAlways = false })
	store := testStore(1)
	createStream(t, srv.connectInProcess(), store)
	const last = 100
	fill(t, srv.connectInProcess(), store, 1, last, constant(25_000))
	dialer := &cutDialer{rng: rand.New(rand.NewPCG(1, 2))}
	r := NewReader(srv.connect(nats.SetCustomDialer(dialer)), store)
	r.stall, r.batchBytes = 100*time.Millisecond, 512<<10
	if got, err := readAll(testContext(t), t, r, 1, last, constant(25_000)); err != nil || got != last {
		t.Errorf("ended at %d: %v", got, err)
	}
	if dialer.cuts < 3 {
		t.Errorf("only %d connections", dialer.cuts)
	}
}

func TestReadGoesOnAfterTheServerRestarts(t *testing.T) {
	srv := startServer(t, func(o *server.Options) { o.SyncAlways = false })
	store := testStore(1)
	conn := srv.connect()
	createStream(t, conn, store)
	const last = 200
	fill(t, conn, store, 1, last, constant(25_000))
	r := NewReader(conn, store)
	r.stall, r.batchBytes = 300*time.Millisecond, 512<<10
	next := uint64(1)
	err := r.Read(testContext(t), 1, last, func(e Entry) error {
		if e.Sequence != next {
			t.Fatalf("segment %d follows %d", e.Sequence, next-1)
		}
		if next == 20 {
			srv.stop()
			srv.start()
		}
		next++
		return nil
	})
	if err != nil || next != last+1 {
		t.Errorf("ended at %d: %v", next-1, err)
	}
}

func TestReadGivesUpOnAServerThatIsGone(t *testing.T) {
	srv := startServer(t)
	store := testStore(1)
	conn := srv.connect()
	createStream(t, conn, store)
	fill(t, conn, store, 1, 3, constant(10))
	r := NewReader(conn, store)
	r.stall, r.patience = 50*time.Millisecond, 300*time.Millisecond
	srv.stop()
	err := r.Read(testContext(t), 1, 3, func(Entry) error { return nil })
	if err == nil || errors.Is(err, ErrLoss) {
		t.Errorf("err = %v, want one that says nothing about the log", err)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct{ size, count int }{{256 << 10, 800}, {16 << 10, 8000}, {1 << 10, 50_000}} {
		for _, who := range []string{"daemon", "guest"} {
			b.Run(fmt.Sprintf("%dKiB/%s", c.size>>10, who), func(b *testing.B) {
				store := testStore(1)
				house := startGuestHouse(b, store)
				createStream(b, house.admin, store)
				fill(b, house.admin, store, 1, uint64(c.count), constant(c.size))
				r := NewReader(house.appender, store)
				if who == "guest" {
					r = NewGuestReader(house.guest, store)
				}
				b.SetBytes(int64(c.size * c.count))
				for b.Loop() {
					if err := r.Read(b.Context(), 1, uint64(c.count), func(Entry) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(c.count)*float64(b.N)/b.Elapsed().Seconds(), "segments/s")
			})
		}
	}
}
