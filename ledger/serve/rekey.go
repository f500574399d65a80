package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// rekeyStep is for how many milliseconds a call wraps epochs to new keys.
const rekeyStep = 1000

// RekeyStore implements pb.OwnerServiceHandler. The daemon sees neither the passphrase nor a private
// key: what comes back from the projector is encrypted.
func (s *ownerService) RekeyStore(ctx context.Context, req *pb.RekeyStoreRequest) (*pb.RekeyStoreResponse, error) {
	// Who has no session learns nothing from a passphrase. It may grow old while there is work.
	k, process, err := s.session(ctx, req.GetRun() == "")
	if err != nil {
		return nil, err
	}
	return k.Rekey(ctx, localCaller, process, req)
}

// Rekey gives the store new keys, in calls that each go on for a while, one at a time with the
// unlocks and the changes of the passphrase. The last one locks the store: what this projector
// knows, it knows of the keys before.
func (k *keeper) Rekey(ctx context.Context, caller string, process Projector, req *pb.RekeyStoreRequest) (*pb.RekeyStoreResponse, error) {
	k.unlocking.Lock()
	defer k.unlocking.Unlock()
	if k.isErasing() {
		return nil, rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition}, "an erasure is under way")
	}
	step, err := k.rekeyStep(ctx, caller, process, req)
	if err != nil {
		return nil, err
	}
	resp := &pb.RekeyStoreResponse{Run: k.rekeying, Done: step.GetDone(), Total: step.GetTotal()}
	if step.GetDone() < step.GetTotal() {
		return resp, nil
	}
	switch err := k.useKeys(ctx, process); {
	case errors.Is(err, ledger.ErrNotStaged):
		// An epoch has begun meanwhile.
		return resp, nil
	case err != nil:
		return nil, err
	}
	resp.Run = ""
	return resp, nil
}

func (k *keeper) rekeyStep(ctx context.Context, caller string, process Projector, req *pb.RekeyStoreRequest) (*pb.RekeyResponse, error) {
	if req.GetRun() != "" {
		if req.GetRun() != k.rekeying {
			return nil, rpc.InvalidValue("run", "", "no new keys are being made under this name: begin again")
		}
		step, err := process.Rekey(ctx, &pb.RekeyRequest{PeriodMs: rekeyStep})
		return step, k.cutIf(err)
	}
	if len(req.GetSealedPassphrase()) == 0 {
		return nil, rpc.InvalidArgument("sealed_passphrase", "missing")
	}
	if err := k.throttle.Wait(ctx, caller); err != nil {
		return nil, err
	}
	step, err := process.Rekey(ctx, &pb.RekeyRequest{SealedPassphrase: req.GetSealedPassphrase(), PeriodMs: rekeyStep})
	k.throttle.Tried(caller, err)
	if err != nil {
		return nil, k.cut(err)
	}
	k.rekeying = rand.Text()
	return step, nil
}

// isErasing tells whether an erasure is under way, which the lock at the end would cut off.
func (k *keeper) isErasing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.erasing.underWay()
}

func (k *keeper) cutIf(err error) error {
	if err != nil {
		return k.cut(err)
	}
	return nil
}

// useKeys has the decision signed and appended, and locks. Errors: ledger.ErrNotStaged, and those
// of the call.
func (k *keeper) useKeys(ctx context.Context, process Projector) error {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	sequence, _, _ := k.store.Head()
	signed, err := process.SignDecision(ctx, &pb.SignDecisionRequest{Sequence: sequence, Draft: &pb.SignDecisionRequest_Rekey{Rekey: &pb.RekeyDraft{}}})
	if err != nil {
		return k.cut(err)
	}
	// A decision that was begun is finished, whether its caller waits or not; to overwrite what
	// there was takes its time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
	defer cancel()
	_, err = k.store.Decide(ctx, signed.GetDecision())
	if errors.Is(err, ledger.ErrNotStaged) {
		return err
	}
	// Also where nobody knows: these keys, or the others, open the store at the next unlock.
	k.rekeying = ""
	k.outdated.Store(true)
	k.end(process)
	if err != nil {
		return k.undecided(err)
	}
	return nil
}
