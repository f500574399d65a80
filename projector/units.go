package projector

import (
	"strconv"

	"healthledger/projector/query"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// maxUnits is of how many types one request asks the units.
const maxUnits = 1000

// preferredUnits answers in the order asked.
func (p *projection) preferredUnits(reader *pb.Reader, req *pb.QueryPreferredUnitsRequest) (*pb.QueryPreferredUnitsResponse, error) {
	if len(req.GetTypes()) > maxUnits {
		return nil, &query.ArgumentError{Field: "types", Why: "more than " + strconv.Itoa(maxUnits)}
	}
	answer := &pb.QueryPreferredUnitsResponse{}
	for i, name := range req.GetTypes() {
		field := "types[" + strconv.Itoa(i) + "]"
		t, ok := catalog.Lookup(name)
		if !ok {
			return nil, &query.ArgumentError{Field: field, Value: name, Why: "unknown type"}
		}
		if t.Kind != catalog.Quantity {
			return nil, &query.ArgumentError{Field: field, Value: name, Why: "not a quantity type"}
		}
		unit := p.state.PreferredUnit(reader.GetApp(), t.Code)
		if unit == "" {
			unit = t.Unit
		}
		answer.Units = append(answer.Units, &pb.PreferredUnit{Type: t.Short(), Unit: unit})
	}
	return answer, nil
}
