package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Save validates the samples of a request, checks that the app may write every type
// in it, and appends them: all or none. It returns after the fsync, whatever the
// lock state is. Of values that are not plausible it warns, or refuses them where the
// owner decided so.
//
// Errors: INVALID_ARGUMENT, INVALID_SAMPLE (index and field), SHARE_NOT_DETERMINED,
// SHARE_DENIED, TOO_LARGE, NO_SPACE, UNAVAILABLE.
func (s *Store) Save(ctx context.Context, app *authz.App, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	if len(req.GetRequestId()) != 16 {
		return nil, rpc.InvalidArgument("request_id", "it must be 16 random bytes")
	}
	columns, may, err := admit(app, req)
	if err != nil {
		return nil, err
	}
	warnings, err := s.judge(app, req)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, c := range columns {
		count += health.Count(c)
	}
	sequence, err := s.put(ctx, app, may, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
		App: app.Number, RequestId: req.GetRequestId(), ByContent: req.GetByContent(), Columns: columns,
	}}})
	if err != nil {
		return nil, err
	}
	receipt, err := s.receipt(app, sequence, req.GetRequestId())
	return &pb.SaveResponse{Accepted: uint32(count), Warnings: warnings, Receipt: receipt}, err
}

// SavePart appends a part of a payload that goes ahead of its object. It is checked as
// far as it can be without the object: what it consists of, and that the app may
// write the type. It returns after the fsync, whatever the lock state is.
//
// Errors: those of Save.
func (s *Store) SavePart(ctx context.Context, app *authz.App, req *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	t, ok := catalog.Lookup(req.GetType())
	switch {
	case !ok:
		return nil, rpc.InvalidArgument("type", "no such type")
	case len(req.GetUpload()) != 16:
		return nil, rpc.InvalidArgument("upload", "it must be 16 random bytes")
	case req.GetNumber() >= health.MaxParts:
		return nil, rpc.InvalidArgument("number", fmt.Sprintf("a payload has at most %d parts, numbered from 0", health.MaxParts))
	}
	if err := health.CheckChunk(t, req.GetChunk()); err != nil {
		return nil, invalid(err)
	}
	may := func(app *authz.App) error { return mayShare(app, t.Code, "type") }
	if err := may(app); err != nil {
		return nil, err
	}
	_, err := s.put(ctx, app, may, &pb.Event{Body: &pb.Event_PartSaved{PartSaved: &pb.PartSaved{
		App: app.Number, Upload: req.GetUpload(), Number: req.GetNumber(), Chunk: req.GetChunk(),
	}}})
	if err != nil {
		return nil, err
	}
	return &pb.SavePartResponse{}, nil
}

// put appends what an app writes, and returns the last sequence. Whether the app may is
// asked when it is sealed: the owner may have decided otherwise since the app was found, or
// have given it another credential.
// The error is that of the call.
func (s *Store) put(ctx context.Context, app *authz.App, may func(*authz.App) error, events ...*pb.Event) (uint64, error) {
	check := func() error {
		now, ok := s.state.AppByNumber(app.Number)
		if !ok || now.Removed || now.Credential() != app.Credential() {
			return rpc.Unauthenticated()
		}
		return may(now)
	}
	if err := s.room(disk.Ordinary); err != nil {
		return 0, appendError(err)
	}
	sequence, err := s.recordIf(ctx, app.Number, check, events...)
	switch {
	case err == nil || rpc.Reason(err) != "":
		return sequence, err
	case errors.Is(err, ErrNotEnrolled):
		return 0, rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable, Why: ErrNotEnrolled.Error()}, "%s", ErrNotEnrolled)
	case errors.Is(err, errEncoding):
		return 0, rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidArgument}, "the samples cannot be encoded")
	}
	return 0, appendError(err)
}

// admit returns the request's samples as valid columns of types that the app may write,
// their members' too, and what tells whether an app may.
func admit(app *authz.App, req *pb.SaveRequest) (columns []*pb.SampleColumns, may func(*authz.App) error, err error) {
	columns, err = health.Collect(req.GetSamples(), req.GetColumns(), health.Policy{Importer: app.Importer})
	if err != nil {
		return nil, nil, invalid(err)
	}
	var codes []uint32
	err = health.Types(columns, func(code uint32) error {
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	may = func(app *authz.App) error {
		for _, code := range codes {
			field := "members.type"
			if slices.ContainsFunc(columns, func(c *pb.SampleColumns) bool { return c.GetType() == code }) {
				field = "type"
			}
			if err := mayShare(app, code, field); err != nil {
				return err
			}
		}
		return nil
	}
	return columns, may, may(app)
}

// maxWarnings is how many implausible values a save is warned of.
const maxWarnings = 100

// judge looks for values that no living person has. What an import brings somebody has
// measured or typed once: it is never refused for them.
func (s *Store) judge(app *authz.App, req *pb.SaveRequest) (warnings []*pb.Warning, err error) {
	refuse := !app.Importer && s.state.Plausibility() == pb.Plausibility_PLAUSIBILITY_REFUSE
	for doubt := range health.Implausible(req.GetSamples(), req.GetColumns()) {
		if refuse {
			return nil, invalid(doubt)
		}
		warnings = append(warnings, &pb.Warning{
			Index: uint32(doubt.Index), Field: doubt.Field, Value: doubt.Value, Why: doubt.Why,
		})
		if len(warnings) == maxWarnings {
			break
		}
	}
	return warnings, nil
}

func mayShare(app *authz.App, code uint32, field string) error {
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
	return rpc.Error(connect.CodePermissionDenied, &pb.ErrorDetail{Reason: reason, Field: field, Value: name, Why: why},
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

// NoSpace is the error of a call for which the disk has no room, and says what came of it.
func NoSpace(what string) error {
	return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonNoSpace}, "the daemon's disk is full or nearly so: %s", what)
}

// DataLoss is the error of a call that would write to a log that has lost its end.
func DataLoss() error {
	return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss},
		"the end of the log is lost: nothing is written that would take its place")
}

func appendError(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonTooLarge, Why: "send fewer samples at once"},
			"the batch is larger than a segment of the log: send fewer samples at once")
	case errors.Is(err, log.ErrNoSpace):
		return NoSpace("write again when there is room")
	case errors.Is(err, ErrDataLoss):
		return DataLoss()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable}, "the log cannot be written")
	}
}
