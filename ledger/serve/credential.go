package serve

import (
	"context"
	"crypto/sha256"
	"errors"

	"healthledger/authz"
	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// ReplaceCredential implements pb.OwnerServiceHandler.
func (s *ownerService) ReplaceCredential(ctx context.Context, req *pb.ReplaceCredentialRequest) (*pb.ReplaceCredentialResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	token, hash := newToken(req.GetNkey())
	draft := &pb.CredentialDraft{BundleId: req.GetBundleId(), TokenHash: hash, Nkey: req.GetNkey()}
	decision, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_ReplaceCredential{ReplaceCredential: draft}})
	if err != nil {
		return nil, err
	}
	app, ok := k.store.State().AppByNumber(decision.GetCredentialReplaced().GetApp())
	if !ok {
		return nil, rpc.Internal(errors.New("the app is not there"))
	}
	return &pb.ReplaceCredentialResponse{Key: app.Key, Token: token}, nil
}

// newToken makes a token, and what the ledger keeps of it; none for an app with an nkey.
func newToken(nkey string) (token string, hash []byte) {
	if nkey != "" {
		return "", nil
	}
	token = ledger.NewAppToken()
	sum := sha256.Sum256([]byte(token))
	return token, sum[:]
}

// endedBy returns the app whose credential a decision ends, as it is before; nil: none.
func endedBy(state *authz.State, decision *pb.Decision) *authz.App {
	number := decision.GetCredentialReplaced().GetApp()
	if removed := decision.GetAppRemoved(); removed != nil {
		number = removed.GetApp()
	}
	app, _ := state.AppByNumber(number)
	return app
}

// end ends what an app has open. If its credential is good nevertheless, since the log could
// not be written, it comes back.
func (d *Daemon) end(app *authz.App) {
	if app == nil {
		return
	}
	d.lives.End(app.Key)
	d.nats.Disconnect(app.Key, app.Credential().NKey)
}

// stands returns nil while the caller's credential is the one with which it came.
func (c caller) stands() error {
	if c.app == nil {
		return nil
	}
	now, ok := c.store.State().AppByKey(c.app.Key)
	if !ok || now.Credential() != c.app.Credential() {
		return rpc.Unauthenticated()
	}
	return nil
}
