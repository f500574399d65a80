package projector

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/projector/query"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// SignDecision writes and signs the next decision.
func (s *service) SignDecision(ctx context.Context, req *pb.SignDecisionRequest) (*pb.SignDecisionResponse, error) {
	if loss := req.GetAcceptLoss(); loss != nil {
		open, err := s.opened()
		if err != nil {
			return nil, err
		}
		return s.signLoss(ctx, open, loss)
	}
	var resp *pb.SignDecisionResponse
	err := s.using(ctx, req.GetSequence(), func(o *openStore, p *projection) (err error) {
		resp, err = s.signDecision(o, p, req)
		return err
	})
	return resp, err
}

func (s *service) signDecision(o *openStore, p *projection, req *pb.SignDecisionRequest) (*pb.SignDecisionResponse, error) {
	author := &authz.Author{State: p.state, Signer: signer{o.keys, s.store}, Random: rand.Reader}
	if change := req.GetChangePassphrase(); change != nil {
		return s.changePassphrase(author, o.keys, change)
	}
	if req.GetRekey() != nil {
		return s.signRekeying(o, p)
	}
	decision, err := s.write(author, time.Now().UnixMicro(), req)
	var draft *authz.DraftError
	var argument *query.ArgumentError
	switch {
	case errors.Is(err, authz.ErrExists):
		return nil, rpc.Error(connect.CodeAlreadyExists, &pb.ErrorDetail{Reason: rpc.ReasonAlreadyExists, Field: "bundle_id"}, "%s", err)
	case errors.Is(err, authz.ErrNoApp):
		return nil, rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNotFound, Field: "bundle_id"}, "%s", err)
	case errors.Is(err, authz.ErrNoDisclosure):
		return nil, noDisclosure(err)
	case errors.Is(err, authz.ErrPolicy):
		return nil, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidArgument, Field: "plausibility"}, "%s", err)
	case errors.As(err, &argument):
		return nil, rpc.InvalidValue(argument.Field, argument.Value, argument.Why)
	case errors.As(err, &draft):
		return nil, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{
			Reason: rpc.ReasonInvalidArgument, Field: draft.Field, Value: draft.Value, Why: draft.Why,
		}, "%s", err)
	case err != nil:
		return nil, s.internal("sign decision", err)
	}
	return &pb.SignDecisionResponse{Decision: decision}, nil
}

// write writes the decision that a draft asks for.
func (s *service) write(author *authz.Author, now int64, req *pb.SignDecisionRequest) (*pb.NewDecision, error) {
	switch draft := req.GetDraft().(type) {
	case *pb.SignDecisionRequest_AddApp:
		return author.AddApp(now, draft.AddApp, false, nil)
	case *pb.SignDecisionRequest_UpdateApp:
		return author.UpdateApp(now, draft.UpdateApp.GetManifest())
	case *pb.SignDecisionRequest_ReplaceCredential:
		return author.ReplaceCredential(now, draft.ReplaceCredential)
	case *pb.SignDecisionRequest_RemoveApp:
		return author.RemoveApp(now, draft.RemoveApp.GetBundleId())
	case *pb.SignDecisionRequest_Decide:
		return author.Grant(now, draft.Decide)
	case *pb.SignDecisionRequest_DecideObjects:
		return author.DecideObjects(now, draft.DecideObjects)
	case *pb.SignDecisionRequest_SetPolicy:
		return author.SetPolicy(now, draft.SetPolicy)
	case *pb.SignDecisionRequest_SetSourceOrder:
		return author.SetSourceOrder(now, draft.SetSourceOrder)
	case *pb.SignDecisionRequest_SetPreferredUnits:
		return author.SetPreferredUnits(now, draft.SetPreferredUnits)
	case *pb.SignDecisionRequest_DeleteSamples:
		return author.DeleteSamples(now, draft.DeleteSamples)
	case *pb.SignDecisionRequest_GrantDisclosure:
		return author.GrantDisclosure(now, draft.GrantDisclosure)
	case *pb.SignDecisionRequest_RevokeDisclosure:
		return author.RevokeDisclosure(now, draft.RevokeDisclosure.GetNumber())
	case *pb.SignDecisionRequest_EnrolDevice:
		return author.EnrolDevice(now, draft.EnrolDevice)
	case *pb.SignDecisionRequest_EraseEpochs:
		e, err := s.currentErasure()
		if err != nil {
			return nil, err
		}
		epochs, order, err := e.decided()
		if err != nil {
			return nil, err
		}
		return author.EraseEpochs(now, epochs, order)
	case *pb.SignDecisionRequest_Hide:
		return hide(author, now, draft.Hide)
	case *pb.SignDecisionRequest_SetRetention:
		return author.SetRetention(now, draft.SetRetention)
	case *pb.SignDecisionRequest_HideExpired:
		return author.DeleteExpired(now, draft.HideExpired)
	default:
		return nil, errors.New("no draft")
	}
}

// hide deletes what is to be erased, of all apps that ever had a bundle id if there is one.
func hide(author *authz.Author, now int64, draft *pb.HideDraft) (*pb.NewDecision, error) {
	if draft.GetApp() == "" {
		return author.DeleteSamples(now, &pb.OwnerDeleted{Deletions: draft.GetDeletions()})
	}
	numbers, err := numbersOf(author.State, draft.GetApp())
	if err != nil {
		return nil, err
	}
	deleted := &pb.OwnerDeleted{}
	for _, number := range numbers {
		for _, d := range draft.GetDeletions() {
			of := proto.CloneOf(d)
			of.App = number
			deleted.Deletions = append(deleted.Deletions, of)
		}
	}
	return author.DeleteSamples(now, deleted)
}

// signer signs decisions for one store.
type signer struct {
	keys  *seal.OwnerKeys
	store seal.StoreID
}

func (s signer) SignDecision(decision []byte) []byte {
	return seal.SignDecision(s.keys, s.store, decision)
}
