package serve

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
)

// room says whether the logs take what is to be written: the same to everybody, whatever
// the stores hold.
func (d *Daemon) room(use disk.Use) error {
	if err := d.nats.Writable(); err != nil {
		reason := ledger.ErrUnwritable
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			reason = log.ErrNoSpace
		}
		return fmt.Errorf("%w: %w", reason, err)
	}
	if !d.space.Admits(use) {
		return log.ErrNoSpace
	}
	return nil
}
