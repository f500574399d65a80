package log

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Whole looks for what JetStream knows to have lost, without reading the log: segments
// that it does not count any more, and a last one that is not there. After a log was cut
// short, JetStream may go on at the sequence at which it would have, behind a hole. What it
// passes over may be missing. Errors: *LossError.
func (r *Reader) Whole(ctx context.Context) error {
	last, err := r.Last(ctx)
	if err != nil || last == 0 {
		return err
	}
	from := last
	if state := r.state(); state.FirstSeq != 1 || state.Msgs != last {
		known, err := r.missesOnlyWhatIsGone(ctx)
		if err != nil {
			return err
		}
		if !known {
			from = 1 // to find out what is missing
		}
	}
	return r.Read(ctx, from, last, func(Entry) error { return nil })
}

// maxDetails is how many lost segments JetStream is asked to name: they come in one message.
const maxDetails = 50_000

// missesOnlyWhatIsGone tells whether all that JetStream knows to have lost is passed over.
func (r *Reader) missesOnlyWhatIsGone(ctx context.Context) (bool, error) {
	if r.losses == nil || r.state().NumDeleted > maxDetails {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.stall)
	defer cancel()
	info, err := r.current().Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return false, err
	}
	for sequence := uint64(1); sequence < info.State.FirstSeq; sequence++ {
		if !r.losses.Gone(sequence) {
			return false, nil
		}
	}
	return !slices.ContainsFunc(info.State.Deleted, func(sequence uint64) bool { return !r.losses.Gone(sequence) }), nil
}

// current is the stream that Last saw.
func (r *Reader) current() jetstream.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stream
}

// state returns what Last saw of the stream.
func (r *Reader) state() jetstream.StreamState { return r.current().CachedInfo().State }

// confirm looks again for a segment that a batch did not bring. It returns the segment,
// or a *LossError with the range that is missing, or an error that says nothing about
// the log.
func (r *Reader) confirm(ctx context.Context, missing, to uint64) (Entry, error) {
	for attempt := 1; ; attempt++ {
		// In this order: what is appended in between is then not taken for a loss.
		last, err := r.Last(ctx)
		if err != nil {
			return Entry{}, err
		}
		entry, err := r.single(ctx, missing)
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return entry, err
		}
		// Any server of a cluster answers direct gets, also one that lags behind.
		if attempt < r.replicas()*5 {
			if err := sleep(ctx, 200*time.Millisecond); err != nil {
				return Entry{}, err
			}
			continue
		}
		return Entry{}, r.measure(ctx, missing, to, last)
	}
}

// replicas returns how many other servers hold the log.
func (r *Reader) replicas() int { return r.current().CachedInfo().Config.Replicas - 1 }

// measure finds where a loss that begins at from ends.
//
// A batch steps over records that JetStream knows to be gone, but stops at one that is
// damaged; so at each step it is asked for the next record, and if it has none, the very
// next one is tried by itself.
func (r *Reader) measure(ctx context.Context, from, to, last uint64) error {
	end := from
	for end < to {
		if end >= last {
			end = to
			break
		}
		next, err := r.nextReadable(ctx, end+1)
		if err == nil {
			end = min(next-1, to)
			break
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		if _, err := r.single(ctx, end+1); err == nil {
			break
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		end++
	}
	return &LossError{From: from, To: end}
}

// nextReadable returns the first sequence at or after from that a batch brings.
// Errors: jetstream.ErrMsgNotFound.
func (r *Reader) nextReadable(ctx context.Context, from uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.stall)
	defer cancel()
	messages, err := jetstreamext.GetBatch(ctx, r.js, StreamName(r.store), 1, jetstreamext.GetBatchSeq(from))
	if err != nil {
		return 0, err
	}
	for message, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return 0, jetstream.ErrMsgNotFound
		case err != nil:
			return 0, err
		case message.Sequence < from:
			return 0, fmt.Errorf("segment %d: the server answered with segment %d", from, message.Sequence)
		}
		return message.Sequence, nil
	}
	return 0, context.DeadlineExceeded // GetBatch ends so, without an error
}

// A backoff waits longer and longer between attempts, and gives up when nothing has
// succeeded for as long as its patience.
type backoff struct {
	patience time.Duration
	since    time.Time
	wait     time.Duration
}

const (
	firstWait   = 10 * time.Millisecond
	longestWait = time.Second
)

func newBackoff(patience time.Duration) *backoff {
	b := &backoff{patience: patience}
	b.reset()
	return b
}

func (b *backoff) reset() { b.since, b.wait = time.Now(), firstWait }

// after waits because of err, and returns it when it is time to give up.
func (b *backoff) after(ctx context.Context, err error) error {
	if time.Since(b.since) > b.patience {
		return err
	}
	wait := b.wait
	b.wait = min(2*b.wait, longestWait)
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
