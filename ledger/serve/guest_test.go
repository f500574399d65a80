package serve

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// another makes a second store.
func (f *front) another(t *testing.T) *ledger.Store {
	t.Helper()
	address := f.Address()
	g, err := ledger.NewGenesis([]byte("another"), seal.MinCost, &pb.DeviceEnrolled{SigningKey: address.SigningKey, SealingKey: address.SealingKey})
	if err != nil {
		t.Fatal(err)
	}
	owner, err := client.DialOwner(t.Context(), address.Credentials(), g.Store.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Owner().CreateStore(t.Context(), g.Request); err != nil {
		t.Fatal(err)
	}
	store, err := f.ledger.Store(g.Store)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// attacks are the requests with which somebody who has taken a projector over would harm
// the log or look into another store's, as an app inside the log's account and as a guest
// would call them.
func attacks(own, other string) (subjects []string) {
	for _, api := range []string{"$JS.API", "LOG"} {
		for _, stream := range []string{own, other} {
			for _, method := range []string{
				"STREAM.DELETE.", "STREAM.PURGE.", "STREAM.UPDATE.", "STREAM.MSG.DELETE.", "STREAM.MSG.GET.", "STREAM.SNAPSHOT.",
				"CONSUMER.CREATE.", "CONSUMER.DURABLE.CREATE.", "CONSUMER.LIST.", "CONSUMER.NAMES.",
			} {
				subjects = append(subjects, api+"."+method+stream)
			}
		}
		subjects = append(subjects, api+".STREAM.CREATE.MINE", api+".STREAM.NAMES", api+".STREAM.LIST", api+".INFO",
			api+".STREAM.INFO."+other, api+".DIRECT.GET."+other)
	}
	return append(subjects, "$JS.API.STREAM.INFO."+own, "$JS.API.DIRECT.GET."+own)
}

// What a projector gets from the daemon reads its own log, and does nothing else.
func TestProjectorsCredentialsOnlyReadItsOwnLog(t *testing.T) {
	f := newFront(t)
	second := f.another(t)
	config, revoke, err := f.configure(f.store)
	if err != nil {
		t.Fatal(err)
	}
	defer revoke()
	denied := make(chan error, 1000)
	conn, err := nats.Connect(config.GetNatsUrl(), nats.UserInfo(config.GetNatsUser(), config.GetNatsPassword()),
		nats.CustomInboxPrefix(config.GetNatsInbox()), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	refused := func(what string, attempt func() error) {
		t.Helper()
		if err := attempt(); err != nil {
			t.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-denied:
		case <-time.After(5 * time.Second):
			t.Errorf("%s is allowed", what)
		}
	}
	streams := [2]string{log.StreamName(f.store.ID()), log.StreamName(second.ID())}
	before := f.streams(t, streams)

	subjects := append(attacks(streams[0], streams[1]), log.Subject(f.store.ID()), log.Subject(second.ID()), "health.x.y.Save", "_INBOX.other.x")
	for _, subject := range subjects {
		refused("to publish to "+subject, func() error { return conn.PublishRequest(subject, config.GetNatsInbox()+".x", []byte("{}")) })
	}
	for _, subject := range []string{log.Subject(f.store.ID()), "ledger.>", "$JS.>", "LOG.>", "_INBOX.>", "health.>", ">"} {
		refused("to subscribe to "+subject, func() error { _, err := conn.SubscribeSync(subject); return err })
	}
	// What it may request names as its reply what would harm.
	own, _ := log.GuestPermissions(f.store.ID(), config.GetNatsInbox())
	for _, request := range own {
		for _, reply := range subjects {
			for _, body := range []string{"", `{"seq":1}`, `{"seq":1,"batch":3}`, `{"seq":99}`} {
				if err := conn.PublishRequest(request, reply, []byte(body)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	// It still reads, so all of that has been answered, wherever to.
	reader := log.NewGuestReader(conn, f.store.ID())
	last, _, _ := f.store.Head()
	count := uint64(0)
	if err := reader.Read(t.Context(), 1, last, func(log.Entry) error { count++; return nil }); err != nil || count != last {
		t.Errorf("%d of %d segments: %v", count, last, err)
	}
	if after := f.streams(t, streams); after != before {
		t.Errorf("the streams were %s and are %s", before, after)
	}
}

// streams describes streams as their administrator sees them.
func (f *front) streams(t *testing.T, names [2]string) (all string) {
	t.Helper()
	js, err := jetstream.New(f.conns[0])
	if err != nil {
		t.Fatal(err)
	}
	account, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		state := stream.CachedInfo().State
		all += fmt.Sprintf("%s: segments %d to %d, %d of them, %d consumers; ", name, state.FirstSeq, state.LastSeq, state.Msgs, state.Consumers)
	}
	return fmt.Sprintf("%sof %d streams", all, account.Streams)
}
