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

// rebuild makes the view anew from the log, under a new key, and puts it in the place of the
// live one, whose key is destroyed then and whose files are deleted when nobody reads it any
// more. Reads and writes go on. Wherever it is interrupted, the next open finds the view
// before, or the one after, or none and makes one. Errors: errBuilding, those that the
// follower stops with, and those of the machine; the live view stays then.
func (o *openStore) rebuild(ctx context.Context, report func(progress)) error {
	key, keyFile, err := o.newViewKey()
	if err != nil {
		return err
	}
	return o.beside(ctx, o.viewFolder(keyFile), key, report, func(ctx context.Context, next *projection) (bool, error) {
		if err := o.overtake(ctx, next); err != nil {
			return false, err
		}
		if err := o.directory.PutViewKey(keyFile); err != nil {
			return false, err
		}
		return true, o.swap(next)
	})
}

// errBuilding: one view at a time is made beside the live one.
var errBuilding = errors.New("another view is being made")

// errUnlocking: what the live view contains is not known to be the daemon's log yet.
var errUnlocking = errors.New("the store is not unlocked yet")

// beside makes a view in a folder, up to where the live one is, and hands it to use. Unless
// that keeps it, it is removed. It owns the key.
func (o *openStore) beside(ctx context.Context, folder string, key *seal.Secret, report func(progress), use func(context.Context, *projection) (kept bool, err error)) error {
	if !o.building.TryLock() {
		key.Destroy()
		return errBuilding
	}
	defer o.building.Unlock()
	if ready, err := o.ready(); !ready {
		key.Destroy()
		return errors.Join(errUnlocking, err)
	}
	var to view.Cursor
	_ = o.with(func(p *projection) error {
		to = p.view.Cursor()
		return nil
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	next, err := o.openProjection(folder, key)
	if err != nil {
		return err
	}
	kept := false
	if err = next.build(ctx, to, report); err == nil {
		kept, err = use(ctx, next)
	}
	if !kept {
		err = errors.Join(err, next.remove())
	}
	return err
}

// build follows the log from its beginning to a cursor, where the tree must be the same.
func (p *projection) build(ctx context.Context, to view.Cursor, report func(progress)) error {
	var there tree.Tree
	if err := there.UnmarshalBinary(to.Tree); err != nil {
		return fmt.Errorf("%w: its tree is malformed", view.ErrFormat)
	}
	p.follower.Watch(to.Sequence)
	p.run()
	p.follower.Extend(to.Sequence)
	for {
		changed := p.follower.Changed()
		applied, fault := p.follower.Applied()
		report(progress{done: applied, total: to.Sequence, samples: p.view.Counts().Samples})
		if applied >= to.Sequence {
			break
		}
		if fault != nil {
			return fault
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if built, live := p.follower.Root(), there.Root(); !bytes.Equal(built[:], live[:]) {
		return fmt.Errorf("%w: the log is another than the view was made of", seal.ErrTampered)
	}
	return nil
}

// overtake brings a view to where the live one is.
func (o *openStore) overtake(ctx context.Context, next *projection) error {
	for {
		var live uint64
		_ = o.with(func(p *projection) error {
			live, _ = p.follower.Applied()
			return nil
		})
		if applied, _ := next.follower.Applied(); applied >= live {
			return nil
		}
		next.follower.Extend(live)
		if err := next.follower.Wait(ctx, live); err != nil {
			return err
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
