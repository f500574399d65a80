package ledger

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"healthledger/authz"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Erasable is what a request to erase names, as it stands in the log, of whatever app. The
// error is that of the call: INVALID_ARGUMENT or TOO_LARGE.
func Erasable(req *pb.EraseRequest) (*pb.DeletedSamples, error) {
	some := req.GetType() != "" || req.GetApp() != "" || req.GetFrom() != nil || req.GetTo() != nil
	switch {
	case req.GetAll() && (some || len(req.GetUuids()) > 0):
		return nil, rpc.InvalidArgument("all", "nothing else can be named with it")
	case len(req.GetUuids()) > 0 && some:
		return nil, rpc.InvalidArgument("uuids", "nothing else can be named with them")
	case len(req.GetUuids()) > maxDeleted:
		return nil, tooMany("uuids", fmt.Sprintf("at most %d at once", maxDeleted))
	case !req.GetAll() && !some && len(req.GetUuids()) == 0:
		return nil, rpc.InvalidArgument("type", "it names nothing to erase")
	}
	d := &pb.DeletedSamples{AllTypes: req.GetType() == ""}
	var err error
	if !d.AllTypes {
		if d.Type, err = TypeCode("type", req.GetType()); err != nil {
			return nil, err
		}
	}
	for i, text := range req.GetUuids() {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 || id == uuid.Nil {
			return nil, rpc.InvalidValue(fmt.Sprintf("uuids[%d]", i), text, "not the canonical text of a UUID")
		}
		d.Uuids = append(d.Uuids, id[:])
	}
	if d.From, err = boundOf("from", req.GetFrom()); err != nil {
		return nil, err
	}
	if d.To, err = boundOf("to", req.GetTo()); err != nil {
		return nil, err
	}
	if d.From != nil && d.To != nil && d.GetFrom() >= d.GetTo() {
		return nil, rpc.InvalidValue("from", "", "it is not before to")
	}
	return d, nil
}

// Retention is what a request to keep samples for some time says, as it stands in the log. The
// error is that of the call: INVALID_ARGUMENT.
func Retention(req *pb.SetRetentionRequest) (*pb.RetentionSet, error) {
	set := &pb.RetentionSet{Months: req.GetMonths()}
	if req.GetType() != "" {
		var err error
		if set.Type, err = TypeCode("type", req.GetType()); err != nil {
			return nil, err
		}
	}
	var draft *authz.DraftError
	if errors.As(authz.CheckRetention(set), &draft) {
		return nil, rpc.InvalidValue(draft.Field, draft.Value, draft.Why)
	}
	return set, nil
}

// TypeCode returns the code of the type that a field of a request names. The error is that of the
// call: INVALID_ARGUMENT.
func TypeCode(field, name string) (uint32, error) {
	t, ok := catalog.Lookup(name)
	if !ok {
		return 0, rpc.InvalidValue(field, name, "no such type")
	}
	return t.Code, nil
}
