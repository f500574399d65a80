package healthtest

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"pgregory.net/rapid"
)

func (m maker) workout(row *health.Row) *pb.Workout {
	w := &pb.Workout{
		Activity: m.word("workoutActivity"), Duration: m.amountOrNone("duration"),
		TotalDistance: m.quantity("distance", "m", "km", "mi"), TotalEnergyBurned: m.quantity("energy", "kcal", "Cal", "kJ"),
		TotalSwimmingStrokeCount: m.quantity("strokes", "count"), TotalFlightsClimbed: m.quantity("flights", "count"),
		Events: m.events(row), Statistics: m.statistics(row),
	}
	seen := map[string]bool{}
	for range m.between("activities", 0, 2) {
		a := m.activity(row)
		if a.Uuid == "" || !seen[a.Uuid] {
			w.Activities = append(w.Activities, a)
		}
		seen[a.Uuid] = true
	}
	return w
}

// events draws events one after another, which keeps laps apart.
func (m maker) events(row *health.Row) (list []*pb.WorkoutEvent) {
	at := row.Start
	for range m.between("events", 0, 3) {
		e := &pb.WorkoutEvent{Type: m.word("workoutEvent"), Start: health.Timestamp(m.time("event", at, row.End)), Kept: m.kept()}
		if m.maybe("event with metadata") {
			e.Metadata = []*pb.MetadataEntry{number("HKSwimmingStrokeStyle", 2)}
		}
		at, _ = health.Micros(e.Start)
		if length := m.between("event length", 0, 3600); at+int64(length)*1_000_000 <= row.End {
			seconds := float64(length)
			e.Duration = &seconds
			at += int64(length) * 1_000_000
		}
		list = append(list, e)
	}
	return list
}

func (m maker) activity(row *health.Row) *pb.WorkoutActivity {
	part := health.Row{Start: m.time("activity start", row.Start, row.End)}
	part.End = m.time("activity end", part.Start, row.End)
	a := &pb.WorkoutActivity{
		Start: health.Timestamp(part.Start), End: health.Timestamp(part.End), Duration: m.amountOrNone("activity duration"),
		Events: m.events(&part), Statistics: m.statistics(&part), Kept: m.kept(),
	}
	if m.maybe("activity of its own") {
		a.Activity = m.word("workoutActivity")
	}
	if m.maybe("activity uuid") {
		a.Uuid = m.uuidText()
	}
	if m.maybe("activity metadata") {
		a.Metadata = []*pb.MetadataEntry{number("HKIndoorWorkout", 1)}
	}
	return a
}

func (m maker) statistics(row *health.Row) (list []*pb.WorkoutStatistics) {
	types := rapid.SliceOfNDistinct(rapid.SampledFrom(measured), 0, 3, rapid.ID).Draw(m.T, "statistics")
	for _, ty := range types {
		s := &pb.WorkoutStatistics{Type: ty.Short(), Unit: m.unit(ty), Start: health.Timestamp(row.Start), End: health.Timestamp(row.End), Kept: m.kept()}
		a, b := m.real(), m.real()
		a, b = min(a, b), max(a, b)
		if ty.Aggregation == catalog.Cumulative {
			s.Sum = &a
		} else {
			s.Minimum, s.Maximum, s.Average = &a, &b, &b
		}
		list = append(list, s)
	}
	return list
}

// measured are the types of quantities.
var measured = func() (list []*catalog.Type) {
	for _, ty := range catalog.All() {
		if ty.Kind == catalog.Quantity {
			list = append(list, ty)
		}
	}
	return list
}()

// members draws the members of a correlation or a workout.
func (m maker) members(ty *catalog.Type) (list []*pb.Sample) {
	var types []*catalog.Type
	switch {
	case ty.Short() == "bloodPressure":
		types = ty.Members()
		if m.maybe("diastolic first") {
			types = []*catalog.Type{types[1], types[0]}
		}
	case ty.Kind == catalog.Correlation:
		types = rapid.SliceOfN(rapid.SampledFrom(ty.Members()), 1, 4).Draw(m.T, "members")
	case ty.Kind == catalog.Workout:
		types = rapid.SliceOfN(rapid.SampledFrom(m.ofWorkouts()), 0, 2).Draw(m.T, "members")
	}
	for _, member := range types {
		list = append(list, m.member(member))
	}
	return list
}

// ofWorkouts returns the types of which a workout may have members.
func (m maker) ofWorkouts() (list []*catalog.Type) {
	for _, name := range []string{"heartRate", "activeEnergyBurned", "distanceCycling", "stepCount", "workoutRoute",
		"heartbeatSeries", "mindfulSession", "appleStandHour"} {
		if ty, _ := catalog.Lookup(name); !m.app || !ty.ReadOnly {
			list = append(list, ty)
		}
	}
	return list
}
