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
	answer, err := s.answer(ctx, req)
	if err != nil {
		return nil, s.refuse(fmt.Sprintf("read %T", req.GetQuery()), err)
	}
	encoded, err := proto.Marshal(answer)
	if err != nil {
		return nil, s.internal("read", err)
	}
	return &pb.ReadResponse{Answer: encoded}, nil
}

// answer has a query answered. One that waits for something to happen does not hold on to the
// view that it was asked of: another may take its place meanwhile.
func (s *service) answer(ctx context.Context, req *pb.ReadRequest) (answer proto.Message, err error) {
	if req.GetReader().GetPast() != "" {
		open, err := s.opened()
		if err != nil {
			return nil, err
		}
		return open.readPast(ctx, req)
	}
	var open *openStore
	err = s.using(ctx, req.GetSequence(), func(o *openStore, p *projection) (err error) {
		open = o
		if !waits(req) {
			answer, err = p.answer(ctx, p.scope(req.GetReader()), req)
		}
		return err
	})
	if err != nil || answer != nil {
		return answer, err
	}
	return open.answer(ctx, req)
}

// waits tells of what may take its time.
func waits(req *pb.ReadRequest) bool {
	switch req.GetQuery().(type) {
	case *pb.ReadRequest_Changes, *pb.ReadRequest_Due, *pb.ReadRequest_ReadLog, *pb.ReadRequest_Replay, *pb.ReadRequest_OpenPast:
		return true
	}
	return false
}

// answer has answered what waits.
func (o *openStore) answer(ctx context.Context, req *pb.ReadRequest) (proto.Message, error) {
	switch query := req.GetQuery().(type) {
	case *pb.ReadRequest_Changes:
		return o.changes(ctx, req.GetReader(), query.Changes)
	case *pb.ReadRequest_Due:
		return o.due(ctx, req.GetReader(), query.Due)
	}
	if req.GetReader().GetApp() != 0 {
		return nil, errNotOwner
	}
	switch query := req.GetQuery().(type) {
	case *pb.ReadRequest_ReadLog:
		return o.readLog(ctx, query.ReadLog)
	case *pb.ReadRequest_Replay:
		return o.replay(ctx, query.Replay)
	default:
		return o.openPast(ctx, req.GetOpenPast())
	}
}

// answer has one kind of query answered.
func (p *projection) answer(ctx context.Context, scope authz.Scope, req *pb.ReadRequest) (proto.Message, error) {
	switch query := req.GetQuery().(type) {
	case *pb.ReadRequest_Samples:
		return p.engine.Samples(ctx, scope, query.Samples)
	case *pb.ReadRequest_Statistics:
		return p.engine.Statistics(ctx, scope, query.Statistics)
	case *pb.ReadRequest_Payload:
		return p.engine.Payload(ctx, scope, query.Payload)
	case *pb.ReadRequest_Sources:
		return p.engine.Sources(ctx, scope, query.Sources)
	case *pb.ReadRequest_PreferredUnits:
		return p.preferredUnits(req.GetReader(), query.PreferredUnits)
	case *pb.ReadRequest_Outcome:
		return p.outcome(req.GetReader(), query.Outcome)
	case *pb.ReadRequest_RequestStatus:
		return p.requestStatus(req.GetReader(), query.RequestStatus)
	case *pb.ReadRequest_Access:
		return p.listAccess(ctx, req.GetReader(), query.Access)
	case *pb.ReadRequest_AccessSummary:
		return p.summarizeAccess(ctx, req.GetReader(), query.AccessSummary)
	case *pb.ReadRequest_Disclosures:
		return p.listDisclosures(req.GetReader())
	case *pb.ReadRequest_Account:
		return p.accountDisclosures(ctx, req.GetReader(), query.Account)
	case *pb.ReadRequest_OpenExport:
		return p.openExport(req.GetReader(), query.OpenExport)
	case *pb.ReadRequest_Objects:
		return p.listObjects(ctx, req.GetReader(), query.Objects)
	default:
		return nil, errors.New("unknown query")
	}
}

// using waits until the view contains the log up to a sequence, and runs what needs it.
func (s *service) using(ctx context.Context, sequence uint64, run func(o *openStore, p *projection) error) error {
	open, err := s.opened()
	if err != nil {
		return err
	}
	return open.with(func(p *projection) error {
		p.follower.Extend(sequence)
		if err := p.follower.Wait(ctx, sequence); err != nil {
			return s.lost(err)
		}
		return run(open, p)
	})
}

// refuse turns an error of the query engine into the error of the call. One that is that
// already stays.
func (s *service) refuse(operation string, err error) error {
	if rpc.Reason(err) != "" {
		return err
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
	var lost lostError
	if errors.As(err, &lost) {
		return s.lost(lost)
	}
	return s.internal(operation, err)
}
