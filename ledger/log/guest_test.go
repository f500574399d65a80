package log

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"healthledger/ledger/seal"
)

// A guestHouse is a server with an account for logs and one for guests.
type guestHouse struct {
	*natsServer
	admin, appender, guest *nats.Conn
	// insider may do as much as the guest, but in the log's account.
	insider *nats.Conn
	// violations of permissions, by any of them.
	violations chan error
}

// insiderMay is what a guest may, in the log's account.
func insiderMay(store seal.StoreID) []string {
	return []string{"$JS.API.DIRECT.GET." + StreamName(store), "$JS.API.STREAM.INFO." + StreamName(store)}
}

func startGuestHouse(t testing.TB, store seal.StoreID) *guestHouse {
	t.Helper()
	logs, guests := server.NewAccount("LOG"), server.NewAccount("GUESTS")
	user := func(name string, account *server.Account, publish, subscribe []string) *server.User {
		return &server.User{Username: name, Password: name, Account: account, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: publish},
			Subscribe: &server.SubjectPermission{Allow: subscribe},
		}}
	}
	appenderMay, appenderGets := AppenderPermissions("_INBOX_a")
	guestMay, guestGets := GuestPermissions(store, "_INBOX_g")
	srv := startServer(t, func(o *server.Options) {
		o.SyncAlways = false
		o.Accounts = []*server.Account{logs, guests}
		o.Users = []*server.User{
			{Username: "admin", Password: "admin", Account: logs},
			user("appender", logs, appenderMay, appenderGets),
			user("insider", logs, insiderMay(store), []string{"_INBOX_i.>"}),
			user("guest", guests, guestMay, guestGets),
		}
	})
	logs, err := srv.LookupAccount("LOG")
	if err != nil {
		t.Fatal(err)
	}
	if guests, err = srv.LookupAccount("GUESTS"); err != nil {
		t.Fatal(err)
	}
	if err := logs.EnableJetStream(map[string]server.JetStreamAccountLimits{"": {
		MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: -1,
	}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, export := range GuestExports() {
		answers := server.Singleton
		if export.Streamed {
			answers = server.Streamed
		}
		if err := logs.AddServiceExportWithResponse(export.Subject, answers, []*server.Account{guests}); err != nil {
			t.Fatal(err)
		}
		if err := guests.AddServiceImport(logs, export.Imported, export.Subject); err != nil {
			t.Fatal(err)
		}
	}
	house := &guestHouse{natsServer: srv, violations: make(chan error, 100)}
	connect := func(name, inbox string) *nats.Conn {
		return srv.connect(nats.UserInfo(name, name), nats.CustomInboxPrefix(inbox),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { house.violations <- err }))
	}
	house.admin, house.appender = connect("admin", "_INBOX"), connect("appender", "_INBOX_a")
	house.insider, house.guest = connect("insider", "_INBOX_i"), connect("guest", "_INBOX_g")
	return house
}

// The rights that are named are enough, and no others are in use: the connections of this
// test have exactly those.
func TestPermissionsSuffice(t *testing.T) {
	store, other := testStore(1), testStore(2)
	house := startGuestHouse(t, store)
	createStream(t, house.admin, store)
	createStream(t, house.admin, other)
	publisher := NewPublisher(house.appender, store)
	for sequence := uint64(1); sequence <= 3; sequence++ {
		if err := publisher.Publish(testContext(t), sequence, payloadOf(sequence, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Publish(testContext(t), 2, []byte("other")); !errors.Is(err, ErrConflict) {
		t.Errorf("conflict: %v", err)
	}
	if err := NewPublisher(house.appender, other).Publish(testContext(t), 1, []byte("x")); err != nil {
		t.Error(err)
	}
	for who, r := range map[string]*Reader{"daemon": NewReader(house.appender, store), "guest": NewGuestReader(house.guest, store)} {
		if last, err := r.Last(testContext(t)); err != nil || last != 3 {
			t.Errorf("%s: Last = %d, %v", who, last, err)
		}
		if _, err := readAll(testContext(t), t, r, 1, 3, constant(100)); err != nil {
			t.Errorf("%s: %v", who, err)
		}
		var loss *LossError
		if _, err := readAll(testContext(t), t, r, 1, 9, constant(100)); !errors.As(err, &loss) || *loss != (LossError{4, 9}) {
			t.Errorf("%s: a log that is shorter: %v", who, err)
		}
	}
	select {
	case err := <-house.violations:
		t.Errorf("a right was missing: %v", err)
	default:
	}
	// And the guest of one store reads no other, and writes nothing.
	quick, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := NewGuestReader(house.guest, other).Last(quick); err == nil {
		t.Error("a guest read another store")
	}
	select {
	case <-house.violations:
	case <-time.After(5 * time.Second):
		t.Error("no violation for reading another store")
	}
	if err := NewPublisher(house.guest, store).tryPublish(quick, 4, []byte("x")); err == nil {
		t.Error("a guest appended")
	}
}

func TestGuestReadsEverything(t *testing.T) {
	store := testStore(1)
	house := startGuestHouse(t, store)
	createStream(t, house.admin, store)
	const last = 1000
	fill(t, house.admin, store, 1, last, mixed)
	r := NewGuestReader(house.guest, store)
	r.batchBytes = 1 << 20
	if got, err := r.Last(testContext(t)); err != nil || got != last {
		t.Fatalf("Last = %d, %v", got, err)
	}
	if got, err := readAll(testContext(t), t, r, 1, last, mixed); err != nil || got != last {
		t.Fatalf("ended at %d: %v", got, err)
	}
	var loss *LossError
	if err := r.Read(testContext(t), last, last+2, func(Entry) error { return nil }); !errors.As(err, &loss) || *loss != (LossError{last + 1, last + 2}) {
		t.Errorf("a log that is shorter: %v", err)
	}
}

// aim sends every request that a reader may make with every reply that would harm.
func aim(t *testing.T, conn *nats.Conn, store seal.StoreID, requests []string) {
	t.Helper()
	replies := []string{
		Subject(store), "$JS.API.STREAM.DELETE." + StreamName(store), guestPrefix + ".STREAM.DELETE." + StreamName(store),
	}
	for _, reply := range replies {
		for _, request := range requests {
			for _, body := range []string{`{"seq":1}`, `{"seq":1,"batch":3}`, `{"seq":99}`, ``} {
				if err := conn.PublishRequest(request, reply, []byte(body)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
}

func TestGuestCannotTouchTheLog(t *testing.T) {
	store := testStore(1)
	house := startGuestHouse(t, store)
	createStream(t, house.admin, store)
	fill(t, house.admin, store, 1, 3, constant(100))
	guestMay, _ := GuestPermissions(store, "_INBOX_g")
	aim(t, house.guest, store, guestMay)
	daemon := NewReader(house.admin, store)
	if got, err := daemon.Last(testContext(t)); err != nil || got != 3 {
		t.Fatalf("the log ends at %d: %v", got, err)
	}
	// The same from inside hits, or this test would prove nothing.
	aim(t, house.insider, store, insiderMay(store))
	if _, err := daemon.Last(testContext(t)); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the log survived an insider (%v): guests may no longer be needed", err)
	}
}
