package health

import (
	"cmp"
	"strconv"

	pb "healthledger/proto/healthledger/v1"
)

func checkMedication(m *pb.Medication) *FieldError {
	if len(m.Codings) > MaxEntries {
		return refuse("codings", strconv.Itoa(len(m.Codings)), "more than "+strconv.Itoa(MaxEntries))
	}
	return cmp.Or(
		needText("concept", m.Concept),
		checkText("name", m.Name),
		checkText("nickname", m.Nickname),
		checkText("generalForm", m.GeneralForm),
		each("codings", m.Codings, checkCoding),
	)
}

func checkCoding(c *pb.Coding) *FieldError {
	return cmp.Or(
		checkText("system", c.System),
		checkText("version", c.Version),
		needText("code", c.Code),
	)
}

// normalDose checks what became of a dose. Whatever the status, it may have a quantity
// or none: a skipped dose has one in practice, and one not logged was not taken.
func normalDose(d *pb.MedicationDoseEvent) *FieldError {
	return cmp.Or(
		needText("medication", d.Medication),
		needWord("status", "doseStatus", &d.Status),
		word("schedule", "doseSchedule", &d.Schedule),
		moment("scheduled", d.Scheduled),
		notNegative("dose", d.Dose),
		notNegative("scheduledDose", d.ScheduledDose),
		checkText("unit", d.Unit),
	)
}
