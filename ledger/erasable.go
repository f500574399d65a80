package ledger

import (
	"fmt"

	"github.com/google/uuid"

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
	if !d.AllTypes {
		t, ok := catalog.Lookup(req.GetType())
		if !ok {
			return nil, rpc.InvalidValue("type", req.GetType(), "no such type")
		}
		d.Type = t.Code
	}
	for i, text := range req.GetUuids() {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 || id == uuid.Nil {
			return nil, rpc.InvalidValue(fmt.Sprintf("uuids[%d]", i), text, "not the canonical text of a UUID")
		}
		d.Uuids = append(d.Uuids, id[:])
	}
	var err error
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
