package healthautoexport

import (
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// maxMedications bounds what is remembered of medications.
const maxMedications = 10_000

// medication reads what became of a dose, and with it the medication, of which the app
// repeats everything with every dose. It does not say which one it is: the first coding does,
// or else the name.
func medication(p *parser, o *object) ([]*pb.Sample, error) {
	m := &pb.Medication{
		Name: o.text("displayText"), Nickname: o.text("nickname"), GeneralForm: o.text("form"), Codings: o.codings(),
	}
	m.Archived, _ = o.truth("isArchived")
	if m.Concept = m.Name; len(m.Codings) > 0 {
		m.Concept = m.Codings[0].System + "|" + m.Codings[0].Code
	}
	if m.Concept == "" {
		return nil, errUnknownName
	}
	dose, err := o.dose(m.Concept)
	if err != nil {
		return nil, err
	}
	samples := []*pb.Sample{dose}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, errNoValue
	}
	if p.medications[m.Concept] != string(content) {
		s := &pb.Sample{Type: "userAnnotatedMedication", Start: timestamp(epoch), End: timestamp(epoch), Source: dose.Source,
			Object: &pb.Sample_Medication{Medication: m}}
		if p.check(s) == nil && len(p.medications) < maxMedications {
			p.medications[m.Concept] = string(content)
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// dose takes the event. It has a schedule if it was scheduled.
func (o *object) dose(concept string) (*pb.Sample, error) {
	start, end, ok := o.span("start", "end")
	if !ok {
		return nil, errNoDate
	}
	t, _ := catalog.Lookup("medicationDoseEvent")
	s := sampleOf(t, start, end, o)
	event := &pb.MedicationDoseEvent{Medication: concept, Schedule: "asNeeded"}
	if event.Status, ok = word(catalog.Words("doseStatus"), o.text("status")); !ok {
		return nil, errUnknownValue
	}
	if at, ok := o.date("scheduledDate"); ok {
		event.Scheduled, event.Schedule = timestamp(at), "schedule"
	}
	if dose, ok := o.number("dosage"); ok {
		event.Dose = &dose
	}
	s.Object = &pb.Sample_MedicationDoseEvent{MedicationDoseEvent: event}
	for _, key := range []string{"scheduledDate", "dosage", "nickname", "form"} {
		o.skipNull(key)
	}
	return s, nil
}

// codings takes the codes of a medication, all or none.
func (o *object) codings() (codings []*pb.Coding) {
	f := o.find("codings")
	if f == nil {
		return nil
	}
	whole := true
	f.taken = elements(f.value, func(element []byte) bool {
		one, ok := newObject(element)
		if !ok {
			whole = false
			return false
		}
		coding := &pb.Coding{System: one.text("system"), Version: one.text("version"), Code: one.text("code")}
		one.skipNull("version")
		whole = whole && coding.Code != "" && one.whole()
		codings = append(codings, coding)
		return true
	}) && whole
	if !f.taken {
		return nil
	}
	return codings
}
