package health_test

import (
	"math"
	"strings"
	"testing"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

func TestRefusedPrescriptions(t *testing.T) {
	v := func(change func(*pb.VisionPrescription)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetVisionPrescription()) }
	}
	refuseAll(t, map[string]spoilt{
		"no type":          {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Type = "" }), "visionPrescription.type", "", "missing", false},
		"monocle":          {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Type = "monocle" }), "visionPrescription.type", "monocle", "no such word", false},
		"does not expire":  {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Expires = false }), "visionPrescription.expires", "false", "ends after", false},
		"brand of glasses": {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Brand = "x" }), "visionPrescription.brand", "x", "contact", true},
		"brand too long":   {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Type, v.Brand = "contacts", strings.Repeat("x", 1025) }), "visionPrescription.brand", strings.Repeat("x", 40) + "…", "1024", false},
		"no sphere":        {"visionPrescription", v(func(v *pb.VisionPrescription) { v.RightEye.Sphere = nil }), "visionPrescription.rightEye.sphere", "", "missing", true},
		"sphere unit":      {"visionPrescription", v(func(v *pb.VisionPrescription) { v.RightEye.Sphere.Unit = "mm" }), "visionPrescription.rightEye.sphere.unit", "mm", "D", false},
		"axis NaN":         {"visionPrescription", v(func(v *pb.VisionPrescription) { v.RightEye.Axis.Value = math.NaN() }), "visionPrescription.rightEye.axis.value", "NaN", "finite", false},
		"prism in D":       {"visionPrescription", v(func(v *pb.VisionPrescription) { v.RightEye.PrismAmount.Unit = "D" }), "visionPrescription.rightEye.prismAmount.unit", "D", "pD", false},
		"curve of glasses": {"visionPrescription", v(func(v *pb.VisionPrescription) { v.RightEye.BaseCurve = in(8.5, "mm") }), "visionPrescription.rightEye.baseCurve", "8.5", "only contacts", true},
		"vertex of contacts": {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Type = "contacts" }),
			"visionPrescription.rightEye.vertexDistance", "12", "only glasses", true},
		"left eye": {"visionPrescription", v(func(v *pb.VisionPrescription) {
			v.LeftEye = &pb.LensSpecification{Sphere: in(1, "D"), AddPower: in(1, "")}
		}), "visionPrescription.leftEye.addPower.unit", "", "missing", false},
		"file without name": {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Attachments[1].Identifier = "" }), "visionPrescription.attachments[1].identifier", "", "missing", false},
		"file twice":        {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Attachments[1].Identifier = "a" }), "visionPrescription.attachments[1].identifier", "a", "twice", false},
		"file too large":    {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Attachments[1].Size = 1 << 40 }), "visionPrescription.attachments[1].size", "1099511627776", "more than", false},
		"files too small":   {"visionPrescription", v(func(v *pb.VisionPrescription) { v.Attachments[1].Size = 0 }), "visionPrescription.attachments", "2", "the payload has 3", false},
		"no files":          {"visionPrescription", func(s *pb.Sample) { s.Payload = nil }, "visionPrescription.attachments", "3", "the payload has 0", true},
		"no attachments": {"visionPrescription", func(s *pb.Sample) {
			s.Payload, s.GetVisionPrescription().Attachments, s.Upload = nil, nil, &pb.Upload{Id: make([]byte, 16), Parts: 1}
		}, "visionPrescription.attachments", "", "missing", false},
	})
}

func TestRefusedRecords(t *testing.T) {
	dose := func(change func(*pb.MedicationDoseEvent)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetMedicationDoseEvent()) }
	}
	day := func(change func(*pb.ActivitySummary)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetActivitySummary()) }
	}
	record := func(change func(*pb.ClinicalRecord)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetClinicalRecord()) }
	}
	fact := func(c *pb.Characteristic) func(*pb.Sample) {
		return func(s *pb.Sample) { s.Object = &pb.Sample_Characteristic{Characteristic: c} }
	}
	label := func(text string) *pb.Characteristic {
		return &pb.Characteristic{Value: &pb.Characteristic_Label{Label: text}}
	}
	date := func(text string) *pb.Characteristic {
		return &pb.Characteristic{Value: &pb.Characteristic_Date{Date: text}}
	}
	refuseAll(t, map[string]spoilt{
		"no medication":      {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Medication = "" }), "medicationDoseEvent.medication", "", "missing", false},
		"no status":          {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Status = "" }), "medicationDoseEvent.status", "", "missing", false},
		"status":             {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Status = "lost" }), "medicationDoseEvent.status", "lost", "no such word", false},
		"schedule":           {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Schedule = "3" }), "medicationDoseEvent.schedule", "3", "no such word", false},
		"scheduled too fine": {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Scheduled.Nanos = 1 }), "medicationDoseEvent.scheduled", "2024-05-01T12:00:05.000000001Z", "finer", false},
		"negative dose":      {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Dose = num(-1) }), "medicationDoseEvent.dose", "-1", "from 0 up", false},
		"scheduled dose":     {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.ScheduledDose = num(math.Inf(1)) }), "medicationDoseEvent.scheduledDose", "+Inf", "from 0 up", false},
		"dose unit":          {"medicationDoseEvent", dose(func(d *pb.MedicationDoseEvent) { d.Unit = "\xff" }), "medicationDoseEvent.unit", "�", "UTF-8", false},

		"no concept":      {"userAnnotatedMedication", func(s *pb.Sample) { s.GetMedication().Concept = "" }, "medication.concept", "", "missing", false},
		"no code":         {"userAnnotatedMedication", func(s *pb.Sample) { s.GetMedication().Codings[0].Code = "" }, "medication.codings[0].code", "", "missing", false},
		"medicine dated":  {"userAnnotatedMedication", func(s *pb.Sample) { s.Start = at(0) }, "start", "2024-05-01T12:00:00Z", "has no dates", false},
		"medicine ended":  {"userAnnotatedMedication", func(s *pb.Sample) { s.End = at(0) }, "end", "2024-05-01T12:00:00Z", "has no dates", false},
		"day missing":     {"activitySummary", day(func(a *pb.ActivitySummary) { a.Day = "" }), "activitySummary.day", "", "missing", false},
		"no day":          {"activitySummary", day(func(a *pb.ActivitySummary) { a.Day = "2023-02-29" }), "activitySummary.day", "2023-02-29", "calendar", false},
		"another day":     {"activitySummary", day(func(a *pb.ActivitySummary) { a.Day = "2024-05-02" }), "start", "2024-05-01T00:00:00Z", "not the day", false},
		"half a day":      {"activitySummary", func(s *pb.Sample) { s.End = at(0) }, "end", "2024-05-01T12:00:00Z", "not the day", false},
		"energy in min":   {"activitySummary", day(func(a *pb.ActivitySummary) { a.ActiveEnergyBurned.Unit = "min" }), "activitySummary.activeEnergyBurned.unit", "min", "kcal", false},
		"exercise kcal":   {"activitySummary", day(func(a *pb.ActivitySummary) { a.ExerciseTimeGoal = in(1, "kcal") }), "activitySummary.exerciseTimeGoal.unit", "kcal", "min", false},
		"stand in hours":  {"activitySummary", day(func(a *pb.ActivitySummary) { a.StandHours.Unit = "hr" }), "activitySummary.standHours.unit", "hr", "count", false},
		"sex":             {"biologicalSex", fact(label("HKBiologicalSexNone")), "characteristic.label", "HKBiologicalSexNone", "not a value", false},
		"sex a date":      {"biologicalSex", fact(date("2000-01-01")), "characteristic.label", "", "missing", false},
		"no sex":          {"biologicalSex", fact(&pb.Characteristic{}), "characteristic.label", "", "missing", false},
		"sex dated":       {"biologicalSex", func(s *pb.Sample) { s.Start = at(0) }, "start", "2024-05-01T12:00:00Z", "has no dates", false},
		"birth":           {"dateOfBirth", fact(date("2001-02-29")), "characteristic.date", "2001-02-29", "calendar", false},
		"birth a text":    {"dateOfBirth", fact(label("2000-01-01")), "characteristic.date", "", "missing", false},
		"no identifier":   {"labResultRecord", record(func(c *pb.ClinicalRecord) { c.Identifier = "" }), "clinicalRecord.identifier", "", "missing", false},
		"no resource":     {"labResultRecord", record(func(c *pb.ClinicalRecord) { c.ResourceType = "" }), "clinicalRecord.resourceType", "", "missing", false},
		"resource":        {"labResultRecord", record(func(c *pb.ClinicalRecord) { c.ResourceType = "../x" }), "clinicalRecord.resourceType", "../x", "FHIR resource", false},
		"version":         {"labResultRecord", record(func(c *pb.ClinicalRecord) { c.FhirVersion = "four" }), "clinicalRecord.fhirVersion", "four", "FHIR version", false},
		"received":        {"labResultRecord", record(func(c *pb.ClinicalRecord) { c.Received = at(0); c.Received.Nanos = -1 }), "clinicalRecord.received", "1714564800s -1ns", "nanoseconds", false},
		"record's size":   {"labResultRecord", record(func(c *pb.ClinicalRecord) { c.Size = 2 }), "clinicalRecord.size", "2", "set by the ledger", false},
		"document's size": {"cda", func(s *pb.Sample) { s.GetDocument().Size = 4 }, "document.size", "4", "set by the ledger", false},
		"title":           {"cda", func(s *pb.Sample) { s.GetDocument().Title = strings.Repeat("x", 1025) }, "document.title", strings.Repeat("x", 40) + "…", "1024", false},
		"element missing": {"importedElement", func(s *pb.Sample) { s.GetImportedElement().Element = nil }, "importedElement.element", "", "missing", false},
		"element's name":  {"importedElement", func(s *pb.Sample) { s.GetImportedElement().Element.Name = "" }, "importedElement.element.name", "", "missing", false},
		"kept format":     {"importedElement", func(s *pb.Sample) { s.Kept = []*pb.Kept{{Format: "f", Name: "n"}, {Name: "n"}} }, "kept[1].format", "", "missing", false},
		"kept too much":   {"importedElement", func(s *pb.Sample) { s.Kept = make([]*pb.Kept, 257) }, "kept", "257", "256", false},
		"too large":       {"importedElement", func(s *pb.Sample) { s.GetImportedElement().Element.Value = strings.Repeat("x", health.MaxBody) }, "payload", "393261", "in parts", false},
	})
}

func TestRefusedCorrelations(t *testing.T) {
	refuseAll(t, map[string]spoilt{
		"nothing":        {"food", func(s *pb.Sample) { s.Members = nil }, "members", "", "missing", false},
		"one pressure":   {"bloodPressure", func(s *pb.Sample) { s.Members = s.Members[:1] }, "members", "1", "one systolic and one diastolic", true},
		"two systolic":   {"bloodPressure", func(s *pb.Sample) { s.Members[1] = s.Members[0] }, "members", "2", "one systolic and one diastolic", false},
		"other member":   {"food", func(s *pb.Sample) { s.Members[1] = member("stepCount", 1, "count") }, "members[1].type", "stepCount", "not a member", false},
		"unknown member": {"food", func(s *pb.Sample) { s.Members[1].Type = "x" }, "members[1].type", "x", "no such type", false},
		"member's end":   {"food", func(s *pb.Sample) { s.Members[1].End = at(-1) }, "members[1].end", "2024-05-01T11:59:59Z", "before", false},
		"sync of member": {"food", func(s *pb.Sample) {
			s.Members[1].Metadata = []*pb.MetadataEntry{{Key: "HKSyncIdentifier", Value: &pb.MetadataEntry_Text{Text: "a"}}}
		}, "members[1].metadata[HKMetadataKeySyncVersion]", "", "go together", true},
		"an object": {"food", func(s *pb.Sample) { s.Object = whole["workout"]().Object }, "workout", "", "not what a food has", false},
		"too many": {"food", func(s *pb.Sample) {
			for range health.MaxMembers {
				s.Members = append(s.Members, s.Members[0])
			}
		}, "members", "4099", "4096", false},
	})
}
