package projector

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// errPassed: the log has gone on too far since.
var errPassed = errors.New("the checkpoint is of a log too long ago to be compared")

// CosignCheckpoint signs a checkpoint of the daemon's if it is of the log as it was read here.
// Errors: STORE_LOCKED, DATA_LOSS, INVALID_ARGUMENT, and FAILED_PRECONDITION where it is too
// late to compare it.
func (s *service) CosignCheckpoint(ctx context.Context, req *pb.CosignCheckpointRequest) (*pb.CosignCheckpointResponse, error) {
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	var signed []byte
	err = open.with(func(p *projection) (err error) {
		signed, err = p.cosign(ctx, s.store, open.keys, []byte(req.GetCheckpoint()))
		return err
	})
	switch {
	case errors.Is(err, errPassed):
		return nil, rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition}, "%s", err)
	case errors.Is(err, tree.ErrCheckpoint):
		return nil, rpc.InvalidValue("checkpoint", "", err.Error())
	case err != nil:
		return nil, s.lost(err)
	}
	return &pb.CosignCheckpointResponse{Checkpoint: string(signed)}, nil
}

// cosign waits until the view contains what the checkpoint is of.
func (p *projection) cosign(ctx context.Context, store seal.StoreID, keys *seal.OwnerKeys, signed []byte) ([]byte, error) {
	device, err := tree.DeviceKey(store.String(), p.state.Device().GetSigningKey())
	if err != nil {
		return nil, err
	}
	owner, err := tree.OwnerKey(store.String(), keys.PublicKeys().OwnerKey)
	if err != nil {
		return nil, err
	}
	c, err := tree.OpenCheckpoint(signed, device)
	if err != nil {
		return nil, err
	}
	p.follower.Extend(c.Size)
	if err := p.follower.Wait(ctx, c.Size); err != nil {
		return nil, err
	}
	root, known := p.follower.RootAt(c.Size)
	switch {
	case !known:
		return nil, errPassed
	case root != c.Root:
		return nil, fmt.Errorf("%w: the checkpoint of %d segments is of another log", seal.ErrTampered, c.Size)
	}
	return tree.Cosign(signed, device, owner, keys.Sign)
}
