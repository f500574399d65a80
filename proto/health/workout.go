package health

import (
	"cmp"
	"math"
	"slices"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"github.com/google/uuid"
)

// workout checks a workout. Pauses and resumptions may be redundant, segments may
// overlap, laps may not (spec section 3.2).
func (s subject) workout(w *pb.Workout) *FieldError {
	return cmp.Or(
		needWord("activity", "workoutActivity", &w.Activity),
		notNegative("duration", w.Duration),
		amount("totalDistance", w.TotalDistance, "m"),
		amount("totalEnergyBurned", w.TotalEnergyBurned, "kcal"),
		amount("totalSwimmingStrokeCount", w.TotalSwimmingStrokeCount, "count"),
		amount("totalFlightsClimbed", w.TotalFlightsClimbed, "count"),
		s.events(w.Events),
		each("activities", w.Activities, s.activity),
		s.distinctActivities(w.Activities),
		s.statistics(w.Statistics),
	)
}

func (s subject) events(events []*pb.WorkoutEvent) *FieldError {
	if err := each("events", events, s.event); err != nil {
		return err
	}
	if s.policy.Importer {
		return nil
	}
	return apartLaps(events)
}

func (s subject) event(e *pb.WorkoutEvent) *FieldError {
	if err := needWord("type", "workoutEvent", &e.Type); err != nil {
		return err
	}
	if err := notNegative("duration", e.Duration); err != nil {
		return err
	}
	start, end, err := eventPeriod(e)
	switch {
	case err != nil:
		return err
	case !s.policy.Importer && !s.within(start, end):
		return refuse("start", show(start), "the event is not within the workout")
	}
	return cmp.Or(checkMetadata(s.typ, e.Metadata, s.policy), checkKept(e.Kept, s.policy))
}

// eventPeriod returns when an event begins and ends.
func eventPeriod(e *pb.WorkoutEvent) (start, end int64, err *FieldError) {
	if e.Start == nil {
		return 0, 0, refuse("start", "", "missing")
	}
	if start, err = parseTimestamp("start", e.Start); err != nil {
		return 0, 0, err
	}
	length := math.Round(e.GetDuration() * 1e6)
	if length > float64(maxMicros-start) {
		return 0, 0, refuse("duration", decimal(e.GetDuration()), "the end is "+whyRange)
	}
	return start, start + int64(length), nil
}

// apartLaps checks that no two laps overlap. The events were checked.
func apartLaps(events []*pb.WorkoutEvent) *FieldError {
	type lap struct{ start, end int64 }
	var laps []lap
	for _, e := range events {
		if start, end, err := eventPeriod(e); err == nil && e.Type == "lap" {
			laps = append(laps, lap{start, end})
		}
	}
	slices.SortFunc(laps, func(a, b lap) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	for i := 1; i < len(laps); i++ {
		if laps[i].start < laps[i-1].end {
			return refuse("events", show(laps[i].start), "a lap begins here before the one before has ended")
		}
	}
	return nil
}

func (s subject) activity(a *pb.WorkoutActivity) *FieldError {
	if a.Uuid != "" {
		id, err := parseUUID(a.Uuid)
		if err != nil {
			return err
		}
		a.Uuid = uuid.UUID(id).String()
	}
	start, end, err := period(a.Start, a.End)
	switch {
	case err != nil:
		return err
	case a.Start == nil:
		return refuse("start", "", "missing")
	case !s.policy.Importer && !s.within(start, end):
		return refuse("start", show(start), "the activity is not within the workout")
	}
	return cmp.Or(
		word("activity", "workoutActivity", &a.Activity),
		notNegative("duration", a.Duration),
		s.events(a.Events),
		s.statistics(a.Statistics),
		checkMetadata(s.typ, a.Metadata, s.policy),
		checkKept(a.Kept, s.policy),
	)
}

// distinctActivities checks that the UUIDs of activities name one each.
func (s subject) distinctActivities(activities []*pb.WorkoutActivity) *FieldError {
	seen := map[string]bool{}
	return each("activities", activities, func(a *pb.WorkoutActivity) *FieldError {
		if a.Uuid != "" && seen[a.Uuid] {
			return refuse("uuid", a.Uuid, "it is there twice")
		}
		seen[a.Uuid] = true
		return nil
	})
}

func (s subject) statistics(list []*pb.WorkoutStatistics) *FieldError {
	seen := map[string]bool{}
	return each("statistics", list, func(w *pb.WorkoutStatistics) *FieldError {
		if err := s.figures(w); err != nil {
			return err
		}
		if seen[w.Type] && !s.policy.Importer {
			return refuse("type", w.Type, "it is there twice")
		}
		seen[w.Type] = true
		return nil
	})
}

// figures checks the statistics of one type: cumulative ones have a sum, others have
// not (spec section 3.7).
func (s subject) figures(w *pb.WorkoutStatistics) *FieldError {
	t, ok := catalog.Lookup(w.Type)
	if !ok || t.Kind != catalog.Quantity {
		return refuse("type", w.Type, "not a type of quantities")
	}
	w.Type = t.Short()
	_, _, err := period(w.Start, w.End)
	if err = cmp.Or(
		err,
		compatible("unit", w.Unit, t.Unit),
		finiteOrNone("sum", w.Sum), finiteOrNone("average", w.Average),
		finiteOrNone("minimum", w.Minimum), finiteOrNone("maximum", w.Maximum),
		checkKept(w.Kept, s.policy),
	); err != nil || s.policy.Importer {
		return err
	}
	discrete := w.Average != nil || w.Minimum != nil || w.Maximum != nil
	switch cumulative := t.Aggregation == catalog.Cumulative; {
	case cumulative && discrete:
		return refuse("type", w.Type, "a cumulative type has a sum and nothing else")
	case !cumulative && w.Sum != nil:
		return refuse("sum", decimal(*w.Sum), "only cumulative types have one")
	case w.Sum == nil && !discrete:
		return refuse("sum", "", "missing, and so are all other figures")
	case w.Minimum != nil && w.Maximum != nil && *w.Minimum > *w.Maximum:
		return refuse("maximum", decimal(*w.Maximum), "less than the minimum")
	}
	return nil
}
