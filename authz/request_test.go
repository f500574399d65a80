package authz

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"healthledger/authz/authztest"
	pb "healthledger/proto/healthledger/v1"
)

// registered is an app with a manifest that a test may spoil.
func registered(t *testing.T, importer bool, spoil func(*pb.Manifest)) *App {
	t.Helper()
	state := NewState(anna, true)
	m := authztest.Manifest("org.example")
	spoil(m)
	d, err := (&Author{State: state, Signer: anna, Random: rand.Reader}).AddApp(1, &pb.AppDraft{Manifest: m, Key: "k", TokenHash: aHash}, importer, nil)
	if err == nil {
		err = state.Decide(d.GetDecision(), d.GetDetail())
	}
	if err != nil {
		t.Fatal(err)
	}
	return state.Apps()[0]
}

// Spec section 1.1: what no app may ask for is a fault of the request.
func TestIllegalTypesInARequestAreHardFaults(t *testing.T) {
	everything := func(*pb.Manifest) {}
	for _, c := range []struct {
		spoil       func(*pb.Manifest)
		importer    bool
		share, read string
		why         string
	}{
		{everything, false, "stepCount", "", ""}, {everything, false, "", "stepCount", ""},
		{everything, false, "HKQuantityTypeIdentifierStepCount", "dateOfBirth", ""}, {everything, false, "visionPrescription", "labResultRecord", ""},
		{everything, false, "", "", "no type"}, {everything, false, "noSuchType", "", "unknown"}, {everything, false, "", "noSuchType", "unknown"},
		{everything, false, "bloodPressure", "", "bloodPressureSystolic"}, {everything, false, "", "bloodPressure", "bloodPressureSystolic"},
		{everything, false, "appleSleepingWristTemperature", "", "may not write"}, {everything, false, "dateOfBirth", "", "may not write"},
		{everything, false, "labResultRecord", "", "may not write"}, {everything, true, "labResultRecord", "", ""},
		{everything, false, "", "visionPrescription", "sample by sample"}, {everything, false, "", "medicationDoseEvent", "sample by sample"},
		{everything, false, "", "sleepDurationGoal", "owner's own"}, {everything, false, "", "importedElement", "owner's own"},
		{func(m *pb.Manifest) { m.ShareUsageDescription = "" }, false, "stepCount", "", "no share_usage_description"},
		{func(m *pb.Manifest) { m.ShareUsageDescription = "" }, false, "", "stepCount", ""},
		{func(m *pb.Manifest) { m.ReadUsageDescription, m.ClinicalUsageDescription = "", "" }, false, "", "stepCount", "no read_usage_description"},
		{func(m *pb.Manifest) { m.ReadUsageDescription, m.ClinicalUsageDescription = "", "" }, false, "stepCount", "", ""},
		{func(m *pb.Manifest) { m.ClinicalUsageDescription = "" }, false, "", "labResultRecord", "no clinical_usage_description"},
		{func(m *pb.Manifest) { m.ClinicalUsageDescription = "" }, false, "", "cda", "no clinical_usage_description"},
	} {
		names := func(name string) []string {
			if name == "" {
				return nil
			}
			// A proper one beside it changes nothing.
			return []string{name, name}
		}
		asked, err := registered(t, c.importer, c.spoil).ParseRequest(names(c.share), names(c.read))
		if c.why == "" {
			if err != nil || len(asked.Shares)+len(asked.Reads) == 0 || len(asked.Shares) > 1 || len(asked.Reads) > 1 {
				t.Errorf("%s %s: %v, %v", c.share, c.read, asked, err)
			}
			continue
		}
		if !strings.Contains(err.Error(), c.why) || !slices.Contains([]string{"share", "read"}, partOf(err)) {
			t.Errorf("%s %s: %v", c.share, c.read, err)
		}
	}
	if _, err := registered(t, false, everything).ParseRequest(nil, slices.Repeat([]string{"stepCount"}, maxAsked+1)); partOf(err) != "read" {
		t.Error(err)
	}
}
