package health

import (
	"cmp"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

// checkSummary checks a day's rings. The day is one of the person's calendar, which
// knows no zone here.
func checkSummary(a *pb.ActivitySummary) *FieldError {
	_, err := calendarDay("day", a.Day)
	return cmp.Or(
		err,
		amount("activeEnergyBurned", a.ActiveEnergyBurned, "kcal"),
		amount("activeEnergyBurnedGoal", a.ActiveEnergyBurnedGoal, "kcal"),
		amount("moveTime", a.MoveTime, "min"),
		amount("moveTimeGoal", a.MoveTimeGoal, "min"),
		amount("exerciseTime", a.ExerciseTime, "min"),
		amount("exerciseTimeGoal", a.ExerciseTimeGoal, "min"),
		amount("standHours", a.StandHours, "count"),
		amount("standHoursGoal", a.StandHoursGoal, "count"),
	)
}

// calendarDay reads "2024-05-01".
func calendarDay(field, text string) (time.Time, *FieldError) {
	if text == "" {
		return time.Time{}, refuse(field, "", "missing")
	}
	day, err := time.Parse(dayLayout, text)
	if err != nil || day.Year() < 1 {
		return time.Time{}, refuse(field, text, "not a day of the calendar, such as 2024-05-01")
	}
	return day, nil
}

// characteristic checks a fact about the person.
func (s subject) characteristic(c *pb.Characteristic) *FieldError {
	want := "text"
	switch {
	case len(s.typ.Values) > 0:
		want = "label"
	case s.typ.Short() == "dateOfBirth":
		want = "date"
	}
	got := ""
	if field := c.ProtoReflect().WhichOneof(c.ProtoReflect().Descriptor().Oneofs().ByName("value")); field != nil {
		got = field.JSONName()
	}
	if got != want {
		return refuse(want, "", "missing; it is what a "+s.typ.Short()+" has")
	}
	switch v := c.Value.(type) {
	case *pb.Characteristic_Label:
		usual, ok := s.typ.Word(v.Label)
		if !ok {
			return refuse("label", v.Label, "not a value of "+s.typ.Short())
		}
		v.Label = usual
	case *pb.Characteristic_Date:
		_, err := calendarDay("date", v.Date)
		return err
	case *pb.Characteristic_Text:
		return needText("text", v.Text)
	}
	return nil
}
