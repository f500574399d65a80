package serve

import (
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// AcceptLoss implements pb.OwnerServiceHandler.
func (s *ownerService) AcceptLoss(ctx context.Context, req *pb.AcceptLossRequest) (*pb.AcceptLossResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	// The store need not be readable.
	from, _ := rpc.CallerFrom(ctx)
	process := k.current()
	if fresh, ok := k.Session(from.Session); process == nil || !ok || !fresh {
		return nil, rpc.Error(connect.CodeUnauthenticated, &pb.ErrorDetail{Reason: rpc.ReasonReauthenticate}, "the passphrase is needed again")
	}
	surveyed := k.Surveyed()
	if surveyed == nil {
		if err := k.Unsurveyed(); err != nil {
			return nil, refuse(err)
		}
		k.surveyOnce()
		return &pb.AcceptLossResponse{Pending: true}, nil
	}
	resp := &pb.AcceptLossResponse{Decisions: uint64(len(surveyed.Decisions))}
	resp.Faults, resp.MoreFaults = ledger.ListFaults(surveyed.Others)
	for _, l := range surveyed.Lost {
		resp.Lost = append(resp.Lost, k.lossOf(ctx, l))
	}
	if len(resp.GetLost()) == 0 {
		k.surveyAgain()
	}
	if len(req.GetLost()) == 0 || len(resp.GetFaults()) > 0 {
		return resp, nil
	}
	if !slices.EqualFunc(req.GetLost(), resp.GetLost(), func(a, b *pb.Loss) bool { return proto.Equal(a, b) }) {
		return nil, rpc.InvalidValue("lost", "", ledger.ErrNotLost.Error())
	}
	if err := s.acceptLoss(ctx, k, process, surveyed); err != nil {
		return nil, err
	}
	k.logger.Warn("the owner goes on with a log that has lost segments")
	k.Lock(0)
	resp.Accepted = true
	return resp, nil
}

// acceptLoss has the owner's decision signed and appended. The projector does not know of it.
func (s *ownerService) acceptLoss(ctx context.Context, k *keeper, process Projector, surveyed *ledger.Survey) error {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	// What was begun is finished, whether its caller waits or not.
	ctx = context.WithoutCancel(ctx)
	var refused error
	err := k.store.AcceptLoss(ctx, surveyed, func(ctx context.Context, draft *pb.LossDraft) (*pb.NewDecision, error) {
		resp, err := process.SignDecision(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AcceptLoss{AcceptLoss: draft}})
		refused = err
		return resp.GetDecision(), err
	})
	switch {
	case refused != nil:
		return refused
	case errors.Is(err, ledger.ErrUnknownDecisions):
		return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss}, "%s: put back a backup", ledger.ErrUnknownDecisions)
	case errors.Is(err, ledger.ErrDataLoss):
		return refuse(err)
	case err != nil:
		k.logger.Error("a loss was not accepted", "error", err)
		return k.undecided(err)
	}
	return nil
}

// lossOf says what there is to know of segments that are lost.
func (k *keeper) lossOf(ctx context.Context, l *pb.LostSegments) *pb.Loss {
	loss := &pb.Loss{From: l.GetFrom(), To: l.GetTo(), Kind: l.GetKind()}
	if at, err := k.store.TimeOf(ctx, l.GetFrom()-1); err == nil {
		loss.Before = timestamppb.New(at)
	}
	if at, err := k.store.TimeOf(ctx, l.GetTo()+1); err == nil {
		loss.Behind = timestamppb.New(at)
	}
	return loss
}

// Unsurveyed returns why it could not be found out what is wrong with the log, and forgets it: next
// time it is tried again.
func (k *keeper) Unsurveyed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.unsurveyed
	k.unsurveyed = nil
	return err
}

// surveyAgain has the next who asks wait for another survey.
func (k *keeper) surveyAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.surveyed = nil
}

// surveyOnce has the log surveyed of a store in which nobody has found a fault.
func (k *keeper) surveyOnce() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.surveying || k.process == nil {
		return
	}
	k.surveying = true
	life := k.life
	k.stopped.Go(func() {
		k.examine(life)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.surveying = false
	})
}
