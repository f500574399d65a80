package serve

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"healthledger/ledger/log"
	"healthledger/proto/rpc"
)

// A throttle makes every wrong passphrase cost its caller twice the time of the one
// before, up to a cap. It remembers across restarts.
type throttle struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	callers map[string]failures
}

type failures struct {
	Count int       `json:"count"`
	Until time.Time `json:"until"`
}

const (
	firstDelay = 250 * time.Millisecond
	// maxDelay leaves a call of rpc.DefaultTimeout time for the passphrase itself: the
	// right one must get through however many wrong ones came before.
	maxDelay = rpc.DefaultTimeout / 2
	// Callers whose last failure is so long ago start anew.
	forgetAfter = 24 * time.Hour
)

func openThrottle(path string, now func() time.Time) (*throttle, error) {
	t := &throttle{path: path, now: now, callers: map[string]failures{}}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &t.callers); err != nil || t.callers == nil {
		// A damaged file must not open the door: the cap applies to the local caller.
		t.callers = map[string]failures{localCaller: {Count: 8, Until: now().Add(maxDelay)}}
	}
	return t, nil
}

// Wait returns when the caller may try again.
func (t *throttle) Wait(ctx context.Context, caller string) error {
	t.mu.Lock()
	wait := min(t.callers[caller].Until.Sub(t.now()), maxDelay)
	t.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Failed counts a wrong passphrase.
func (t *throttle) Failed(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.callers[caller]
	if t.now().Sub(f.Until) > forgetAfter {
		f = failures{}
	}
	delay := min(firstDelay<<min(max(f.Count, 0), 16), maxDelay)
	t.callers[caller] = failures{Count: f.Count + 1, Until: t.now().Add(delay)}
	t.save()
}

// Tried counts what came of trying a passphrase, or the words: another failure than that they
// are wrong says nothing about the caller.
func (t *throttle) Tried(caller string, err error) {
	switch {
	case err == nil:
		t.Succeeded(caller)
	case rpc.Reason(err) == rpc.ReasonWrongPassphrase:
		t.Failed(caller)
	}
}

// Succeeded forgets the caller's failures.
func (t *throttle) Succeeded(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, failed := t.callers[caller]; failed {
		delete(t.callers, caller)
		t.save()
	}
}

// save keeps the delays; where that fails they hold until the daemon ends.
func (t *throttle) save() {
	if content, err := json.Marshal(t.callers); err == nil {
		_ = log.WriteFile(t.path, content)
	}
}
