package serve

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

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
	// device returns the public keys of this daemon that are to be enrolled.
	device func() *pb.DeviceEnrolled
	// survey lists what is wrong with the log; nil: nobody does.
	survey func(context.Context) (*ledger.Survey, error)
	// push tells apps of changes from when the store can be read until the context ends;
	// nil: nobody does.
	push func(context.Context, Projector)
	// retain erases what is kept no longer, likewise; nil: nobody does.
	retain func(context.Context, Projector)
	// locked is called when the projector of a lock is gone, and returns before the next can
	// be started; nil: nobody is.
	locked   func()
	throttle *throttle
	clock    clock
	autoLock time.Duration
	every    time.Duration // how often it looks whether time is up
	logger   *slog.Logger

	// rekeying names the new keys that are being made, empty: none are. It is under unlocking.
	rekeying string
	// outdated: the projector has the keys from before the store got others, and is being ended.
	outdated atomic.Bool
	// doubted is as ReadRetention has last answered.
	doubted atomic.Int64
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
	pasts    pasts
	refusals *refusals
	erasing  *erasing
	fault    string
	// surveyed is what is wrong with the log, and surveying tells that somebody finds out;
	// unsurveyed is why that failed, until somebody is told.
	surveyed   *ledger.Survey
	surveying  bool
	unsurveyed error
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

// Surveyed returns what is wrong with the log, nil while it was not surveyed.
func (k *keeper) Surveyed() *ledger.Survey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.surveyed
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
	read := k.state == pb.LockState_LOCK_STATE_UNLOCKED || k.state == pb.LockState_LOCK_STATE_LOCKING
	defer close(ending)
	if k.locked != nil {
		defer k.locked()
	}
	k.state, k.process, k.revoke, k.graceAt, k.autoAt = pb.LockState_LOCK_STATE_LOCKED, nil, nil, 0, 0
	k.ending = ending
	k.sessions.Clear()
	k.pasts.Clear()
	k.stop()
	k.mu.Unlock()
	if read {
		k.lastCheckpoint(process)
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if _, err := process.Close(ctx, &pb.CloseRequest{}); err != nil && ctx.Err() != nil {
		k.logger.Error("the view was not closed in time")
	}
	process.End(ctx)
	revoke()
	stopped.Wait()
	if read {
		k.logger.Info("store locked")
	}
	// What passed through this process on its way is garbage now; have it collected.
	runtime.GC()
}
