package apple

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/google/go-cmp/cmp"

	pb "healthledger/proto/healthledger/v1"
)

const dates = ` startDate="2024-01-01 10:00:00 +0000" endDate="2024-01-01 11:00:00 +0000"`

// TestElementsBecomeObjects: each element as the DTD and real exports have it, in the text
// form of what its body becomes.
func TestElementsBecomeObjects(t *testing.T) {
	for name, c := range map[string]struct{ element, typ, body string }{
		"workout with totals in attributes": {
			`<Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="1.5" durationUnit="min" totalDistance="5" totalDistanceUnit="km" totalEnergyBurned="300" totalEnergyBurnedUnit="kcal" sourceName="s"` + dates + `/>`,
			"workout", `workout { activity: "running" duration: 90 total_distance { value: 5 unit: "km" } total_energy_burned { value: 300 unit: "kcal" } }`},
		"workout with everything in children": {
			`<Workout workoutActivityType="HKWorkoutActivityTypeSwimming"` + dates + `>
			  <WorkoutActivity uuid="5E1D2A44-0C1B-4E8C-9A57-3C0C9B6E7F10" startDate="2024-01-01 10:00:00 +0000" duration="2" durationUnit="hr"><WorkoutEvent type="HKWorkoutEventTypeLap" date="2024-01-01 10:00:00 +0000"><MetadataEntry key="k" value="v"/></WorkoutEvent></WorkoutActivity>
			  <WorkoutStatistics type="HKQuantityTypeIdentifierHeartRate" average="131.5" minimum="88" maximum="171" unit="count/min"/>
			  <Record type="HKQuantityTypeIdentifierWorkoutEffortScore" unit="appleEffortScore" value="6"` + dates + `/>
			 </Workout>`,
			"workout", `workout { activity: "swimming"
			  activities { uuid: "5e1d2a44-0c1b-4e8c-9a57-3c0c9b6e7f10" start { seconds: 1704103200 } duration: 7200 events { type: "lap" start { seconds: 1704103200 } metadata { key: "k" text: "v" } } }
			  statistics { type: "heartRate" unit: "count/min" average: 131.5 minimum: 88 maximum: 171 } }
			  members { type: "workoutEffortScore" start { seconds: 1704103200 } end { seconds: 1704106800 } value: 6 unit: "appleEffortScore" }`},
		"what is not known of a workout is kept": {
			`<Workout workoutActivityType="HKWorkoutActivityTypeMoonwalk" duration="7" mood="good"` + dates + `>hm<WorkoutEvent type="HKWorkoutEventTypeNap" date="2024-01-01 10:00:00 +0000"/><WorkoutStatistics type="HKQuantityTypeIdentifierAura" unit="count" sum="1"/><MetadataEntry key="k" value="v" more="m"/></Workout>`,
			"workout", `workout { activity: "other" }
			  kept { format: "apple-health-xml" name: "@workoutActivityType" value: "HKWorkoutActivityTypeMoonwalk" }
			  kept { format: "apple-health-xml" name: "@duration" value: "7" }
			  kept { format: "apple-health-xml" name: "@mood" value: "good" }
			  kept { format: "apple-health-xml" name: "#text" value: "hm" }
			  kept { format: "apple-health-xml" name: "WorkoutEvent" value: "<WorkoutEvent type=\"HKWorkoutEventTypeNap\" date=\"2024-01-01 10:00:00 +0000\"/>" }
			  kept { format: "apple-health-xml" name: "WorkoutStatistics" value: "<WorkoutStatistics type=\"HKQuantityTypeIdentifierAura\" unit=\"count\" sum=\"1\"/>" }
			  kept { format: "apple-health-xml" name: "MetadataEntry" value: "<MetadataEntry key=\"k\" value=\"v\" more=\"m\"/>" }`},
		"inline route": {
			`<Workout workoutActivityType="HKWorkoutActivityTypeRunning"` + dates + `><WorkoutRoute><Location date="2024-01-01 10:00:00 +0000" latitude="37.5" longitude="-122.25" altitude="21" horizontalAccuracy="2" verticalAccuracy="1" course="-1" speed="2.5"/><Location date="2024-01-01 10:00:02 +0000" latitude="37.5" longitude="-122.5"/></WorkoutRoute></Workout>`,
			"workout", `workout { activity: "running" } members { type: "workoutRoute" start { seconds: 1704103200 } end { seconds: 1704106800 } workout_route {}
			  payload { locations { time: 1704103200000000 time: 2000000 latitude: 37.5 latitude: 37.5 longitude: -122.25 longitude: -122.5 altitude: 21 altitude: nan speed: 2.5 speed: nan course: -1 course: nan horizontal_accuracy: 2 horizontal_accuracy: nan vertical_accuracy: 1 vertical_accuracy: nan } } }`},
		"correlation": {
			`<Correlation type="HKCorrelationTypeIdentifierBloodPressure" sourceName="s"` + dates + `>` + bloodPressure("Systolic", "120", ` mood="x"`) + bloodPressure("Diastolic", "80", "") + `<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="1"` + dates + `/></Correlation>`,
			"bloodPressure", `members { type: "bloodPressureSystolic" start { seconds: 1704103200 } end { seconds: 1704106800 } value: 120 unit: "mmHg" source { name: "s" } kept { format: "apple-health-xml" name: "@mood" value: "x" } }
			  members { type: "bloodPressureDiastolic" start { seconds: 1704103200 } end { seconds: 1704106800 } value: 80 unit: "mmHg" source { name: "s" } }
			  kept { format: "apple-health-xml" name: "Record" value: "<Record type=\"HKQuantityTypeIdentifierStepCount\" unit=\"count\" value=\"1\" startDate=\"2024-01-01 10:00:00 +0000\" endDate=\"2024-01-01 11:00:00 +0000\"/>" }`},
		"half a correlation, of a reader who saw no more": {
			`<Correlation type="HKCorrelationTypeIdentifierBloodPressure" sourceName="s"` + dates + `>` + bloodPressure("Systolic", "120", "") + `</Correlation>`,
			"bloodPressure", `members { type: "bloodPressureSystolic" start { seconds: 1704103200 } end { seconds: 1704106800 } value: 120 unit: "mmHg" source { name: "s" } }`},
		"a correlation that is none is kept raw": {
			`<Correlation type="HKCorrelationTypeIdentifierBloodPressure" sourceName="s"` + dates + `>` + bloodPressure("Systolic", "120", "") + bloodPressure("Systolic", "120", "") + `</Correlation>`,
			"importedElement", `imported_element { element { format: "apple-health-xml" name: "Correlation" value: "<Correlation type=\"HKCorrelationTypeIdentifierBloodPressure\" sourceName=\"s\" startDate=\"2024-01-01 10:00:00 +0000\" endDate=\"2024-01-01 11:00:00 +0000\"><Record type=\"HKQuantityTypeIdentifierBloodPressureSystolic\" sourceName=\"s\" unit=\"mmHg\" startDate=\"2024-01-01 10:00:00 +0000\" endDate=\"2024-01-01 11:00:00 +0000\" value=\"120\"/><Record type=\"HKQuantityTypeIdentifierBloodPressureSystolic\" sourceName=\"s\" unit=\"mmHg\" startDate=\"2024-01-01 10:00:00 +0000\" endDate=\"2024-01-01 11:00:00 +0000\" value=\"120\"/></Correlation>" } why: "refused for its members" }`},
		"activity summary": {
			`<ActivitySummary dateComponents="2016-11-15" activeEnergyBurned="590.252" activeEnergyBurnedGoal="630" activeEnergyBurnedUnit="kcal" appleMoveMinutes="3" appleExerciseTime="68" appleExerciseTimeGoal="30" appleStandHours="13" appleStandHoursGoal="12"/>`,
			"activitySummary", `activity_summary { day: "2016-11-15" active_energy_burned { value: 590.252 unit: "kcal" } active_energy_burned_goal { value: 630 unit: "kcal" } move_time { value: 3 unit: "min" } exercise_time { value: 68 unit: "min" } exercise_time_goal { value: 30 unit: "min" } stand_hours { value: 13 unit: "count" } stand_hours_goal { value: 12 unit: "count" } }`},
		"audiogram": {
			`<Audiogram type="HKDataTypeIdentifierAudiogram" sourceName="Mimi"` + dates + `><SensitivityPoint frequencyValue="1000" frequencyUnit="Hz" leftEarValue="12.5" leftEarUnit="dBHL" leftEarMasked="YES" leftEarClampingRangeLowerBound="-10" rightEarValue="9" rightEarUnit="dBHL" color="red"/></Audiogram>`,
			"audiogram", `audiogram { points { frequency { value: 1000 unit: "Hz" } tests { side: "left" sensitivity { value: 12.5 unit: "dBHL" } masked: true clamping_lower { value: -10 unit: "dBHL" } } tests { side: "right" sensitivity { value: 9 unit: "dBHL" } } kept { format: "apple-health-xml" name: "@color" value: "red" } } }`},
		"prescription": {
			`<VisionPrescription type="HKVisionPrescriptionTypeContacts" dateIssued="2024-01-01 10:00:00 +0000" expirationDate="2025-01-01 10:00:00 +0000" brand="B"><RightEye sphere="-1.25" sphereUnit="D" baseCurve="8.6" baseCurveUnit="mm"/></VisionPrescription>`,
			"visionPrescription", `vision_prescription { type: "contacts" brand: "B" expires: true right_eye { sphere { value: -1.25 unit: "D" } base_curve { value: 8.6 unit: "mm" } } }`},
		"clinical record whose file is gone": {
			`<ClinicalRecord type="Condition" identifier="c-1" sourceName="C" sourceURL="https://x" fhirVersion="4.0.1" receivedDate="2024-01-01 10:00:00 +0000" resourceFilePath="/clinical-records/Condition-1.json"/>`,
			"conditionRecord", `clinical_record { identifier: "c-1" resource_type: "Condition" fhir_version: "4.0.1" source_url: "https://x" received { seconds: 1704103200 } }`},
		"characteristic": {`<Me HKCharacteristicTypeIdentifierBloodType="HKBloodTypeAPositive"/>`, "bloodType", `characteristic { label: "aPositive" }`},
		"characteristic as an element": {
			`<Me><HKCharacteristicTypeIdentifierDateOfBirth>1990-01-31</HKCharacteristicTypeIdentifierDateOfBirth></Me>`, "dateOfBirth", `characteristic { date: "1990-01-31" }`},
		"characteristic that is not known": {`<Me shoeSize="41"/>`, "importedElement", `imported_element { element { format: "apple-health-xml" name: "@shoeSize" value: "41" } why: "unknown characteristic" }`},
		"sleep goal":                       {`<Record type="HKDataTypeSleepDurationGoal" sourceName="s" unit="hr" value="8"` + dates + `/>`, "sleepDurationGoal", ``},
		"attribute of a record":            {`<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="8" heart rate="5"` + dates + `/>`, "stepCount", `kept { format: "apple-health-xml" name: "@heart rate" value: "5" }`},
		"child of a record":                {`<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="8"` + dates + `><Mood>good</Mood></Record>`, "stepCount", `kept { format: "apple-health-xml" name: "Mood" value: "<Mood>good</Mood>" }`},
		"aggregate of iOS 8":               {`<Record type="HKQuantityTypeIdentifierHeartRate" source="s" unit="count/s" startDate="201410011000-0700" endDate="20141001103000-0700" min="1" max="2" average="1.25" recordCount="7"/>`, "heartRate", `kept { format: "apple-health-xml" name: "@min" value: "1" } kept { format: "apple-health-xml" name: "@max" value: "2" } kept { format: "apple-health-xml" name: "@average" value: "1.25" } kept { format: "apple-health-xml" name: "@recordCount" value: "7" }`},
		"unknown element":                  {`<StateOfMind a="1">calm<!-- x --></StateOfMind>`, "importedElement", `imported_element { element { format: "apple-health-xml" name: "StateOfMind" value: "<StateOfMind a=\"1\">calm<!-- x --></StateOfMind>" } why: "unknown element" }`},
		"text":                             {`so it goes`, "importedElement", `imported_element { element { format: "apple-health-xml" name: "#text" value: "\nso it goes\n" } why: "text between elements" }`},
	} {
		t.Run(name, func(t *testing.T) {
			l, report := mustImport(t, exportOf(c.element))
			got := l.samples()
			if len(got) != 1 || got[0].typ.Short() != c.typ {
				t.Fatalf("got %+v, %+v", got, report.Elements)
			}
			body := got[0].object()
			if body == nil {
				body = &pb.Sample{}
			}
			want := &pb.Sample{}
			if err := prototext.Unmarshal([]byte(c.body), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, body, protocmp.Transform()); diff != "" && !(strings.Contains(c.body, "nan") && equalButNaN(want, body)) {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// equalButNaN compares by bytes, for which one NaN is like another.
func equalButNaN(a, b *pb.Sample) bool {
	x, err := proto.MarshalOptions{Deterministic: true}.Marshal(a)
	y, err2 := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

func bloodPressure(which, value, more string) string {
	return `<Record type="HKQuantityTypeIdentifierBloodPressure` + which + `" sourceName="s" unit="mmHg"` + dates + ` value="` + value + `"` + more + `/>`
}

func TestAggregateOfIOS8HasItsMeanAsValue(t *testing.T) {
	l, _ := mustImport(t, exportOf(`<Record type="HKQuantityTypeIdentifierHeartRate" source="Anna’s Watch" unit="count/s" startDate="201410011000-0700" endDate="20141001103000-0700" minimum="1" maximum="2" average="1.25" recordCount="7"/>`))
	got := l.of("heartRate")[0]
	if got.Value != 1.25 || got.unit != "count/s" || got.source.Name != "Anna’s Watch" || got.End-got.Start != 1800e6 || got.Start != 1412182800e6 {
		t.Errorf("got %+v", got)
	}
}

func TestFilesBesideTheDocumentAreRead(t *testing.T) {
	folder := filepath.Join(testdata(t, "apple-export"), "paulstaab+health-data-parser", "tests", "fixtures")
	var l fakeLedger
	report, err := Import(context.Background(), filepath.Join(folder, "export.xml"), &l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	points := 0
	for _, s := range l.of("workout") {
		for _, m := range s.object().Members {
			for _, c := range l.payload(m) {
				points += len(c.Locations.Time)
			}
		}
	}
	want := 0
	paths, _ := filepath.Glob(filepath.Join(folder, "workout-routes", "*.gpx"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want += strings.Count(string(content), "<trkpt")
	}
	if points != want || want == 0 || len(report.Warnings) != 0 {
		t.Errorf("%d points of %d; %q", points, want, report.Warnings)
	}
}

func TestFolderOfTheDocumentIsNotLeft(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.gpx")
	const gpx = `<gpx><trk><trkseg><trkpt lat="1" lon="2"><time>2024-01-01T10:00:00Z</time></trkpt></trkseg></trk></gpx>`
	inner := filepath.Join(dir, "inner")
	document := exportOf(`<Workout workoutActivityType="HKWorkoutActivityTypeRunning"` + dates + `><WorkoutRoute><FileReference path="../secret.gpx"/></WorkoutRoute><WorkoutRoute><FileReference path="/link.gpx"/></WorkoutRoute></Workout>`)
	if err := os.MkdirAll(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{secret: gpx, filepath.Join(inner, "export.xml"): string(document)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(inner, "link.gpx")); err != nil {
		t.Fatal(err)
	}
	var l fakeLedger
	report, err := Import(context.Background(), filepath.Join(inner, "export.xml"), &l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.of("workout")[0].object().Members {
		if len(l.payload(m)) > 0 {
			t.Error("a file outside of the folder was read")
		}
	}
	if len(report.Warnings) != 1 {
		t.Errorf("warnings: %q", report.Warnings)
	}
}
