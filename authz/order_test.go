package authz

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

func typeCode(t *testing.T, name string) uint32 {
	t.Helper()
	found, ok := catalog.Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	return found.Code
}

func wantDraftError(t *testing.T, err error, field, value string) {
	t.Helper()
	var draft *DraftError
	if !errors.As(err, &draft) || draft.Field != field || draft.Value != value || draft.Why == "" {
		t.Errorf("%v, want one about %s %q", err, field, value)
	}
}

func TestOrderThatMeansNothingIsNotSigned(t *testing.T) {
	author := &Author{State: NewState(anna, true), Signer: anna, Random: rand.Reader}
	steps := typeCode(t, "stepCount")
	many := make([]*pb.SourceName, maxOrder+1)
	for i := range many {
		many[i] = &pb.SourceName{App: "org.example", Name: strings.Repeat("x", i)}
	}
	long := strings.Repeat("x", health.MaxText)
	for _, c := range []struct {
		order        *pb.SourceOrderSet
		field, value string
	}{
		{&pb.SourceOrderSet{Type: 999_999}, "type", "999999"},
		{&pb.SourceOrderSet{Type: steps, Sources: many}, "sources", ""},
		{&pb.SourceOrderSet{Type: steps, Sources: []*pb.SourceName{{Name: "Watch"}}}, "sources", "Watch"},
		{&pb.SourceOrderSet{Type: steps, Sources: []*pb.SourceName{{App: long + "x"}}}, "sources", ""},
		{&pb.SourceOrderSet{Type: steps, Sources: []*pb.SourceName{{App: "a", Name: long + "x"}}}, "sources", ""},
		{&pb.SourceOrderSet{Type: steps, Sources: []*pb.SourceName{{App: "a", Name: "b"}, {App: "a"}, {App: "a", Name: "b"}}}, "sources", "a b"},
	} {
		_, err := author.SetSourceOrder(1, c.order)
		wantDraftError(t, err, c.field, c.value)
	}
	for _, sources := range [][]*pb.SourceName{nil, many[:maxOrder], {{App: long, Name: long}}, {{App: "a b", Name: "c"}, {App: "a", Name: "b c"}}} {
		if _, err := author.SetSourceOrder(1, &pb.SourceOrderSet{Type: steps, Sources: sources}); err != nil {
			t.Error(err)
		}
	}
}

func TestUnitThatMeansNothingIsNotSigned(t *testing.T) {
	author := &Author{State: NewState(anna, true), Signer: anna, Random: rand.Reader}
	mass := typeCode(t, "bodyMass")
	for _, c := range []struct {
		units        []*pb.TypeUnit
		field, value string
	}{
		{nil, "units", ""},
		{[]*pb.TypeUnit{{Type: mass, Unit: "lb"}, {Type: 999_999}}, "units.type", "999999"},
		{[]*pb.TypeUnit{{Type: typeCode(t, "sleepAnalysis")}}, "units.type", "sleepAnalysis"},
		{[]*pb.TypeUnit{{Type: mass, Unit: "lb"}, {Type: mass}}, "units.type", "bodyMass"},
		{[]*pb.TypeUnit{{Type: mass, Unit: "stone"}}, "units.unit", "stone"},
		{[]*pb.TypeUnit{{Type: mass, Unit: "km"}}, "units.unit", "km"},
	} {
		_, err := author.SetPreferredUnits(1, &pb.PreferredUnitsSet{Units: c.units})
		wantDraftError(t, err, c.field, c.value)
	}
	if _, err := author.SetPreferredUnits(1, &pb.PreferredUnitsSet{Units: []*pb.TypeUnit{{Type: mass, Unit: "lb"}, {Type: typeCode(t, "height")}}}); err != nil {
		t.Error(err)
	}
}
