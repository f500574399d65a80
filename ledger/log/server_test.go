package log

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"healthledger/ledger/seal"
)

func TestMain(m *testing.M) {
	// A mirror waits for its consumer for half a minute after its server is gone.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).setupMirrorConsumer.func3"))
}

// A natsServer is a real server on the disk that can be stopped and started again.
type natsServer struct {
	t       testing.TB
	options server.Options
	*server.Server
}

func startServer(t testing.TB, change ...func(*server.Options)) *natsServer {
	t.Helper()
	s := &natsServer{t: t, options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
		NoLog: true, NoSigs: true,
	}}
	for _, c := range change {
		c(&s.options)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *natsServer) start() {
	s.t.Helper()
	options := s.options
	srv, err := server.NewServer(&options)
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		s.t.Fatal("server did not start")
	}
	s.Server = srv
	// The address stays the same when the server comes back.
	var port int
	if _, err := fmt.Sscanf(srv.Addr().String(), "127.0.0.1:%d", &port); err != nil {
		s.t.Fatal(err)
	}
	s.options.Port = port
}

func (s *natsServer) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

func (s *natsServer) connect(options ...nats.Option) *nats.Conn {
	s.t.Helper()
	options = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0),
	}, options...)
	conn, err := nats.Connect(s.ClientURL(), options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	return conn
}

func (s *natsServer) connectInProcess() *nats.Conn {
	s.t.Helper()
	return s.connect(nats.InProcessServer(s.Server))
}

// blocks returns the block files of a store's stream, the oldest first.
func (s *natsServer) blocks(store seal.StoreID) []string {
	s.t.Helper()
	folder := filepath.Join(s.options.StoreDir, "jetstream", "$G", "streams", StreamName(store), "msgs")
	var files []string
	for i := 1; ; i++ {
		found, err := filepath.Glob(filepath.Join(folder, fmt.Sprintf("%d.blk", i)))
		if err != nil {
			s.t.Fatal(err)
		}
		if len(found) == 0 {
			return files
		}
		files = append(files, found...)
	}
}

func testStore(b byte) seal.StoreID {
	return seal.StoreID{0: b, 15: 0xff}
}

func createStream(t testing.TB, conn *nats.Conn, store seal.StoreID) {
	t.Helper()
	if err := CreateStream(t.Context(), jetStream(conn), store, 1); err != nil {
		t.Fatal(err)
	}
}

// payloadOf is a payload of a sequence that looks like no other one.
func payloadOf(sequence uint64, size int) []byte {
	payload := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(sequence), byte(sequence >> 8), byte(sequence >> 16)})
	rng.Read(payload)
	return payload
}

// fill appends segments quickly, without waiting for each.
func fill(t testing.TB, conn *nats.Conn, store seal.StoreID, from, to uint64, size func(uint64) int) {
	t.Helper()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(256))
	if err != nil {
		t.Fatal(err)
	}
	var acks []jetstream.PubAckFuture
	for sequence := from; sequence <= to; sequence++ {
		ack, err := js.PublishAsync(Subject(store), payloadOf(sequence, size(sequence)), jetstream.WithStallWait(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case a := <-ack.Ok():
			if a.Sequence != from+uint64(i) {
				t.Fatalf("segment %d became %d", from+uint64(i), a.Sequence)
			}
		case err := <-ack.Err():
			t.Fatal(err)
		}
	}
}

func constant(size int) func(uint64) int { return func(uint64) int { return size } }

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
