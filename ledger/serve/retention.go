package serve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// retainEvery is how often it is looked while a store is unlocked whether something is kept no
// longer. It is erased once a month at most: the projector knows when that was.
const retainEvery = 24 * time.Hour

// SetRetention implements pb.OwnerServiceHandler.
func (s *ownerService) SetRetention(ctx context.Context, req *pb.SetRetentionRequest) (*pb.SetRetentionResponse, error) {
	set, err := ledger.Retention(req)
	if err != nil {
		return nil, err
	}
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetRetention{SetRetention: set}}); err != nil {
		return nil, err
	}
	return &pb.SetRetentionResponse{}, nil
}

// eraseExpired erases what is kept no longer.
func (s *ownerService) eraseExpired(ctx context.Context, req *pb.EraseRequest) (*pb.EraseResponse, error) {
	if req.GetType() != "" || len(req.GetUuids()) > 0 || req.GetFrom() != nil || req.GetTo() != nil || req.GetApp() != "" || req.GetAll() {
		return nil, rpc.InvalidArgument("by_policy", "nothing else can be named with it")
	}
	k, process, err := s.session(ctx, true)
	if err != nil {
		return nil, err
	}
	e, err := s.startExpired(ctx, k, process)
	if err != nil {
		return nil, k.cut(err)
	}
	if e == nil {
		return &pb.EraseResponse{Phase: pb.ErasurePhase_ERASURE_PHASE_ERASED}, nil
	}
	return e.wait(ctx)
}

// startExpired begins to erase what is kept no longer; nil: there is nothing.
func (s *ownerService) startExpired(ctx context.Context, k *keeper, process Projector) (*erasing, error) {
	if k.isErasing() { // perhaps the same: what there is to erase shows at its end
		return nil, anotherErasure()
	}
	sequence, _, _ := k.store.Head()
	resp, err := process.ReadRetention(ctx, &pb.ReadRetentionRequest{Sequence: sequence, Find: true})
	if err != nil {
		return nil, err
	}
	k.doubted.Store(resp.GetDoubted())
	if resp.GetExpired() == nil {
		return nil, nil
	}
	last, err := k.store.LogState(ctx)
	if err != nil {
		return nil, err
	}
	if wrong := s.daemon.steps.warnings(last.Last); len(wrong) > 0 {
		return nil, rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition},
			"nothing is erased for its age: %s", strings.Join(wrong, "; "))
	}
	return s.startErasing(k, process, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_HideExpired{HideExpired: resp.GetExpired()}})
}

// retain erases what is kept no longer, now and every day, until the context ends.
func (s *ownerService) retain(ctx context.Context, k *keeper, process Projector) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		if _, err := s.startExpired(ctx, k, process); err != nil && ctx.Err() == nil {
			k.logger.Warn("what is kept no longer was not erased", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellRetention says for how long samples are kept.
func (k *keeper) tellRetention(ctx context.Context, process Projector, resp *pb.StatusResponse) {
	known, err := process.ReadRetention(ctx, &pb.ReadRetentionRequest{})
	if err != nil {
		return
	}
	for _, set := range known.GetRetention() {
		r := &pb.Retention{Months: set.GetMonths()}
		if t, ok := catalog.ByCode(set.GetType()); ok {
			r.Type = t.Short()
		}
		resp.Retention = append(resp.Retention, r)
	}
	if at := k.doubted.Load(); at != 0 {
		resp.Warnings = append(resp.Warnings, fmt.Sprintf("what is to be erased for its age is reckoned as of %s: there is no later time in the log that another one, a month later, has borne out",
			time.UnixMicro(at).UTC().Format(time.DateOnly)))
	}
}
