package serve

import (
	"context"
	"time"

	"connectrpc.com/connect"

	pb "healthledger/proto/healthledger/v1"
)

// checkpointTimeout is how long a lock waits for the checkpoint before it, since the projector,
// which has the keys, lives on until then; and how long a shutdown does for those of all
// stores.
const checkpointTimeout = 2 * time.Second

// lastCheckpoint makes the checkpoint of a lock.
func (k *keeper) lastCheckpoint(process Projector) {
	ctx, cancel := context.WithTimeout(context.Background(), checkpointTimeout)
	defer cancel()
	go func() {
		select {
		case <-process.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	k.checkpoint(ctx, process)
}

// checkpoint has what was appended since the last checkpoint committed to, by the owner, too.
// Whatever keeps that from being done keeps nothing else from it.
func (k *keeper) checkpoint(ctx context.Context, process Projector) {
	if err := k.store.WriteCheckpoint(ctx); err != nil {
		k.logger.Warn("no checkpoint was written", "error", err)
		return
	}
	k.cosign(ctx, process)
}

// lastCheckpoints makes those of a shutdown.
func (d *Daemon) lastCheckpoints() {
	ctx, cancel := context.WithTimeout(context.Background(), checkpointTimeout)
	defer cancel()
	d.ledger.WriteCheckpoints(ctx)
}

// cosign has the last checkpoint in the log signed by the owner, too, unless it is.
func (k *keeper) cosign(ctx context.Context, process Projector) {
	checkpoint := k.store.TakeUncosigned()
	if checkpoint == "" || k.outdated.Load() {
		return
	}
	resp, err := process.CosignCheckpoint(ctx, &pb.CosignCheckpointRequest{Checkpoint: checkpoint})
	if err == nil {
		err = k.store.WriteCosigned(ctx, resp.GetCheckpoint())
	}
	if err != nil && ctx.Err() == nil {
		k.logger.Warn("a checkpoint was not cosigned", "error", err)
	}
}

// signTries is how often a checkpoint of a log that grows quickly is signed anew.
const signTries = 5

// sign signs the log as it is now, with the owner's signature while the store is unlocked.
func (k *keeper) sign(ctx context.Context) (*pb.SignCheckpointResponse, error) {
	for try := 1; ; try++ {
		resp, err := k.store.Checkpoint()
		if err != nil {
			return nil, err
		}
		process, err := k.Reader()
		if err != nil {
			return resp, nil
		}
		cosigned, err := process.CosignCheckpoint(ctx, &pb.CosignCheckpointRequest{Checkpoint: resp.GetCheckpoint()})
		if connect.CodeOf(err) == connect.CodeFailedPrecondition && try < signTries {
			continue
		}
		if _, locked := k.Reader(); locked != nil {
			return resp, nil
		}
		if err != nil {
			return nil, err
		}
		resp.Checkpoint = cosigned.GetCheckpoint()
		return resp, nil
	}
}
