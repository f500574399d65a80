package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// Errors of an append. None of them leaves a part of the event in the log; after
// ErrUnwritable the whole of it may yet get there.
var (
	// ErrTooLarge: the event does not fit a segment, however it is compressed.
	ErrTooLarge = errors.New("larger than a segment of the log")
	// ErrClosed: the store is shutting down.
	ErrClosed = errors.New("store is closed")
	// ErrUnwritable: the log is not as this daemon left it, or cannot be written.
	ErrUnwritable = errors.New("log cannot be written")
)

// An appender turns whatever waits into one segment: one seal, one publish, one
// fsync, and then everybody who waits is answered. There is no timer: what arrives
// during a publish is the next segment (measured: a timer of 1 ms loses more than it
// gathers).
type appender struct {
	store     seal.StoreID
	device    *seal.DeviceKey
	publisher publisher
	epochs    *epochs
	head      *headFile
	now       func() time.Time
	// use makes a device key the one that segments are signed with.
	use func(device *seal.DeviceKey)
	// learn is told of every decision that the log has, before anybody is answered.
	learn func(d *pb.SignedDecision) error
	// appended is called after every acknowledged segment, before its callers are answered.
	appended func(at head)

	mu      sync.Mutex
	waiting []*pending
	closed  bool
	wake    chan struct{}
	done    chan struct{}

	// Only the loop touches these.
	at     head
	failed error
	// unresolved may be in the log behind at, or not: until that is known nothing else
	// can be put there.
	unresolved *unresolved
}

// unresolved is a segment whose publish ended without an answer.
type unresolved struct {
	payload []byte
	batch   []*pending
}

// publisher puts a payload at the end of the log; log.Publisher is the one that does.
type publisher interface {
	Publish(ctx context.Context, sequence uint64, payload []byte) error
}

// pending is an event on its way into the log.
type pending struct {
	class seal.Class
	// app separates events whose compression must not be mixed.
	app   uint64
	event []byte
	// checkpoint, if the event is one.
	checkpoint *checkpointing
	// check, if there is one, has the last word before the event is sealed.
	check func() error
	// enrols, if the event is the enrolment of a device key: it signs the segment, and all
	// after it.
	enrols *seal.DeviceKey
	// signed, if the event is a decision: its number and hash go into the head.
	signed       *pb.SignedDecision
	decision     uint64
	decisionHash []byte

	sequence uint64
	err      error
	answered chan struct{}
}

// endOfEpoch is the class of what is no event, but ends the epoch of class health that is
// being written.
const endOfEpoch seal.Class = 0

// A segment takes at most so much before compression. Together with MaxSegment it
// bounds the work that is lost when a segment turns out too large.
const maxGather = 4 << 20

// Append puts events of one class into the log, in one segment if they fit one, and
// returns the sequence of the last. It returns after the fsync. Errors: ErrTooLarge,
// ErrClosed, ErrUnwritable, log.ErrNoSpace, after which a part of them may be there; the
// context's error only if none of them was taken yet.
func (a *appender) Append(ctx context.Context, ps ...*pending) (uint64, error) {
	if err := a.enqueue(ps...); err != nil {
		return 0, err
	}
	last := ps[len(ps)-1]
	select {
	case <-last.answered:
	case <-ctx.Done():
		if a.withdraw(ps) {
			return 0, ctx.Err()
		}
	}
	var err error
	for _, p := range ps {
		<-p.answered
		err = cmp.Or(err, p.err)
	}
	return last.sequence, err
}

// enqueue puts events in line; they are answered when they are in the log, or cannot be.
// Errors: ErrClosed.
func (a *appender) enqueue(ps ...*pending) error {
	for _, p := range ps {
		p.answered = make(chan struct{})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	a.waiting = append(a.waiting, ps...)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return nil
}

// withdraw takes back events of which no segment has taken any yet: they wait in a row.
func (a *appender) withdraw(ps []*pending) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.waiting, ps[0])
	if i < 0 || len(a.waiting) < i+len(ps) || !slices.Equal(a.waiting[i:i+len(ps)], ps) {
		return false
	}
	a.waiting = slices.Delete(a.waiting, i, i+len(ps))
	return true
}

// Close answers what waits, then stops.
func (a *appender) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	<-a.done
}

// rebase says what the last decision in the log is, to an appender that has not written yet.
func (a *appender) rebase(at head) {
	// The loop takes the lock before it looks at what it has to write.
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = at
}

// reopen goes on behind a place, with a log that could not be written.
func (a *appender) reopen(at head) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.failed, a.unresolved = at, nil, nil
}

func (a *appender) run() {
	defer close(a.done)
	for range a.wake {
		for {
			batch := a.take()
			if len(batch) == 0 {
				break
			}
			a.commit(batch)
		}
		a.mu.Lock()
		closed := a.closed && len(a.waiting) == 0
		a.mu.Unlock()
		if closed {
			return
		}
	}
}

// take removes from the queue what goes into the next segment: all that waits of the
// class of the first, up to maxGather.
func (a *appender) take() []*pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return nil
	}
	class, size := a.waiting[0].class, 0
	var batch, rest []*pending
	for _, p := range a.waiting {
		if p.class == class && p.enrols == a.waiting[0].enrols && (size == 0 || size+len(p.event) <= maxGather) {
			batch, size = append(batch, p), size+len(p.event)
		} else {
			rest = append(rest, p)
		}
	}
	a.waiting = rest
	return batch
}

// commit writes the batch as one segment, or as several where it does not fit one.
func (a *appender) commit(batch []*pending) {
	err := a.resolve()
	if batch = a.admitted(batch); len(batch) == 0 {
		return
	}
	var sequence uint64
	if err == nil {
		sequence, err = a.write(batch)
	}
	if errors.Is(err, ErrTooLarge) && len(batch) > 1 {
		half := len(batch) / 2
		a.commit(batch[:half])
		a.commit(batch[half:])
		return
	}
	for _, p := range batch {
		p.sequence, p.err = sequence, err
		close(p.answered)
	}
}

// admitted answers the events that their check refuses, and returns the others.
func (a *appender) admitted(batch []*pending) []*pending {
	var fit []*pending
	for _, p := range batch {
		switch {
		case p.checkpoint != nil:
			p.err = p.checkpoint.compose(p, a.at)
		case p.check != nil:
			p.err = p.check()
		}
		if p.err != nil {
			close(p.answered)
			continue
		}
		fit = append(fit, p)
	}
	return fit
}

func (a *appender) write(batch []*pending) (uint64, error) {
	if batch[0].class == endOfEpoch {
		a.epochs.end(seal.Health)
		return a.at.tree.Size(), nil
	}
	body, err := log.EncodeBody(nil, blocks(batch))
	if errors.Is(err, log.ErrBodyTooLarge) {
		return 0, ErrTooLarge
	}
	if err != nil {
		return 0, fmt.Errorf("append store %s: %w", a.store, err)
	}
	payload, err := a.seal(batch[0], a.at.tree.Size()+1, body)
	if log.IsFull(err) { // for a new epoch's keys
		return 0, fmt.Errorf("append store %s: %w: %w", a.store, log.ErrNoSpace, err)
	}
	if err != nil {
		return 0, fmt.Errorf("append store %s: %w", a.store, err)
	}
	if err := a.publish(payload); err != nil {
		if errors.Is(err, log.ErrUnknown) {
			a.unresolved = &unresolved{payload, batch}
		}
		return 0, err
	}
	a.acknowledge(payload, batch)
	return a.at.tree.Size(), nil
}

// resolve finds out whether the log has the segment whose publish ended without an
// answer: publishing the very same again tells, and appends it if it is not there.
func (a *appender) resolve() error {
	if a.failed != nil || a.unresolved == nil {
		return a.failed
	}
	if err := a.publish(a.unresolved.payload); err != nil {
		return err
	}
	a.acknowledge(a.unresolved.payload, a.unresolved.batch)
	a.unresolved = nil
	return a.failed
}

func (a *appender) publish(payload []byte) error {
	// Not the context of a caller: others wait for the same segment.
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	err := a.publisher.Publish(ctx, a.at.tree.Size()+1, payload)
	if err == nil || errors.Is(err, log.ErrNoSpace) {
		return err
	}
	err = fmt.Errorf("append store %s: %w: %w", a.store, ErrUnwritable, err)
	if errors.Is(err, log.ErrConflict) {
		a.failed = err
	}
	return err
}

// acknowledge takes note of a segment that the log has.
func (a *appender) acknowledge(payload []byte, batch []*pending) {
	a.at.tree.Append(tree.Leaf(payload))
	alone := !slices.ContainsFunc(batch, func(p *pending) bool { return p.checkpoint == nil })
	for _, p := range batch {
		if p.checkpoint != nil {
			a.at.checkpointAt(p.checkpoint.checkpointed, alone)
		}
		if p.signed == nil {
			continue
		}
		a.at.decision, a.at.decisionHash = p.decision, p.decisionHash
		if err := a.learn(p.signed); err != nil {
			// It was checked, so this cannot be; if it is, nobody knows any more who may write.
			a.failed = fmt.Errorf("append store %s: %w: %w", a.store, ErrUnwritable, err)
		}
		if p.enrols != nil {
			a.use(p.enrols)
		}
	}
	// The log has the segment; a head that cannot be written only detects less.
	_ = a.head.Write(a.at)
	a.appended(a.at)
}

const publishTimeout = 30 * time.Second

func (a *appender) seal(p *pending, sequence uint64, body []byte) ([]byte, error) {
	if p.class == seal.Open {
		return seal.SealOpen(a.store, sequence, cmp.Or(p.enrols, a.device), nil, body)
	}
	epoch, err := a.epochs.current(p.class, a.now())
	if err != nil {
		return nil, err
	}
	return epoch.Seal(sequence, a.device, nil, body)
}

// blocks groups the events by app, in the order the apps come, each group a
// serialized pb.EventList.
func blocks(batch []*pending) [][]byte {
	var order []uint64
	byApp := map[uint64][]byte{}
	for _, p := range batch {
		b, seen := byApp[p.app]
		if !seen {
			order = append(order, p.app)
		}
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		byApp[p.app] = protowire.AppendBytes(b, p.event)
	}
	out := make([][]byte, len(order))
	for i, app := range order {
		out[i] = byApp[app]
	}
	return out
}
