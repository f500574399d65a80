package ledger

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Save validates the samples of a request, checks that the app may write every type
// in it, and appends them: all or none. It returns after the fsync, whatever the
// lock state is.
//
// Errors: INVALID_ARGUMENT, INVALID_SAMPLE (index and field), SHARE_NOT_DETERMINED,
// SHARE_DENIED, TOO_LARGE, NO_SPACE, UNAVAILABLE.
func (s *Store) Save(ctx context.Context, app *authz.App, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	if len(req.GetRequestId()) != 16 {
		return nil, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{
			Reason: rpc.ReasonInvalidArgument, Field: "request_id", Why: "it must be 16 random bytes",
		}, "request_id: it must be 16 random bytes")
	}
	if !s.enrolled() {
		return nil, rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable, Why: ErrNotEnrolled.Error()}, "%s", ErrNotEnrolled)
	}
	columns, err := admit(app, req)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, c := range columns {
		count += health.Count(c)
	}
	event, err := proto.Marshal(&pb.Event{Time: s.now().UnixMicro(), Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
		App: app.Number, RequestId: req.GetRequestId(), ByContent: req.GetByContent(), Columns: columns,
	}}})
	if err != nil {
		return nil, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidArgument}, "the samples cannot be encoded")
	}
	if _, err := s.appender.Append(ctx, &pending{class: seal.Health, app: app.Number, event: event}); err != nil {
		return nil, appendError(err)
	}
	return &pb.SaveResponse{Accepted: uint32(count)}, nil
}

// admit returns the request's samples as valid columns of types that the app may write.
func admit(app *authz.App, req *pb.SaveRequest) ([]*pb.SampleColumns, error) {
	columns, err := health.Collect(req.GetSamples(), req.GetColumns(), health.Policy{ReadOnly: app.Importer})
	if err != nil {
		return nil, invalid(err)
	}
	for _, c := range columns {
		if err := mayShare(app, c.GetType()); err != nil {
			return nil, err
		}
	}
	return columns, nil
}

func mayShare(app *authz.App, code uint32) error {
	standing := app.Share(code)
	if standing == authz.ShareAuthorized {
		return nil
	}
	reason, why := rpc.ReasonShareNotDetermined, "the owner has not been asked"
	if standing == authz.ShareDenied {
		reason, why = rpc.ReasonShareDenied, "the owner refused"
	}
	name := ""
	if t, ok := catalog.ByCode(code); ok {
		name = t.Short()
	}
	return rpc.Error(connect.CodePermissionDenied, &pb.ErrorDetail{Reason: reason, Field: "type", Value: name, Why: why},
		"may not write %s: %s", name, why)
}

// invalid turns what validation found into the error of the call. Indices count the
// rows of the request first, then its columns.
func invalid(err error) error {
	var field *health.FieldError
	if !errors.As(err, &field) {
		return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidArgument, Why: err.Error()}, "%s", err)
	}
	return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{
		Reason: rpc.ReasonInvalidSample, Index: uint32(field.Index), Field: field.Field, Value: field.Value, Why: field.Why,
	}, "%s", field.Error())
}

func appendError(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonTooLarge, Why: "send fewer samples at once"},
			"the batch is larger than a segment of the log: send fewer samples at once")
	case errors.Is(err, log.ErrNoSpace):
		return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonNoSpace}, "no space is left for the log")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable}, "the log cannot be written")
	}
}
