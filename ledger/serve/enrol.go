package serve

import (
	"context"
	"time"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// settle makes this daemon the writer of the log, where another one is, when its owner has
// unlocked it here: after a move to this machine, for instance. What the owner decided this
// daemon may not be able to open; then the projector, which has verified the log, tells it.
func (k *keeper) settle(ctx context.Context, process Projector) error {
	if !k.store.Knows() {
		decisions, err := k.decisions(ctx, process)
		if err != nil {
			return err
		}
		if err := k.store.Adopt(decisions); err != nil {
			return err
		}
	}
	if !k.store.Enrolled() {
		if err := k.enrol(ctx, process); err != nil && ctx.Err() == nil {
			// Reading does not need it; the next unlock tries again, and status says so.
			k.logger.Error("this daemon could not be enrolled to write the log", "store", k.store.ID().String(), "error", err)
		}
	}
	return ctx.Err()
}

func (k *keeper) enrol(ctx context.Context, process Projector) error {
	device := &pb.SignDecisionRequest_EnrolDevice{EnrolDevice: k.device()}
	k.deciding.Lock()
	defer k.deciding.Unlock()
	sequence, _, _ := k.store.Head()
	signed, err := process.SignDecision(ctx, &pb.SignDecisionRequest{Sequence: sequence, Draft: device})
	if err != nil {
		return err
	}
	// A decision that was begun is finished.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if sequence, err = k.store.Decide(ctx, signed.GetDecision()); err != nil {
		return err
	}
	k.logger.Info("this daemon writes the log from now on", "store", k.store.ID().String(), "segment", sequence)
	_, err = process.Advance(ctx, &pb.AdvanceRequest{Sequence: sequence, Wait: true})
	return err
}

// decisions are all of the owner's that are in the log.
func (k *keeper) decisions(ctx context.Context, process Projector) (all []*pb.SignedDecision, err error) {
	sequence, _, _ := k.store.Head()
	for {
		resp, err := process.ReadDecisions(ctx, &pb.ReadDecisionsRequest{Sequence: sequence, From: uint64(len(all)) + 1})
		if err != nil || len(resp.GetDecisions()) == 0 {
			return all, err
		}
		all = append(all, resp.GetDecisions()...)
	}
}

// ReplaceDevice implements pb.OwnerServiceHandler.
func (s *ownerService) ReplaceDevice(ctx context.Context, _ *pb.ReplaceDeviceRequest) (*pb.ReplaceDeviceResponse, error) {
	if _, _, err := s.session(ctx, true); err != nil {
		return nil, err
	}
	next, err := s.daemon.ledger.ReplaceDevice()
	if err != nil {
		return nil, rpc.Internal(err)
	}
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	// After a call that broke off it is enrolled already.
	if !k.store.WrittenWith(next) {
		draft := &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_EnrolDevice{EnrolDevice: next}}
		if _, err := s.decide(ctx, draft); err != nil {
			return nil, err
		}
	}
	left, err := s.daemon.ledger.SettleDevice()
	if err != nil {
		return nil, rpc.Internal(err)
	}
	return &pb.ReplaceDeviceResponse{SigningKey: next.GetSigningKey(), StoresLeft: uint32(left)}, nil
}
