package healthautoexport

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// parse reads a document and checks what holds for every one.
func parse(t testing.TB, document string) ([]*pb.Sample, Report, error) {
	t.Helper()
	var samples []*pb.Sample
	report, err := Parse(strings.NewReader(document), func(s *pb.Sample) error {
		samples = append(samples, s)
		return nil
	}, Options{})
	checkReport(t, report, samples)
	return samples, report, err
}

// checkReport checks that each element is mapped or kept, and that the ledger would take
// every sample.
func checkReport(t testing.TB, report Report, samples []*pb.Sample) {
	t.Helper()
	for kind, c := range report.Kinds {
		var why uint64
		for _, n := range c.Why {
			why += n
		}
		if c.Found != c.Mapped+c.Kept || c.Kept != why {
			t.Errorf("%s: found %d, mapped %d, kept %d for %d reasons", kind, c.Found, c.Mapped, c.Kept, why)
		}
	}
	if report.Samples != uint64(len(samples)) {
		t.Errorf("%d samples came, %d are reported", len(samples), report.Samples)
	}
	p := &parser{}
	for _, s := range samples {
		if err := p.check(s); err != nil {
			t.Errorf("the ledger would refuse a %s: %v", s.Type, err)
		}
	}
}

func mustParse(t testing.TB, document string) ([]*pb.Sample, Report) {
	t.Helper()
	samples, report, err := parse(t, document)
	if err != nil {
		t.Fatal(err)
	}
	return samples, report
}

func file(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestEveryMetricOfTheTableIsMapped(t *testing.T) {
	extra := map[string]string{
		"bloodPressure": `"systolic":120,"diastolic":80`, "insulinDelivery": `"qty":2,"reason":"Basal"`,
		"sleepAnalysis":  `"startDate":"2025-03-09 01:00:00 +0000","endDate":"2025-03-09 02:00:00 +0000","value":"Deep","qty":1`,
		"sexualActivity": `"Unspecified":1`,
	}
	for name, m := range metrics {
		if m.typ == nil {
			continue
		}
		fields, units := extra[m.typ.Short()], m.typ.Unit
		if fields == "" {
			fields = `"qty":7`
		}
		switch m.typ.Kind {
		case catalog.Category:
			units = "min"
		case catalog.Correlation:
			units = "mmHg"
		}
		if m.typ.Short() == "sleepAnalysis" {
			units = "hr"
		}
		samples, report := mustParse(t, fmt.Sprintf(`{"data":{"metrics":[{"name":%q,"units":%q,"data":[{"date":"2025-03-09 01:00:00 +0000",%s}]}]}}`, name, units, fields))
		if c := report.Total(); c.Mapped != 1 || c.Found != 1 {
			t.Errorf("%s: %+v", name, c)
			continue
		}
		if s := samples[0]; s.Type != m.typ.Short() || len(s.Kept) > 1 || m.typ.Kind == catalog.Quantity && len(s.Kept) != 0 {
			t.Errorf("%s became %v", name, s)
		}
	}
}

// kinds of samples in a row, for short.
func types(samples []*pb.Sample) (list []string) {
	for _, s := range samples {
		list = append(list, s.Type)
	}
	return list
}

func TestVersion2(t *testing.T) {
	samples, report := mustParse(t, file(t, "v2.json"))
	want := []string{
		"stepCount", "stepCount", "heartRate", "heartRate", "oxygenSaturation", "bloodPressure", "bloodGlucose", "bloodGlucose", "insulinDelivery",
		"sleepAnalysis", "sleepAnalysis", "sleepAnalysis", "mindfulSession", "handwashingEvent", "importedElement", "importedElement",
		"workout", "workout", "soreThroat", "importedElement", "menstrualFlow", "cervicalMucusQuality", "electrocardiogram", "stateOfMind",
		"medicationDoseEvent", "userAnnotatedMedication", "medicationDoseEvent", "lowHeartRateEvent",
	}
	if diff := cmp.Diff(want, types(samples)); diff != "" {
		t.Fatal(diff)
	}
	if c := report.Total(); c.Found != 27 || c.Kept != 3 {
		t.Errorf("%+v", c)
	}
	for _, one := range []struct{ typ, json string }{
		{"oxygenSaturation", `{"type":"oxygenSaturation","start":"2025-03-09T01:40:11Z","value":0.96,"unit":"%","source":{"name":"Mara’s Watch"}}`},
		{"bloodPressure", `{"type":"bloodPressure","start":"2025-03-09T07:00:00Z","source":{"name":"Cuff"},"members":[
			{"type":"bloodPressureSystolic","start":"2025-03-09T07:00:00Z","value":117,"unit":"mmHg"},
			{"type":"bloodPressureDiastolic","start":"2025-03-09T07:00:00Z","value":76,"unit":"mmHg"}]}`},
		{"bloodGlucose", `{"type":"bloodGlucose","start":"2025-03-09T06:30:00Z","value":5.4,"unit":"mmol<180.15588000005408>/L","source":{"name":"Meter"},
			"metadata":[{"key":"HKBloodGlucoseMealTime","number":1}]}`},
		{"insulinDelivery", `{"type":"insulinDelivery","start":"2025-03-09T06:35:00Z","value":4,"unit":"IU","source":{"name":"Pump"},
			"metadata":[{"key":"HKInsulinDeliveryReason","number":2}]}`},
		{"sleepAnalysis", `{"type":"sleepAnalysis","start":"2025-03-08T22:10:00Z","end":"2025-03-08T22:40:00Z","label":"asleepCore","source":{"name":"Mara’s Watch"}}`},
		{"mindfulSession", `{"type":"mindfulSession","start":"2025-03-09T11:00:00Z","end":"2025-03-09T11:04:00Z","value":0,"source":{"name":"Breathe"}}`},
		{"handwashingEvent", `{"type":"handwashingEvent","start":"2025-03-09T11:30:00Z","end":"2025-03-09T11:30:21Z","value":0,"source":{"name":"Mara’s Watch"},
			"kept":[{"format":"health-auto-export-json","name":"@value","value":"\"Complete\""}]}`},
		{"soreThroat", `{"type":"soreThroat","start":"2025-03-09T09:00:00Z","end":"2025-03-09T10:00:00Z","label":"mild","source":{"name":"Health"},
			"metadata":[{"key":"HKWasUserEntered","number":1}]}`},
		{"menstrualFlow", `{"type":"menstrualFlow","start":"2025-02-28T23:00:00Z","end":"2025-03-01T22:59:59Z","label":"medium","metadata":[{"key":"HKMenstrualCycleStart","number":1}]}`},
		{"electrocardiogram", `{"type":"electrocardiogram","start":"2025-03-09T19:00:01Z","end":"2025-03-09T19:00:31Z","source":{"name":"ECG"},
			"electrocardiogram":{"classification":"sinusRhythm","averageHeartRate":{"value":61,"unit":"count/min"},"samplingFrequency":500},
			"kept":[{"format":"health-auto-export-json","name":"voltageMeasurements[0].date","value":"1741546801.25"}],
			"payload":[{"microvolts":[11.5,-3.25,4]}]}`},
		{"stateOfMind", `{"type":"stateOfMind","uuid":"2f1ad8c2-0b34-47f4-9d3b-6b8c1e2f0a77","start":"2025-03-09T20:00:00Z",
			"stateOfMind":{"kind":"dailyMood","valence":0.42,"labels":["content","calm"],"associations":["selfCare"]},
			"kept":[{"format":"health-auto-export-json","name":"@valenceClassification","value":"\"slightly_pleasant\""}]}`},
		{"medicationDoseEvent", `{"type":"medicationDoseEvent","start":"2025-03-09T07:01:10Z","medicationDoseEvent":{"medication":"http://example.org/drugs|4711",
			"status":"taken","schedule":"schedule","scheduled":"2025-03-09T07:00:00Z","dose":1}}`},
		{"userAnnotatedMedication", `{"type":"userAnnotatedMedication","start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:00:00Z",
			"medication":{"concept":"http://example.org/drugs|4711","name":"Ironol","generalForm":"Tablet","codings":[{"system":"http://example.org/drugs","code":"4711"}]}}`},
		{"lowHeartRateEvent", `{"type":"lowHeartRateEvent","start":"2025-03-09T02:00:00Z","end":"2025-03-09T02:10:00Z","value":0,"source":{"name":"Mara’s Watch"},
			"metadata":[{"key":"HKHeartRateEventThreshold","quantity":{"value":45,"unit":"count/min"}}],
			"kept":[{"format":"health-auto-export-json","name":"heartRateData","value":"[ { \"date\" : 1741485600.5, \"heartRate\" : 43, \"units\" : \"count/min\" } ]"}]}`},
	} {
		compare(t, samples, one.typ, one.json)
	}
}

// compare compares the first sample of a type.
func compare(t *testing.T, samples []*pb.Sample, typ, text string) {
	t.Helper()
	at := slices.IndexFunc(samples, func(s *pb.Sample) bool { return s.Type == typ })
	if at < 0 {
		t.Errorf("no %s", typ)
		return
	}
	want := &pb.Sample{}
	if err := protojson.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, samples[at], protocmp.Transform()); diff != "" {
		t.Errorf("%s (-want +got)\n%s", typ, diff)
	}
}

func TestWorkouts(t *testing.T) {
	two, _ := mustParse(t, file(t, "v2.json"))
	compare(t, two, "workout", `{"type":"workout","uuid":"7b0f2c1e-4d7a-4c53-9d1a-0e6e0c5b9a11","start":"2025-03-09T16:00:00Z","end":"2025-03-09T16:30:00Z",
		"workout":{"activity":"running","duration":1795.5,"totalDistance":{"value":5.02,"unit":"km"},"totalEnergyBurned":{"value":1310,"unit":"kJ"},
			"statistics":[{"type":"heartRate","unit":"count/min","minimum":101,"average":151,"maximum":172}]},
		"metadata":[{"key":"HKAverageMETs","quantity":{"value":9.1,"unit":"kcal/hr·kg"}},{"key":"HKWeatherTemperature","quantity":{"value":11,"unit":"degC"}},
			{"key":"HKWeatherHumidity","quantity":{"value":0.64,"unit":"%"}},{"key":"HKAverageSpeed","quantity":{"value":10.1,"unit":"km/hr"}},
			{"key":"HKElevationAscended","quantity":{"value":41.5,"unit":"m"}},{"key":"HKIndoorWorkout","number":0}],
		"members":[
			{"type":"workoutRoute","start":"2025-03-09T16:00:05Z","end":"2025-03-09T16:00:06Z","workoutRoute":{},
				"payload":[{"locations":{"time":["1741536005000000","1000000"],"latitude":[50.1,50.1002],"longitude":[8.6,8.6003],"altitude":[101.5,101.7],
					"speed":[2.7,2.8],"course":[12,13],"horizontalAccuracy":[4.2,4.1],"verticalAccuracy":[3.1,3.1]}}],
				"kept":[{"format":"health-auto-export-json","name":"courseAccuracy","value":"[3,3]"},{"format":"health-auto-export-json","name":"speedAccuracy","value":"[0.4,0.4]"}]},
			{"type":"heartRate","start":"2025-03-09T16:01:00Z","value":131,"unit":"count/min","source":{"name":"Mara’s Watch"},
				"kept":[{"format":"health-auto-export-json","name":"@Min","value":"120"},{"format":"health-auto-export-json","name":"@Max","value":"140"}]},
			{"type":"heartRate","start":"2025-03-09T16:02:00Z","value":150,"unit":"count/min","source":{"name":"Mara’s Watch"}},
			{"type":"heartRate","start":"2025-03-09T16:30:30Z","value":141,"unit":"count/min","source":{"name":"Mara’s Watch"}},
			{"type":"stepCount","start":"2025-03-09T16:01:00Z","value":160,"unit":"count","source":{"name":"Mara’s Watch"}},
			{"type":"distanceWalkingRunning","start":"2025-03-09T16:01:00Z","value":0.168,"unit":"km","source":{"name":"Mara’s Watch"}}],
		"kept":[{"format":"health-auto-export-json","name":"@name","value":"\"Outdoor Run\""},
			{"format":"health-auto-export-json","name":"@location","value":"\"Outdoor\""},
			{"format":"health-auto-export-json","name":"totalEnergy","value":"{ \"qty\" : 1500, \"units\" : \"kJ\" }"}]}`)
	one, _ := mustParse(t, file(t, "v1.json"))
	compare(t, one, "workout", `{"type":"workout","start":"2022-06-01T00:02:43Z","end":"2022-06-01T00:21:53Z",
		"workout":{"activity":"walking","totalDistance":{"value":1.1,"unit":"km"},"totalEnergyBurned":{"value":226.5,"unit":"kJ"},
			"totalFlightsClimbed":{"value":2,"unit":"count"},
			"statistics":[{"type":"stepCount","unit":"count","sum":908},{"type":"heartRate","unit":"count/min","average":99,"maximum":121}]},
		"metadata":[{"key":"HKAverageMETs","quantity":{"value":3.5,"unit":"kcal/hr·kg"}},{"key":"HKElevationAscended","quantity":{"value":16.5,"unit":"m"}},
			{"key":"HKElevationDescended","quantity":{"value":0,"unit":"m"}}],
		"members":[
			{"type":"workoutRoute","start":"2022-06-01T00:04:45Z","end":"2022-06-01T00:04:46Z","workoutRoute":{},
				"payload":[{"locations":{"time":["1654041885000000","1000000"],"latitude":[1.3,1.3001],"longitude":[103.8,103.8002],"altitude":[8.25,8.5]}}]},
			{"type":"heartRate","start":"2022-06-01T00:02:47Z","value":108,"unit":"count/min"}],
		"kept":[{"format":"health-auto-export-json","name":"totalEnergy","value":"{\"qty\": 301, \"units\": \"kJ\"}"},
			{"format":"health-auto-export-json","name":"stepCadence","value":"{\"qty\": 47, \"units\": \"spm\"}"}]}`)
	other := two[slices.IndexFunc(two, func(s *pb.Sample) bool { return s.Type == "workout" })+1]
	if other.GetWorkout().GetActivity() != "other" || len(other.Kept) != 1 || other.Kept[0].Value != `"Ballroom on Ice"` {
		t.Errorf("an activity that nobody knows became %v", other)
	}
}

func TestNightsThatAreSamples(t *testing.T) {
	samples, report := mustParse(t, file(t, "v1.json"))
	if c := report.Kinds["metrics: sleep_analysis"]; c.Mapped != 1 || c.Kept != 1 || c.Why[errNight.Error()] != 1 {
		t.Errorf("%+v", c)
	}
	compare(t, samples, "sleepAnalysis", `{"type":"sleepAnalysis","start":"2022-05-31T18:12:00Z","end":"2022-06-01T01:04:30Z","label":"inBed","source":{"name":"Phone"},
		"kept":[{"format":"health-auto-export-json","name":"@date","value":"\"2022-06-01 9:03:36 AM +0800\""}]}`)
	if c := report.Kinds["metrics: sexual_activity"]; c.Mapped != 1 || c.Why[errSeveralEvents.Error()] != 1 {
		t.Errorf("%+v", c)
	}
	compare(t, samples, "sexualActivity", `{"type":"sexualActivity","start":"2022-06-03T14:00:00Z","value":0,"metadata":[{"key":"HKSexualActivityProtectionUsed","number":1}]}`)
	compare(t, samples, "importedElement", `{"type":"importedElement","start":"2022-06-01T16:23:47Z","end":"2022-06-01T23:39:12Z","source":{"name":"Phone|Watch"},
		"importedElement":{"why":"`+errNight.Error()+`","element":{"format":"health-auto-export-json","name":"metrics",
		"value":"{\"name\":\"sleep_analysis\",\"units\":\"hr\",\"data\":[{\"date\":\"2022-06-02\",\"asleep\":0,\"core\":3.25,\"deep\":0.75,\"rem\":1.5,\"awake\":0.25,\"inBed\":7.25,\"sleepStart\":\"2022-06-02 12:23:47 AM +0800\",\"sleepEnd\":\"2022-06-02 7:39:12 AM +0800\",\"source\":\"Phone|Watch\"}]}"}}}`)
}

func TestDates(t *testing.T) {
	const want = 1707258600_000000
	for _, text := range []string{
		`"2024-02-06 14:30:00 -0800"`, `"2024-02-06 2:30:00 PM -0800"`, `"2024-02-06 2:30:00 pm -0800"`, "\"2024-02-06 2:30:00\u202fPM -0800\"",
		"\"2024-02-06 2:30:00\u00a0pm -0800\"", `"2024-02-06T14:30:00-08:00"`, `"2024-02-06T22:30:00Z"`, `"2024-02-06 14:30:00-08:00"`,
		`"2024-02-06T14:30:00-0800"`, `"2024-02-06 14:30:00 -08:00"`, `1707258600`, `1707258600.0000001`, `"2024-02-06 14:30:00.0000004 -0800"`,
	} {
		if got, ok := parseDate([]byte(text)); !ok || got.UnixMicro() != want {
			t.Errorf("%s is %v", text, got)
		}
	}
	for _, text := range []string{`""`, `"2024-02-06"`, `"yesterday"`, `null`, `true`, `1e30`, `"0000-02-06 14:30:00 -0800"`, `"2024-13-06 14:30:00 -0800"`} {
		if got, ok := parseDate([]byte(text)); ok {
			t.Errorf("%s is %v", text, got)
		}
	}
}

func TestSeveralDocumentsFollowEachOther(t *testing.T) {
	one := `{"data":{"symptoms":[{"start":"2025-03-09 10:00:00 +0100","end":"2025-03-09 10:00:00 +0100","name":"Fever","severity":"Present"}]}}`
	samples, report := mustParse(t, "\ufeff"+one+"\n"+one+one)
	if len(samples) != 3 || report.Kinds["symptoms"].Mapped != 3 || samples[0].Label != "unspecified" {
		t.Errorf("%v", samples)
	}
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	for name, document := range map[string]string{
		"nothing": "", "spaces": " \n", "XML": "<HealthData/>", "an array": "[]", "a number": "17", "another object": `{"data":{"points":[1]}}`, "CSV": "a,b\n1,2\n",
	} {
		if _, _, err := parse(t, document); !errors.Is(err, ErrNotExport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatCameBeforeTheEndOfABrokenDocumentIsGood(t *testing.T) {
	document := file(t, "v2.json")
	whole, _ := mustParse(t, document)
	for _, cut := range []int{len(document) / 4, len(document) / 2, len(document) - 3} {
		for _, end := range []string{"", "?"} {
			samples, _, err := parse(t, document[:cut]+end)
			if err == nil || errors.Is(err, ErrNotExport) || len(samples) >= len(whole) && cut < len(document)-3 {
				t.Errorf("cut at %d: %d samples, %v", cut, len(samples), err)
			}
		}
	}
}

func TestAnErrorOfTheReceiverEndsTheParsing(t *testing.T) {
	full := errors.New("full")
	n := 0
	_, err := Parse(strings.NewReader(file(t, "v2.json")), func(*pb.Sample) error { n++; return full }, Options{})
	if !errors.Is(err, full) || n != 1 {
		t.Errorf("%d samples, %v", n, err)
	}
}

func TestUnreadableElementsAreKeptWhole(t *testing.T) {
	for why, document := range map[string]string{
		"no JSON object":                  `{"data":{"symptoms":[5]}}`,
		errNoDate.Error():                 `{"data":{"symptoms":[{"name":"Fever","severity":"Mild"}]}}`,
		errUnknownSection.Error():         `{"data":{"metrics":{"a":[1,{"b":null}]}}}`,
		errUnknownMetric.Error():          `{"data":{"metrics":[{"data":[{"date":"2025-03-09 10:00:00 +0100","qty":1}]}]}}`,
		errMetricField.Error():            `{"data":{"metrics":[{"name":"step_count","units":"count","color":"red","data":[]}]}}`,
		"unit: not compatible with count": `{"data":{"metrics":[{"name":"step_count","units":"kg","data":[{"date":"2025-03-09 10:00:00 +0100","qty":1}]}]}}`,
		errUneven.Error(): `{"data":{"ecg":[{"start":"2025-03-09 10:00:00 +0100","end":"2025-03-09 10:00:30 +0100","classification":"sinus rhythm","samplingFrequency":2,
			"voltageMeasurements":[{"date":1,"voltage":1,"units":"mcV"},{"date":3,"voltage":1,"units":"mcV"}]}]}}`,
		errLocation.Error(): `{"data":{"workouts":[{"name":"Running","start":"2025-03-09 10:00:00 +0100","end":"2025-03-09 10:30:00 +0100","route":[{"latitude":1}]}]}}`,
	} {
		samples, report := mustParse(t, document)
		if c := report.Total(); c.Kept != 1 || c.Why[why] != 1 || len(samples) != 1 || samples[0].GetImportedElement().GetWhy() != why {
			t.Errorf("%s: %v %+v", why, samples, c)
		}
	}
}

func TestLargeElementsAreKeptInPieces(t *testing.T) {
	text := strings.Repeat("Ωx", 150_000)
	samples, report := mustParse(t, `{"data":{"ecg":[{"start":"2025-03-09 10:00:00 +0100","note":"`+text+`"}]}}`)
	if c := report.Total(); c.Kept != 1 || len(samples) != 3 {
		t.Fatalf("%d samples, %+v", len(samples), c)
	}
	var all strings.Builder
	for i, s := range samples {
		if want := fmt.Sprintf("ecg (part %d of 3)", i+1); s.GetImportedElement().GetElement().GetName() != want {
			t.Errorf("%q is not %q", s.GetImportedElement().GetElement().GetName(), want)
		}
		all.WriteString(s.GetImportedElement().GetElement().GetValue())
	}
	if !strings.Contains(all.String(), text) {
		t.Error("the pieces are not the whole")
	}
}

func TestWhatIsTooMuchForASampleStaysBesideIt(t *testing.T) {
	var points, route strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&points, `,{"date":"2025-03-09 %02d:%02d:%02d +0100","qty":%d,"units":"bpm","source":"Watch"}`, 10+i/3600, i/60%60, i%60, 90+i%70)
		fmt.Fprintf(&route, `,{"timestamp":"2025-03-09 %02d:%02d:%02d +0100","latitude":50,"longitude":8,"speedAccuracy":0.123456789,"courseAccuracy":1}`, 10+i/3600, i/60%60, i%60)
	}
	samples, report := mustParse(t, `{"data":{"workouts":[{"name":"Hiking","start":"2025-03-09 10:00:00 +0100","end":"2025-03-09 12:00:00 +0100",
		"heartRateData":[`+points.String()[1:]+`],"route":[`+route.String()[1:]+`],"note":"`+strings.Repeat("n", 100_000)+`"}]}}`)
	if c := report.Total(); c.Mapped != 1 {
		t.Fatalf("%+v", c)
	}
	count := map[string]int{}
	for _, s := range append(samples[1:], samples[0].Members...) {
		count[s.Type]++
		if s.Type == "workoutRoute" {
			for _, chunk := range s.Payload {
				count["location"] += health.Items(chunk)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"heartRate": 6000, "workoutRoute": 1, "location": 6000, "importedElement": 2}, count); diff != "" {
		t.Error(diff)
	}
}
