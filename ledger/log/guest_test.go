package log

import (
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
	admin, insider, guest *nats.Conn
}

func startGuestHouse(t *testing.T, store seal.StoreID) *guestHouse {
	t.Helper()
	logs, guests := server.NewAccount("LOG"), server.NewAccount("GUESTS")
	user := func(name string, account *server.Account, publish, subscribe []string) *server.User {
		return &server.User{Username: name, Password: name, Account: account, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: publish},
			Subscribe: &server.SubjectPermission{Allow: subscribe},
		}}
	}
	insiderMay, insiderGets := ReaderPermissions(store, "_INBOX_i")
	guestMay, guestGets := GuestPermissions(store, "_INBOX_g")
	srv := startServer(t, func(o *server.Options) {
		o.Accounts = []*server.Account{logs, guests}
		o.Users = []*server.User{
			{Username: "admin", Password: "admin", Account: logs},
			user("insider", logs, insiderMay, insiderGets),
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
	connect := func(name, inbox string) *nats.Conn {
		return srv.connect(nats.UserInfo(name, name), nats.CustomInboxPrefix(inbox),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	return &guestHouse{srv, connect("admin", "_INBOX"), connect("insider", "_INBOX_i"), connect("guest", "_INBOX_g")}
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
	insiderMay, _ := ReaderPermissions(store, "_INBOX_i")
	aim(t, house.insider, store, insiderMay)
	if _, err := daemon.Last(testContext(t)); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the log survived an insider (%v): guests may no longer be needed", err)
	}
}
