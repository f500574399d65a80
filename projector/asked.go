package projector

import (
	"context"
	"errors"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/projector/query"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// ReadRequests lists what apps have asked for and the owner has not answered.
func (s *service) ReadRequests(ctx context.Context, req *pb.ReadRequestsRequest) (*pb.ReadRequestsResponse, error) {
	resp := &pb.ReadRequestsResponse{}
	err := s.using(ctx, req.GetSequence(), func(_ *openStore, p *projection) (err error) {
		resp.Requests, err = p.pendingRequests()
		return err
	})
	if err != nil {
		return nil, s.refuse("read requests", err)
	}
	return resp, nil
}

func (p *projection) pendingRequests() (requests []*pb.PendingRequest, err error) {
	asked, objects, err := p.asked()
	if err != nil {
		return nil, err
	}
	for _, app := range p.state.Apps() {
		request := pending(app, asked)
		request.Objects = pendingObjects(app, objects)
		if len(request.GetShare())+len(request.GetRead())+len(request.GetObjects()) == 0 {
			continue
		}
		for _, o := range request.GetObjects() {
			if request.Asked == nil || o.GetAsked().AsTime().Before(request.GetAsked().AsTime()) {
				request.Asked = o.GetAsked()
			}
		}
		requests = append(requests, request)
	}
	return requests, nil
}

func (p *projection) asked() (asked []view.Asked, objects []view.AskedObjects, err error) {
	snapshot, err := p.view.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	if asked, err = snapshot.Asked(); err == nil {
		objects, err = snapshot.AskedObjects()
	}
	return asked, objects, errors.Join(err, snapshot.Close())
}

// pendingObjects is what an app has asked for object by object. The manifest of an app may
// not explain any more what it has asked for once.
func pendingObjects(app *authz.App, all []view.AskedObjects) (pending []*pb.PendingObjects) {
	for _, a := range all {
		t, ok := catalog.ByCode(a.Type)
		if a.App != app.Number || !ok || authz.UnexplainedRead(t, app.Explained()) != "" {
			continue
		}
		p := &pb.PendingObjects{Type: t.Short(), Asked: timestamppb.New(time.UnixMicro(a.Time)), Limit: a.Limit}
		if a.From != math.MinInt64 {
			p.From = timestamppb.New(time.UnixMicro(a.From))
		}
		if a.To != math.MaxInt64 {
			p.To = timestamppb.New(time.UnixMicro(a.To))
		}
		pending = append(pending, p)
	}
	return pending
}

// pending is what is left to answer of all that an app has asked for type by type.
func pending(app *authz.App, asked []view.Asked) *pb.PendingRequest {
	all, again := app.Lapsed()
	first := int64(math.MaxInt64)
	if !app.Unanswered(all).Empty() {
		first = again
	}
	for _, a := range asked {
		if a.App != app.Number {
			continue
		}
		one := authz.Request{}
		if a.Direction == view.ToWrite {
			one.Shares = []uint32{a.Type}
		} else {
			one.Reads = []uint32{a.Type}
		}
		if app.Unanswered(one).Empty() {
			continue
		}
		all = all.With(one)
		first = min(first, max(a.First, again))
	}
	left := app.Unanswered(all)
	request := &pb.PendingRequest{Manifest: app.Manifest}
	if !left.Empty() {
		request.Asked = timestamppb.New(time.UnixMicro(first))
	}
	for _, code := range left.Shares {
		request.Share = append(request.Share, typeName(code))
	}
	for _, code := range left.Reads {
		request.Read = append(request.Read, typeName(code))
	}
	return request
}

// requestStatus says whether an app would be asking for anything that is not answered.
func (p *projection) requestStatus(reader *pb.Reader, req *pb.GetRequestStatusRequest) (*pb.GetRequestStatusResponse, error) {
	app, ok := p.state.AppByNumber(reader.GetApp())
	if !ok {
		return nil, errors.New("no such app")
	}
	asked, err := app.ParseRequest(req.GetShare(), req.GetRead())
	var draft *authz.DraftError
	if errors.As(err, &draft) {
		return nil, &query.ArgumentError{Field: draft.Field, Value: draft.Value, Why: draft.Why}
	}
	resp := &pb.GetRequestStatusResponse{
		Status: pb.RequestStatus_REQUEST_STATUS_UNNECESSARY, RequiredNotGranted: app.RequiredNotGranted(),
	}
	if !app.Unanswered(asked).Empty() {
		resp.Status = pb.RequestStatus_REQUEST_STATUS_SHOULD_ASK
	}
	return resp, nil
}
