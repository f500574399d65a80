package serve

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Projector is a process that can read one store. End closes its socket and returns
// when the process is gone, killed if need be at the context's end.
type Projector interface {
	pb.ProjectorServiceClient
	Done() <-chan struct{}
	End(ctx context.Context)
}

// Launch starts a projector.
type Launch func(ctx context.Context, config *pb.ProjectorConfig) (Projector, error)

// How long a projector has to flush its view before it is killed.
const endTimeout = 15 * time.Second

// How often a keeper looks whether time is up. Reads end on time whatever it is.
const watchEvery = 200 * time.Millisecond

// A keeper holds the lock of one store: it starts the projector at unlock, tells it
// how the log grows, and ends it at lock.
//
//	LOCKED → UNLOCKING → UNLOCKED → LOCKING → LOCKED
//
// LOCKING is the grace period; an unlock in it goes back to UNLOCKED.
type keeper struct {
	store     *ledger.Store
	configure func() (config *pb.ProjectorConfig, revoke func(), err error)
	launch    Launch
	// push tells apps of changes from when the store can be read until the context ends;
	// nil: nobody does.
	push func(context.Context, Projector)
	// locked is called when the projector of a lock is gone, and returns before the next can
	// be started; nil: nobody is.
	locked   func()
	throttle *throttle
	clock    clock
	autoLock time.Duration
	every    time.Duration // how often it looks whether time is up
	logger   *slog.Logger

	// unlocking lets one owner at a time through Begin and Unlock.
	unlocking sync.Mutex
	// deciding keeps decisions in the order they are signed.
	deciding sync.Mutex

	mu       sync.Mutex
	state    pb.LockState
	process  Projector
	revoke   func()
	sessions *sessions
	exports  *exports
	refusals *refusals
	fault    string
	// life ends, by stop, when the projector is being ended.
	life    context.Context
	stop    context.CancelFunc
	stopped *sync.WaitGroup
	// When the grace period and the automatic lock end, 0: not at all.
	graceAt, autoAt time.Duration
	// How long the machine had been suspended when the projector was started.
	away time.Duration
	// ending is closed when the last projector that was ended is gone, and locked has returned.
	ending chan struct{}
	// closed: the daemon is stopping, nothing is unlocked any more.
	closed bool
}

// State returns the lock state, when it will lock by itself (0: never), and what is
// wrong with the view, if anything is.
func (k *keeper) State() (state pb.LockState, locksIn time.Duration, fault string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := k.locksAt(); at != 0 {
		locksIn = at - k.clock.boot()
	}
	return k.state, locksIn, k.fault
}

// locksAt returns when the store will lock by itself, 0: never. A grace period does
// not put off the automatic lock. It needs mu.
func (k *keeper) locksAt() time.Duration {
	if k.graceAt == 0 || k.autoAt == 0 {
		return max(k.graceAt, k.autoAt)
	}
	return min(k.graceAt, k.autoAt)
}

// over tells that time is up, or that the machine was suspended. It needs mu.
func (k *keeper) over() bool {
	at := k.locksAt()
	return at != 0 && k.clock.boot() >= at || k.clock.away()-k.away > time.Second
}

// Reader returns the projector if the store may be read now, and otherwise the one
// locked error, which is the same for everybody.
func (k *keeper) Reader() (Projector, error) {
	process, _, err := k.Reading()
	return process, err
}

// Reading is Reader, with a context that ends when the store is locked.
func (k *keeper) Reading() (process Projector, life context.Context, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	open := k.state == pb.LockState_LOCK_STATE_UNLOCKED || k.state == pb.LockState_LOCK_STATE_LOCKING
	if open && !k.over() {
		return k.process, k.life, nil
	}
	return nil, nil, rpc.StoreLocked()
}

// current returns the projector in whatever state it is, nil if there is none.
func (k *keeper) current() Projector {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.process
}

// cut turns the failure of a call to a projector that was ended meanwhile into the
// locked error.
func (k *keeper) cut(err error) error {
	if _, locked := k.Reader(); locked != nil {
		return locked
	}
	return err
}

// Begin starts a projector unless one runs, and returns the key to seal the
// passphrase to.
func (k *keeper) Begin(ctx context.Context) ([]byte, error) {
	k.unlocking.Lock()
	defer k.unlocking.Unlock()
	process := k.current()
	if process == nil {
		var err error
		if process, err = k.start(ctx); err != nil {
			return nil, err
		}
	}
	offer, err := process.Offer(ctx, &pb.OfferRequest{})
	if err != nil {
		k.endLocked(process)
		return nil, err
	}
	return offer.GetPublicKey(), nil
}

// errStopping is returned for an unlock while the daemon stops.
var errStopping = errors.New("the daemon is stopping")

func (k *keeper) start(ctx context.Context) (Projector, error) {
	// The one before must be gone: two cannot have the view open.
	k.mu.Lock()
	ending := k.ending
	k.mu.Unlock()
	if ending != nil {
		select {
		case <-ending:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	config, revoke, err := k.configure()
	if err != nil {
		return nil, err
	}
	process, err := k.launch(ctx, config)
	if err != nil {
		revoke()
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		process.End(gone)
		revoke()
		return nil, errStopping
	}
	life, stop := context.WithCancel(context.Background())
	k.process, k.revoke, k.life, k.stop, k.stopped, k.away = process, revoke, life, stop, new(sync.WaitGroup), k.clock.away()
	k.stopped.Go(func() { k.watch(life, process) })
	return process, nil
}

// Unlock passes the sealed passphrase on. It returns a session when the passphrase
// was right; the store is readable when the view has caught up. A wrong passphrase
// ends the projector, unless the store is open already, and slows its caller down.
func (k *keeper) Unlock(ctx context.Context, caller string, req *pb.UnlockRequest) (string, error) {
	k.unlocking.Lock()
	defer k.unlocking.Unlock()
	process := k.current()
	if process == nil {
		return "", rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition}, "no unlock was begun")
	}
	if err := k.throttle.Wait(ctx, caller); err != nil {
		return "", err
	}
	target, root, _ := k.store.Head()
	_, err := process.Open(ctx, &pb.OpenRequest{
		SealedPassphrase: req.GetSealedPassphrase(), Words: req.GetWords(), Target: target, Root: root[:],
	})
	k.throttle.Tried(caller, err)
	if err != nil {
		k.endLocked(process)
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process != process {
		return "", rpc.StoreLocked()
	}
	switch k.state {
	case pb.LockState_LOCK_STATE_LOCKED:
		k.state, k.fault = pb.LockState_LOCK_STATE_UNLOCKING, ""
		life := k.life
		k.stopped.Go(func() { k.feed(life, process, target) })
	case pb.LockState_LOCK_STATE_LOCKING:
		k.state, k.graceAt = pb.LockState_LOCK_STATE_UNLOCKED, 0
	}
	k.touch()
	return k.sessions.New(), nil
}

// feed waits for the catch-up, opens the store for reading, and from then on tells
// the projector of everything that is appended.
func (k *keeper) feed(life context.Context, process Projector, target uint64) {
	ctx, cancel := context.WithCancel(life)
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
		case <-process.Done():
			cancel()
		}
	}()
	if !k.caughtUp(ctx, process, target) {
		return
	}
	if k.push != nil {
		k.stopped.Go(func() { k.push(ctx, process) })
	}
	for {
		sequence, _, changed := k.store.Head()
		if _, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: sequence, Wait: true}); err != nil {
			if ctx.Err() == nil {
				k.report(err)
			}
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (k *keeper) caughtUp(ctx context.Context, process Projector, target uint64) bool {
	for {
		resp, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: target, Wait: true})
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			k.report(err)
			return false
		case resp.GetFault() != "":
			k.report(errors.New(resp.GetFault()))
			return false
		case resp.GetReady():
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.state == pb.LockState_LOCK_STATE_UNLOCKING {
				k.state = pb.LockState_LOCK_STATE_UNLOCKED
			}
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (k *keeper) report(err error) {
	fault := err.Error()
	var failure *connect.Error
	if errors.As(err, &failure) {
		fault = failure.Message()
	}
	k.mu.Lock()
	k.fault = fault
	k.mu.Unlock()
	k.logger.Error("the view stopped following the log", "store", k.store.ID().String(), "error", fault)
}

// watch locks when the projector dies, when time is up, and when the machine was
// suspended.
func (k *keeper) watch(life context.Context, process Projector) {
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-process.Done():
			go k.end(process)
			return
		case <-tick.C:
		}
		k.mu.Lock()
		over := k.over()
		k.mu.Unlock()
		if over {
			go k.end(process)
			return
		}
	}
}

// touch puts off the automatic lock: the owner was here. It needs mu.
func (k *keeper) touch() {
	if k.autoLock > 0 && k.state != pb.LockState_LOCK_STATE_LOCKING {
		k.autoAt = k.clock.boot() + k.autoLock
	}
}

// Session checks an owner's session. It is fresh for five minutes after the passphrase.
func (k *keeper) Session(token string) (fresh, ok bool) {
	fresh, ok = k.sessions.Check(token)
	if ok {
		k.mu.Lock()
		k.touch()
		k.mu.Unlock()
	}
	return fresh, ok
}

// Lock locks after a grace period in which reads go on; with none it returns when the
// projector is gone. A second lock counts from itself.
func (k *keeper) Lock(grace time.Duration) pb.LockState {
	k.mu.Lock()
	if grace > 0 && (k.state == pb.LockState_LOCK_STATE_UNLOCKED || k.state == pb.LockState_LOCK_STATE_LOCKING) {
		k.state, k.graceAt = pb.LockState_LOCK_STATE_LOCKING, k.clock.boot()+grace
		k.mu.Unlock()
		return pb.LockState_LOCK_STATE_LOCKING
	}
	process := k.process
	k.mu.Unlock()
	k.end(process)
	return pb.LockState_LOCK_STATE_LOCKED
}

// Close locks for good.
func (k *keeper) Close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.Lock(0)
}

// endLocked ends a projector that has not opened the store.
func (k *keeper) endLocked(process Projector) {
	if state, _, _ := k.State(); state == pb.LockState_LOCK_STATE_LOCKED {
		k.end(process)
	}
}

// end closes the view, ends the projector and the sessions. It returns when the projector
// is gone and locked has returned, whoever is ending it. Another than the current one stays.
func (k *keeper) end(process Projector) {
	k.mu.Lock()
	if process == nil || process != k.process {
		ending := k.ending
		k.mu.Unlock()
		if ending != nil {
			<-ending
		}
		return
	}
	revoke, stopped, ending := k.revoke, k.stopped, make(chan struct{})
	defer close(ending)
	if k.locked != nil {
		defer k.locked()
	}
	k.state, k.process, k.revoke, k.graceAt, k.autoAt = pb.LockState_LOCK_STATE_LOCKED, nil, nil, 0, 0
	k.ending = ending
	k.sessions.Clear()
	k.stop()
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if _, err := process.Close(ctx, &pb.CloseRequest{}); err != nil && ctx.Err() != nil {
		k.logger.Error("the view was not closed in time", "store", k.store.ID().String())
	}
	process.End(ctx)
	revoke()
	stopped.Wait()
	// What passed through this process on its way is garbage now; have it collected.
	runtime.GC()
}
