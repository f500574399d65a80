package catalog

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "add new types to the golden list of codes")

func mustLookup(t *testing.T, name string) *Type {
	t.Helper()
	got, ok := Lookup(name)
	if !ok {
		t.Fatalf("no type is called %q", name)
	}
	return got
}

// The golden list only grows: a line that has ever been in a release stays.
func TestCodesAreForever(t *testing.T) {
	const golden = "testdata/codes.golden"
	var now strings.Builder
	for _, ty := range All() {
		fmt.Fprintf(&now, "%d %s %s\n", ty.Code, ty.Identifier, ty.Short())
	}
	old, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(old)) {
		if !strings.Contains("\n"+now.String(), "\n"+line) {
			t.Errorf("code changed or gone: %s", line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(now.String()) > len(old) {
		t.Error("types without a golden code; run the test with -update")
	}
}

func TestEveryNameFindsItsType(t *testing.T) {
	for _, ty := range All() {
		names := append([]string{ty.Identifier, ty.Short(), bare(ty.Identifier)}, ty.Aliases...)
		for _, name := range names {
			if got, ok := Lookup(name); !ok || got != ty {
				t.Errorf("Lookup(%q) = %v, want %v", name, got, ty)
			}
			if got, ok := LookupBytes([]byte(name)); !ok || got != ty {
				t.Errorf("LookupBytes(%q) = %v, want %v", name, got, ty)
			}
		}
		if got, ok := ByCode(ty.Code); !ok || got != ty {
			t.Errorf("ByCode(%d) = %v, want %v", ty.Code, got, ty)
		}
	}
	for _, name := range []string{"", "STEPCOUNT", "Step Count", "HKQuantityTypeIdentifier", "HK"} {
		if got, ok := Lookup(name); ok {
			t.Errorf("Lookup(%q) = %v", name, got)
		}
	}
}

func TestShortNames(t *testing.T) {
	for identifier, short := range map[string]string{
		"HKQuantityTypeIdentifierStepCount":                "stepCount",
		"HKQuantityTypeIdentifierVO2Max":                   "vo2Max",
		"HKQuantityTypeIdentifierUVExposure":               "uvExposure",
		"HKQuantityTypeIdentifierHeartRateVariabilitySDNN": "heartRateVariabilitySDNN",
		"HKWorkoutTypeIdentifier":                          "workout",
		"HKWorkoutRouteTypeIdentifier":                     "workoutRoute",
		"HKDataTypeSleepDurationGoal":                      "sleepDurationGoal",
		"HKDataTypeIdentifierElectrocardiogram":            "electrocardiogram",
		"HKScoredAssessmentTypeIdentifierGAD7":             "gad7",
		"HKDocumentTypeIdentifierCDA":                      "cda",
		"HKActivitySummaryTypeIdentifier":                  "activitySummary",
		"HKMedicationDoseEventType":                        "medicationDoseEvent",
	} {
		if got := mustLookup(t, identifier).Short(); got != short {
			t.Errorf("short name of %s is %q, want %q", identifier, got, short)
		}
		if got := lowerCamel(bare(identifier)); got != short {
			t.Errorf("lowerCamel(bare(%s)) = %q, want %q", identifier, got, short)
		}
	}
}

// Pitfall 24: the constant has two names, the store one raw string.
func TestAudioExposureEventIsOneType(t *testing.T) {
	raw := mustLookup(t, "HKCategoryTypeIdentifierAudioExposureEvent")
	for _, name := range []string{"HKCategoryTypeIdentifierEnvironmentalAudioExposureEvent",
		"EnvironmentalAudioExposureEvent", "environmentalAudioExposureEvent", "audioExposureEvent"} {
		if mustLookup(t, name) != raw {
			t.Errorf("%s is another type", name)
		}
	}
	if raw.Identifier != "HKCategoryTypeIdentifierAudioExposureEvent" {
		t.Errorf("stored as %s", raw.Identifier)
	}
}

func TestValuesHaveEverySpelling(t *testing.T) {
	cases := []struct {
		typ, name string
		number    int
		label     string
	}{
		{"sleepAnalysis", "inBed", 0, "inBed"},
		{"sleepAnalysis", "asleep", 1, "asleepUnspecified"},
		{"sleepAnalysis", "HKCategoryValueSleepAnalysisAsleep", 1, "asleepUnspecified"},
		{"sleepAnalysis", "HKCategoryValueSleepAnalysisAsleepUnspecified", 1, "asleepUnspecified"},
		{"sleepAnalysis", "HKCategoryValueSleepAnalysisAsleepCore", 3, "asleepCore"},
		{"sleepAnalysis", "AsleepREM", 5, "asleepREM"},
		{"menstrualFlow", "HKCategoryValueMenstrualFlowHeavy", 4, "heavy"},
		{"menstrualFlow", "HKCategoryValueVaginalBleedingHeavy", 4, "heavy"},
		{"bleedingAfterPregnancy", "HKCategoryValueVaginalBleedingNone", 5, "none"},
		{"ovulationTestResult", "positive", 2, "luteinizingHormoneSurge"},
		{"ovulationTestResult", "HKCategoryValueOvulationTestResultLuteinizingHormoneSurge", 2, "luteinizingHormoneSurge"},
		{"audioExposureEvent", "HKCategoryValueEnvironmentalAudioExposureEventMomentaryLimit", 1, "momentaryLimit"},
		{"audioExposureEvent", "HKCategoryValueAudioExposureEventMomentaryLimit", 1, "momentaryLimit"},
		{"audioExposureEvent", "HKCategoryValueAudioExposureEventLoudEnvironment", 1, "momentaryLimit"},
		{"mindfulSession", "HKCategoryValueNotApplicable", 0, "notApplicable"},
		{"moodChanges", "HKCategoryValuePresencePresent", 0, "present"},
		{"moodChanges", "notPresent", 1, "notPresent"},
		{"headache", "HKCategoryValueSeverityNotPresent", 1, "notPresent"},
		{"appleStandHour", "HKCategoryValueAppleStandHourStood", 0, "stood"},
		{"menopausalState", "HKCategoryValueMenopausalStatePerimenopause", 2, "perimenopause"},
		{"biologicalSex", "HKBiologicalSexFemale", 1, "female"},
		{"bloodType", "HKBloodTypeOPositive", 7, "oPositive"},
	}
	for _, c := range cases {
		ty := mustLookup(t, c.typ)
		if n, ok := ty.Value(c.name); !ok || n != c.number {
			t.Errorf("%s.Value(%q) = %d, %v, want %d", c.typ, c.name, n, ok, c.number)
		}
		if n, ok := ty.ValueBytes([]byte(c.name)); !ok || n != c.number {
			t.Errorf("%s.ValueBytes(%q) = %d, %v, want %d", c.typ, c.name, n, ok, c.number)
		}
		if l, ok := ty.Label(c.number); !ok || l != c.label {
			t.Errorf("%s.Label(%d) = %q, %v, want %q", c.typ, c.number, l, ok, c.label)
		}
	}
}

func TestEveryLabelIsItsOwnValue(t *testing.T) {
	for _, ty := range All() {
		for _, v := range ty.Values {
			label, ok := ty.Label(v.Number)
			if n, found := ty.Value(label); !ok || !found || n != v.Number {
				t.Errorf("%s: %d is labelled %q, which is %d", ty, v.Number, label, n)
			}
		}
		if _, ok := ty.Label(-1); ok {
			t.Errorf("%s has a value -1", ty)
		}
		if ty.Kind == Category && len(ty.Values) == 0 {
			t.Errorf("category %s has no values", ty)
		}
	}
}

func TestRulesOfTypes(t *testing.T) {
	if ty := mustLookup(t, "menopausalState"); !ty.PointOnly {
		t.Error("menopausalState is not point-only")
	}
	for name, want := range map[string]bool{"stepCount": false, "appleExerciseTime": true,
		"electrocardiogram": true, "dateOfBirth": true, "workout": false, "sexualActivity": false,
		"nikeFuel": true, "sleepApneaEvent": true, "audioExposureEvent": true} {
		if ty := mustLookup(t, name); ty.ReadOnly != want {
			t.Errorf("%s: read-only is %v", name, ty.ReadOnly)
		}
	}
	for _, ty := range All() {
		want := time.Duration(0)
		if ty.Aggregation == Cumulative {
			want = 4 * 24 * time.Hour
		}
		if ty.MaxDuration != want {
			t.Errorf("%s: longest duration is %v, want %v", ty, ty.MaxDuration, want)
		}
		if ty.Kind.HasUnit() != (ty.Unit != "") || (ty.Kind == Quantity) != (ty.Aggregation != NoAggregation) {
			t.Errorf("%s: kind %v, unit %q, aggregation %v", ty, ty.Kind, ty.Unit, ty.Aggregation)
		}
	}
	for name, want := range map[string]string{"menstrualFlow": "MenstrualCycleStart",
		"insulinDelivery": "InsulinDeliveryReason"} {
		if ty := mustLookup(t, name); len(ty.Requires) != 1 || ty.Requires[0] != want {
			t.Errorf("%s requires %v", name, ty.Requires)
		}
	}
}

func TestBrokenTablesAreRefused(t *testing.T) {
	const good = "1,HKQuantityTypeIdentifierA,quantity,a,cumulative,m,,,,,,"
	for name, rows := range map[string][]string{
		"code twice":  {good, "1,HKQuantityTypeIdentifierB,quantity,b,cumulative,m,,,,,,"},
		"name twice":  {good, "2,HKCategoryTypeIdentifierA,category,b,,,E,x=1,,,,"},
		"code 0":      {"0,HKQuantityTypeIdentifierA,quantity,a,cumulative,m,,,,,,"},
		"kind":        {"1,HKQuantityTypeIdentifierA,quality,a,cumulative,m,,,,,,"},
		"aggregation": {"1,HKQuantityTypeIdentifierA,quantity,a,discrete,m,,,,,,"},
		"flag":        {"1,HKQuantityTypeIdentifierA,quantity,a,cumulative,m,,,secret,,,"},
		"values":      {"1,HKCategoryTypeIdentifierA,category,a,,,E,x,,,,"},
		"enum":        {"1,HKCategoryTypeIdentifierA,category,a,,,,x=1,,,,"},
		"columns":     {"1,2"},
	} {
		text := strings.Join(header, ",") + "\n" + strings.Join(rows, "\n")
		if _, err := parse(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := parse(strings.Join(header, ",") + "\n" + good); err != nil {
		t.Errorf("good table: %v", err)
	}
	if _, err := parse(good); err == nil {
		t.Error("table without header accepted")
	}
}

func TestBrokenRangesAreRefused(t *testing.T) {
	const types = "1,HKQuantityTypeIdentifierA,quantity,a,cumulative,m,,,,,,\n2,HKCategoryTypeIdentifierB,category,b,,,E,x=1,,,,"
	const top, good = "type,min,max,unit\n", "a,0,1,m\n"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"good": {top + good, true}, "header": {good, false}, "twice": {top + good + good, false},
		"unknown": {top + "c,0,1,m", false}, "category": {top + "b,0,1,m", false}, "columns": {top + "a,0", false},
		"empty": {top + "a,1,1,m", false}, "words": {top + "a,x,1,m", false}, "not a number": {top + "a,0,NaN,m", false},
	} {
		x, err := parse(strings.Join(header, ",") + "\n" + types)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.setRanges(c.text); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	name, value := []byte("HKCategoryTypeIdentifierSleepAnalysis"), []byte("HKCategoryValueSleepAnalysisAsleepCore")
	if n := testing.AllocsPerRun(100, func() {
		ty, _ := LookupBytes(name)
		ty.ValueBytes(value)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTableIsSortedCSV(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(typesCSV)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, ty := range All() {
		if rows[i+1][1] != ty.Identifier {
			t.Fatalf("row %d is %s: keep the file in the order of codes", i+1, rows[i+1][1])
		}
	}
}

func TestRawNamesFindTheirValues(t *testing.T) {
	check := func(where string, v *Vocabulary) {
		for _, value := range v.Values {
			raw, ok := v.RawName(value.Number)
			n, found := v.Value(raw)
			if !ok || !found || n != value.Number || !strings.HasPrefix(raw, "HK") {
				t.Errorf("%s: the raw name of %d is %q", where, value.Number, raw)
			}
		}
		if raw, ok := v.RawName(-1); ok {
			t.Errorf("%s: -1 has the raw name %q", where, raw)
		}
	}
	for _, ty := range All() {
		check(ty.Short(), &ty.Vocabulary)
	}
	for name := range vocabularies {
		check(name, Words(name))
	}
}
