package authz

import (
	"strconv"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// PreferredUnit returns the unit in which the owner likes to see a quantity type, "" for
// the canonical one. An app (0: the owner) is told if it has ever asked about the type,
// whatever the owner decided: anything else would tell it what he did.
func (s *State) PreferredUnit(app uint64, typeCode uint32) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if app != 0 {
		if a, ok := s.apps[app]; !ok || a.Removed || !a.asked[typeCode] {
			return ""
		}
	}
	return s.units[typeCode]
}

// SetPreferredUnits changes the units in which the owner likes to see quantity types; an
// empty one is the canonical one. Errors: *DraftError.
func (a *Author) SetPreferredUnits(now int64, set *pb.PreferredUnitsSet) (*pb.NewDecision, error) {
	if len(set.GetUnits()) == 0 {
		return nil, &DraftError{"units", "", "no type is named"}
	}
	seen := map[uint32]bool{}
	for _, u := range set.GetUnits() {
		t, ok := catalog.ByCode(u.GetType())
		switch {
		case !ok:
			return nil, &DraftError{"units.type", strconv.Itoa(int(u.GetType())), "unknown type"}
		case t.Kind != catalog.Quantity:
			return nil, &DraftError{"units.type", t.Short(), "not a quantity type"}
		case seen[t.Code]:
			return nil, &DraftError{"units.type", t.Short(), "it is named twice"}
		}
		seen[t.Code] = true
		if why := whyNoUnit(t, u.GetUnit()); why != "" {
			return nil, &DraftError{"units.unit", u.GetUnit(), why}
		}
	}
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_PreferredUnitsSet{PreferredUnitsSet: set}})
}

func whyNoUnit(t *catalog.Type, text string) string {
	if text == "" {
		return ""
	}
	u, err := unit.Parse(text)
	if err != nil {
		return "no such unit"
	}
	if canonical, err := unit.Parse(t.Unit); err != nil || !canonical.Compatible(u) {
		return "not compatible with " + t.Unit
	}
	return ""
}

// prefer takes what a detail says of no app.
func (s *State) prefer(detail *pb.DecisionDetail) {
	if order := detail.GetSourceOrderSet(); order != nil {
		s.orders[order.GetType()] = order.GetSources()
	}
	for _, u := range detail.GetPreferredUnitsSet().GetUnits() {
		s.units[u.GetType()] = u.GetUnit()
	}
}
