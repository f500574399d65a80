package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

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
	k.outdated.Store(false)
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
		k.state, k.fault, k.surveyed, k.unsurveyed = pb.LockState_LOCK_STATE_UNLOCKING, "", nil, nil
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
		k.surveyOnce()
		return
	}
	k.checkpoint(ctx, process)
	if k.push != nil {
		k.stopped.Go(func() { k.push(ctx, process) })
	}
	if k.retain != nil {
		k.stopped.Go(func() { k.retain(ctx, process) })
	}
	for {
		sequence, _, changed := k.store.Head()
		if _, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: sequence, Wait: true}); err != nil {
			if ctx.Err() == nil {
				k.report(err)
				k.surveyOnce()
			}
			return
		}
		k.cosign(ctx, process)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// caughtUp opens the store for reading when the view contains the log up to the target. A log
// that is damaged is read as far as it is whole, for nobody.
func (k *keeper) caughtUp(ctx context.Context, process Projector, target uint64) bool {
	if err := k.store.Damage(); err != nil {
		k.report(err)
		return false
	}
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
			if err := k.settle(ctx, process); err != nil {
				if ctx.Err() == nil {
					k.report(fmt.Errorf("this daemon cannot write the log: %w", err))
				}
				return false
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.state == pb.LockState_LOCK_STATE_UNLOCKING {
				k.state = pb.LockState_LOCK_STATE_UNLOCKED
				k.logger.Info("store unlocked")
			}
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// examine finds out what is wrong with the log, for the owner.
func (k *keeper) examine(ctx context.Context) {
	if k.survey == nil || ctx.Err() != nil {
		return
	}
	surveyed, err := k.survey(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		k.logger.Error("the log was not surveyed", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.surveyed, k.unsurveyed = surveyed, err
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
	k.logger.Error("the view stopped following the log", "error", fault)
}
