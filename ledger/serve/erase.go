package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger"
	"healthledger/ledger/log"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// An erasing is an erasure under way, or the last one: it goes on without its caller.
//
//	hidden → sealed again → decided, keys destroyed → view made anew
//
// Until the decision nothing is lost; what was sealed again by then means nothing. After it
// whoever opens the store does what is left.
type erasing struct {
	run    string
	ending chan struct{}

	mu  sync.Mutex
	now *pb.EraseResponse
	err error
}

func (e *erasing) underWay() bool {
	if e == nil {
		return false
	}
	select {
	case <-e.ending:
		return false
	default:
		return true
	}
}

// anotherErasure refuses one while another is under way, behind which it can be tried again.
func anotherErasure() error {
	return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonBusy}, "another erasure is under way")
}

func (e *erasing) report(change func(now *pb.EraseResponse)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e.now)
}

// wait returns how far it is, when it has ended or a step later.
func (e *erasing) wait(ctx context.Context) (*pb.EraseResponse, error) {
	timer := time.NewTimer(runStep)
	defer timer.Stop()
	select {
	case <-e.ending:
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return proto.CloneOf(e.now), e.err
}

// Erase implements pb.OwnerServiceHandler.
func (s *ownerService) Erase(ctx context.Context, req *pb.EraseRequest) (*pb.EraseResponse, error) {
	if req.GetRun() != "" {
		return s.goOn(ctx, req)
	}
	if req.GetByPolicy() {
		return s.eraseExpired(ctx, req)
	}
	deletion, err := ledger.Erasable(req)
	if err != nil {
		return nil, err
	}
	k, process, err := s.session(ctx, true)
	if err != nil {
		return nil, err
	}
	hide := &pb.HideDraft{Deletions: []*pb.DeletedSamples{deletion}, App: req.GetApp()}
	e, err := s.startErasing(k, process, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Hide{Hide: hide}})
	if err != nil {
		return nil, err
	}
	return e.wait(ctx)
}

func (s *ownerService) goOn(ctx context.Context, req *pb.EraseRequest) (*pb.EraseResponse, error) {
	k, _, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	e := k.erasing
	k.mu.Unlock()
	if e == nil || e.run != req.GetRun() {
		return nil, rpc.InvalidValue("run", "", "no such erasure is under way")
	}
	resp, err := e.wait(ctx)
	if err != nil {
		return nil, k.cut(err)
	}
	return resp, nil
}

// startErasing begins an erasure of what a draft hides, which ends with the lock.
func (s *ownerService) startErasing(k *keeper, process Projector, draft *pb.SignDecisionRequest) (*erasing, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process != process {
		return nil, rpc.StoreLocked()
	}
	if k.erasing.underWay() {
		return nil, anotherErasure()
	}
	e := &erasing{run: rand.Text(), ending: make(chan struct{})}
	e.now = &pb.EraseResponse{Run: e.run}
	k.erasing = e
	life := k.life
	k.stopped.Go(func() {
		defer close(e.ending)
		err := s.erase(life, k, process, e, draft)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.err, e.now.Run = err, ""
		if err != nil && life.Err() == nil {
			// The text may name an app or a type, for the caller alone.
			s.daemon.options.Logger.Error("erasure ended early", "store", k.store.ID().String(),
				"phase", e.now.GetPhase().String(), "code", connect.CodeOf(err).String(), "reason", rpc.Reason(err))
		}
	})
	return e, nil
}

func (s *ownerService) erase(ctx context.Context, k *keeper, process Projector, e *erasing, draft *pb.SignDecisionRequest) error {
	hidden, err := s.decideBy(ctx, k, process, draft)
	if err != nil {
		return err
	}
	detail := &pb.DecisionDetail{}
	if err := proto.Unmarshal(hidden.detail, detail); err != nil {
		return rpc.Internal(err)
	}
	deleted, err := s.deleted(ctx, process, hidden.GetNumber())
	if err != nil {
		return err
	}
	e.report(func(now *pb.EraseResponse) { now.Phase, now.Hidden = pb.ErasurePhase_ERASURE_PHASE_HIDDEN, deleted })
	end, err := k.store.EndEpoch(ctx)
	if err != nil {
		return unwritable(err)
	}
	_, err = process.BeginErasure(ctx, &pb.BeginErasureRequest{
		Order:  &pb.ErasureOrdered{Hidden: hidden.GetNumber(), Deletions: detail.GetOwnerDeleted().GetDeletions()},
		Hidden: hidden.sequence, Sequence: end,
	})
	if err != nil {
		return err
	}
	if err := s.goThrough(ctx, k, process, e); err != nil {
		// It would wait for the rest of it, and a replay for the view that it keeps. A projector
		// that is gone keeps nothing.
		_, _ = process.CancelErasure(ctx, &pb.CancelErasureRequest{})
		return err
	}
	e.report(func(now *pb.EraseResponse) { now.Phase = pb.ErasurePhase_ERASURE_PHASE_ERASED })
	return nil
}

// goThrough goes on with an erasure that was begun, until what is erased is nowhere.
func (s *ownerService) goThrough(ctx context.Context, k *keeper, process Projector, e *erasing) error {
	epochs, err := s.reseal(ctx, k, process, e)
	if err != nil || epochs == 0 {
		return err
	}
	return s.destroy(ctx, k, process, e)
}

// reseal appends what the projector seals again, and returns of how many epochs.
func (s *ownerService) reseal(ctx context.Context, k *keeper, process Projector, e *erasing) (epochs uint64, err error) {
	var appended []uint64
	for {
		step, err := process.Reseal(ctx, &pb.ResealRequest{Appended: appended})
		if err != nil {
			return 0, err
		}
		appended = nil
		if len(step.GetResealed()) > 0 {
			if appended, err = k.store.Reseal(ctx, step.GetResealed()); err != nil {
				return 0, unwritable(err)
			}
		}
		e.report(func(now *pb.EraseResponse) {
			now.Done, now.Total, now.Samples, now.Epochs = step.GetDone(), step.GetTotal(), step.GetSamples(), step.GetEpochs()
		})
		if step.GetFinished() {
			return step.GetEpochs(), nil
		}
	}
}

// destroy decides the erasure, which destroys the keys, and makes the view anew.
func (s *ownerService) destroy(ctx context.Context, k *keeper, process Projector, e *erasing) error {
	erased, err := s.decideBy(ctx, k, process, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_EraseEpochs{EraseEpochs: &pb.ErasureDraft{}}})
	if err != nil {
		return err
	}
	e.report(func(now *pb.EraseResponse) {
		now.Phase, now.Done, now.Total = pb.ErasurePhase_ERASURE_PHASE_DESTROYED, 0, 0
		now.Erasure, now.Destroyed = erased.GetEpochsErased().GetErasure(), timestamppb.Now()
	})
	for {
		step, err := process.FinishErasure(ctx, &pb.FinishErasureRequest{})
		if err != nil {
			return err
		}
		e.report(func(now *pb.EraseResponse) { now.Done, now.Total = step.GetDone(), step.GetTotal() })
		if step.GetFinished() {
			return nil
		}
	}
}

// deleted returns how many objects a decision of the owner's has deleted.
func (s *ownerService) deleted(ctx context.Context, process Projector, decision uint64) (uint64, error) {
	answer, err := process.Read(ctx, &pb.ReadRequest{
		Reader: &pb.Reader{}, Query: &pb.ReadRequest_Outcome{Outcome: &pb.Outcome{Decision: decision}},
	})
	if err != nil {
		return 0, err
	}
	outcome, err := decoded[pb.QueryOutcomeResponse](answer)
	return outcome.GetDeleted(), err
}

// unwritable is the error of the call for what could not be appended.
func unwritable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, log.ErrNoSpace) {
		return ledger.NoSpace("what was to be erased is hidden and not erased")
	}
	return refuse(err)
}

// ProveErasures implements pb.OwnerServiceHandler.
func (s *ownerService) ProveErasures(ctx context.Context, _ *pb.ProveErasuresRequest) (*pb.ProveErasuresResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := k.store.ProveErasures()
	if err != nil {
		return nil, rpc.Internal(err)
	}
	_, process, err := s.session(ctx, false)
	if err != nil {
		return resp, nil
	}
	sequence, _, _ := k.store.Head()
	known, err := process.ReadErasures(ctx, &pb.ReadErasuresRequest{Sequence: sequence})
	if err != nil {
		return nil, k.cut(err)
	}
	for i, order := range known.GetErasures() {
		if i < len(resp.GetErasures()) {
			resp.Erasures[i].Order = order
		}
	}
	return resp, nil
}
