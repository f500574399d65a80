package serve

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newStore is a real store on a real server.
func newStore(t testing.TB) *ledger.Store {
	t.Helper()
	dir := t.TempDir()
	server, err := natsserver.Start(natsserver.Options{StoreDir: filepath.Join(dir, "jetstream")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	admin, err := server.Connect(natsserver.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	inbox := inboxPrefix()
	publish, subscribe := log.AppenderPermissions(inbox)
	user, password, _, err := server.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.ConnectGranted(user, password, nats.CustomInboxPrefix(inbox))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	l, err := ledger.Open(t.Context(), ledger.Config{
		Dir: dir, Admin: js, Appender: conn, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	g, err := ledger.NewGenesis([]byte("passphrase"), seal.MinCost, l.Device())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Create(t.Context(), g.Request)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeClock is moved by hand.
type fakeClock struct {
	mu       sync.Mutex
	now, gap time.Duration
}

func (c *fakeClock) boot() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) away() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gap
}

func (c *fakeClock) move(d, suspended time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d + suspended
	c.gap += suspended
}

// fake is a projector that catches up, fails and dies when it is told to.
type fake struct {
	pb.ProjectorServiceClient
	done  chan struct{}
	die   sync.Once
	ready chan struct{}
	slow  chan struct{} // Close waits for it, if there is one
	// retention is what it knows of it; signed are the drafts that it was to sign, which it refuses
	// unless sign does. An erasure that was begun fails, and is cancelled.
	retention *pb.ReadRetentionResponse
	signed    chan *pb.SignDecisionRequest
	sign      func(*pb.SignDecisionRequest) (*pb.NewDecision, error)
	cancelled chan struct{}
	mu        sync.Mutex
	fault     error
	revoked   bool
}

func newFake() *fake {
	return &fake{done: make(chan struct{}), ready: make(chan struct{}), signed: make(chan *pb.SignDecisionRequest, 9), cancelled: make(chan struct{}, 1)}
}

func (f *fake) Done() <-chan struct{} { return f.done }
func (f *fake) End(context.Context)   { f.kill() }
func (f *fake) kill()                 { f.die.Do(func() { close(f.done) }) }
func (f *fake) caughtUp(fault error)  { f.mu.Lock(); f.fault = fault; f.mu.Unlock(); close(f.ready) }
func (f *fake) alive() bool {
	select {
	case <-f.done:
		return false
	default:
		return true
	}
}

func (f *fake) Offer(context.Context, *pb.OfferRequest) (*pb.OfferResponse, error) {
	return &pb.OfferResponse{PublicKey: []byte("key")}, nil
}

func (f *fake) Open(_ context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	if !f.alive() {
		return nil, errors.New("gone")
	}
	if string(req.GetSealedPassphrase()) != "right" {
		return nil, rpc.Error(connect.CodeUnauthenticated, &pb.ErrorDetail{Reason: rpc.ReasonWrongPassphrase}, "wrong passphrase")
	}
	return &pb.OpenResponse{}, nil
}

func (f *fake) Advance(ctx context.Context, req *pb.AdvanceRequest) (*pb.AdvanceResponse, error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.done:
		return nil, errors.New("gone")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return nil, f.fault
	}
	return &pb.AdvanceResponse{Applied: req.GetSequence(), Ready: true}, nil
}

func (f *fake) ReadRetention(context.Context, *pb.ReadRetentionRequest) (*pb.ReadRetentionResponse, error) {
	return f.retention, nil
}

func (f *fake) SignDecision(_ context.Context, req *pb.SignDecisionRequest) (*pb.SignDecisionResponse, error) {
	f.signed <- req
	if f.sign == nil {
		return nil, errUnsigned
	}
	decision, err := f.sign(req)
	return &pb.SignDecisionResponse{Decision: decision}, err
}

func (f *fake) BeginErasure(context.Context, *pb.BeginErasureRequest) (*pb.BeginErasureResponse, error) {
	return &pb.BeginErasureResponse{}, nil
}

func (f *fake) Reseal(context.Context, *pb.ResealRequest) (*pb.ResealResponse, error) {
	return nil, errors.New("nothing is sealed")
}

func (f *fake) CancelErasure(context.Context, *pb.CancelErasureRequest) (*pb.CancelErasureResponse, error) {
	f.cancelled <- struct{}{}
	return &pb.CancelErasureResponse{}, nil
}

func (f *fake) CosignCheckpoint(context.Context, *pb.CosignCheckpointRequest) (*pb.CosignCheckpointResponse, error) {
	return nil, errors.New("not signed")
}

func (f *fake) Close(context.Context, *pb.CloseRequest) (*pb.CloseResponse, error) {
	if f.slow != nil {
		<-f.slow
	}
	return &pb.CloseResponse{}, nil
}

// warden is a keeper with what it keeps.
type warden struct {
	*keeper
	time *fakeClock

	mu    sync.Mutex
	fakes []*fake
}

func newWarden(t testing.TB, store *ledger.Store, autoLock time.Duration) *warden {
	w := &warden{time: &fakeClock{now: time.Hour}}
	// Nobody waits for a wrong passphrase here.
	days := time.Now()
	slow, err := openThrottle(filepath.Join(t.TempDir(), "passphrases.json"), func() time.Time {
		days = days.Add(48 * time.Hour)
		return days
	})
	if err != nil {
		t.Fatal(err)
	}
	w.keeper = &keeper{
		store: store, throttle: slow, clock: w.time, autoLock: autoLock, every: time.Millisecond,
		logger: slog.New(slog.DiscardHandler), state: pb.LockState_LOCK_STATE_LOCKED, sessions: newSessions(w.time),
		exports: &exports{},
	}
	w.configure = func() (*pb.ProjectorConfig, func(), error) {
		f := newFake()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fakes = append(w.fakes, f)
		return &pb.ProjectorConfig{}, func() { f.mu.Lock(); f.revoked = true; f.mu.Unlock() }, nil
	}
	w.launch = func(context.Context, *pb.ProjectorConfig) (Projector, error) { return w.last(), nil }
	return w
}

func (w *warden) last() *fake {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fakes[len(w.fakes)-1]
}

func eventually(t interface{ Fatal(...any) }, what string, is func() bool) {
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

const (
	locked    = pb.LockState_LOCK_STATE_LOCKED
	unlocking = pb.LockState_LOCK_STATE_UNLOCKING
	unlocked  = pb.LockState_LOCK_STATE_UNLOCKED
	locking   = pb.LockState_LOCK_STATE_LOCKING
)

// lockModel is the lock as DESIGN.md section 3 has it.
type lockModel struct {
	state           pb.LockState
	process, fault  bool
	graceAt, autoAt time.Duration
	sessions        []string
	ended           []string
}

func (m *lockModel) lock() {
	m.ended = append(m.ended, m.sessions...)
	*m = lockModel{state: locked, ended: m.ended}
}

func (m *lockModel) readable() bool { return m.state == unlocked || m.state == locking }

// What a lock has still to record is recorded when the lock, or the daemon's end, returns to
// whoever waits for it, and before the next owner's session.
func TestALockIsOverWhenItsRecordsAre(t *testing.T) {
	w := newWarden(t, newStore(t), 0)
	recording, recorded := make(chan struct{}, 9), make(chan struct{})
	w.locked = func() {
		recording <- struct{}{}
		<-recorded
	}
	if _, err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.last().kill()
	<-recording
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.Begin(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the next projector is started before:", err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		w.keeper.Close()
	}()
	select {
	case <-closed:
		t.Error("closed before")
	case <-time.After(20 * time.Millisecond):
	}
	close(recorded)
	<-closed
}

func TestKeeperIsTheModel(t *testing.T) {
	store := newStore(t)
	rapid.Check(t, func(r *rapid.T) {
		auto := rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(r, "auto-lock")
		w := newWarden(t, store, auto)
		defer w.keeper.Close()
		m := &lockModel{state: locked}
		touch := func() {
			if auto > 0 && m.state != locking {
				m.autoAt = w.time.boot() + auto
			}
		}
		due := func() {
			now := w.time.boot()
			if m.graceAt != 0 && now >= m.graceAt || m.autoAt != 0 && now >= m.autoAt {
				m.lock()
			}
		}
		unlock := func(r *rapid.T) {
			session, err := w.Unlock(t.Context(), "local", &pb.UnlockRequest{SealedPassphrase: []byte("right")})
			if err != nil {
				r.Fatal(err)
			}
			m.sessions = append(m.sessions, session)
			switch m.state {
			case locked:
				m.state = unlocking
			case locking:
				m.state, m.graceAt = unlocked, 0
			}
			touch()
		}
		r.Repeat(map[string]func(*rapid.T){
			"begin": func(r *rapid.T) {
				if _, err := w.Begin(t.Context()); err != nil {
					r.Fatal(err)
				}
				m.process = true
			},
			"unlock": func(r *rapid.T) {
				if m.process {
					unlock(r)
				} else if _, err := w.Unlock(t.Context(), "local", &pb.UnlockRequest{SealedPassphrase: []byte("right")}); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
					r.Fatal(err)
				}
			},
			"open": func(r *rapid.T) {
				if m.readable() || m.fault {
					r.Skip()
				}
				if _, err := w.Begin(t.Context()); err != nil {
					r.Fatal(err)
				}
				m.process = true
				unlock(r)
				w.last().caughtUp(nil)
				m.state = unlocked
			},
			"wrong": func(r *rapid.T) {
				if _, err := w.Unlock(t.Context(), "local", &pb.UnlockRequest{SealedPassphrase: []byte("wrong")}); err == nil {
					r.Fatal("unlocked")
				}
				if m.state == locked {
					m.process = false
				}
			},
			"change": func(r *rapid.T) {
				wrong := rapid.Bool().Draw(r, "wrong")
				session, err := w.Change(t.Context(), "local", func() error {
					if wrong {
						return rpc.Error(connect.CodeUnauthenticated, &pb.ErrorDetail{Reason: rpc.ReasonWrongPassphrase}, "wrong passphrase")
					}
					return nil
				})
				if wrong != (err != nil) {
					r.Fatal(err)
				}
				if wrong {
					return
				}
				m.ended, m.sessions = append(m.ended, m.sessions...), nil
				if (m.state != locked) != (session != "") {
					r.Fatal("a session of a locked store, or none of an open one")
				}
				if session != "" {
					m.sessions = []string{session}
				}
			},
			"catch up": func(r *rapid.T) {
				if m.state != unlocking || m.fault {
					r.Skip()
				}
				w.last().caughtUp(nil)
				m.state = unlocked
			},
			"fault": func(r *rapid.T) {
				if m.state != unlocking || m.fault {
					r.Skip()
				}
				w.last().caughtUp(errors.New("a hole in the log"))
				m.fault = true
			},
			"grace": func(r *rapid.T) {
				grace := time.Duration(rapid.IntRange(1, 90).Draw(r, "minutes")) * time.Minute
				if got := w.Lock(grace); m.readable() {
					m.state, m.graceAt = locking, w.time.boot()+grace
				} else if m.lock(); got != locked {
					r.Fatal(got)
				}
			},
			"lock": func(r *rapid.T) {
				if rapid.IntRange(0, 2).Draw(r, "rarely") > 0 {
					r.Skip()
				}
				if got := w.Lock(0); got != locked || len(w.fakes) > 0 && w.last().alive() {
					r.Fatal("the projector outlives the lock")
				}
				m.lock()
			},
			"time": func(r *rapid.T) {
				w.time.move(time.Duration(rapid.IntRange(1, 40).Draw(r, "minutes"))*time.Minute, 0)
				due()
				if _, err := w.Reader(); (err == nil) != m.readable() {
					r.Fatal("time is up, but not for reads")
				}
			},
			"suspend": func(r *rapid.T) {
				if rapid.IntRange(0, 2).Draw(r, "rarely") > 0 {
					r.Skip()
				}
				w.time.move(0, 2*time.Second)
				if m.process {
					m.lock()
				}
				if _, err := w.Reader(); err == nil {
					r.Fatal("read after a suspend")
				}
			},
			"die": func(r *rapid.T) {
				if rapid.IntRange(0, 2).Draw(r, "rarely") > 0 {
					r.Skip()
				}
				if !m.process {
					r.Skip()
				}
				w.last().kill()
				m.lock()
			},
			"session": func(r *rapid.T) {
				if len(m.sessions) == 0 {
					r.Skip()
				}
				if _, ok := w.Session(rapid.SampledFrom(m.sessions).Draw(r, "session")); !ok {
					r.Fatal("the session has ended before the lock")
				}
				touch()
			},
			"": func(r *rapid.T) { w.compare(r, m) },
		})
	})
}

func (w *warden) compare(r *rapid.T, m *lockModel) {
	eventually(r, "state is not "+m.state.String(), func() bool {
		state, _, fault := w.State()
		return state == m.state && (w.current() != nil) == m.process && (fault != "" || !m.fault)
	})
	process, err := w.Reader()
	if m.readable() != (err == nil) || err == nil && process != Projector(w.last()) {
		r.Fatal("Reader:", err)
	}
	if err != nil && rpc.Reason(err) != rpc.ReasonStoreLocked {
		r.Fatal("not the one locked error:", err)
	}
	at := m.graceAt
	if at == 0 || m.autoAt != 0 && m.autoAt < at {
		at = m.autoAt
	}
	if _, in, _ := w.State(); at == 0 && in != 0 || at != 0 && in != at-w.time.boot() {
		r.Fatalf("locks in %v, want at %v", in, at)
	}
	for _, token := range m.ended {
		if _, ok := w.Session(token); ok {
			r.Fatal("a session outlives the lock")
		}
	}
	for i, f := range w.fakes {
		if i == len(w.fakes)-1 && m.process {
			continue
		}
		eventually(r, "an ended projector keeps its credentials or lives", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.revoked && !f.alive()
		})
	}
}

func (w *warden) unlock(t *testing.T) {
	t.Helper()
	if _, err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unlock(t.Context(), "local", &pb.UnlockRequest{SealedPassphrase: []byte("right")}); err != nil {
		t.Fatal(err)
	}
}

// Whoever locks, and however often, it returns when the projector is gone; and the
// next one is not started before that.
func TestLockReturnsWhenTheProjectorIsGone(t *testing.T) {
	w := newWarden(t, newStore(t), 0)
	defer w.keeper.Close()
	w.unlock(t)
	f := w.last()
	f.slow = make(chan struct{})
	results := make(chan bool, 3)
	for range 2 {
		go func() { w.Lock(0); results <- f.alive() }()
	}
	eventually(t, "not locked", func() bool { return w.current() == nil })
	go func() {
		_, err := w.Begin(context.Background())
		results <- f.alive() || err != nil
	}()
	select {
	case <-results:
		t.Fatal("returned while the projector still lives")
	case <-time.After(50 * time.Millisecond):
	}
	close(f.slow)
	for range 3 {
		if <-results {
			t.Fatal("returned before the projector was gone")
		}
	}
	if w.current() == nil || w.last() == f {
		t.Fatal("the next projector was not started")
	}
}

func TestClosedKeeperStartsNothing(t *testing.T) {
	w := newWarden(t, newStore(t), 0)
	w.unlock(t)
	w.keeper.Close()
	if _, err := w.Begin(t.Context()); !errors.Is(err, errStopping) {
		t.Fatal(err)
	}
	if w.last().alive() || w.current() != nil {
		t.Fatal("a projector runs")
	}
}

func TestSuspendLocksEveryStore(t *testing.T) {
	store := newStore(t)
	a, b := newWarden(t, store, 0), newWarden(t, store, 0)
	b.time = a.time
	b.clock = a.time
	for _, w := range []*warden{a, b} {
		defer w.keeper.Close()
		w.unlock(t)
	}
	a.time.move(0, time.Minute)
	for _, w := range []*warden{a, b} {
		eventually(t, "a store stayed open", func() bool { return w.current() == nil })
	}
}

// Whatever is wrong with the log, its owner gets a session and a list, and nobody anything to read.
func TestOwnerOfADamagedLogIsTold(t *testing.T) {
	w := newWarden(t, newStore(t), 0)
	defer w.keeper.Close()
	want := &ledger.Survey{Faults: []*pb.LogFault{{From: 5, To: 6, Segments: 2, Kind: "missing"}}}
	w.survey = func(context.Context) (*ledger.Survey, error) { return want, nil }
	for range 2 {
		if _, err := w.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		session, err := w.Unlock(t.Context(), localCaller, &pb.UnlockRequest{SealedPassphrase: []byte("right")})
		if err != nil {
			t.Fatal(err)
		}
		if w.Surveyed() != nil {
			t.Fatal("a log is at fault that is not read yet")
		}
		w.last().caughtUp(errors.New("segments 5 to 6 are missing"))
		eventually(t, "the owner is not told", func() bool { return w.Surveyed() == want })
		if state, _, fault := w.State(); state != pb.LockState_LOCK_STATE_UNLOCKING || fault == "" {
			t.Errorf("%v: %q", state, fault)
		}
		if _, ok := w.Session(session); !ok {
			t.Error("the owner has no session")
		}
		if _, err := w.Reader(); err == nil {
			t.Error("the store is read")
		}
		w.Lock(0)
	}
}
