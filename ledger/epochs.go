package ledger

import (
	"fmt"
	"time"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
)

// epochAge is how long an epoch is written to at most.
const epochAge = 24 * time.Hour

// epochs holds the epoch of each class that is being written. A restarted daemon
// starts new ones: it could not go on with the old ones if it wanted to.
type epochs struct {
	store     seal.StoreID
	directory *log.KeyDirectory
	// recipients of each sealed class: who can open it.
	recipients map[seal.Class][][]byte

	open map[seal.Class]*writing
}

type writing struct {
	epoch   *seal.Epoch
	started time.Time
}

// current returns the epoch to seal the next segment of a class with. A new one is
// durable in the key directory before it is returned: a segment whose wrap is
// missing would be data loss.
func (e *epochs) current(class seal.Class, now time.Time) (*seal.Epoch, error) {
	w := e.open[class]
	// By the wall clock: the monotonic one stands still while the machine is suspended.
	now = now.Round(0)
	if w != nil && !w.epoch.Full() && !now.Before(w.started) && now.Sub(w.started) < epochAge {
		return w.epoch, nil
	}
	last, err := e.directory.LastEpoch(class)
	if err != nil {
		return nil, fmt.Errorf("new %s epoch: %w", class, err)
	}
	epoch, wrap, err := seal.NewEpoch(e.store, class, last+1, e.recipients[class])
	if err != nil {
		return nil, fmt.Errorf("new %s epoch: %w", class, err)
	}
	if err := e.directory.PutWrap(class, last+1, wrap); err != nil {
		epoch.Destroy()
		return nil, fmt.Errorf("new %s epoch: %w", class, err)
	}
	if w != nil {
		w.epoch.Destroy()
	}
	e.open[class] = &writing{epoch, now}
	return epoch, nil
}

// end makes the next segment of a class the first of a new epoch.
func (e *epochs) end(class seal.Class) {
	if w := e.open[class]; w != nil {
		w.epoch.Destroy()
		delete(e.open, class)
	}
}

// renew ends the epochs that are being written, and names the recipients of the next ones.
func (e *epochs) renew(recipients map[seal.Class][][]byte) {
	for _, w := range e.open {
		w.epoch.Destroy()
	}
	clear(e.open)
	e.recipients = recipients
}
