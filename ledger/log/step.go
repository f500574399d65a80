package log

import (
	"context"
	"errors"
	"time"
)

var errPause = errors.New("pause")

// Step reads segments for about so long, and returns where to go on: behind to, it is done.
// Segments that the log does not have go to lost, and it goes on behind them. An error says
// nothing about the log.
func (r *Reader) Step(ctx context.Context, period time.Duration, from, to uint64, fn func(Entry), lost func(from, to uint64)) (next uint64, err error) {
	next = from
	for until := time.Now().Add(period); next <= to; {
		err := r.Read(ctx, next, to, func(e Entry) error {
			fn(e)
			next = e.Sequence + 1
			if time.Now().After(until) {
				return errPause
			}
			return nil
		})
		var loss *LossError
		switch {
		case errors.As(err, &loss):
			lost(loss.From, loss.To)
			next = loss.To + 1
		case errors.Is(err, errPause):
			return next, nil
		case err != nil:
			return next, err
		default:
			next = to + 1
		}
	}
	return next, nil
}
