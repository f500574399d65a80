package natsserver_test

import (
	"bytes"
	"context"
	"errors"
	"os/signal"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
)

// limitFiles lets this process write so much into a file, as a full disk would, and takes
// that back when the test is over.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	}
	set(unix.Rlimit{Cur: bytes, Max: before.Max})
	lift = func() { set(before) }
	t.Cleanup(func() { lift(); signal.Reset(unix.SIGXFSZ) })
	return lift
}

// What was acknowledged stays, what was under way gets in once, and nobody restarts anything.
func TestLogIsWrittenAgainWhenTheDiskTakesIt(t *testing.T) {
	srv := start(t, natsserver.Options{})
	id := seal.NewStoreID()
	js, err := jetstream.New(connect(t, srv, natsserver.Administrator))
	if err != nil {
		t.Fatal(err)
	}
	if err := log.CreateStream(t.Context(), js, id, 1); err != nil {
		t.Fatal(err)
	}
	publish, subscribe := log.AppenderPermissions("_INBOX.test")
	user, password, _, err := srv.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := srv.ConnectGranted(user, password, nats.CustomInboxPrefix("_INBOX.test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	publisher := log.NewPublisher(conn, id)
	payload := func(n uint64) []byte { return bytes.Repeat([]byte{byte(n)}, 100_000) }

	var acknowledged uint64
	for ; acknowledged < 3; acknowledged++ {
		if err := publisher.Publish(t.Context(), acknowledged+1, payload(acknowledged+1)); err != nil {
			t.Fatal(err)
		}
	}
	lift := limitFiles(t, 350_000)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := publisher.Publish(short, 4, payload(4)); !errors.Is(err, log.ErrUnknown) {
		t.Fatal("a write behind the limit:", err)
	}
	if srv.Writable() == nil {
		t.Error("nothing says that the log cannot be written")
	}
	wait(t, func() bool { return errors.Is(srv.Writable(), unix.EFBIG) }) // it was tried, in vain
	lift()
	wait(t, func() bool { return srv.Writable() == nil })
	for n := uint64(4); n <= 5; n++ {
		if err := publisher.Publish(t.Context(), n, payload(n)); err != nil {
			t.Fatal("after there was room again:", err)
		}
	}
	var n uint64
	err = log.NewReader(conn, id).Read(t.Context(), 1, 5, func(e log.Entry) error {
		n++
		if !bytes.Equal(e.Payload, payload(n)) {
			t.Errorf("segment %d is another", n)
		}
		return nil
	})
	if err != nil || n != 5 {
		t.Error(n, err)
	}
}
