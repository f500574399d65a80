package health_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/types/known/timestamppb"
)

const noon = 1_714_564_800_000_000 // 2024-05-01T12:00:00Z

func at(second float64) *timestamppb.Timestamp { return health.Timestamp(noon + int64(second*1e6)) }

func num(v float64) *float64 { return &v }

func in(v float64, unit string) *pb.Quantity { return &pb.Quantity{Value: v, Unit: unit} }

// hour is a sample of the type from noon to one o'clock.
func hour(typ string) *pb.Sample { return &pb.Sample{Type: typ, Start: at(0), End: at(3600)} }

func member(typ string, v float64, unit string) *pb.Sample {
	s := hour(typ)
	s.Value, s.Unit = &v, unit
	return s
}

// whole are samples that a case makes one thing wrong in.
var whole = map[string]func() *pb.Sample{
	"workout": func() *pb.Sample {
		s := hour("workout")
		s.Object = &pb.Sample_Workout{Workout: &pb.Workout{
			Activity: "HKWorkoutActivityTypeRunning", Duration: num(3000), TotalDistance: in(10, "km"), TotalEnergyBurned: in(600, "Cal"),
			Events: []*pb.WorkoutEvent{
				{Type: "1", Start: at(60)}, {Type: "HKWorkoutEventTypePause", Start: at(70)}, {Type: "resume", Start: at(80)},
				{Type: "lap", Start: at(600), Duration: num(600)}, {Type: "lap", Start: at(0), Duration: num(600)},
				{Type: "segment", Start: at(0), Duration: num(3600)}, {Type: "segment", Start: at(10), Duration: num(20)},
			},
			Activities: []*pb.WorkoutActivity{
				{Uuid: "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", Activity: "37", Start: at(0), End: at(1800)}, {Start: at(1800), End: at(3600)},
			},
			Statistics: []*pb.WorkoutStatistics{
				{Type: "HKQuantityTypeIdentifierHeartRate", Unit: "count/min", Average: num(140), Minimum: num(90), Maximum: num(170)},
				{Type: "stepCount", Unit: "count", Sum: num(9000), Start: at(0), End: at(3600)},
			},
		}}
		s.Members = []*pb.Sample{member("HKQuantityTypeIdentifierStepCount", 9000, "count")}
		return s
	},
	"workoutRoute": func() *pb.Sample {
		s := hour("workoutRoute")
		s.Object = &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}}
		s.Payload = []*pb.Chunk{{Locations: &pb.Locations{
			Time: []int64{noon, 1e6}, Latitude: []float64{52, 53}, Longitude: []float64{13, 14}, Speed: []float64{math.NaN(), 1},
		}}}
		return s
	},
	"heartbeatSeries": func() *pb.Sample {
		s := hour("heartbeatSeries")
		s.Object = &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}}
		s.Payload = []*pb.Chunk{{Beats: &pb.Beats{Offset: []int64{0, 800_000}}}, {Beats: &pb.Beats{Offset: []int64{1_600_000}, AfterGap: []uint32{0}}}}
		return s
	},
	"stepCount": func() *pb.Sample {
		s := member("stepCount", 30, "count")
		s.Object = &pb.Sample_QuantitySeries{QuantitySeries: &pb.QuantitySeries{}}
		s.Payload = []*pb.Chunk{{Quantities: &pb.Quantities{Offset: []int64{0, 3599e6}, Duration: []int64{5, 1e6}, Value: []float64{10, 20}}}}
		return s
	},
	"electrocardiogram": func() *pb.Sample {
		s := hour("electrocardiogram")
		s.Object = &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "HKElectrocardiogramClassificationSinusRhythm", Symptoms: "1", Lead: "AppleWatchSimilarToLeadI",
			AverageHeartRate: in(70, "count/min"), SamplingFrequency: 512.844,
		}}
		s.Payload = []*pb.Chunk{{Microvolts: []float64{1, -2}}}
		return s
	},
	"audiogram": func() *pb.Sample {
		s := hour("audiogram")
		s.Object = &pb.Sample_Audiogram{Audiogram: &pb.Audiogram{Points: []*pb.SensitivityPoint{{
			Frequency: in(1, "kHz"),
			Tests:     []*pb.SensitivityTest{{Side: "0", Sensitivity: in(20, "dBHL")}, {Side: "right", Sensitivity: in(25, "dBHL"), ClampingLower: in(-10, "dBHL"), ClampingUpper: in(90, "dBHL")}},
		}}}}
		return s
	},
	"stateOfMind": func() *pb.Sample {
		s := hour("stateOfMind")
		s.Object = &pb.Sample_StateOfMind{StateOfMind: &pb.StateOfMind{
			Kind: "HKStateOfMindKindDailyMood", Valence: -0.5, Labels: []string{"Calm", "17"}, Associations: []string{"work"},
		}}
		return s
	},
	"gad7": func() *pb.Sample {
		s := hour("gad7")
		s.Object = &pb.Sample_ScoredAssessment{ScoredAssessment: &pb.ScoredAssessment{Answers: strings.Fields("0 1 2 3 NotAtAll SeveralDays nearlyEveryDay")}}
		return s
	},
	"phq9": func() *pb.Sample {
		s := hour("phq9")
		s.Object = &pb.Sample_ScoredAssessment{ScoredAssessment: &pb.ScoredAssessment{Answers: strings.Fields("3 3 3 3 3 3 3 3 preferNotToAnswer")}}
		return s
	},
	"visionPrescription": func() *pb.Sample {
		s := hour("visionPrescription")
		s.Object = &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{
			Type: "HKVisionPrescriptionTypeGlasses", Expires: true,
			RightEye:    &pb.LensSpecification{Sphere: in(-1.25, "D"), Axis: in(90, "deg"), VertexDistance: in(12, "mm"), PrismAmount: in(1, "pD")},
			Attachments: []*pb.Attachment{{Identifier: "a", Size: 2}, {Identifier: "b", Size: 1}},
		}}
		s.Payload = []*pb.Chunk{{Data: []byte("abc")}}
		return s
	},
	"medicationDoseEvent": func() *pb.Sample {
		s := hour("medicationDoseEvent")
		s.Object = &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: &pb.MedicationDoseEvent{
			Medication: "c1", Status: "HKMedicationDoseEventLogStatusSkipped", Schedule: "1", Scheduled: at(5), Dose: num(1), Unit: "tablet",
		}}
		return s
	},
	"userAnnotatedMedication": func() *pb.Sample {
		return &pb.Sample{Type: "userAnnotatedMedication", Start: health.Timestamp(0), Object: &pb.Sample_Medication{Medication: &pb.Medication{
			Concept: "c1", Name: "Aspirin", Codings: []*pb.Coding{{System: "http://www.nlm.nih.gov/research/umls/rxnorm", Code: "1191"}},
		}}}
	},
	"activitySummary": func() *pb.Sample {
		return &pb.Sample{Type: "activitySummary", Start: health.Timestamp(noon - 12*3600e6), End: health.Timestamp(noon + 12*3600e6),
			Object: &pb.Sample_ActivitySummary{ActivitySummary: &pb.ActivitySummary{
				Day: "2024-05-01", ActiveEnergyBurned: in(300, "kJ"), MoveTime: in(1, "hr"), ExerciseTime: in(30, "min"), StandHours: in(12, "count"),
			}}}
	},
	"biologicalSex": func() *pb.Sample {
		return &pb.Sample{Type: "biologicalSex", Start: health.Timestamp(0), Object: &pb.Sample_Characteristic{
			Characteristic: &pb.Characteristic{Value: &pb.Characteristic_Label{Label: "HKBiologicalSexFemale"}}}}
	},
	"dateOfBirth": func() *pb.Sample {
		return &pb.Sample{Type: "dateOfBirth", Start: health.Timestamp(0), Object: &pb.Sample_Characteristic{
			Characteristic: &pb.Characteristic{Value: &pb.Characteristic_Date{Date: "2000-02-29"}}}}
	},
	"labResultRecord": func() *pb.Sample {
		s := hour("labResultRecord")
		s.Object = &pb.Sample_ClinicalRecord{ClinicalRecord: &pb.ClinicalRecord{Identifier: "1", ResourceType: "Observation", FhirVersion: "4.0.1"}}
		s.Payload = []*pb.Chunk{{Data: []byte("{}")}}
		return s
	},
	"cda": func() *pb.Sample {
		s := hour("cda")
		s.Object = &pb.Sample_Document{Document: &pb.Document{Title: "Summary"}}
		s.Payload = []*pb.Chunk{{Data: []byte("<a/>")}}
		return s
	},
	"importedElement": func() *pb.Sample {
		s := hour("importedElement")
		s.Object = &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{Element: &pb.Kept{Format: "apple-health-xml", Name: "New", Value: "<New/>"}, Why: "unknown"}}
		return s
	},
	"bloodPressure": func() *pb.Sample {
		s := hour("bloodPressure")
		s.Members = []*pb.Sample{member("bloodPressureSystolic", 120, "mmHg"), member("bloodPressureDiastolic", 80, "mmHg")}
		return s
	},
	"food": func() *pb.Sample {
		s := hour("food")
		s.Members = []*pb.Sample{member("dietaryProtein", 3, "g"), member("dietarySugar", 3, "g"), member("dietarySugar", 3, "g")}
		return s
	},
}

// policyOf is that of an app, where apps may save the type.
func policyOf(typ string) health.Policy {
	ty, _ := catalog.Lookup(typ)
	return health.Policy{Importer: ty.ReadOnly}
}

func TestWholeSamplesAreAcceptedInAnySpelling(t *testing.T) {
	want := map[string]string{
		"workout":             "running pause pause resume lap lap segment segment a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 running heartRate stepCount stepCount",
		"electrocardiogram":   "sinusRhythm none appleWatchSimilarToLeadI",
		"audiogram":           "left right",
		"stateOfMind":         "dailyMood calm happy work",
		"gad7":                "notAtAll severalDays moreThanHalfTheDays nearlyEveryDay notAtAll severalDays nearlyEveryDay 10 moderate",
		"phq9":                strings.Repeat("nearlyEveryDay ", 8) + "preferNotToAnswer 24 severe",
		"visionPrescription":  "glasses",
		"medicationDoseEvent": "skipped asNeeded",
		"biologicalSex":       "female",
	}
	for typ, make := range whole {
		columns, err := health.Columns([]*pb.Sample{make()}, policyOf(typ))
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if err := health.Validate(columns, policyOf(typ)); err != nil {
			t.Errorf("%s: as columns: %v", typ, err)
		}
		if _, err := health.Columns([]*pb.Sample{make()}, health.Policy{Importer: true}); err != nil {
			t.Errorf("%s: from an importer: %v", typ, err)
		}
		if got := spelled(unpack(t, columns)[0]); want[typ] != "" && got != want[typ] {
			t.Errorf("%s: %s, want %s", typ, got, want[typ])
		}
	}
}

// spelled lists the words of a sample.
func spelled(s *pb.Sample) string {
	var list []any
	w := s.GetWorkout()
	list = append(list, w.GetActivity())
	for _, e := range w.GetEvents() {
		list = append(list, e.Type)
	}
	for _, a := range w.GetActivities() {
		list = append(list, a.Uuid, a.Activity)
	}
	for _, f := range w.GetStatistics() {
		list = append(list, f.Type)
	}
	for _, m := range s.Members {
		list = append(list, m.Type)
	}
	e := s.GetElectrocardiogram()
	list = append(list, e.GetClassification(), e.GetSymptoms(), e.GetLead())
	for _, p := range s.GetAudiogram().GetPoints() {
		for _, ear := range p.Tests {
			list = append(list, ear.Side)
		}
	}
	list = append(list, s.GetStateOfMind().GetKind(), s.GetStateOfMind().GetLabels(), s.GetStateOfMind().GetAssociations())
	if a := s.GetScoredAssessment(); a != nil {
		list = append(list, a.Answers, a.Score, a.Risk)
	}
	d := s.GetMedicationDoseEvent()
	list = append(list, s.GetVisionPrescription().GetType(), d.GetStatus(), d.GetSchedule(), s.GetCharacteristic().GetLabel())
	return strings.Join(strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(fmt.Sprintln(list...))), " ")
}

func refusal(t *testing.T, err error, field, value, why string) {
	t.Helper()
	var fe *health.FieldError
	if !errors.As(err, &fe) {
		t.Errorf("accepted, or no FieldError: %v", err)
		return
	}
	if fe.Index != 1 || fe.Field != field || fe.Value != value || !strings.Contains(fe.Why, why) {
		t.Errorf("%d %s %q %q, want 1 %s %q …%s…", fe.Index, fe.Field, fe.Value, fe.Why, field, value, why)
	}
}

// A caller in Go can leave out what no message on the wire can.
func TestNothingInsideIsRefusedWithoutPanic(t *testing.T) {
	for name, spoil := range map[string]func(*pb.Sample){
		"no workout":   func(s *pb.Sample) { s.Object = &pb.Sample_Workout{} },
		"typed nil":    func(s *pb.Sample) { s.Object = (*pb.Sample_Workout)(nil) },
		"nil event":    func(s *pb.Sample) { s.GetWorkout().Events[1] = nil },
		"nil activity": func(s *pb.Sample) { s.GetWorkout().Activities[1] = nil },
		"nil figures":  func(s *pb.Sample) { s.GetWorkout().Statistics[1] = nil },
		"nil member":   func(s *pb.Sample) { s.Members[0] = nil },
		"nil chunk":    func(s *pb.Sample) { s.Payload = []*pb.Chunk{nil} },
		"nil kept":     func(s *pb.Sample) { s.Kept = []*pb.Kept{nil} },
	} {
		s := whole["workout"]()
		spoil(s)
		var fe *health.FieldError
		if _, err := health.Columns([]*pb.Sample{s}, health.Policy{Importer: true}); !errors.As(err, &fe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
