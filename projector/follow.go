package projector

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/tree"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// A follower brings the view up to the log and keeps it there. One goroutine reads,
// verifies and opens segments; another applies them.
type follower struct {
	decoder
	view *view.View

	tree tree.Tree
	// The sequence that is watched, and the root there.
	watched uint64
	root    tree.Hash

	mu      sync.Mutex
	changed chan struct{}
	target  uint64
	applied uint64
	fault   error
	roots   tree.Roots
}

// A commit covers at most so many segments and samples' worth of bytes, so that a
// catch-up costs few commits and a crash loses little work.
const (
	commitSegments = 256
	commitBytes    = 8 << 20
)

// newFollower goes on where the view ends.
func newFollower(d decoder, v *view.View) (*follower, error) {
	f := &follower{decoder: d, view: v, changed: make(chan struct{})}
	cursor := v.Cursor()
	if len(cursor.Tree) > 0 {
		if err := f.tree.UnmarshalBinary(cursor.Tree); err != nil {
			return nil, fmt.Errorf("%w: its tree is malformed", view.ErrFormat)
		}
	}
	if f.tree.Size() != cursor.Sequence {
		return nil, fmt.Errorf("%w: its tree and its sequence differ", view.ErrFormat)
	}
	f.applied, f.target, f.last = cursor.Sequence, cursor.Sequence, cursor.Sequence
	f.passed = f.known.losses.Within(log.Segments{From: 1, To: cursor.Sequence})
	f.known.losses.AddRoot(&f.tree, &f.roots)
	return f, f.loadDecisions()
}

// loadDecisions makes the grants of the decisions that the view remembers.
func (f *follower) loadDecisions() error {
	return f.view.Decisions(func(number uint64, record []byte) error {
		d := &pb.NewDecision{}
		if err := proto.Unmarshal(record, d); err != nil {
			return fmt.Errorf("%w: decision %d is malformed", view.ErrFormat, number)
		}
		if d.GetDecision() == nil {
			f.details[number] = d.GetDetail()
			return nil
		}
		decide := f.state.DecideWithout // one whose detail is lost, or that has none
		if len(d.GetDetail()) > 0 {
			decide = func(signed *pb.SignedDecision) error { return f.state.Decide(signed, d.GetDetail()) }
		}
		if err := decide(d.GetDecision()); err != nil {
			return fmt.Errorf("%w: %w", view.ErrFormat, err)
		}
		return nil
	})
}

// Watch makes the follower remember the root of the log at a sequence that it has not
// gone beyond. It must be called before Run.
func (f *follower) Watch(sequence uint64) {
	f.watched = sequence
	if f.applied == sequence {
		f.root = f.tree.Root()
	}
}

// Root returns the root at the watched sequence, once Wait for it has returned.
func (f *follower) Root() tree.Hash { return f.root }

// RootAt returns the root of the first size segments, if they are among the latest that were
// applied.
func (f *follower) RootAt(size uint64) (tree.Hash, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.roots.At(size)
}

// compare compares the checkpoints in a segment with the log before it.
func (f *follower) compare(o opened) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range o.checkpoints {
		if err := f.known.losses.Compare(c, o.sequence, &f.roots); err != nil {
			return err
		}
	}
	return nil
}

// grow adds a segment to the tree, and those before it that are gone.
func (f *follower) grow(o opened) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	losses := f.known.losses
	for f.tree.Size() < o.sequence {
		err := error(nil)
		if o.leaf != nil && f.tree.Size() == o.sequence-1 {
			err = losses.Append(&f.tree, o.sequence, *o.leaf)
		} else {
			err = losses.Pass(&f.tree, f.tree.Size()+1)
		}
		if err != nil {
			return err
		}
		losses.AddRoot(&f.tree, &f.roots)
		if f.tree.Size() == f.watched {
			f.root = f.tree.Root()
		}
	}
	return nil
}

// Extend tells how far the log has grown.
func (f *follower) Extend(target uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if target > f.target {
		f.target = target
		f.broadcast()
	}
}

// Wait returns when the view contains the log up to a sequence. It fails when the
// view has stopped following the log.
func (f *follower) Wait(ctx context.Context, sequence uint64) error {
	for {
		f.mu.Lock()
		applied, fault, changed := f.applied, f.fault, f.changed
		f.mu.Unlock()
		switch {
		case applied >= sequence:
			return nil
		case fault != nil:
			return fault
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Applied returns what the view contains, and why it stopped following, if it did.
func (f *follower) Applied() (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied, f.fault
}

// Target returns how far the log has grown, as far as is known.
func (f *follower) Target() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.target
}

// Changed returns a channel that is closed when the view may contain more.
func (f *follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *follower) broadcast() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Run follows the log until the context ends or something is wrong with the log or
// the view; nothing beyond that is ever applied.
func (f *follower) Run(ctx context.Context) {
	f.begin(ctx)
	defer f.end()
	for {
		f.mu.Lock()
		from, to, changed := f.applied+1, f.target, f.changed
		f.mu.Unlock()
		if from > to {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return
			case <-f.view.Failed():
				f.stop(f.view.Err())
				return
			}
		}
		if err := f.catchUp(ctx, from, to); err != nil {
			if ctx.Err() == nil {
				f.stop(err)
			}
			return
		}
	}
}

func (f *follower) stop(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
	f.broadcast()
}

func (f *follower) catchUp(ctx context.Context, from, to uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	segments := make(chan opened, 16)
	reading := make(chan error, 1)
	go func() {
		defer close(segments)
		give := func(o opened) error {
			select {
			case segments <- o:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := f.reader.Read(ctx, from, to, func(e log.Entry) error {
			o, err := f.open(e)
			if err != nil {
				return err
			}
			return give(o)
		})
		if err == nil && f.last < to {
			err = give(f.pass(to))
		}
		reading <- err
	}()
	err := f.applyAll(segments)
	cancel()
	for range segments {
	}
	return errors.Join(err, <-reading)
}

func (f *follower) applyAll(segments <-chan opened) error {
	for o := range segments {
		if err := f.compare(o); err != nil {
			return err
		}
		// Whatever this segment, or the next, has of an erasure was opened by knowing of it.
		f.known.each(f.view.SetErasure)
		batch := f.view.Begin()
		last, err := f.apply(batch, o)
		if err != nil {
			return err
		}
		// What is before the segment that cannot be is taken.
		var stopped error
		for n := 1; n < commitSegments && batch.Len() < commitBytes; n++ {
			next, ok := ready(segments)
			if !ok {
				break
			}
			if stopped = f.compare(next); stopped != nil {
				break
			}
			if last, err = f.apply(batch, next); err != nil {
				return err
			}
		}
		if err := f.commit(batch, last); err != nil {
			return err
		}
		if stopped != nil {
			return stopped
		}
	}
	return nil
}

func ready(segments <-chan opened) (opened, bool) {
	select {
	case o, ok := <-segments:
		return o, ok
	default:
		return opened{}, false
	}
}

func (f *follower) apply(batch *view.Batch, o opened) (uint64, error) {
	for i, event := range o.events {
		if err := applyEvent(batch, o.sequence, i, event, o.details[i]); err != nil {
			return 0, fmt.Errorf("apply segment %d: %w", o.sequence, err)
		}
	}
	for _, record := range o.records {
		number, err := recordNumber(record)
		if err != nil {
			return 0, err
		}
		b, err := proto.Marshal(record)
		if err != nil {
			return 0, err
		}
		batch.PutDecision(number, b)
	}
	return o.sequence, f.grow(o)
}

// applyEvent applies an event with the detail of a decision that changes the view, nil: it is
// none.
func applyEvent(batch *view.Batch, sequence uint64, at int, event *pb.Event, detail *pb.DecisionDetail) error {
	if deleted := detail.GetOwnerDeleted(); deleted != nil {
		_, err := batch.DeleteForOwner(sequence, at, int(detail.GetNumber()), deleted.GetDeletions())
		return err
	}
	if decided := detail.GetObjectsDecided(); decided != nil {
		batch.AnswerObjects(decided.GetApp(), decided.GetType())
	}
	return batch.Apply(sequence, at, event)
}

func recordNumber(r *pb.NewDecision) (uint64, error) {
	if r.GetDecision() == nil {
		d := &pb.DecisionDetail{}
		err := proto.Unmarshal(r.GetDetail(), d)
		return d.GetNumber(), err
	}
	d := &pb.Decision{}
	err := proto.Unmarshal(r.GetDecision().GetDecision(), d)
	return d.GetNumber(), err
}

func (f *follower) commit(batch *view.Batch, last uint64) error {
	frontier, err := f.tree.MarshalBinary()
	if err != nil {
		return err
	}
	if err := batch.Commit(view.Cursor{Sequence: last, Tree: frontier}); err != nil {
		return fmt.Errorf("commit up to segment %d: %w", last, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = last
	f.broadcast()
	return nil
}
