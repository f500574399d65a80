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
func (o *openStore) await(ctx context.Context, wait time.Duration, ask func(p *projection) (done bool, again time.Time, err error)) error {
	began := time.Now()
	for {
		var changed <-chan struct{}
		var done bool
		var again time.Time
		err := o.with(func(p *projection) (err error) {
			changed = p.follower.Changed()
			_, fault := p.follower.Applied()
			done, again, err = ask(p)
			done = done || fault != nil
			return err
		})
		if done || err != nil || time.Since(began) >= wait {
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
	case <-o.ctx.Done():
		return context.Canceled
	}
	return nil
}
