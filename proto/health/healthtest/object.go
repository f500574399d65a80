package healthtest

import (
	"time"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"pgregory.net/rapid"
)

// body draws what a sample has beyond the columns, nil for nothing.
func (m maker) body(ty *catalog.Type, row *health.Row) *pb.Sample {
	b := &pb.Sample{Members: m.members(ty), Kept: m.kept()}
	m.object(ty, row, b)
	m.payload(b, row)
	if b.Object == nil && b.Members == nil && b.Kept == nil {
		return nil
	}
	return b
}

// object draws the object of the type's kind.
func (m maker) object(ty *catalog.Type, row *health.Row, b *pb.Sample) {
	switch ty.Kind {
	case catalog.Quantity:
		if m.maybe("series") {
			b.Object = &pb.Sample_QuantitySeries{QuantitySeries: &pb.QuantitySeries{}}
		}
	case catalog.Characteristic:
		b.Object = &pb.Sample_Characteristic{Characteristic: m.characteristic(ty)}
	case catalog.Clinical:
		b.Object = &pb.Sample_ClinicalRecord{ClinicalRecord: m.clinical()}
	case catalog.Document:
		b.Object = &pb.Sample_Document{Document: &pb.Document{Title: m.text("title"), Patient: m.text("patient"), Custodian: m.text("custodian"), Author: m.text("author")}}
	case catalog.Workout:
		b.Object = &pb.Sample_Workout{Workout: m.workout(row)}
	case catalog.UserAnnotated:
		b.Object = &pb.Sample_Medication{Medication: m.medication()}
	case catalog.Summary:
		b.Object = &pb.Sample_ActivitySummary{ActivitySummary: m.summary(row)}
	case catalog.Imported:
		b.Object = &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{
			Element: &pb.Kept{Format: "apple-health-xml", Name: m.some("element"), Value: m.text("raw")}, Why: m.text("why")}}
	default:
		m.named(ty, row, b)
	}
}

// named draws the object of a type that is the only one of its kind.
func (m maker) named(ty *catalog.Type, row *health.Row, b *pb.Sample) {
	switch ty.Short() {
	case "workoutRoute":
		b.Object = &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}}
	case "heartbeatSeries":
		b.Object = &pb.Sample_HeartbeatSeries{HeartbeatSeries: &pb.HeartbeatSeries{}}
	case "electrocardiogram":
		b.Object = &pb.Sample_Electrocardiogram{Electrocardiogram: m.electrocardiogram()}
	case "audiogram":
		b.Object = &pb.Sample_Audiogram{Audiogram: m.audiogram()}
	case "stateOfMind":
		b.Object = &pb.Sample_StateOfMind{StateOfMind: m.stateOfMind()}
	case "gad7":
		b.Object = &pb.Sample_ScoredAssessment{ScoredAssessment: m.assessment(7, false, "gad7Risk", 4, 9, 14, 21)}
	case "phq9":
		b.Object = &pb.Sample_ScoredAssessment{ScoredAssessment: m.assessment(9, true, "phq9Risk", 4, 9, 14, 19, 27)}
	case "visionPrescription":
		b.Object = &pb.Sample_VisionPrescription{VisionPrescription: m.prescription(row)}
	case "medicationDoseEvent":
		b.Object = &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: m.dose()}
	}
}

func (m maker) quantity(label string, units ...string) *pb.Quantity {
	if !m.maybe("has " + label) {
		return nil
	}
	return &pb.Quantity{Value: float64(m.between(label, 0, 100_000)) / 4, Unit: rapid.SampledFrom(units).Draw(m.T, label+" unit")}
}

func (m maker) amountOrNone(label string) *float64 {
	if !m.maybe("has " + label) {
		return nil
	}
	v := float64(m.between(label, 0, 100_000)) / 8
	return &v
}

func (m maker) electrocardiogram() *pb.Electrocardiogram {
	return &pb.Electrocardiogram{
		Classification: m.word("ecgClassification"), Symptoms: m.word("ecgSymptoms"), Lead: m.word("ecgLead"),
		AverageHeartRate: m.quantity("average heart rate", "count/min"), SamplingFrequency: float64(m.between("hertz", 1, 1024)) + 0.5,
	}
}

func (m maker) audiogram() *pb.Audiogram {
	a := &pb.Audiogram{}
	for range m.between("points", 1, 4) {
		p := &pb.SensitivityPoint{Frequency: &pb.Quantity{Value: float64(m.between("frequency", 1, 20_000)), Unit: "Hz"}, Kept: m.kept()}
		for range m.between("tests", 1, 2) {
			t := &pb.SensitivityTest{Side: m.word("ear"), Sensitivity: decibels(m.between("threshold", -10, 120))}
			if m.maybe("masked is known") {
				masked := m.maybe("masked")
				t.Masked = &masked
			}
			if m.maybe("clamped") {
				t.ClampingLower, t.ClampingUpper = decibels(m.between("lower", -20, 0)), decibels(m.between("upper", 0, 130))
			}
			p.Tests = append(p.Tests, t)
		}
		a.Points = append(a.Points, p)
	}
	return a
}

func decibels(v int) *pb.Quantity { return &pb.Quantity{Value: float64(v), Unit: "dBHL"} }

func (m maker) stateOfMind() *pb.StateOfMind {
	words := func(vocabulary string) []string {
		return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string { return maker{t, m.app}.word(vocabulary) }), 0, 3, rapid.ID).Draw(m.T, vocabulary)
	}
	return &pb.StateOfMind{
		Kind: m.word("stateOfMindKind"), Valence: rapid.Float64Range(-1, 1).Draw(m.T, "valence") + 0, // never -0
		Labels: words("stateOfMindLabel"), Associations: words("stateOfMindAssociation"),
	}
}

// assessment draws answers and computes what follows from them in its own way.
func (m maker) assessment(questions int, mayDecline bool, risks string, bands ...uint32) *pb.ScoredAssessment {
	answers := []string{"notAtAll", "severalDays", "moreThanHalfTheDays", "nearlyEveryDay"}
	a := &pb.ScoredAssessment{}
	for range questions {
		n := m.between("answer", 0, 3)
		a.Answers, a.Score = append(a.Answers, answers[n]), a.Score+uint32(n)
	}
	if mayDecline && m.maybe("declines") {
		for n, answer := range answers {
			if a.Answers[questions-1] == answer {
				a.Score -= uint32(n)
			}
		}
		a.Answers[questions-1] = "preferNotToAnswer"
	}
	for i := len(bands) - 1; i >= 0; i-- {
		if a.Score <= bands[i] {
			a.Risk, _ = catalog.Words(risks).Label(i + 1)
		}
	}
	return a
}

func (m maker) prescription(row *health.Row) *pb.VisionPrescription {
	p := &pb.VisionPrescription{Type: m.word("visionPrescription")}
	if p.Type == "contacts" {
		p.Brand = m.text("brand")
	}
	p.RightEye, p.LeftEye = m.lens(p.Type), m.lens(p.Type)
	p.Expires = row.End != row.Start && row.End != health.DistantFuture || m.maybe("expires")
	return p
}

func (m maker) lens(typ string) *pb.LensSpecification {
	if !m.maybe("eye") {
		return nil
	}
	l := &pb.LensSpecification{
		Sphere: &pb.Quantity{Value: float64(m.between("sphere", -80, 80)) / 4, Unit: "D"}, Cylinder: m.quantity("cylinder", "D"),
		Axis: m.quantity("axis", "deg"), AddPower: m.quantity("add", "D"), Kept: m.kept(),
	}
	if typ == "contacts" {
		l.BaseCurve, l.Diameter = m.quantity("base curve", "mm"), m.quantity("diameter", "mm", "cm")
		return l
	}
	l.VertexDistance, l.FarPupillaryDistance, l.NearPupillaryDistance = m.quantity("vertex", "mm"), m.quantity("far", "mm"), m.quantity("near", "mm")
	l.PrismAmount, l.PrismAngle = m.quantity("prism", "pD"), m.quantity("prism angle", "deg")
	return l
}

func (m maker) dose() *pb.MedicationDoseEvent {
	d := &pb.MedicationDoseEvent{
		Medication: m.some("medication"), Status: m.word("doseStatus"), Schedule: m.word("doseSchedule"),
		Dose: m.amountOrNone("dose"), ScheduledDose: m.amountOrNone("scheduled dose"), Unit: m.text("unit of dose"),
	}
	if m.maybe("scheduled") {
		d.Scheduled = health.Timestamp(m.time("scheduled", minMicros, maxMicros))
	}
	return d
}

func (m maker) medication() *pb.Medication {
	return &pb.Medication{
		Concept: m.some("concept"), Name: m.text("name"), Nickname: m.text("nickname"), GeneralForm: m.text("form"),
		Archived: m.maybe("archived"), HasSchedule: m.maybe("has schedule"),
		Codings: []*pb.Coding{{System: m.text("system"), Version: m.text("version"), Code: m.some("code")}},
	}
}

func (m maker) summary(row *health.Row) *pb.ActivitySummary {
	return &pb.ActivitySummary{
		Day:                time.UnixMicro(row.Start).UTC().Format(time.DateOnly),
		ActiveEnergyBurned: m.quantity("energy", "kcal", "kJ"), ActiveEnergyBurnedGoal: m.quantity("energy goal", "kcal"),
		MoveTime: m.quantity("move", "min"), MoveTimeGoal: m.quantity("move goal", "min"),
		ExerciseTime: m.quantity("exercise", "min", "s"), ExerciseTimeGoal: m.quantity("exercise goal", "min"),
		StandHours: m.quantity("stand", "count"), StandHoursGoal: m.quantity("stand goal", "count"),
	}
}

func (m maker) characteristic(ty *catalog.Type) *pb.Characteristic {
	switch {
	case len(ty.Values) > 0:
		label, _ := ty.Label(rapid.SampledFrom(ty.Values).Draw(m.T, "characteristic").Number)
		return &pb.Characteristic{Value: &pb.Characteristic_Label{Label: label}}
	case ty.Short() == "dateOfBirth":
		birth := time.UnixMicro(m.time("birth", minMicros, maxMicros)).UTC().Format(time.DateOnly)
		return &pb.Characteristic{Value: &pb.Characteristic_Date{Date: birth}}
	}
	return &pb.Characteristic{Value: &pb.Characteristic_Text{Text: m.some("characteristic")}}
}

func (m maker) clinical() *pb.ClinicalRecord {
	c := &pb.ClinicalRecord{
		Identifier: m.some("identifier"), ResourceType: rapid.SampledFrom([]string{"Observation", "AllergyIntolerance"}).Draw(m.T, "resource"),
		DisplayName: m.text("display"), FhirVersion: rapid.SampledFrom([]string{"", "DSTU2", "R4", "1.0.2", "4.0.1"}).Draw(m.T, "fhir"),
		SourceUrl: "https://example.org/" + m.text("url"),
	}
	if m.maybe("received") {
		c.Received = health.Timestamp(m.time("received", minMicros, maxMicros))
	}
	return c
}
