package serve

import (
	"context"

	"connectrpc.com/connect"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// SetUpdates implements pb.HealthServiceHandler.
func (s *healthService) SetUpdates(ctx context.Context, req *pb.SetUpdatesRequest) (*pb.SetUpdatesResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerUpdates()
	}
	return c.store.SetUpdates(ctx, c.app, req)
}

// AckUpdates implements pb.HealthServiceHandler.
func (s *healthService) AckUpdates(ctx context.Context, req *pb.AckUpdatesRequest) (*pb.AckUpdatesResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerUpdates()
	}
	return c.store.AckUpdates(ctx, c.app, req)
}

func errOwnerUpdates() error {
	return rpc.Error(connect.CodePermissionDenied, nil, "updates are for apps")
}
