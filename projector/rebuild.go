package projector

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	"healthledger/projector/view"
)

// progress is how far a view is that is being made.
type progress struct {
	// Segments of the log that it contains, of so many.
	done, total uint64
	samples     uint64
}

// errUnlocking: what the live view contains is not known to be the daemon's log yet.
var errUnlocking = errors.New("the store is not unlocked yet")

// lostError is what is wrong with the log that a view is made of.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

// rebuild makes the view anew from the log, under a new key, and puts it in the place of the
// live one, whose key is destroyed then and whose files are deleted when nobody reads it any
// more. Reads and writes go on. Wherever it is interrupted, the next open finds the view
// before, or the one after, or none and makes one. Errors: errUnlocking, a lostError and those of
// the machine; the live view stays then.
func (o *openStore) rebuild(ctx context.Context, report func(progress)) error {
	return o.alone(ctx, func(ctx context.Context) error {
		key, keyFile, err := o.newViewKey()
		if err != nil {
			return err
		}
		next, err := o.beside(ctx, o.viewFolder(keyFile), key, o.cursor(), report)
		if err != nil {
			return err
		}
		if err = o.overtake(ctx, next); err == nil {
			err = o.directory.PutViewKey(keyFile)
		}
		if err != nil {
			return errors.Join(err, next.remove())
		}
		return o.swap(next)
	})
}

// alone runs what makes a view beside the live one, one at a time; it ends with the store.
func (o *openStore) alone(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	select {
	case o.building <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-o.building }()
	if ready, err := o.ready(); !ready {
		return errors.Join(errUnlocking, err)
	}
	return run(ctx)
}

// cursor returns where the live view is.
func (o *openStore) cursor() (at view.Cursor) {
	_ = o.with(func(p *projection) error {
		at = p.view.Cursor()
		return nil
	})
	return at
}

// beside makes a view in a folder, up to a cursor. When that fails nothing of it stays. It
// owns the key.
func (o *openStore) beside(ctx context.Context, folder string, key *seal.Secret, to view.Cursor, report func(progress)) (*projection, error) {
	next, err := o.openProjection(folder, key)
	if err != nil {
		return nil, err
	}
	if err := next.build(ctx, to, report); err != nil {
		return nil, errors.Join(err, next.remove())
	}
	return next, nil
}

// build follows the log from its beginning to a cursor, where the tree must be the same if
// that has one.
func (p *projection) build(ctx context.Context, to view.Cursor, report func(progress)) error {
	p.follower.Watch(to.Sequence)
	p.run()
	p.follower.Extend(to.Sequence)
	for {
		changed := p.follower.Changed()
		applied, fault := p.follower.Applied()
		report(progress{done: applied, total: to.Sequence, samples: samplesIn(p.view)})
		if applied >= to.Sequence {
			break
		}
		if fault != nil {
			return lostError{fault}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var there tree.Tree
	if len(to.Tree) == 0 {
		return nil
	}
	if err := there.UnmarshalBinary(to.Tree); err != nil {
		return fmt.Errorf("%w: its tree is malformed", view.ErrFormat)
	}
	if built, live := p.follower.Root(), there.Root(); !bytes.Equal(built[:], live[:]) {
		return lostError{fmt.Errorf("%w: it is another than the view was made of", seal.ErrTampered)}
	}
	return nil
}

// samplesIn counts the samples of the log that a view was made of, whatever became of them.
func samplesIn(v *view.View) uint64 {
	n := v.Counts()
	return n.Samples + n.Duplicates + n.Incomplete + n.Replaced + n.Deleted
}

// overtake brings a view to where the live one is.
func (o *openStore) overtake(ctx context.Context, next *projection) error {
	for {
		live := o.cursor().Sequence
		if applied, _ := next.follower.Applied(); applied >= live {
			return nil
		}
		next.follower.Extend(live)
		if err := next.follower.Wait(ctx, live); err != nil {
			return lostError{err}
		}
	}
}

// swap puts a view in the place of the live one, and removes that when the reads that have
// begun on it have ended, or the store is closed.
func (o *openStore) swap(next *projection) error {
	o.mu.Lock()
	last := o.live
	o.live, last.retired = next, make(chan struct{})
	if last.users == 0 {
		close(last.retired)
	}
	o.mu.Unlock()
	next.follower.Extend(last.follower.Target())
	select {
	case <-last.retired:
	case <-o.ctx.Done():
	}
	// Whoever used it until now may have been told of more.
	next.follower.Extend(last.follower.Target())
	return last.remove()
}
