package projector

import (
	"context"

	"healthledger/authz"
	"healthledger/projector/query"
	pb "healthledger/proto/healthledger/v1"
)

// listObjects shows the owner what can be granted to an app object by object.
func (p *projection) listObjects(ctx context.Context, reader *pb.Reader, req *pb.ListObjectsRequest) (*pb.ListObjectsResponse, error) {
	if reader.GetApp() != 0 {
		return nil, errNotOwner
	}
	app, ok := p.state.AppByBundle(req.GetBundleId())
	if !ok {
		return nil, &query.ArgumentError{Field: "bundle_id", Value: req.GetBundleId(), Why: authz.ErrNoApp.Error()}
	}
	return p.engine.Objects(ctx, p.state.OwnerScope(), p.state.Scope(app.Number), req)
}
