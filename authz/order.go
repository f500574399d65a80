package authz

import (
	"strconv"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// maxOrder is how many sources an order names.
const maxOrder = 256

// DraftError says what is wrong with what an owner wants to decide.
type DraftError struct {
	// Field of the request, its value as given, and why it is refused.
	Field, Value, Why string
}

func (e *DraftError) Error() string {
	if e.Value == "" {
		return e.Field + ": " + e.Why
	}
	return e.Field + " " + e.Value + ": " + e.Why
}

// SourceOrder returns which sources of a type count first where several have samples at
// once; those not in it come after them. It must not be changed.
func (s *State) SourceOrder(typeCode uint32) []*pb.SourceName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.orders[typeCode]
}

// SetSourceOrder changes the order of a type's sources; without any it is the default
// one. Errors: *DraftError.
func (a *Author) SetSourceOrder(now int64, order *pb.SourceOrderSet) (*pb.NewDecision, error) {
	if _, ok := catalog.ByCode(order.GetType()); !ok {
		return nil, &DraftError{"type", strconv.Itoa(int(order.GetType())), "unknown type"}
	}
	if len(order.GetSources()) > maxOrder {
		return nil, &DraftError{"sources", "", "more than " + strconv.Itoa(maxOrder)}
	}
	seen := map[[2]string]bool{}
	for _, source := range order.GetSources() {
		key := [2]string{source.GetApp(), source.GetName()}
		switch {
		case source.GetApp() == "":
			return nil, &DraftError{"sources", source.GetName(), "the bundle id is missing"}
		case len(source.GetApp()) > health.MaxText || len(source.GetName()) > health.MaxText:
			return nil, &DraftError{"sources", "", "a name is longer than " + strconv.Itoa(health.MaxText) + " bytes"}
		case seen[key]:
			return nil, &DraftError{"sources", source.GetApp() + " " + source.GetName(), "it is named twice"}
		}
		seen[key] = true
	}
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_SourceOrderSet{SourceOrderSet: order}})
}
