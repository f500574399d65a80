package serve

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/proto/catalog"
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

// QueryUpdates implements pb.HealthServiceHandler. Looking for updates names no type and
// is no read; every update that is found is one, of its type.
func (s *healthService) QueryUpdates(ctx context.Context, req *pb.QueryUpdatesRequest) (*pb.QueryUpdatesResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerUpdates()
	}
	answer, err := s.read(ctx, question{waits: time.Duration(req.GetWaitMs()) * time.Millisecond},
		&pb.ReadRequest{Query: &pb.ReadRequest_Due{Due: &pb.DueRequest{WaitMs: req.GetWaitMs()}}})
	if err != nil {
		return nil, err
	}
	due, err := decoded[pb.DueResponse](answer)
	if err != nil {
		return nil, err
	}
	return tell(ctx, c.store, c.record, c.app, due.GetUpdates())
}

func errOwnerUpdates() error {
	return rpc.Error(connect.CodePermissionDenied, nil, "updates are for apps")
}

// tell makes what an app is told of updates that are due. That a type has changed says
// something about its owner, so it is recorded like a read before it leaves.
func tell(ctx context.Context, store *ledger.Store, record *recorder, app *authz.App, due []*pb.DueUpdate) (*pb.QueryUpdatesResponse, error) {
	told := &pb.QueryUpdatesResponse{}
	var codes []uint32
	for _, d := range due {
		t, ok := catalog.ByCode(d.GetType())
		if !ok {
			continue
		}
		update, err := store.Update(app, t, d.GetSequence())
		if err != nil {
			return nil, rpc.Internal(err)
		}
		codes, told.Updates = append(codes, t.Code), append(told.Updates, update)
	}
	if err := record.Record(ctx, app.Number, "updates", codes, periodOf(nil, nil)); err != nil {
		return nil, errUnrecorded(err)
	}
	return told, nil
}
