package natsserver_test

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"healthledger/ledger/serve/natsserver"
	"healthledger/proto/rpc"
)

const (
	store  = "sixteenbytesofstore2345671"
	anna   = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	berta  = "bbbbbbbbbbbbbbbbbbbbbbbbbb"
	owner  = "cccccccccccccccccccccccccc"
	secret = "token-of-"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry is what Authenticate asks; keys can be removed.
type registry struct {
	mu      sync.Mutex
	removed map[string]bool
}

func (r *registry) authenticate(user, password string) (natsserver.Identity, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed[user] || subtle.ConstantTimeCompare([]byte(password), []byte(secret+user)) != 1 {
		return natsserver.Identity{}, false
	}
	if key, local := strings.CutPrefix(user, rpc.LocalPrefix); local {
		return natsserver.Identity{Kind: natsserver.LocalOwner, Key: key}, true
	}
	return natsserver.Identity{Kind: natsserver.App, Store: store, Key: user}, true
}

func (r *registry) remove(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed == nil {
		r.removed = map[string]bool{}
	}
	r.removed[user] = true
}

func start(t testing.TB, opts natsserver.Options) *natsserver.Server {
	t.Helper()
	if opts.StoreDir == "" {
		opts.StoreDir = t.TempDir()
	}
	if opts.Authenticate == nil {
		opts.Authenticate = new(registry).authenticate
	}
	srv, err := natsserver.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	return srv
}

// violations collects what the server told a client it may not do.
type violations struct {
	mu   sync.Mutex
	errs []error
}

func (v *violations) add(_ *nats.Conn, _ *nats.Subscription, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.errs = append(v.errs, err)
}

func (v *violations) take() []error {
	v.mu.Lock()
	defer v.mu.Unlock()
	errs := v.errs
	v.errs = nil
	return errs
}

func dial(t testing.TB, srv *natsserver.Server, user string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	key := strings.TrimPrefix(user, rpc.LocalPrefix)
	opts = append([]nats.Option{
		nats.UserInfo(user, secret+user), nats.CustomInboxPrefix("_INBOX." + key), nats.MaxReconnects(0),
	}, opts...)
	nc, err := nats.Connect(srv.URL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func connect(t testing.TB, srv *natsserver.Server, kind natsserver.Kind, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := srv.Connect(kind, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestConnectionsReachOnlyTheirOwnSubjects(t *testing.T) {
	srv := start(t, natsserver.Options{})
	cases := []struct {
		user               string
		publish, subscribe []string // allowed
		noPublish, noSubs  []string // denied
	}{{
		user:      anna,
		publish:   []string{"health." + store + "." + anna + ".Save", "health." + store + "." + anna + ".Anything"},
		subscribe: []string{"_INBOX." + anna + ".x", "_INBOX." + anna + ".>", "updates." + store + "." + anna},
		noPublish: []string{
			"health." + store + "." + berta + ".Save",
			"health.another." + anna + ".Save",
			"health.*." + anna + ".Save",
			"health." + store + ".*.Save",
			"health." + store + "." + anna,
			"health." + store + "." + anna + ".Save.more",
			"owner." + store + "." + anna + ".Status",
			"updates." + store + "." + anna, "updates." + store + "." + anna + ".x",
			"_INBOX." + berta + ".x", "_INBOX." + anna + ".x",
			"ledger." + store, "LEDGER_" + store,
			"$JS.API.INFO", "$JS.API.STREAM.DELETE.LEDGER_" + store, "$JS.API.STREAM.NAMES", "$JS.ACK.x",
			"$SRV.PING", "$SRV.INFO", "$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING", "$SYS.ACCOUNT.APPS.CONNECT",
			"x",
		},
		noSubs: []string{
			">", "*", "*.>", "health.>", "health." + store + "." + anna + ".*", "health." + store + "." + anna + ".Save",
			"health." + store + "." + berta + ".*", "ledger.>", "$JS.API.>", "$JS.>", "$SRV.>", "$SRV.PING", "$SYS.>",
			"_INBOX.>", "_INBOX.*.>", "_INBOX." + berta + ".>", "_INBOX." + anna, "updates.>", "updates.*." + anna, "updates.*.*",
			"updates." + store + "." + berta, "updates." + store + ".*", "updates." + store + "." + anna + ".>", "owner.>",
		},
	}, {
		user:      rpc.LocalPrefix + owner,
		publish:   []string{"owner." + store + "." + owner + ".Status", "health." + store + "." + owner + ".QuerySamples"},
		subscribe: []string{"_INBOX." + owner + ".>"},
		noPublish: []string{
			"owner." + store + "." + anna + ".Status", "health." + store + "." + anna + ".Save", "owner.a.b." + owner + ".Status",
			"ledger." + store, "$JS.API.INFO", "$SRV.PING", "$SYS.REQ.USER.INFO", "_INBOX." + owner + ".x",
		},
		noSubs: []string{">", "owner.>", "health.>", "ledger.>", "$JS.API.>", "$SRV.>", "$SYS.>", "_INBOX.>", "_INBOX." + anna + ".>", "updates.>"},
	}}
	for _, c := range cases {
		var denied violations
		nc := dial(t, srv, c.user, nats.ErrorHandler(denied.add))
		attempt := func(what, subject string, wantDenied bool) {
			t.Helper()
			var err error
			var sub *nats.Subscription
			if what == "publish" {
				err = nc.Publish(subject, nil)
			} else {
				sub, err = nc.SubscribeSync(subject)
			}
			if err != nil {
				t.Fatalf("%s: %s to %s: %v", c.user, what, subject, err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			// The error comes before the pong of Flush; its handler runs beside us.
			deadline := time.Now().Add(2 * time.Second)
			var errs []error
			for len(errs) == 0 && time.Now().Before(deadline) {
				errs = denied.take()
				if !wantDenied {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if (len(errs) > 0) != wantDenied {
				t.Errorf("%s: %s to %s: denied %v, want %v", c.user, what, subject, errs, wantDenied)
			}
			if sub != nil {
				_ = sub.Unsubscribe()
			}
		}
		for _, subject := range c.publish {
			attempt("publish", subject, false)
		}
		for _, subject := range c.subscribe {
			attempt("subscribe", subject, false)
		}
		for _, subject := range c.noPublish {
			attempt("publish", subject, true)
		}
		for _, subject := range c.noSubs {
			attempt("subscribe", subject, true)
		}
	}
}

func TestServiceConnectionCannotReachJetStream(t *testing.T) {
	srv := start(t, natsserver.Options{})
	admin := connect(t, srv, natsserver.Administrator)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	stream := makeStream(t, js, store)

	var denied violations
	service := connect(t, srv, natsserver.Service, nats.ErrorHandler(denied.add))
	if _, err := service.Subscribe("health.>", func(m *nats.Msg) { _ = m.Respond([]byte("answer")) }); err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	// The server itself lets any reply subject through; what saves the stream is that
	// the answer goes out with the service's rights.
	nc := dial(t, srv, anna)
	for _, reply := range []string{"$JS.API.STREAM.DELETE.LEDGER_" + store, "$JS.API.STREAM.PURGE.LEDGER_" + store, "ledger." + store} {
		if err := nc.PublishRequest("health."+store+"."+anna+".Save", reply, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		wait(t, func() bool { return len(denied.take()) > 0 })
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatalf("stream after the attack: %v", err)
	}
	if info.State.Msgs != 0 {
		t.Fatalf("stream has %d messages after the attack, want 0", info.State.Msgs)
	}
	// JetStream answers nobody in APPS.
	if _, err := service.Request("$JS.API.INFO", nil, 200*time.Millisecond); err == nil {
		t.Fatal("JetStream answered the service connection")
	}
}

func makeStream(t testing.TB, js jetstream.JetStream, store string) jetstream.Stream {
	t.Helper()
	stream, err := js.CreateStream(context.Background(), jetstream.StreamConfig{
		Name: "LEDGER_" + store, Subjects: []string{"ledger." + store}, Storage: jetstream.FileStorage,
		DenyDelete: true, DenyPurge: true, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func wait(t testing.TB, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out")
		}
	}
}

func TestGrantReachesOnlyItsStreamAndEndsWhenRevoked(t *testing.T) {
	srv := start(t, natsserver.Options{})
	js, err := jetstream.New(connect(t, srv, natsserver.Administrator))
	if err != nil {
		t.Fatal(err)
	}
	makeStream(t, js, "one")
	makeStream(t, js, "two")

	user, password, revoke, err := srv.Grant(natsserver.Appender, []string{"ledger.one"}, []string{"_INBOX.one.>"})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	var denied violations
	nc, err := nats.Connect(srv.URL(), nats.UserInfo(user, password), nats.CustomInboxPrefix("_INBOX.one"), nats.MaxReconnects(0),
		nats.ErrorHandler(denied.add), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if reply, err := nc.Request("ledger.one", []byte("segment"), time.Second); err != nil || !bytes.Contains(reply.Data, []byte(`"seq":1`)) {
		t.Fatalf("append: %v", err)
	}
	for _, subject := range []string{"ledger.two", "$JS.API.STREAM.DELETE.LEDGER_one", "$JS.API.STREAM.INFO.LEDGER_two"} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		wait(t, func() bool { return len(denied.take()) > 0 })
	}
	revoke()
	revoke()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Fatal("connection outlived its grant")
	}
	if _, err := nats.Connect(srv.URL(), nats.UserInfo(user, password)); !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("connect after revoke: %v, want %v", err, nats.ErrAuthorization)
	}
}

func TestEmptyGrantReachesNothing(t *testing.T) {
	srv := start(t, natsserver.Options{})
	user, password, revoke, err := srv.Grant(natsserver.Reader, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer revoke()
	var denied violations
	nc, err := srv.ConnectGranted(user, password, nats.ErrorHandler(denied.add))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.SubscribeSync("ledger.one"); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return len(denied.take()) > 0 })
	if err := nc.Publish("ledger.one", nil); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return len(denied.take()) > 0 })
}

func TestWideGrantsAreRefused(t *testing.T) {
	srv := start(t, natsserver.Options{})
	for _, subject := range []string{">", "*", "*.one", "$SYS.>", "$JS.>", "$JS.API.>", "$JS.API.STREAM.>", "$JS.API.STREAM.DELETE.LEDGER_one", "$JS.API.STREAM.MSG.DELETE.LEDGER_one",
		"$JS.*.STREAM.PURGE.X", "$JS.API.*.INFO.>", "$JS.API.DIRECT.GET.*", "ledger.>", "ledger.*", "_INBOX.>", "_INBOX.*.x", "_INBOX.*", "", "a..b", "a b"} {
		if _, _, _, err := srv.Grant(natsserver.Reader, []string{subject}, nil); err == nil {
			t.Errorf("grant to publish to %q was given", subject)
		}
		if _, _, _, err := srv.Grant(natsserver.Reader, nil, []string{subject}); err == nil {
			t.Errorf("grant to subscribe to %q was given", subject)
		}
	}
	for _, subject := range []string{"ledger.one", "$JS.API.DIRECT.GET.LEDGER_one", "$JS.API.STREAM.MSG.GET.LEDGER_one", "$JS.API.STREAM.INFO.LEDGER_one", "_INBOX.one.>"} {
		if _, _, _, err := srv.Grant(natsserver.Reader, []string{subject}, []string{subject}); err != nil {
			t.Errorf("grant of %q: %v", subject, err)
		}
	}
	appender := []string{"ledger.*", "$JS.API.DIRECT.GET.*", "$JS.API.STREAM.INFO.*", "_INBOX_one.>"}
	if _, _, _, err := srv.Grant(natsserver.Appender, appender, appender); err != nil {
		t.Errorf("grant of an appender of all stores: %v", err)
	}
	for _, subject := range []string{">", "*", "*.one", "ledger.>", "ledger.*.*", "$JS.API.STREAM.*.LEDGER_one", "$JS.API.STREAM.DELETE.*", "$SYS.*", "_INBOX.>"} {
		if _, _, _, err := srv.Grant(natsserver.Appender, []string{subject}, nil); err == nil {
			t.Errorf("an appender may publish to %q", subject)
		}
	}
	for _, kind := range []natsserver.Kind{natsserver.App, natsserver.LocalOwner, natsserver.Service, natsserver.Administrator, 0} {
		if _, _, _, err := srv.Grant(kind, nil, nil); err == nil {
			t.Errorf("%s was granted", kind)
		}
	}
}

func TestRefusedCredentials(t *testing.T) {
	// An authenticator that lets everybody in shows what is refused before it.
	kind, id := natsserver.App, anna
	srv := start(t, natsserver.Options{Authenticate: func(user, password string) (natsserver.Identity, bool) {
		if password != "right" {
			return natsserver.Identity{}, false
		}
		return natsserver.Identity{Kind: kind, Store: store, Key: id}, true
	}})
	refused := map[string]nats.Option{
		"wrong token":           nats.UserInfo(anna, "wrong"),
		"no token":              nats.UserInfo(anna, ""),
		"nobody":                nats.UserInfo("", ""),
		"token only":            nats.Token("right"),
		"another's identity":    nats.UserInfo(berta, "right"),
		"another kind":          nats.UserInfo(rpc.LocalPrefix+anna, "right"),
		"upper case":            nats.UserInfo(strings.ToUpper(anna), "right"),
		"short key":             nats.UserInfo(anna[1:], "right"),
		"long key":              nats.UserInfo(anna+"a", "right"),
		"dot in key":            nats.UserInfo("com.example.clinic.aaaaaaa", "right"),
		"wildcard key":          nats.UserInfo("*", "right"),
		"wildcard in key":       nats.UserInfo("aaaaaaaaaaaaaaaaaaaaaaaaa*", "right"),
		"digit outside base32":  nats.UserInfo("aaaaaaaaaaaaaaaaaaaaaaaaa1", "right"),
		"space in key":          nats.UserInfo("aaaaaaaaaaaa aaaaaaaaaaaaa", "right"),
		"local without key":     nats.UserInfo("local-", "right"),
		"service from outside":  nats.UserInfo("service", "right"),
		"system":                nats.UserInfo("sys", "right"),
		"very long name":        nats.UserInfo(strings.Repeat("a", 3000), "right"),
		"a grant that is not":   nats.UserInfo("grant-"+anna, "right"),
		"no credentials at all": nats.Name("anybody"),
	}
	for what, credentials := range refused {
		nc, err := nats.Connect(srv.URL(), credentials, nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
			t.Errorf("%s: let in", what)
		} else if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v, want %v", what, err, nats.ErrAuthorization)
		}
	}
	nc, err := nats.Connect(srv.URL(), nats.UserInfo(anna, "right"))
	if err != nil {
		t.Fatalf("right token: %v", err)
	}
	nc.Close()
}

func TestDisconnectEndsAllConnectionsOfAKey(t *testing.T) {
	var apps registry
	srv := start(t, natsserver.Options{Authenticate: apps.authenticate})
	ended := make(chan string, 8)
	open := func(user string) {
		dial(t, srv, user, nats.ClosedHandler(func(*nats.Conn) { ended <- user }))
	}
	open(anna)
	open(anna)
	open(rpc.LocalPrefix + anna)
	open(berta)
	apps.remove(anna)
	apps.remove(rpc.LocalPrefix + anna)
	srv.Disconnect(anna, "")
	for range 3 {
		select {
		case user := <-ended:
			if user == berta {
				t.Fatal("another app was disconnected")
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a connection is left")
		}
	}
	select {
	case user := <-ended:
		t.Fatalf("%s was disconnected too", user)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestInProcessKindsAreRefusedOverTCP(t *testing.T) {
	srv := start(t, natsserver.Options{})
	for _, kind := range []natsserver.Kind{natsserver.Service, natsserver.Administrator} {
		nc := connect(t, srv, kind)
		user, password := nc.Opts.User, nc.Opts.Password
		if outside, err := nats.Connect(srv.URL(), nats.UserInfo(user, password)); err == nil {
			outside.Close()
			t.Errorf("%s: its credential works over TCP", kind)
		}
	}
	for _, kind := range []natsserver.Kind{natsserver.App, natsserver.LocalOwner, natsserver.Appender, natsserver.Reader, 0, 99} {
		if nc, err := srv.Connect(kind); err == nil {
			nc.Close()
			t.Errorf("%s: connected as the daemon", kind)
		}
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:4222", "example.com:4222", "[::]:0"} {
		srv, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Listen: address})
		if err == nil {
			srv.Shutdown()
		}
		if !errors.Is(err, natsserver.ErrNotLoopback) {
			t.Errorf("%s: %v, want %v", address, err, natsserver.ErrNotLoopback)
		}
	}
	for _, address := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"} {
		if srv, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Listen: address}); err == nil {
			srv.Shutdown()
			t.Errorf("%s: accepted", address)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.8.8.8:0"} {
		start(t, natsserver.Options{Listen: address})
	}
}

func TestBusyPortAndBusyDirectoryAreErrors(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, natsserver.Options{StoreDir: dir})
	if _, err := natsserver.Start(natsserver.Options{StoreDir: dir}); !errors.Is(err, natsserver.ErrInUse) {
		t.Errorf("second server on a directory: %v, want %v", err, natsserver.ErrInUse)
	}
	address := strings.TrimPrefix(srv.URL(), "nats://")
	if second, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Listen: address}); err == nil {
		second.Shutdown()
		t.Error("second server on a port started")
	}
	srv.Shutdown()
	start(t, natsserver.Options{StoreDir: dir}).Shutdown()
}

func TestStreamsSurviveARestartAndClientsComeBack(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, natsserver.Options{StoreDir: dir})
	address := strings.TrimPrefix(srv.URL(), "nats://")
	js, err := jetstream.New(connect(t, srv, natsserver.Administrator))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		makeStream(t, js, fmt.Sprintf("store%d", i))
	}
	back := make(chan struct{}, 1)
	dial(t, srv, anna, nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	srv.Shutdown()

	srv = start(t, natsserver.Options{StoreDir: dir, Listen: address})
	select {
	case <-back:
	case <-time.After(5 * time.Second):
		t.Fatal("the client did not come back")
	}
	js, err = jetstream.New(connect(t, srv, natsserver.Administrator))
	if err != nil {
		t.Fatal(err)
	}
	account, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if account.Streams != 20 {
		t.Fatalf("%d streams after the restart, want 20", account.Streams)
	}
}

func TestDeferredListenKeepsClientsWaitingInsteadOfRefusingThem(t *testing.T) {
	srv := start(t, natsserver.Options{DeferListen: true})
	connect(t, srv, natsserver.Administrator) // the process itself is served already
	if url := srv.URL(); url != "" {
		t.Fatalf("URL %q before there is a port", url)
	}
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	dial(t, srv, anna)
	if err := srv.Listen(); err == nil {
		t.Error("the port was opened twice")
	}
	busy := start(t, natsserver.Options{DeferListen: true, Listen: strings.TrimPrefix(srv.URL(), "nats://")})
	if err := busy.Listen(); err == nil {
		t.Error("a busy port was opened")
	}
}

func TestLogNamesNobody(t *testing.T) {
	var out syncBuffer
	srv := start(t, natsserver.Options{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	nc := dial(t, srv, anna, nats.Name("Annas-Clinic %s"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	_ = nc.Publish("health."+store+"."+berta+".Save", []byte("payload"))
	_, _ = nc.SubscribeSync("_INBOX." + berta + ".>")
	_ = nc.Flush()
	if _, err := nats.Connect(srv.URL(), nats.UserInfo("mistyped", "password1"), nats.Name("Annas-Clinic")); err == nil {
		t.Fatal("let in")
	}
	wait(t, func() bool { return strings.Contains(out.String(), "authentication error") })
	text := out.String()
	for _, secret := range []string{anna, berta, store, "Clinic", "payload", "mistyped", "password1", "token-of"} {
		if strings.Contains(text, secret) {
			t.Errorf("log contains %q:\n%s", secret, text)
		}
	}
	for _, event := range []string{"Publish Violation", "Subscription Violation", "authentication error"} {
		if !strings.Contains(text, event) {
			t.Errorf("log lacks %q:\n%s", event, text)
		}
	}
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
