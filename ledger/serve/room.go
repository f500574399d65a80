package serve

import (
	"fmt"
	"sync"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
)

// room says whether the logs take what is to be written: the same to everybody, whatever
// the stores hold.
func (d *Daemon) room(use disk.Use) error {
	if err := d.nats.Writable(); err != nil {
		reason := ledger.ErrUnwritable
		if log.IsFull(err) {
			reason = log.ErrNoSpace
		}
		return fmt.Errorf("%w: %w", reason, err)
	}
	admits := d.space.Admits(use)
	if d.refused.changed(use, !admits) {
		if admits {
			d.options.Logger.Warn("the disk has room again", "for", use.String())
		} else {
			d.options.Logger.Warn("the disk is nearly full", "refused", use.String())
		}
	}
	if !admits {
		return log.ErrNoSpace
	}
	return nil
}

// refused remembers which uses there was no room for, so that it is logged once.
type refused struct {
	mu  sync.Mutex
	now [disk.Uses]bool
}

// changed notes whether a use is refused, and tells whether it was otherwise before.
func (r *refused) changed(use disk.Use, is bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.now[use]
	r.now[use] = is
	return before != is
}
