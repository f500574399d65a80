package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/authz/authztest"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
	pb "healthledger/proto/healthledger/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var passphrase = []byte("correct horse")

// house is a data directory with a real NATS server and a ledger.
type house struct {
	t      testing.TB
	dir    string
	server *natsserver.Server
	admin  *nats.Conn
	conn   *nats.Conn
	ledger *Ledger
	clock  *clock
	room   func(disk.Use) error
	logger *slog.Logger
}

// clock is a wall clock that tests move.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), clock: &clock{}, logger: slog.New(slog.DiscardHandler)}
	h.start()
	t.Cleanup(h.stop)
	return h
}

// start starts the server and opens the ledger.
func (h *house) start() {
	h.t.Helper()
	var err error
	if h.server, err = natsserver.Start(natsserver.Options{StoreDir: filepath.Join(h.dir, "jetstream")}); err != nil {
		h.t.Fatal(err)
	}
	if h.admin, err = h.server.Connect(natsserver.Administrator); err != nil {
		h.t.Fatal(err)
	}
	publish, subscribe := log.AppenderPermissions("_INBOX.test")
	user, password, _, err := h.server.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.conn, err = h.server.ConnectGranted(user, password, nats.CustomInboxPrefix("_INBOX.test")); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func (h *house) stop() {
	h.ledger.Close()
	h.conn.Close()
	h.admin.Close()
	h.server.Shutdown()
}

func (h *house) js() jetstream.JetStream {
	js, err := jetstream.New(h.admin)
	if err != nil {
		h.t.Fatal(err)
	}
	return js
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.ledger, err = Open(h.t.Context(), Config{
		Dir: h.dir, Admin: h.js(), Appender: h.conn, Logger: h.logger, Now: h.clock.now, Room: h.room,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// reopen closes the ledger, does something to its files, and opens it again.
func (h *house) reopen(between func()) {
	h.t.Helper()
	h.ledger.Close()
	if between != nil {
		between()
	}
	h.open()
}

// home is a store with its owner.
type home struct {
	*house
	id      seal.StoreID
	genesis *Genesis
	keys    *seal.OwnerKeys
	author  *authz.Author
}

func newHome(t testing.TB) *home {
	t.Helper()
	return newHouse(t).store()
}

func (h *house) store() *home {
	h.t.Helper()
	g, err := NewGenesis(passphrase, seal.MinCost, h.ledger.Device())
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.ledger.Create(h.t.Context(), g.Request); err != nil {
		h.t.Fatal(err)
	}
	return h.owner(g)
}

func (h *house) owner(g *Genesis) *home {
	h.t.Helper()
	keyring, err := seal.ParseKeyring(g.Request.GetKeyring())
	if err != nil {
		h.t.Fatal(err)
	}
	// With the words, which cost less than the passphrase.
	keys, err := keyring.Recover([]byte(g.Words))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(keys.Destroy)
	o := genesisOwner{keys, verifier{keyring.OwnerKey(), g.Store}}
	state := authz.NewState(o, true)
	for _, d := range g.Request.GetDecisions() {
		if err := state.Decide(d.GetDecision(), d.GetDetail()); err != nil {
			h.t.Fatal(err)
		}
	}
	return &home{house: h, id: g.Store, genesis: g, keys: keys, author: &authz.Author{State: state, Signer: o, Random: rand.Reader}}
}

func (h *home) live() *Store {
	h.t.Helper()
	s, err := h.ledger.Store(h.id)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *home) path(name string) string {
	return filepath.Join(h.dir, "stores", h.id.String(), name)
}

func (h *home) read(name string) []byte {
	h.t.Helper()
	b, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *home) write(name string, content []byte) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), content, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) importer() *authz.App {
	h.t.Helper()
	_, app, ok := h.ledger.AppByKey(h.genesis.Key)
	if !ok {
		h.t.Fatal("there is no importer")
	}
	return app
}

// addApp registers an app that may write the types with these codes.
func (h *home) addApp(bundle string, shares ...uint32) *authz.App {
	h.t.Helper()
	hash := sha256.Sum256([]byte("token"))
	var grants []*pb.ShareGrant
	for _, code := range shares {
		grants = append(grants, &pb.ShareGrant{Type: code, Allowed: true})
	}
	h.decide(h.author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest(bundle), Key: NewAppKey(), TokenHash: hash[:]}, false, grants))
	app, _ := h.author.State.AppByBundle(bundle)
	app, ok := h.live().State().AppByNumber(app.Number)
	if !ok {
		h.t.Fatal("the app was not registered")
	}
	return app
}

// decide has the store take a decision, and the owner's state too.
func (h *home) decide(d *pb.NewDecision, err error) uint64 {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	sequence, err := h.live().Decide(h.t.Context(), d)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.author.State.Decide(d.GetDecision(), d.GetDetail()); err != nil {
		h.t.Fatal(err)
	}
	return sequence
}

var epoch = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

func steps(n int, value float64) *pb.Sample {
	start := epoch.Add(time.Duration(n) * time.Minute)
	return &pb.Sample{
		Type: "stepCount", Start: timestamppb.New(start), End: timestamppb.New(start.Add(time.Minute)),
		Value: &value, Unit: "count",
	}
}

func request(samples ...*pb.Sample) *pb.SaveRequest {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return &pb.SaveRequest{RequestId: id, Samples: samples}
}

func (h *home) save(n int) {
	h.t.Helper()
	if _, err := h.live().Save(h.t.Context(), h.importer(), request(steps(n, 1))); err != nil {
		h.t.Fatal(err)
	}
}

// located is an event with its place.
type located struct {
	sequence uint64
	class    seal.Class
	epoch    uint64
	index    uint32
	event    *pb.Event
}

// events opens the whole log with the owner's keys.
func (h *home) events() []located {
	h.t.Helper()
	directory, err := log.OpenKeyDirectory(filepath.Join(h.dir, "stores", h.id.String()))
	if err != nil {
		h.t.Fatal(err)
	}
	opener := h.keys.Opener(h.id, directory)
	defer opener.Destroy()
	var all []located
	reader := log.NewReader(h.conn, h.id)
	last, err := reader.Last(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	err = reader.Read(h.t.Context(), 1, last, func(e log.Entry) error {
		segment, err := seal.ParseSegment(e.Payload)
		if err != nil {
			return err
		}
		if err := segment.Verify(h.id, e.Sequence, h.ledger.Device().GetSigningKey()); err != nil {
			return err
		}
		body, err := opener.Open(segment, e.Sequence, nil)
		if err != nil {
			return err
		}
		blocks, err := log.DecodeBody(body)
		if err != nil {
			return err
		}
		for _, b := range blocks {
			events, err := log.Events(b)
			if err != nil {
				return err
			}
			for _, event := range events {
				all = append(all, located{e.Sequence, segment.Class, segment.Epoch, segment.Index, event})
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// publish puts a payload at the end of the log behind the store's back.
func (h *home) publish(payload func(sequence uint64) []byte) uint64 {
	h.t.Helper()
	last, err := log.NewReader(h.conn, h.id).Last(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := log.NewPublisher(h.conn, h.id).Publish(context.Background(), last+1, payload(last+1)); err != nil {
		h.t.Fatal(err)
	}
	return last + 1
}

// face is what a store shows of itself.
func (h *home) face() string {
	h.t.Helper()
	s := h.live()
	sequence, root, _ := s.Head()
	number, hash := s.State().Head()
	out := fmt.Sprintf("%d %x %d %x\n", sequence, root, number, hash)
	for _, a := range s.State().Apps() {
		out += fmt.Sprintf("%+v\n", *a)
	}
	return out
}
