package serve

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const (
	// maxWait is how long a caller may wait for something to happen.
	maxWait = time.Minute
	// receiptWait is how long a query waits for the view to contain what its receipt names.
	receiptWait = 10 * time.Second
	// How many calls may wait at once, of one caller and in all.
	waitsOfOne = 16
	waitsInAll = 4096
)

// waiting counts the calls that wait.
type waiting struct {
	mu  sync.Mutex
	all int
	of  map[waiter]int
}

// waiter is an app of a store, or its owner.
type waiter struct {
	store seal.StoreID
	app   uint64
}

func newWaiting() *waiting { return &waiting{of: map[waiter]int{}} }

// Begin lets one more call wait, until done.
func (w *waiting) Begin(who waiter) (done func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == waitsInAll || w.of[who] == waitsOfOne {
		return nil, false
	}
	w.all++
	w.of[who]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all--
		if w.of[who]--; w.of[who] == 0 {
			delete(w.of, who)
		}
	}, true
}

// await makes a call to the projector that may wait until something happens. The call
// ends with the locked error when the store is locked, or the daemon stops, and when the
// caller is one no more. Errors:
// STORE_LOCKED, BUSY, those of the call.
func (d *Daemon) await(ctx context.Context, c caller, call func(context.Context, Projector) error) error {
	process, life, err := c.keeper.Reading()
	if err != nil {
		return err
	}
	done, ok := d.waiting.Begin(waiter{c.store.ID(), c.number()})
	if !ok {
		return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonBusy}, "too many calls wait at once")
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	defer context.AfterFunc(c.life, cancel)()
	if err := call(ctx, process); err != nil {
		return c.failed(err)
	}
	return nil
}

// awaitView returns when the view contains the log up to a sequence. Errors: those of
// await; BUSY after receiptWait.
func (d *Daemon) awaitView(ctx context.Context, c caller, sequence uint64) error {
	process, err := c.keeper.Reader()
	if err != nil {
		return err
	}
	now, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: sequence})
	if err != nil {
		return c.failed(err)
	}
	if now.GetApplied() >= sequence {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, receiptWait)
	defer cancel()
	err = d.await(ctx, c, func(ctx context.Context, process Projector) error {
		_, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: sequence, Wait: true})
		return err
	})
	if ctx.Err() != nil && rpc.Reason(err) != rpc.ReasonStoreLocked {
		return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{
			Reason: rpc.ReasonBusy, Field: "receipt", Why: "the view does not contain it yet",
		}, "the view does not contain what the receipt is of yet")
	}
	return err
}
