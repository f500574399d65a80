package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/authz/authztest"
	"healthledger/ledger"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// The app that must not be able to tell two stores apart, and one that writes in both.
const (
	blindApp = "com.example.blind"
	otherApp = "com.example.other"
)

// house is a daemon with the stores of all histories.
type house struct {
	*store
	daemon  *exec.Cmd
	address serve.LocalAddress
}

func newHouse(t *testing.T) *house {
	t.Helper()
	work := t.TempDir()
	h := &house{store: &store{t: t, work: work, dir: filepath.Join(work, "data")}}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.start()
	return h
}

func (h *house) start() {
	h.daemon = h.serve("--http", "127.0.0.1:0")
	var err error
	if h.address, err = serve.ReadAddress(h.dir); err != nil {
		h.t.Fatal(err)
	}
}

// restart ends the daemon, as a power cut would or in peace, and starts another.
func (h *house) restart(t rapid.TB, cut bool) {
	how := syscall.SIGINT
	if cut {
		how = syscall.SIGKILL
	}
	if err := h.daemon.Process.Signal(how); err != nil {
		t.Fatal(err)
	}
	_ = h.daemon.Wait()
	h.start()
}

// twin is one of two stores.
type twin struct {
	t     rapid.TB
	house *house
	id    string
	owner *client.OwnerClient
	// apps and their credentials, by bundle id.
	apps map[string]client.Credentials
	// channel is the app's way here; updates come on its connection.
	channel *channel

	mu      sync.Mutex
	updates []*nats.Msg
}

// must ends the history unless a call of the harness itself worked.
func must[R any](t rapid.TB) func(R, error) R {
	return func(r R, err error) R {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return r
	}
}

func soon(t rapid.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), answerTimeout)
}

func (h *house) newTwin(t rapid.TB) *twin {
	genesis := must[*ledger.Genesis](t)(ledger.NewGenesis([]byte(passphrase), seal.MinCost,
		&pb.DeviceEnrolled{SigningKey: h.address.SigningKey, SealingKey: h.address.SealingKey}))
	w := &twin{t: t, house: h, id: genesis.Store.String(), apps: map[string]client.Credentials{}}
	w.apps[ledger.ImporterID] = client.Credentials{Store: w.id, Key: genesis.Key, Token: genesis.Token}
	w.connect()
	ctx, cancel := soon(t)
	defer cancel()
	must[*pb.CreateStoreResponse](t)(w.owner.Owner().CreateStore(ctx, genesis.Request))
	w.unlock()
	w.ready()
	return w
}

// connect reaches the daemon, as the owner and, if it is there, as the app.
func (w *twin) connect() {
	w.close()
	ctx, cancel := soon(w.t)
	defer cancel()
	w.owner = must[*client.OwnerClient](w.t)(client.DialOwner(ctx, w.house.address.Credentials(), w.id, ""))
	c, ok := w.apps[blindApp]
	if !ok {
		return
	}
	nc := must[*nats.Conn](w.t)(nats.Connect(w.house.address.URL, nats.UserInfo(c.Key, c.Token), nats.CustomInboxPrefix(rpc.InboxPrefix(c.Key)), nats.MaxReconnects(0)))
	w.channel = &channel{
		nc: nc, subject: "health." + w.id + "." + c.Key + ".",
		url: w.house.address.HTTP + "/healthledger.v1.HealthService/", bearer: c.Bearer(),
	}
	must[*nats.Subscription](w.t)(nc.Subscribe(rpc.UpdatesSubject(w.id, c.Key), func(m *nats.Msg) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.updates = append(w.updates, m)
	}))
	if err := nc.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twin) close() {
	if w.owner != nil {
		w.owner.Close()
	}
	if w.channel != nil {
		w.channel.nc.Close()
	}
}

// unlock sends the passphrase; ready waits for the view.
func (w *twin) unlock() {
	ctx, cancel := soon(w.t)
	defer cancel()
	begun := must[*pb.BeginUnlockResponse](w.t)(w.owner.Owner().BeginUnlock(ctx, &pb.BeginUnlockRequest{}))
	sealed := must[[]byte](w.t)(seal.SealPassphrase(begun.GetPublicKey(), []byte(passphrase)))
	unlocked := must[*pb.UnlockResponse](w.t)(w.owner.Owner().Unlock(ctx, &pb.UnlockRequest{SealedPassphrase: sealed}))
	w.owner.SetSession(unlocked.GetSession())
}

func (w *twin) ready() {
	ctx, cancel := soon(w.t)
	defer cancel()
	for {
		status := must[*pb.StatusResponse](w.t)(w.owner.Owner().Status(ctx, &pb.StatusRequest{}))
		if status.GetState() == pb.LockState_LOCK_STATE_UNLOCKED {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *twin) lock() {
	ctx, cancel := soon(w.t)
	defer cancel()
	must[*pb.LockResponse](w.t)(w.owner.Owner().Lock(ctx, &pb.LockRequest{}))
}

// forgetView makes the next unlock build the view anew.
func (w *twin) forgetView() {
	views, err := filepath.Glob(filepath.Join(w.house.dir, "stores", w.id, "view-*"))
	if err != nil || len(views) != 1 {
		w.t.Fatal("views:", views, err)
	}
	if err := os.RemoveAll(views[0]); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twin) addApp(bundleID string) {
	ctx, cancel := soon(w.t)
	defer cancel()
	added := must[*pb.AddAppResponse](w.t)(w.owner.Owner().AddApp(ctx, &pb.AddAppRequest{Manifest: authztest.Manifest(bundleID)}))
	w.apps[bundleID] = client.Credentials{Store: w.id, Key: added.GetKey(), Token: added.GetToken()}
}

func (w *twin) removeApp(bundleID string) {
	ctx, cancel := soon(w.t)
	defer cancel()
	must[*pb.RemoveAppResponse](w.t)(w.owner.Owner().RemoveApp(ctx, &pb.RemoveAppRequest{BundleId: bundleID}))
	delete(w.apps, bundleID)
}

func (w *twin) decide(req *pb.DecideRequest) {
	ctx, cancel := soon(w.t)
	defer cancel()
	must[*pb.DecideResponse](w.t)(w.owner.Owner().Decide(ctx, req))
}

// as makes calls as one of the other apps.
func (w *twin) as(bundleID string, act func(context.Context, *client.Client) error) {
	ctx, cancel := soon(w.t)
	defer cancel()
	c := w.apps[bundleID]
	c.URL = w.house.address.URL
	other := must[*client.Client](w.t)(client.Dial(ctx, c))
	defer other.Close()
	if err := act(ctx, other); err != nil {
		w.t.Fatalf("%s: %v", bundleID, err)
	}
}

// save saves as another app under a request id that is the same wherever the number is.
func (w *twin) save(bundleID string, number int, samples ...*pb.Sample) {
	id := []byte(fmt.Sprintf("%16d", number))
	w.as(bundleID, func(ctx context.Context, c *client.Client) error {
		_, err := c.Save(ctx, &pb.SaveRequest{RequestId: id, Samples: samples})
		return err
	})
}

// told are the updates that came so far, by type.
func (w *twin) told() []*pb.Update {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*pb.Update
	for _, m := range w.updates {
		u := &pb.QueryUpdatesResponse{}
		if err := proto.Unmarshal(m.Data, u); err != nil {
			w.t.Fatalf("an update that cannot be read: %v", err)
		}
		all = append(all, u.GetUpdates()...)
	}
	slices.SortStableFunc(all, func(a, b *pb.Update) int { return strings.Compare(a.GetType(), b.GetType()) })
	return all
}

func (w *twin) forgetTold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updates = nil
}
