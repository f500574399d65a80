package exporttest

import (
	"bytes"
	"math"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
)

// Noon is when the samples of Everything are, more or less.
var Noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) *timestamppb.Timestamp {
	return timestamppb.New(Noon.Add(time.Duration(seconds*1e6).Truncate(time.Nanosecond) * 1000))
}

func of(v float64, unit string) *pb.Quantity { return &pb.Quantity{Value: v, Unit: unit} }

// watch is a source with a device that has everything.
func watch() *pb.Source {
	return &pb.Source{Name: "Anna’s\u00a0Watch", App: "com.apple.health", Version: "10.6.1", Device: &pb.Device{
		Name: "Apple Watch", Manufacturer: "Apple Inc.", Model: "Watch", HardwareVersion: "Watch6,10", SoftwareVersion: "10.6.1",
	}}
}

func quantity(typ string, start, end, value float64, unit string) *pb.Sample {
	return &pb.Sample{Type: typ, Start: at(start), End: at(end), Value: &value, Unit: unit, Source: watch()}
}

func text(key, value string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: value}}
}

// Everything returns at least one object of every kind, as an importer would save them.
func Everything() []*pb.Sample {
	all := append(numbers(), wholes()...)
	all = append(all, recordings()...)
	all = append(all, questions()...)
	return append(all, records()...)
}

func numbers() []*pb.Sample {
	asleep := 3.0
	steps := quantity("stepCount", 0, 60, 71, "count")
	steps.Created = at(90)
	steps.Metadata = []*pb.MetadataEntry{text("HKTimeZone", "Europe/Berlin"), text("note", "\"a\", b\r\n<c> & d\te")}
	typed := quantity("heartRate", 0.25, 0.25, 61.5, "count/min")
	typed.Metadata = []*pb.MetadataEntry{
		{Key: "number", Value: &pb.MetadataEntry_Number{Number: -0.5}}, {Key: "date", Value: &pb.MetadataEntry_Date{Date: at(1)}},
		{Key: "quantity", Value: &pb.MetadataEntry_Quantity{Quantity: of(418, "cm")}},
	}
	series := quantity("distanceCycling", 0, 30, 120, "m")
	series.Object = &pb.Sample_QuantitySeries{QuantitySeries: &pb.QuantitySeries{}}
	series.Payload = []*pb.Chunk{{Quantities: &pb.Quantities{Offset: []int64{0, 1e7}, Duration: []int64{1e7, 2e7}, Value: []float64{40, 80}}}}
	bare := quantity("stepCount", 0, 0, 1, "count")
	bare.Source = nil
	return []*pb.Sample{
		quantity("stepCount", 0, 60, 72, "count"), steps, typed, series, bare,
		{Type: "sleepAnalysis", Start: at(0), End: at(3600), Value: &asleep, Source: watch()},
		{Type: "sleepDurationGoal", Start: at(0), End: at(0), Value: proto.Float64(480), Unit: "min", Source: watch()},
	}
}

func wholes() []*pb.Sample {
	without := quantity("heartRate", 60, 60, 140, "count/min")
	without.Source = nil
	route := &pb.Sample{
		Type: "workoutRoute", Start: at(0), End: at(2), Source: watch(), Object: &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}},
		Payload: []*pb.Chunk{{Locations: &pb.Locations{
			Time:     []int64{Noon.UnixMicro(), 1e6, 1e6},
			Latitude: []float64{52.5, 52.50001, 52.50002}, Longitude: []float64{13.4, 13.4, 13.40001},
			Altitude: []float64{34.1, math.NaN(), 34.3}, Speed: []float64{2.5, 2.6, 2.7}, Course: []float64{-1, 180, 181},
			HorizontalAccuracy: []float64{4, 4, 4}, VerticalAccuracy: []float64{3, 3, 3},
		}}},
	}
	return []*pb.Sample{
		{Type: "bloodPressure", Start: at(0), End: at(0), Source: watch(), Members: []*pb.Sample{
			quantity("bloodPressureSystolic", 0, 0, 120, "mmHg"), quantity("bloodPressureDiastolic", 0, 0, 80, "mmHg"),
		}},
		{Type: "food", Start: at(0), End: at(0), Source: watch(), Metadata: []*pb.MetadataEntry{text("HKFoodType", "Soup")}, Members: []*pb.Sample{
			quantity("dietaryProtein", 0, 0, 12, "g"), quantity("dietarySodium", 0, 0, 300, "mg"),
		}},
		{
			Type: "workout", Start: at(0), End: at(1920), Source: watch(), Created: at(1930),
			Metadata: []*pb.MetadataEntry{text("HKIndoorWorkout", "0")}, Members: []*pb.Sample{without, route},
			Object: &pb.Sample_Workout{Workout: &pb.Workout{
				Activity: "running", Duration: proto.Float64(1900), TotalDistance: of(5.1, "km"), TotalEnergyBurned: of(320, "kcal"),
				Events: []*pb.WorkoutEvent{{Type: "pause", Start: at(100)}, {Type: "lap", Start: at(0), Duration: proto.Float64(60)}},
				Activities: []*pb.WorkoutActivity{{
					Uuid: "0e3a9c0e-2b55-4d31-8e34-1de0b1a1a001", Activity: "running", Start: at(0), End: at(1920), Duration: proto.Float64(1900),
				}},
				Statistics: []*pb.WorkoutStatistics{{Type: "heartRate", Start: at(0), End: at(1920), Unit: "count/min",
					Average: proto.Float64(150), Minimum: proto.Float64(90), Maximum: proto.Float64(171)}},
			}},
		},
	}
}

func recordings() []*pb.Sample {
	volts := make([]float64, 512)
	for i := range volts {
		volts[i] = math.Round(1000*math.Sin(float64(i)/20)) / 8
	}
	return []*pb.Sample{
		{Type: "heartbeatSeries", Start: at(0), End: at(60), Source: watch(), Object: &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}},
			Payload: []*pb.Chunk{{Beats: &pb.Beats{Offset: []int64{0, 900000, 2100000}, AfterGap: []uint32{2}}}}},
		{Type: "electrocardiogram", Start: at(0), End: at(1), Source: watch(), Object: &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "sinusRhythm", Symptoms: "none", AverageHeartRate: of(61, "count/min"), SamplingFrequency: 512, Lead: "appleWatchSimilarToLeadI",
		}}, Payload: []*pb.Chunk{{Microvolts: volts}}},
		{Type: "audiogram", Start: at(0), End: at(300), Source: watch(), Object: &pb.Sample_Audiogram{Audiogram: &pb.Audiogram{Points: []*pb.SensitivityPoint{
			{Frequency: of(1000, "Hz"), Tests: []*pb.SensitivityTest{{Side: "left", Sensitivity: of(10, "dBHL"), Masked: proto.Bool(false)}, {Side: "right", Sensitivity: of(12.5, "dBHL")}}},
			{Frequency: of(4000, "Hz"), Tests: []*pb.SensitivityTest{{Side: "right", Sensitivity: of(15, "dBHL")}}},
		}}}},
	}
}

func questions() []*pb.Sample {
	return []*pb.Sample{
		{Type: "stateOfMind", Start: at(0), End: at(0), Source: watch(), Object: &pb.Sample_StateOfMind{StateOfMind: &pb.StateOfMind{
			Kind: "momentaryEmotion", Valence: 0.5, Labels: []string{"calm", "happy"}, Associations: []string{"family"},
		}}},
		{Type: "gad7", Start: at(0), End: at(0), Source: watch(), Object: &pb.Sample_ScoredAssessment{ScoredAssessment: &pb.ScoredAssessment{
			Answers: []string{"notAtAll", "severalDays", "notAtAll", "notAtAll", "notAtAll", "notAtAll", "notAtAll"}, Score: 1, Risk: "noneToMinimal",
		}}},
		{Type: "visionPrescription", Start: at(0), End: at(86400 * 700), Source: watch(), Object: &pb.Sample_VisionPrescription{VisionPrescription: &pb.VisionPrescription{
			Type: "contacts", Brand: "Clear & Co", Expires: true,
			RightEye: &pb.LensSpecification{Sphere: of(-1.25, "D"), BaseCurve: of(8.6, "mm"), Diameter: of(14.2, "mm")},
			LeftEye:  &pb.LensSpecification{Sphere: of(-1.5, "D"), BaseCurve: of(8.6, "mm"), Diameter: of(14.2, "mm")},
			Attachments: []*pb.Attachment{
				{Identifier: "2f1c5a54-3d0c-4c43-9a57-0d6a7c7f0a01", Size: 3}, {Identifier: "2f1c5a54-3d0c-4c43-9a57-0d6a7c7f0a02", Size: 5},
			},
		}}, Payload: []*pb.Chunk{{Data: []byte("abc1")}, {Data: []byte("2345")}}},
		{Type: "medicationDoseEvent", Start: at(0), End: at(0), Source: watch(), Object: &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: &pb.MedicationDoseEvent{
			Medication: "rxnorm:1", Status: "taken", Schedule: "schedule", Scheduled: at(-60), Dose: proto.Float64(1), ScheduledDose: proto.Float64(1), Unit: "tablet",
		}}},
		{Type: "userAnnotatedMedication", Start: &timestamppb.Timestamp{}, End: &timestamppb.Timestamp{}, Source: watch(), Object: &pb.Sample_Medication{Medication: &pb.Medication{
			Concept: "rxnorm:1", Name: "Aspirin", GeneralForm: "tablet", HasSchedule: true, Codings: []*pb.Coding{{System: "http://www.nlm.nih.gov/research/umls/rxnorm", Code: "1"}},
		}}},
	}
}

func records() []*pb.Sample {
	day := timestamppb.New(time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC))
	next := timestamppb.New(time.Date(2025, 6, 2, 0, 0, 0, 0, time.UTC))
	fhir := []byte("{\"resourceType\":\"Observation\",\"id\":\"1\"}\r\n")
	document := bytes.Repeat([]byte("<ClinicalDocument>…</ClinicalDocument>\n"), 20000)
	return []*pb.Sample{
		{Type: "activitySummary", Start: day, End: next, Source: watch(), Object: &pb.Sample_ActivitySummary{ActivitySummary: &pb.ActivitySummary{
			Day: "2025-06-01", ActiveEnergyBurned: of(410, "kcal"), ActiveEnergyBurnedGoal: of(400, "kcal"), ExerciseTime: of(31, "min"),
			ExerciseTimeGoal: of(30, "min"), StandHours: of(11, "count"), StandHoursGoal: of(12, "count"),
		}}},
		{Type: "bloodType", Start: &timestamppb.Timestamp{}, End: &timestamppb.Timestamp{}, Source: watch(), Object: &pb.Sample_Characteristic{Characteristic: &pb.Characteristic{
			Value: &pb.Characteristic_Label{Label: "aPositive"},
		}}},
		{Type: "dateOfBirth", Start: &timestamppb.Timestamp{}, End: &timestamppb.Timestamp{}, Source: watch(), Object: &pb.Sample_Characteristic{Characteristic: &pb.Characteristic{
			Value: &pb.Characteristic_Date{Date: "1990-01-31"},
		}}},
		{Type: "labResultRecord", Start: at(0), End: at(0), Source: &pb.Source{Name: "Hospital", App: "com.apple.health"}, Object: &pb.Sample_ClinicalRecord{ClinicalRecord: &pb.ClinicalRecord{
			Identifier: "1", ResourceType: "Observation", FhirVersion: "4.0.1", SourceUrl: "https://example.org/Observation/1", Received: at(0),
		}}, Payload: []*pb.Chunk{{Data: fhir}}},
		{Type: "cda", Start: at(0), End: at(0), Source: watch(), Object: &pb.Sample_Document{Document: &pb.Document{Title: "Export"}}, Payload: chunks(document)},
		{Type: "importedElement", Start: &timestamppb.Timestamp{}, End: &timestamppb.Timestamp{}, Source: watch(), Object: &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{
			Element: &pb.Kept{Format: "apple-health-xml", Name: "Novelty", Value: "<Novelty a=\"1\"/>"}, Why: "unknown element",
		}}},
	}
}

// chunks cuts bytes in odd places.
func chunks(b []byte) (all []*pb.Chunk) {
	for len(b) > 0 {
		n := min(100_003, len(b))
		all, b = append(all, &pb.Chunk{Data: b[:n]}), b[n:]
	}
	return all
}
