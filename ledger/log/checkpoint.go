package log

import (
	"crypto/ed25519"
	"fmt"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// Checkpointed is a checkpoint in a log, by whom it is signed.
type Checkpointed struct {
	tree.Checkpoint
	// Cosigned: the owner has signed it, too.
	Cosigned bool
}

// OpenCheckpointed checks the signatures of a checkpoint in the log of a store: the daemon's,
// and the owner's if it is there. The error wraps seal.ErrTampered.
func OpenCheckpointed(event *pb.Checkpointed, store seal.StoreID, device, owner ed25519.PublicKey) (Checkpointed, error) {
	signed := []byte(event.GetNote())
	byDevice, err := tree.DeviceKey(store.String(), device)
	if err != nil {
		return Checkpointed{}, fmt.Errorf("%w: %w", seal.ErrTampered, err)
	}
	byOwner, err := tree.OwnerKey(store.String(), owner)
	if err != nil {
		return Checkpointed{}, fmt.Errorf("%w: %w", seal.ErrTampered, err)
	}
	c, err := tree.OpenCheckpoint(signed, byDevice)
	if err != nil {
		return Checkpointed{}, fmt.Errorf("%w: %w", seal.ErrTampered, err)
	}
	return Checkpointed{c, tree.IsSigned(signed, byOwner)}, nil
}

// Check compares a checkpoint in the segment with a sequence with the log before it, as far
// as its roots are known: the daemon's own is always of the segment before, and the owner has
// compared his. The error wraps seal.ErrTampered.
func (c Checkpointed) Check(sequence uint64, roots *tree.Roots) error {
	root, known := roots.At(c.Size)
	switch {
	case c.Size >= sequence || !known && !c.Cosigned:
		return fmt.Errorf("%w: a checkpoint of %d segments is no segment %d", seal.ErrTampered, c.Size, sequence)
	case known && root != c.Root:
		return fmt.Errorf("%w: the checkpoint in segment %d is of another log", seal.ErrTampered, sequence)
	}
	return nil
}
