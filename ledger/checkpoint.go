package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// ErrNoSegment is returned for a sequence that the log has not come to.
var ErrNoSegment = errors.New("the log has no such segment")

// openCheckpoint returns the checkpoint of a store that any of these devices has signed.
// The error is tree.ErrCheckpoint.
func openCheckpoint(signed []byte, store seal.StoreID, devices []*pb.DeviceEnrolled) (tree.Checkpoint, error) {
	err := fmt.Errorf("%w: no device is enrolled", tree.ErrCheckpoint)
	for _, device := range slices.Backward(devices) {
		verifier, keyErr := tree.DeviceKey(store.String(), device.GetSigningKey())
		if keyErr != nil {
			continue
		}
		var c tree.Checkpoint
		if c, err = tree.OpenCheckpoint(signed, verifier); err == nil {
			return c, nil
		}
	}
	return tree.Checkpoint{}, err
}

// Checkpoint signs the log as it has been acknowledged, and returns the keys that check
// its signature and the owner's.
func (s *Store) Checkpoint() (*pb.SignCheckpointResponse, error) {
	size, root, _ := s.Head()
	return s.sign(size, root)
}

func (s *Store) sign(size uint64, root tree.Hash) (*pb.SignCheckpointResponse, error) {
	device := s.key()
	key, err := tree.DeviceKey(s.id.String(), device.SigningKey())
	if err != nil {
		return nil, fmt.Errorf("checkpoint of store %s: %w", s.id, err)
	}
	owner, err := tree.OwnerKey(s.id.String(), s.Keyring().OwnerKey())
	if err != nil {
		return nil, fmt.Errorf("checkpoint of store %s: %w", s.id, err)
	}
	// A note begins with its origin, which no other message begins with that a device signs.
	signed, err := tree.Checkpoint{Origin: key.Name(), Size: size, Root: root}.Sign(key, device.Sign)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of store %s: %w", s.id, err)
	}
	return &pb.SignCheckpointResponse{Checkpoint: string(signed), Key: key.Text, OwnerKey: owner.Text}, nil
}

// ProveSegment proves that a segment is in the log. Errors: ErrNoSegment, and what
// leaves of the log are lost or changed.
func (s *Store) ProveSegment(ctx context.Context, sequence uint64) (*pb.ProveLogResponse, error) {
	size, root, _ := s.Head()
	if sequence == 0 || sequence > size {
		return nil, fmt.Errorf("prove segment %d of store %s: %w: it ends at %d", sequence, s.id, ErrNoSegment, size)
	}
	resp := &pb.ProveLogResponse{Index: sequence - 1}
	var leaf tree.Hash
	proof, _, err := tree.ProveInclusion(size, resp.GetIndex(), s.leaves(ctx, size, func(at uint64, l tree.Hash) {
		if at == sequence {
			leaf = l
		}
	}))
	if err == nil {
		err = tree.CheckInclusion(proof, size, root, resp.GetIndex(), leaf)
	}
	resp.Leaf = leaf[:]
	return s.proved(resp, proof, size, root, err)
}

// ProveConsistency proves that the log goes on from a checkpoint that was signed before.
// Errors: tree.ErrCheckpoint, seal.ErrTampered where it does not, and what leaves of the
// log are lost.
func (s *Store) ProveConsistency(ctx context.Context, signed []byte) (*pb.ProveLogResponse, error) {
	old, err := openCheckpoint(signed, s.id, s.state.Devices())
	if err != nil {
		return nil, fmt.Errorf("prove store %s: %w", s.id, err)
	}
	size, root, _ := s.Head()
	if old.Size > size {
		return nil, fmt.Errorf("prove store %s: %w: the log ends at %d, the checkpoint at %d", s.id, ErrDataLoss, size, old.Size)
	}
	proof, _, err := tree.ProveConsistency(size, old.Size, s.leaves(ctx, size, func(uint64, tree.Hash) {}))
	if err == nil {
		err = tree.CheckConsistency(proof, size, root, old.Size, old.Root)
	}
	return s.proved(&pb.ProveLogResponse{OldSize: old.Size}, proof, size, root, err)
}

// proved fills in a proof that has been checked against the head.
func (s *Store) proved(resp *pb.ProveLogResponse, proof []tree.Hash, size uint64, root tree.Hash, err error) (*pb.ProveLogResponse, error) {
	if errors.Is(err, tree.ErrProof) {
		err = fmt.Errorf("%w: %w", seal.ErrTampered, err)
	}
	if err != nil {
		return nil, fmt.Errorf("prove store %s: %w", s.id, err)
	}
	for _, hash := range proof {
		resp.Hashes = append(resp.Hashes, hash[:])
	}
	checkpoint, err := s.sign(size, root)
	resp.Checkpoint = checkpoint.GetCheckpoint()
	return resp, err
}

// leaves reads the leaves of the log up to size, and shows each to seen.
func (s *Store) leaves(ctx context.Context, size uint64, seen func(sequence uint64, leaf tree.Hash)) tree.Leaves {
	return func(fn func(tree.Hash) error) error {
		if gone, ok := s.losses.Next(1); ok && gone.From <= size {
			return &log.LossError{From: gone.From, To: gone.To}
		}
		return s.reader.Read(ctx, 1, size, func(e log.Entry) error {
			leaf := tree.Leaf(e.Payload)
			seen(e.Sequence, leaf)
			return fn(leaf)
		})
	}
}
