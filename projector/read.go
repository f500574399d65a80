package projector

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/query"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Read answers a query with the scope of its reader.
func (s *service) Read(ctx context.Context, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	if req.GetReader().GetDisclosure() != nil {
		return s.handOver(ctx, req)
	}
	open, scope, err := s.scope(ctx, req.GetReader(), req.GetSequence())
	if err != nil {
		return nil, err
	}
	answer, err := open.answer(ctx, scope, req)
	if err != nil {
		return nil, s.refuse(open, fmt.Sprintf("read %T", req.GetQuery()), err)
	}
	encoded, err := proto.Marshal(answer)
	if err != nil {
		return nil, s.internal("read", err)
	}
	return &pb.ReadResponse{Answer: encoded}, nil
}

// answer has one kind of query answered.
func (o *openStore) answer(ctx context.Context, scope authz.Scope, req *pb.ReadRequest) (proto.Message, error) {
	switch query := req.GetQuery().(type) {
	case *pb.ReadRequest_Samples:
		return o.engine.Samples(ctx, scope, query.Samples)
	case *pb.ReadRequest_Changes:
		return o.changes(ctx, req.GetReader(), query.Changes)
	case *pb.ReadRequest_Statistics:
		return o.engine.Statistics(ctx, scope, query.Statistics)
	case *pb.ReadRequest_Payload:
		return o.engine.Payload(ctx, scope, query.Payload)
	case *pb.ReadRequest_Sources:
		return o.engine.Sources(ctx, scope, query.Sources)
	case *pb.ReadRequest_PreferredUnits:
		return o.preferredUnits(req.GetReader(), query.PreferredUnits)
	case *pb.ReadRequest_Outcome:
		return o.outcome(req.GetReader(), query.Outcome)
	case *pb.ReadRequest_RequestStatus:
		return o.requestStatus(req.GetReader(), query.RequestStatus)
	case *pb.ReadRequest_Due:
		return o.due(ctx, req.GetReader(), query.Due)
	case *pb.ReadRequest_Access:
		return o.listAccess(ctx, req.GetReader(), query.Access)
	case *pb.ReadRequest_AccessSummary:
		return o.summarizeAccess(ctx, req.GetReader(), query.AccessSummary)
	case *pb.ReadRequest_Disclosures:
		return o.listDisclosures(req.GetReader())
	case *pb.ReadRequest_Account:
		return o.accountDisclosures(ctx, req.GetReader(), query.Account)
	case *pb.ReadRequest_OpenExport:
		return o.openExport(req.GetReader(), query.OpenExport)
	case *pb.ReadRequest_Objects:
		return o.listObjects(ctx, req.GetReader(), query.Objects)
	default:
		return nil, errors.New("unknown query")
	}
}

// scope waits until the view contains the log up to a sequence and returns what the
// reader may see of it.
func (s *service) scope(ctx context.Context, reader *pb.Reader, sequence uint64) (*openStore, authz.Scope, error) {
	open, err := s.opened()
	if err != nil {
		return nil, authz.Scope{}, err
	}
	open.follower.Extend(sequence)
	if err := open.follower.Wait(ctx, sequence); err != nil {
		return nil, authz.Scope{}, s.lost(err)
	}
	return open, open.scope(reader), nil
}

// scope returns what a reader may see as of now.
func (o *openStore) scope(reader *pb.Reader) authz.Scope {
	switch {
	case reader.GetDisclosure() != nil:
		return authz.Scope{} // handOver makes one
	case reader.GetApp() == 0:
		return o.state.OwnerScope()
	}
	return o.state.Scope(reader.GetApp())
}

// refuse turns an error of the query engine into the error of the call.
func (s *service) refuse(open *openStore, operation string, err error) error {
	if damage(err) {
		open.damaged.Store(true)
	}
	if errors.Is(err, authz.ErrNoDisclosure) {
		return noDisclosure(err)
	}
	var argument *query.ArgumentError
	if errors.As(err, &argument) {
		return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{
			Reason: rpc.ReasonInvalidArgument, Field: argument.Field, Value: argument.Value, Why: argument.Why,
		}, "%s", argument.Error())
	}
	if errors.Is(err, query.ErrNoData) {
		return rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNoData}, "there are no samples")
	}
	if errors.Is(err, query.ErrResyncNeeded) {
		return rpc.Error(connect.CodeOutOfRange, &pb.ErrorDetail{Reason: rpc.ReasonResyncNeeded, Field: "anchor"},
			"%s: begin again without one", query.ErrResyncNeeded)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.internal(operation, err)
}
