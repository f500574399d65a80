package serve

import (
	"context"
	"errors"
	"io/fs"

	"connectrpc.com/connect"

	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// RestoreStore implements pb.OwnerServiceHandler.
func (s *ownerService) RestoreStore(ctx context.Context, req *pb.RestoreStoreRequest) (*pb.RestoreStoreResponse, error) {
	id, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	run, err := s.restore(ctx, id, req)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, rpc.Error(connect.CodeAlreadyExists, &pb.ErrorDetail{Reason: rpc.ReasonAlreadyExists}, "store %s exists already: nothing is overwritten", id)
	case errors.Is(err, ledger.ErrInTheWay):
		return nil, rpc.Error(connect.CodeAlreadyExists, &pb.ErrorDetail{Reason: rpc.ReasonAlreadyExists, Why: err.Error()}, "%s", err)
	case errors.Is(err, ledger.ErrNoStore):
		return nil, rpc.InvalidValue("run", "", "no such restoration is under way: begin again")
	case errors.Is(err, log.ErrNoSpace):
		return nil, ledger.NoSpace("no store was made")
	case err != nil:
		return nil, refuse(err)
	}
	return &pb.RestoreStoreResponse{Run: run}, nil
}

func (s *ownerService) restore(ctx context.Context, id seal.StoreID, req *pb.RestoreStoreRequest) (run string, err error) {
	if req.GetBegin() != nil {
		r, err := s.daemon.ledger.Restore(ctx, id)
		if err != nil {
			return "", err
		}
		return r.Run, nil
	}
	r, err := s.daemon.ledger.Restoration(id, req.GetRun())
	if err != nil {
		return "", err
	}
	switch step := req.GetStep().(type) {
	case *pb.RestoreStoreRequest_Keys:
		for _, f := range step.Keys.GetFiles() {
			if err := r.PutKey(f.GetName(), f.GetContent()); err != nil {
				return "", err
			}
		}
	case *pb.RestoreStoreRequest_Segments:
		err = r.Append(ctx, step.Segments.GetPayloads())
	case *pb.RestoreStoreRequest_Gone:
		err = r.Pass(ctx, step.Gone.GetTo(), step.Gone.GetDecisions())
	case *pb.RestoreStoreRequest_End:
		err = r.Finish(ctx, step.End.GetSize(), step.End.GetRoot())
	}
	return r.Run, err
}
