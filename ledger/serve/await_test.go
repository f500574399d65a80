package serve

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func TestCallsThatWaitAreBounded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWaiting()
		under := map[waiter][]func(){}
		all := 0
		r.Repeat(map[string]func(*rapid.T){
			"begin": func(r *rapid.T) {
				who := waiter{seal.StoreID{rapid.Byte().Draw(r, "store")}, rapid.Uint64Range(0, 3).Draw(r, "app")}
				for range rapid.IntRange(1, 2*waitsOfOne).Draw(r, "times") {
					done, ok := w.Begin(who)
					if ok != (len(under[who]) < waitsOfOne && all < waitsInAll) {
						r.Fatalf("%v with %d of %d: %v", who, len(under[who]), all, ok)
					}
					if ok {
						under[who] = append(under[who], done)
						all++
					}
				}
			},
			"end": func(r *rapid.T) {
				for who, calls := range under {
					calls[0]()
					all--
					if under[who] = calls[1:]; len(under[who]) == 0 {
						delete(under, who)
					}
					break
				}
			},
			"": func(r *rapid.T) {
				if w.all != all || len(w.of) != len(under) {
					r.Fatalf("%d of %d are counted, %d of %d wait", w.all, len(w.of), all, len(under))
				}
			},
		})
	})
}

func TestAllTogetherAreBounded(t *testing.T) {
	w := newWaiting()
	for i := range waitsInAll {
		if _, ok := w.Begin(waiter{app: uint64(i)}); !ok {
			t.Fatal(i)
		}
	}
	if _, ok := w.Begin(waiter{app: waitsInAll}); ok {
		t.Fatal("one more")
	}
}

// behind is a projector whose view is behind the log.
type behind struct {
	*fake
	mu      sync.Mutex
	applied uint64
	changed chan struct{}
	failure error
}

func (b *behind) apply(sequence uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied = sequence
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *behind) Advance(ctx context.Context, req *pb.AdvanceRequest) (*pb.AdvanceResponse, error) {
	for {
		b.mu.Lock()
		applied, changed, failure := b.applied, b.changed, b.failure
		b.mu.Unlock()
		if failure != nil {
			return nil, failure
		}
		if applied >= req.GetSequence() || !req.GetWait() {
			return &pb.AdvanceResponse{Applied: applied}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// anUnlocked returns an app before an unlocked store.
func anUnlocked() (*Daemon, caller, *behind) {
	view := &behind{fake: newFake(), applied: 5, changed: make(chan struct{})}
	k := &keeper{state: pb.LockState_LOCK_STATE_UNLOCKED, process: view, clock: &fakeClock{}}
	k.life, k.stop = context.WithCancel(context.Background())
	return &Daemon{waiting: newWaiting()}, caller{store: &ledger.Store{}, keeper: k, app: &authz.App{Number: 7}, life: context.Background()}, view
}

func (c caller) lock() {
	c.keeper.mu.Lock()
	c.keeper.state = pb.LockState_LOCK_STATE_LOCKED
	c.keeper.mu.Unlock()
	c.keeper.stop()
}

func TestQueryWithAReceiptWaitsForTheView(t *testing.T) {
	for _, c := range []struct {
		name     string
		sequence uint64
		happens  func(caller, *behind)
		reason   string
		took     time.Duration
	}{
		{"contained", 5, func(caller, *behind) {}, "", 0},
		{"comes", 6, func(_ caller, v *behind) { v.apply(6) }, "", time.Second},
		{"comes late", 7, func(_ caller, v *behind) { v.apply(6); time.Sleep(2 * time.Second); v.apply(9) }, "", 3 * time.Second},
		{"does not come", 7, func(_ caller, v *behind) { v.apply(6) }, rpc.ReasonBusy, receiptWait},
		{"locked", 6, func(c caller, _ *behind) { c.lock() }, rpc.ReasonStoreLocked, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, app, view := anUnlocked()
				go func() { time.Sleep(time.Second); c.happens(app, view) }()
				began := time.Now()
				err := d.awaitView(t.Context(), app, c.sequence)
				if took := time.Since(began); rpc.Reason(err) != c.reason || took != c.took {
					t.Errorf("%v after %v", err, took)
				}
				if d.waiting.all != 0 {
					t.Error("it still waits")
				}
				time.Sleep(5 * time.Second)
			})
		})
	}
}

func TestWhoWaitsForAReceiptLearnsNothingOfTheLog(t *testing.T) {
	d, app, view := anUnlocked()
	view.failure = rpc.Error(14, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss, Why: "segment 6"}, "segment 6")
	err := d.awaitView(t.Context(), app, 6)
	if rpc.Reason(err) != rpc.ReasonDataLoss || rpc.Detail(err).GetWhy() != "" {
		t.Error(err, rpc.Detail(err))
	}
}

func TestCallThatWaitsEndsAtTheLock(t *testing.T) {
	d, app, _ := anUnlocked()
	blocked := func(ctx context.Context, _ Projector) error { <-ctx.Done(); return ctx.Err() }
	answers := make(chan error)
	for range waitsOfOne {
		go func() { answers <- d.await(t.Context(), app, blocked) }()
	}
	eventually(t, "all wait", func() bool {
		d.waiting.mu.Lock()
		defer d.waiting.mu.Unlock()
		return d.waiting.all == waitsOfOne
	})
	if err := d.await(t.Context(), app, blocked); rpc.Reason(err) != rpc.ReasonBusy {
		t.Error("one more than may wait:", err)
	}
	// Another one is not kept from it.
	other := app
	other.app = nil
	if err := d.await(t.Context(), other, func(context.Context, Projector) error { return nil }); err != nil {
		t.Error(err)
	}
	app.lock()
	for range waitsOfOne {
		if err := <-answers; rpc.Reason(err) != rpc.ReasonStoreLocked {
			t.Error(err)
		}
	}
	if err := d.await(t.Context(), app, func(context.Context, Projector) error { return errors.New("called") }); rpc.Reason(err) != rpc.ReasonStoreLocked {
		t.Error(err)
	}
}
