package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// ownerService is what the owner uses from the daemon's machine. Reaching it takes
// the data directory; whatever concerns what a store holds takes a session.
type ownerService struct {
	daemon *Daemon
	runs   runs
}

// localCaller is whom wrong passphrases from this machine are counted against.
const localCaller = "local"

// store returns which store a call is about.
func (s *ownerService) store(ctx context.Context) (seal.StoreID, error) {
	from, _ := rpc.CallerFrom(ctx)
	id, err := seal.ParseStoreID(from.Store)
	if err != nil || from.Key != s.daemon.local.Key {
		return seal.StoreID{}, rpc.Unauthenticated()
	}
	return id, nil
}

func (s *ownerService) keeper(ctx context.Context) (*keeper, error) {
	id, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	k, err := s.daemon.keeper(id)
	if err != nil {
		return nil, refuse(err)
	}
	return k, nil
}

// session returns the keeper and its projector for a call that needs a session.
func (s *ownerService) session(ctx context.Context, fresh bool) (*keeper, Projector, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, nil, err
	}
	process, err := k.Reader()
	if err != nil {
		return nil, nil, err
	}
	from, _ := rpc.CallerFrom(ctx)
	isFresh, ok := k.Session(from.Session)
	if !ok || fresh && !isFresh {
		return nil, nil, rpc.Error(connect.CodeUnauthenticated, &pb.ErrorDetail{Reason: rpc.ReasonReauthenticate},
			"the passphrase is needed again")
	}
	return k, process, nil
}

// CreateStore implements pb.OwnerServiceHandler.
func (s *ownerService) CreateStore(ctx context.Context, req *pb.CreateStoreRequest) (*pb.CreateStoreResponse, error) {
	from, _ := rpc.CallerFrom(ctx)
	if from.Key != s.daemon.local.Key {
		return nil, rpc.Unauthenticated()
	}
	_, err := s.daemon.ledger.Create(ctx, req)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, rpc.Error(connect.CodeAlreadyExists, &pb.ErrorDetail{Reason: rpc.ReasonAlreadyExists}, "the store exists already")
	case errors.Is(err, log.ErrNoSpace):
		return nil, ledger.NoSpace("no store was made")
	case err != nil:
		return nil, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidArgument, Why: err.Error()}, "%s", err)
	}
	return &pb.CreateStoreResponse{}, nil
}

// BeginUnlock implements pb.OwnerServiceHandler.
func (s *ownerService) BeginUnlock(ctx context.Context, _ *pb.BeginUnlockRequest) (*pb.BeginUnlockResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	key, err := k.Begin(ctx)
	if err != nil {
		s.daemon.options.Logger.Error("projector did not start", "store", k.store.ID().String(), "error", err)
		return nil, rpc.Internal(err)
	}
	return &pb.BeginUnlockResponse{PublicKey: key}, nil
}

// Unlock implements pb.OwnerServiceHandler.
func (s *ownerService) Unlock(ctx context.Context, req *pb.UnlockRequest) (*pb.UnlockResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	session, err := k.Unlock(ctx, localCaller, req)
	if err != nil {
		return nil, err
	}
	return &pb.UnlockResponse{Session: session}, nil
}

// Lock implements pb.OwnerServiceHandler.
func (s *ownerService) Lock(ctx context.Context, req *pb.LockRequest) (*pb.LockResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.LockResponse{State: k.Lock(time.Duration(req.GetGraceMs()) * time.Millisecond)}, nil
}

// AddApp implements pb.OwnerServiceHandler.
func (s *ownerService) AddApp(ctx context.Context, req *pb.AddAppRequest) (*pb.AddAppResponse, error) {
	token, hash := newToken(req.GetNkey())
	resp := &pb.AddAppResponse{Key: ledger.NewAppKey(), Token: token}
	draft := &pb.AppDraft{Manifest: req.GetManifest(), Key: resp.GetKey(), TokenHash: hash, Nkey: req.GetNkey()}
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{AddApp: draft}}); err != nil {
		s.refused(ctx, "registration", req.GetManifest(), err)
		return nil, err
	}
	return resp, nil
}

// UpdateApp implements pb.OwnerServiceHandler.
func (s *ownerService) UpdateApp(ctx context.Context, req *pb.UpdateAppRequest) (*pb.UpdateAppResponse, error) {
	decision, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_UpdateApp{UpdateApp: req}})
	if err != nil {
		s.refused(ctx, "update", req.GetManifest(), err)
		return nil, err
	}
	return &pb.UpdateAppResponse{AsksAgain: decision.GetAppUpdated().GetAsksAgain()}, nil
}

// RemoveApp implements pb.OwnerServiceHandler.
func (s *ownerService) RemoveApp(ctx context.Context, req *pb.RemoveAppRequest) (*pb.RemoveAppResponse, error) {
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_RemoveApp{RemoveApp: req}}); err != nil {
		return nil, err
	}
	return &pb.RemoveAppResponse{}, nil
}

// app finds an app by its bundle id. Where there is none it is nil: whoever signs the
// decision says so.
func (s *ownerService) app(ctx context.Context, bundleID string) (*pb.App, error) {
	apps, err := s.ListApps(ctx, &pb.ListAppsRequest{})
	if err != nil {
		return nil, err
	}
	for _, a := range apps.GetApps() {
		if a.GetManifest().GetBundleId() == bundleID {
			return a, nil
		}
	}
	return nil, nil
}

// Decide implements pb.OwnerServiceHandler.
func (s *ownerService) Decide(ctx context.Context, req *pb.DecideRequest) (*pb.DecideResponse, error) {
	app, err := s.app(ctx, req.GetBundleId())
	if err != nil {
		return nil, err
	}
	if err := checkGrants(req, app.GetImporter()); err != nil {
		return nil, err
	}
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: req}}); err != nil {
		return nil, err
	}
	return &pb.DecideResponse{}, nil
}

// SetPolicy implements pb.OwnerServiceHandler.
func (s *ownerService) SetPolicy(ctx context.Context, req *pb.SetPolicyRequest) (*pb.SetPolicyResponse, error) {
	switch req.GetPlausibility() {
	case pb.Plausibility_PLAUSIBILITY_WARN, pb.Plausibility_PLAUSIBILITY_REFUSE:
	default:
		return nil, rpc.InvalidValue("plausibility", req.GetPlausibility().String(), authz.ErrPolicy.Error())
	}
	policy := &pb.PolicySet{Plausibility: req.GetPlausibility()}
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetPolicy{SetPolicy: policy}}); err != nil {
		return nil, err
	}
	return &pb.SetPolicyResponse{}, nil
}

// SetSourceOrder implements pb.OwnerServiceHandler.
func (s *ownerService) SetSourceOrder(ctx context.Context, req *pb.SetSourceOrderRequest) (*pb.SetSourceOrderResponse, error) {
	code, err := ledger.TypeCode("type", req.GetType())
	if err != nil {
		return nil, err
	}
	order := &pb.SourceOrderSet{Type: code, Sources: req.GetSources()}
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetSourceOrder{SetSourceOrder: order}}); err != nil {
		return nil, err
	}
	return &pb.SetSourceOrderResponse{}, nil
}

// SetPreferredUnits implements pb.OwnerServiceHandler.
func (s *ownerService) SetPreferredUnits(ctx context.Context, req *pb.SetPreferredUnitsRequest) (*pb.SetPreferredUnitsResponse, error) {
	set := &pb.PreferredUnitsSet{}
	for i, u := range req.GetUnits() {
		code, err := ledger.TypeCode(fmt.Sprintf("units[%d].type", i), u.GetType())
		if err != nil {
			return nil, err
		}
		set.Units = append(set.Units, &pb.TypeUnit{Type: code, Unit: u.GetUnit()})
	}
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetPreferredUnits{SetPreferredUnits: set}}); err != nil {
		return nil, err
	}
	return &pb.SetPreferredUnitsResponse{}, nil
}

// DeleteSamples implements pb.OwnerServiceHandler. It returns when the view has none of
// them any more.
func (s *ownerService) DeleteSamples(ctx context.Context, req *pb.DeleteSamplesRequest) (*pb.DeleteSamplesResponse, error) {
	deletions, err := ledger.Deletions(req.GetDeletions())
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &pb.SignDecisionRequest{
		Draft: &pb.SignDecisionRequest_DeleteSamples{DeleteSamples: &pb.OwnerDeleted{Deletions: deletions}},
	})
	if err != nil {
		return nil, err
	}
	k, process, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	answer, err := process.Read(ctx, &pb.ReadRequest{
		Reader: &pb.Reader{}, Query: &pb.ReadRequest_Outcome{Outcome: &pb.Outcome{Decision: decision.GetNumber()}},
	})
	if err != nil {
		return nil, k.cut(err)
	}
	outcome, err := decoded[pb.QueryOutcomeResponse](answer)
	if err != nil {
		return nil, err
	}
	return &pb.DeleteSamplesResponse{Deleted: outcome.GetDeleted()}, nil
}

// decide has a decision signed, appends it, and returns it when the projector has
// taken it up; a projector that cannot is ended, so that no older grants live on.
func (s *ownerService) decide(ctx context.Context, draft *pb.SignDecisionRequest) (*pb.Decision, error) {
	k, process, err := s.session(ctx, true)
	if err != nil {
		return nil, err
	}
	d, err := s.decideBy(ctx, k, process, draft)
	return d.Decision, err
}

// decided is a decision that the log has, and in which segment.
type decided struct {
	*pb.Decision
	detail   []byte
	sequence uint64
}

// decideBy is decide for whoever may.
func (s *ownerService) decideBy(ctx context.Context, k *keeper, process Projector, draft *pb.SignDecisionRequest) (decided, error) {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	draft.Sequence, _, _ = k.store.Head()
	signed, err := process.SignDecision(ctx, draft)
	if err != nil {
		return decided{}, k.cut(err)
	}
	decision := &pb.Decision{}
	if err := proto.Unmarshal(signed.GetDecision().GetDecision().GetDecision(), decision); err != nil {
		return decided{}, rpc.Internal(err)
	}
	// A decision that was begun is finished, whether its caller waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	ended := endedBy(k.store.State(), decision)
	sequence, err := k.store.Decide(ctx, signed.GetDecision())
	s.daemon.end(ended)
	if err != nil {
		return decided{}, k.undecided(err)
	}
	if _, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: sequence, Wait: true}); err != nil {
		k.Lock(0)
	}
	return decided{decision, signed.GetDecision().GetDetail(), sequence}, nil
}

// undecided turns what keeps a decision from being made, or from having effect, into the error of
// the call.
func (k *keeper) undecided(err error) error {
	if errors.Is(err, authz.ErrForged) || errors.Is(err, seal.ErrTampered) {
		return rpc.Internal(err)
	}
	if errors.Is(err, ledger.ErrKeyringPending) {
		k.logger.Error("keyring was not replaced", "store", k.store.ID().String(), "error", err)
		return rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable}, "%s", ledger.ErrKeyringPending)
	}
	if errors.Is(err, ledger.ErrErasurePending) {
		k.logger.Error("keys were not destroyed", "store", k.store.ID().String(), "error", err)
		return rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable}, "%s", ledger.ErrErasurePending)
	}
	if errors.Is(err, log.ErrNoSpace) {
		return ledger.NoSpace("nothing was decided")
	}
	return rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable}, "the log cannot be written")
}

// ListApps implements pb.OwnerServiceHandler.
func (s *ownerService) ListApps(ctx context.Context, _ *pb.ListAppsRequest) (*pb.ListAppsResponse, error) {
	k, process, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	sequence, _, _ := k.store.Head()
	resp, err := process.ReadApps(ctx, &pb.ReadAppsRequest{Sequence: sequence})
	if err != nil {
		return nil, k.cut(err)
	}
	return &pb.ListAppsResponse{Apps: resp.GetApps()}, nil
}

// ListAccess implements pb.OwnerServiceHandler.
func (s *ownerService) ListAccess(ctx context.Context, req *pb.ListAccessRequest) (*pb.ListAccessResponse, error) {
	if k, err := s.keeper(ctx); err == nil && req.GetRefused() {
		k.refusals.Settle()
	}
	answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_Access{Access: req}})
	if err != nil {
		return nil, err
	}
	return rpc.Encoded(&pb.ListAccessResponse{}, answer.GetAnswer()), nil
}

// SummarizeAccess implements pb.OwnerServiceHandler.
func (s *ownerService) SummarizeAccess(ctx context.Context, req *pb.SummarizeAccessRequest) (*pb.SummarizeAccessResponse, error) {
	answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_AccessSummary{AccessSummary: req}})
	if err != nil {
		return nil, err
	}
	return rpc.Encoded(&pb.SummarizeAccessResponse{}, answer.GetAnswer()), nil
}

// readAsOwner asks about the access log and about disclosures. That is no read of health
// data, so it is not recorded.
func (s *ownerService) readAsOwner(ctx context.Context, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	k, process, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	req.Reader = &pb.Reader{}
	req.Sequence, _, _ = k.store.Head()
	answer, err := process.Read(ctx, req)
	if err != nil {
		return nil, k.cut(err)
	}
	return answer, nil
}
