package log

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"healthledger/ledger/seal"
)

// Entry is one segment as the log holds it. Its Payload belongs to whoever got it.
type Entry struct {
	Sequence uint64
	// When JetStream stored it; nothing vouches for it.
	Time    time.Time
	Payload []byte
}

const (
	// JetStream's default for a batch without a limit is its limit for a slow client,
	// at which it disconnects; 16 MiB stays far below and costs no speed.
	batchBytes    = 16 << 20
	batchMessages = 16 << 10

	// What waits between the goroutine that fetches and the caller that handles, at most
	// chunkDepth+2 chunks, besides the batch on its way.
	chunkBytes    = 1 << 20
	chunkMessages = 512
	chunkDepth    = 6
)

// Reader reads the log of one store. It may be used by several goroutines at once.
type Reader struct {
	js    jetstream.JetStream
	store seal.StoreID

	// A request that is not answered, or a batch that pauses, for so long is made again.
	stall time.Duration
	// How long the server may be away before a read gives up.
	patience time.Duration
	// How much one batch brings.
	batchBytes int
	// losses are passed over, nil: there are none.
	losses *Losses

	mu     sync.Mutex
	stream jetstream.Stream
}

// NewReader returns a reader of a store's log for a connection to the log's account, which
// only the daemon has; others use NewGuestReader. It does not talk to the server, and
// leaves the connection to its owner.
func NewReader(conn *nats.Conn, store seal.StoreID) *Reader {
	return &Reader{js: jetStream(conn), store: store, stall: 5 * time.Second, patience: 30 * time.Second, batchBytes: batchBytes}
}

// PassOver has what is gone left out, whatever the log has in its place.
func (r *Reader) PassOver(losses *Losses) *Reader {
	r.losses = losses
	return r
}

func jetStream(conn *nats.Conn) jetstream.JetStream {
	js, err := jetstream.New(conn)
	if err != nil {
		panic(err) // only for wrong options, and there are none
	}
	return js
}

// Last returns the sequence of the last segment, 0 for an empty log.
func (r *Reader) Last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.stall)
	defer cancel()
	stream, err := r.js.Stream(ctx, StreamName(r.store))
	if err != nil {
		return 0, fmt.Errorf("read log of store %s: %w", r.store, err)
	}
	r.mu.Lock()
	r.stream = stream
	r.mu.Unlock()
	return stream.CachedInfo().State.LastSeq, nil
}

// Get returns one segment. Errors: *LossError if the log does not have it.
func (r *Reader) Get(ctx context.Context, sequence uint64) (Entry, error) {
	entry, err := r.single(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = &LossError{From: sequence, To: sequence}
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read log of store %s: %w", r.store, err)
	}
	return entry, nil
}

// Read calls fn with each segment from from to to, both included, in order and without
// gaps but those that it passes over, and returns the first error of fn as it is. Segments are
// fetched while fn works.
//
// What the log does not have is a *LossError with the missing range as far as it was
// asked for, after fn has seen everything before it; a log that ends before to has lost
// the rest. Read survives a server that restarts or drops the connection. It gives up when
// it gets nothing for half a minute, or when ctx ends.
func (r *Reader) Read(ctx context.Context, from, to uint64, fn func(Entry) error) error {
	if from == 0 {
		return fmt.Errorf("read log of store %s: sequences start at 1", r.store)
	}
	for from <= to {
		gone, ok := r.losses.Next(from)
		if !ok || gone.From > to {
			return r.read(ctx, from, to, fn)
		}
		if from < gone.From {
			if err := r.read(ctx, from, gone.From-1, fn); err != nil {
				return err
			}
		}
		from = gone.To + 1
	}
	return nil
}

// read is Read of segments none of which it passes over.
func (r *Reader) read(ctx context.Context, from, to uint64, fn func(Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	chunks := make(chan []Entry, chunkDepth)
	var fetchErr error
	go func() {
		defer close(chunks)
		fetchErr = r.fetch(ctx, from, to, chunks)
	}()
	defer func() {
		cancel()
		for range chunks { // until the goroutine has ended
		}
	}()
	for chunk := range chunks {
		for _, entry := range chunk {
			if err := fn(entry); err != nil {
				return err
			}
		}
	}
	if fetchErr != nil {
		return fmt.Errorf("read log of store %s: %w", r.store, fetchErr)
	}
	return nil
}

// Page returns the first segments of a range, at least one that it does not pass over, of about
// so many bytes at most. Errors are those of Read.
func (r *Reader) Page(ctx context.Context, from, to uint64, bytes int) (entries []Entry, err error) {
	page := &Reader{js: r.js, store: r.store, stall: r.stall, patience: r.patience, batchBytes: bytes, losses: r.losses}
	size := 0
	full := errors.New("full")
	err = page.Read(ctx, from, to, func(e Entry) error {
		if size += len(e.Payload); len(entries) > 0 && size > bytes {
			return full
		}
		entries = append(entries, e)
		return nil
	})
	if errors.Is(err, full) {
		err = nil
	}
	return entries, err
}

// fetch sends all segments of the range in order.
func (r *Reader) fetch(ctx context.Context, next, to uint64, chunks chan<- []Entry) error {
	wait := newBackoff(r.patience)
	stall := r.stall
	for next <= to {
		after, err := r.fetchBatch(ctx, next, to, stall, chunks)
		if after > next {
			next = after
			stall = r.stall
			wait.reset()
		} else {
			// What was asked for in vain is still on its way and delays the next answer: with
			// the same short patience, a slow connection would never get anywhere.
			stall = min(2*stall, r.patience)
		}
		if next > to {
			break
		}
		if err == nil { // the batch was full
			continue
		}
		if errors.Is(err, errNotNext) {
			var entry Entry
			if entry, err = r.confirm(ctx, next, to); err == nil {
				if err := send(ctx, chunks, []Entry{entry}); err != nil {
					return err
				}
				next++
				wait.reset()
				continue
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrLoss) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		if err := wait.after(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// errNotNext: the server did not have the next segment, or skipped it.
var errNotNext = errors.New("next segment did not come")

// fetchBatch makes one batched request and returns the sequence after the last segment
// that it sent on. JetStream ends a batch early, and without an error, whenever it likes.
func (r *Reader) fetchBatch(ctx context.Context, next, to uint64, stall time.Duration, chunks chan<- []Entry) (uint64, error) {
	// Without a deadline, GetBatch would give the batch its own, short one. How long it may
	// really take is the watchdog's to say: it only counts while we wait for the server.
	batch, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	watchdog := time.AfterFunc(stall, cancel)
	defer watchdog.Stop()

	messages, err := jetstreamext.GetBatch(batch, r.js, StreamName(r.store), int(min(to-next+1, batchMessages)),
		jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(r.batchBytes))
	if err != nil {
		return next, err
	}
	start := next
	var chunk []Entry
	size := 0
	err = errNotNext // if nothing comes at all
	for message, messageErr := range messages {
		watchdog.Stop()
		if err = messageErr; err != nil {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				err = errNotNext
			}
			break
		}
		if message.Sequence != next {
			err = errNotNext
			break
		}
		chunk = append(chunk, Entry{Sequence: next, Time: message.Time, Payload: message.Data})
		size += len(message.Data)
		next++
		if size >= chunkBytes || len(chunk) == chunkMessages {
			if err := send(ctx, chunks, chunk); err != nil {
				return start, err
			}
			chunk, size = nil, 0
		}
		watchdog.Reset(stall)
	}
	if len(chunk) > 0 {
		if err := send(ctx, chunks, chunk); err != nil {
			return start, err
		}
	}
	return next, err
}

func send(ctx context.Context, chunks chan<- []Entry, chunk []Entry) error {
	select {
	case chunks <- chunk:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// single gets one segment by itself. Errors: jetstream.ErrMsgNotFound.
func (r *Reader) single(ctx context.Context, sequence uint64) (Entry, error) {
	r.mu.Lock()
	stream := r.stream
	r.mu.Unlock()
	if stream == nil {
		if _, err := r.Last(ctx); err != nil { // keeps the stream it found
			return Entry{}, err
		}
		return r.single(ctx, sequence)
	}
	ctx, cancel := context.WithTimeout(ctx, r.stall)
	defer cancel()
	message, err := stream.GetMsg(ctx, sequence)
	if err != nil {
		return Entry{}, err
	}
	if message.Sequence != sequence {
		return Entry{}, fmt.Errorf("segment %d: the server answered with segment %d", sequence, message.Sequence)
	}
	return Entry{Sequence: sequence, Time: message.Time, Payload: message.Data}, nil
}
