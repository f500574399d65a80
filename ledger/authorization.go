package ledger

import (
	"context"
	"errors"

	"healthledger/authz"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// RequestAuthorization appends what an app asks its owner for. It returns after the fsync,
// whatever the lock state is and whatever was answered before.
//
// Errors: INVALID_ARGUMENT for what the app may not even ask for; NO_SPACE, UNAVAILABLE.
func (s *Store) RequestAuthorization(ctx context.Context, app *authz.App, req *pb.RequestAuthorizationRequest) (*pb.RequestAuthorizationResponse, error) {
	asked, err := ParseRequest(app, req.GetShare(), req.GetRead())
	if err != nil {
		return nil, err
	}
	_, err = s.put(ctx, app, anyApp, &pb.Event{Body: &pb.Event_AuthorizationRequested{AuthorizationRequested: &pb.AuthorizationRequested{
		App: app.Number, Shares: asked.Shares, Reads: asked.Reads,
	}}})
	if err != nil {
		return nil, err
	}
	return &pb.RequestAuthorizationResponse{}, nil
}

// RequestObjectAuthorization appends that an app asks its owner for objects of a type. It
// returns after the fsync, whatever the lock state is, whatever is stored and whatever was
// decided before.
//
// Errors: INVALID_ARGUMENT for what the app may not even ask for; NO_SPACE, UNAVAILABLE.
func (s *Store) RequestObjectAuthorization(ctx context.Context, app *authz.App, req *pb.RequestObjectAuthorizationRequest) (*pb.RequestObjectAuthorizationResponse, error) {
	t, err := app.ParseObjectRequest(req.GetType())
	var draft *authz.DraftError
	if errors.As(err, &draft) {
		return nil, rpc.InvalidValue(draft.Field, draft.Value, draft.Why)
	}
	if err != nil {
		return nil, err
	}
	if t.Kind == catalog.UserAnnotated && (req.GetFrom() != nil || req.GetTo() != nil) {
		return nil, rpc.InvalidArgument("from", "medications have no dates")
	}
	asked := &pb.ObjectsRequested{App: app.Number, Type: t.Code, Limit: req.GetLimit()}
	if asked.From, err = boundOf("from", req.GetFrom()); err != nil {
		return nil, err
	}
	if asked.To, err = boundOf("to", req.GetTo()); err != nil {
		return nil, err
	}
	if asked.From != nil && asked.To != nil && asked.GetFrom() > asked.GetTo() {
		return nil, rpc.InvalidArgument("from", "it is after to")
	}
	if _, err = s.put(ctx, app, anyApp, &pb.Event{Body: &pb.Event_ObjectsRequested{ObjectsRequested: asked}}); err != nil {
		return nil, err
	}
	return &pb.RequestObjectAuthorizationResponse{}, nil
}

// ParseRequest reads what an app asks for. Errors: INVALID_ARGUMENT.
func ParseRequest(app *authz.App, share, read []string) (authz.Request, error) {
	asked, err := app.ParseRequest(share, read)
	var draft *authz.DraftError
	if errors.As(err, &draft) {
		return asked, rpc.InvalidValue(draft.Field, draft.Value, draft.Why)
	}
	return asked, err
}
