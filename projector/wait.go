package projector

import (
	"context"
	"time"
)

// pace is how often a call that waits looks again at most: at whole multiples of it after
// it came, so that when it is answered says nothing of commits that changed nothing for it.
const pace = 20 * time.Millisecond

// await asks until there is an answer, or for as long as the caller waits: now, after
// commits, and when there may be an answer without one, which ask returns (zero: never).
// A view that has stopped following the log has nothing to wait for.
func (o *openStore) await(ctx context.Context, wait time.Duration, ask func() (done bool, again time.Time, err error)) error {
	began := time.Now()
	for {
		changed := o.follower.Changed()
		_, fault := o.follower.Applied()
		done, again, err := ask()
		if done || err != nil || fault != nil || time.Since(began) >= wait {
			return err
		}
		until := began.Add(wait)
		if !again.IsZero() && again.Before(until) {
			until = again
		}
		if err := o.pause(ctx, changed, time.Until(until)); err != nil {
			return err
		}
		passed := time.Since(began)
		if err := o.pause(ctx, nil, (passed/pace+1)*pace-passed); err != nil {
			return err
		}
	}
}

// pause returns when something has changed or the time is over. It fails when the caller
// has gone or the store is being closed.
func (o *openStore) pause(ctx context.Context, changed <-chan struct{}, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-o.ending:
		return context.Canceled
	}
	return nil
}
