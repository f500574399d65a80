package serve

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// RequestAuthorization implements pb.HealthServiceHandler.
func (s *healthService) RequestAuthorization(ctx context.Context, req *pb.RequestAuthorizationRequest) (*pb.RequestAuthorizationResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerAsks()
	}
	resp, err := c.store.RequestAuthorization(ctx, c.app, req)
	c.refused("request", err)
	return resp, err
}

// RequestObjectAuthorization implements pb.HealthServiceHandler.
func (s *healthService) RequestObjectAuthorization(ctx context.Context, req *pb.RequestObjectAuthorizationRequest) (*pb.RequestObjectAuthorizationResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerAsks()
	}
	resp, err := c.store.RequestObjectAuthorization(ctx, c.app, req)
	c.refused("object request", err)
	return resp, err
}

// GetAuthorizationStatus implements pb.HealthServiceHandler.
func (s *healthService) GetAuthorizationStatus(ctx context.Context, req *pb.GetAuthorizationStatusRequest) (*pb.GetAuthorizationStatusResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerAsks()
	}
	if len(req.GetTypes()) == 0 || len(req.GetTypes()) > maxTypes {
		return nil, rpc.InvalidArgument("types", "name 1 to 1000 types")
	}
	resp := &pb.GetAuthorizationStatusResponse{}
	for i, name := range req.GetTypes() {
		t, ok := catalog.Lookup(name)
		if !ok {
			return nil, rpc.InvalidValue(fmt.Sprintf("types[%d]", i), name, "unknown type")
		}
		resp.Statuses = append(resp.Statuses, &pb.AuthorizationStatus{Type: t.Short(), Share: shareStatus(c.app.Share(t.Code))})
	}
	return resp, nil
}

func shareStatus(s authz.Share) pb.ShareStatus {
	switch s {
	case authz.ShareDenied:
		return pb.ShareStatus_SHARE_STATUS_DENIED
	case authz.ShareAuthorized:
		return pb.ShareStatus_SHARE_STATUS_AUTHORIZED
	}
	return pb.ShareStatus_SHARE_STATUS_NOT_DETERMINED
}

// GetRequestStatus implements pb.HealthServiceHandler. It reads no samples, so it is not
// recorded.
func (s *healthService) GetRequestStatus(ctx context.Context, req *pb.GetRequestStatusRequest) (*pb.GetRequestStatusResponse, error) {
	c := ctx.Value(callerKey{}).(caller)
	if c.app == nil {
		return nil, errOwnerAsks()
	}
	if _, err := ledger.ParseRequest(c.app, req.GetShare(), req.GetRead()); err != nil {
		c.refused("request status", err)
		return nil, err
	}
	return passOn[pb.GetRequestStatusResponse](ctx, s, question{}, &pb.ReadRequest{Query: &pb.ReadRequest_RequestStatus{RequestStatus: req}})
}

func errOwnerAsks() error {
	return rpc.Error(connect.CodePermissionDenied, nil, "apps ask, and the owner decides")
}

// ListRequests implements pb.OwnerServiceHandler.
func (s *ownerService) ListRequests(ctx context.Context, _ *pb.ListRequestsRequest) (*pb.ListRequestsResponse, error) {
	k, process, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	sequence, _, _ := k.store.Head()
	resp, err := process.ReadRequests(ctx, &pb.ReadRequestsRequest{Sequence: sequence})
	if err != nil {
		return nil, k.cut(err)
	}
	return &pb.ListRequestsResponse{Requests: resp.GetRequests()}, nil
}

// ListObjects implements pb.OwnerServiceHandler. It is a read like any other of the owner's.
func (s *ownerService) ListObjects(ctx context.Context, req *pb.ListObjectsRequest) (*pb.ListObjectsResponse, error) {
	k, process, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	code, err := ledger.TypeCode("type", req.GetType())
	if err != nil {
		return nil, err
	}
	if err := s.daemon.recorderOf(k).Record(ctx, 0, "samples", []uint32{code}, periodOf(req.GetFrom(), req.GetTo())); err != nil {
		return nil, errUnrecorded(err)
	}
	sequence, _, _ := k.store.Head()
	answer, err := process.Read(ctx, &pb.ReadRequest{
		Reader: &pb.Reader{}, Sequence: sequence, Query: &pb.ReadRequest_Objects{Objects: req},
	})
	if err != nil {
		return nil, k.cut(err)
	}
	return rpc.Encoded(&pb.ListObjectsResponse{}, answer.GetAnswer()), nil
}

// DecideObjects implements pb.OwnerServiceHandler.
func (s *ownerService) DecideObjects(ctx context.Context, req *pb.DecideObjectsRequest) (*pb.DecideObjectsResponse, error) {
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_DecideObjects{DecideObjects: req}}); err != nil {
		return nil, err
	}
	return &pb.DecideObjectsResponse{}, nil
}
