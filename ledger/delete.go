package ledger

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// What one request may delete.
const (
	maxDeletions = 1000
	// maxDeleted is how many UUIDs it may name, in all its deletions.
	maxDeleted = 10_000
)

// Delete checks what an app wants to take back, and that it may write every type in it,
// and appends it. It returns after the fsync, whatever the lock state is, and says
// nothing about what there is to delete.
//
// Errors: INVALID_ARGUMENT, SHARE_NOT_DETERMINED, SHARE_DENIED, TOO_LARGE, NO_SPACE,
// UNAVAILABLE.
func (s *Store) Delete(ctx context.Context, app *authz.App, req *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	if len(req.GetRequestId()) != 16 {
		return nil, rpc.InvalidArgument("request_id", "it must be 16 random bytes")
	}
	deletions, err := Deletions(req.GetDeletions())
	if err != nil {
		return nil, err
	}
	may := func(app *authz.App) error { return mayDelete(app, deletions) }
	if err := may(app); err != nil {
		return nil, err
	}
	sequence, err := s.put(ctx, app, may, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
		App: app.Number, RequestId: req.GetRequestId(), Deletions: deletions,
	}}})
	if err != nil {
		return nil, err
	}
	receipt, err := s.receipt(app, sequence, req.GetRequestId())
	return &pb.DeleteResponse{Receipt: receipt}, err
}

// Deletions is what a request names, as it stands in the log. The error is that of the
// call: INVALID_ARGUMENT or TOO_LARGE.
func Deletions(requested []*pb.Deletion) ([]*pb.DeletedSamples, error) {
	if len(requested) == 0 {
		return nil, rpc.InvalidArgument("deletions", "it names nothing to delete")
	}
	if len(requested) > maxDeletions {
		return nil, tooMany("deletions", fmt.Sprintf("at most %d at once", maxDeletions))
	}
	deletions := make([]*pb.DeletedSamples, len(requested))
	uuids := 0
	for i, d := range requested {
		if uuids += len(d.GetUuids()); uuids > maxDeleted {
			return nil, tooMany("deletions", fmt.Sprintf("at most %d UUIDs at once", maxDeleted))
		}
		var err error
		if deletions[i], err = deletion(fmt.Sprintf("deletions[%d].", i), d); err != nil {
			return nil, err
		}
	}
	return deletions, nil
}

// deletion checks one of them. Neither UUIDs nor a period would be everything there is of
// a type: nobody deletes that by leaving something out.
func deletion(prefix string, d *pb.Deletion) (*pb.DeletedSamples, error) {
	t, ok := catalog.Lookup(d.GetType())
	hasPeriod := d.GetFrom() != nil || d.GetTo() != nil
	switch {
	case !ok:
		return nil, rpc.InvalidValue(prefix+"type", d.GetType(), "no such type")
	case len(d.GetUuids()) > 0 && hasPeriod:
		return nil, rpc.InvalidValue(prefix+"uuids", "", "either UUIDs or a period")
	case len(d.GetUuids()) == 0 && !hasPeriod:
		return nil, rpc.InvalidValue(prefix+"uuids", "", "UUIDs or one end of a period are needed")
	}
	out := &pb.DeletedSamples{Type: t.Code}
	for i, text := range d.GetUuids() {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 || id == uuid.Nil {
			return nil, rpc.InvalidValue(fmt.Sprintf("%suuids[%d]", prefix, i), text, "not the canonical text of a UUID")
		}
		out.Uuids = append(out.Uuids, id[:])
	}
	var err error
	if out.From, err = boundOf(prefix+"from", d.GetFrom()); err != nil {
		return nil, err
	}
	if out.To, err = boundOf(prefix+"to", d.GetTo()); err != nil {
		return nil, err
	}
	if out.From != nil && out.To != nil && out.GetFrom() >= out.GetTo() {
		return nil, rpc.InvalidValue(prefix+"from", "", "it is not before to")
	}
	return out, nil
}

func tooMany(field, why string) error {
	return rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonTooLarge, Field: field, Why: why}, "%s: %s", field, why)
}

// mayDelete tells whether the app may still write every type of which it deletes.
func mayDelete(app *authz.App, deletions []*pb.DeletedSamples) error {
	asked := map[uint32]bool{}
	for i, d := range deletions {
		if asked[d.GetType()] {
			continue
		}
		asked[d.GetType()] = true
		if err := mayDeleteType(app, d.GetType(), fmt.Sprintf("deletions[%d].type", i)); err != nil {
			return err
		}
	}
	return nil
}

// mayDeleteType tells whether the app may still write a type: without that it has no power
// over what it wrote before (spec section 1.5). Correlations are not granted. Nobody
// can tell here what those of the app consist of, but it was of types that the app could
// write then: none of them may have been taken from it.
func mayDeleteType(app *authz.App, code uint32, field string) error {
	t, _ := catalog.ByCode(code)
	if t.Kind != catalog.Correlation {
		return mayShare(app, code, field)
	}
	standing := authz.ShareNotDetermined
	for _, m := range t.Members() {
		switch app.Share(m.Code) {
		case authz.ShareDenied:
			return mayShare(app, m.Code, field)
		case authz.ShareAuthorized:
			standing = authz.ShareAuthorized
		}
	}
	if standing == authz.ShareAuthorized {
		return nil
	}
	return mayShare(app, code, field)
}

// boundOf is an end of a period as it stands in the log, nil for an open one.
func boundOf(field string, t *timestamppb.Timestamp) (*int64, error) {
	if t == nil {
		return nil, nil
	}
	micros, err := health.Micros(t)
	if err != nil {
		return nil, rpc.InvalidValue(field, "", err.Error())
	}
	return &micros, nil
}
