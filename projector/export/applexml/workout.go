package applexml

import (
	"io"
	"math"

	"healthledger/projector/export"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

func (e *exporter) workout(s *pb.Sample) *element {
	w := s.GetWorkout()
	x := &element{name: "Workout"}
	x.set("workoutActivityType", rawWord("workoutActivity", w.GetActivity()))
	x.duration(w.Duration)
	x.quantity("totalDistance", w.GetTotalDistance())
	x.quantity("totalEnergyBurned", w.GetTotalEnergyBurned())
	x.quantity("totalSwimmingStrokeCount", w.GetTotalSwimmingStrokeCount())
	x.quantity("totalFlightsClimbed", w.GetTotalFlightsClimbed())
	e.source(x, s.Source)
	e.dates(x, s)
	e.metadata(x, s.Metadata)
	e.events(x, w.GetEvents())
	for _, a := range w.GetActivities() {
		e.activity(x, a)
	}
	e.statistics(x, w.GetStatistics())
	e.members(x, s)
	for _, m := range s.Members {
		switch {
		case m.GetWorkoutRoute() != nil:
			e.routes[m.GetUuid()] = true
			x.add(e.route(m, s))
		case m.GetHeartbeatSeries() != nil:
			// The series itself is exported for itself.
			e.report.Changed["heartbeat series that belongs to a workout"]++
		}
	}
	e.keep(x, s.Kept)
	return x
}

// duration is in minutes, unless they cannot give the seconds back.
func (x *element) duration(seconds *float64) {
	if seconds == nil {
		return
	}
	value, unit := *seconds/60, "min"
	if back := value * 60; math.Float64bits(back) != math.Float64bits(*seconds) {
		value, unit = *seconds, "s"
	}
	x.set("duration", number(value))
	x.set("durationUnit", unit)
}

func (e *exporter) events(x *element, events []*pb.WorkoutEvent) {
	for _, v := range events {
		event := &element{name: "WorkoutEvent"}
		event.set("type", rawWord("workoutEvent", v.Type))
		event.set("date", e.date(v.Start.AsTime()))
		e.whole(v.Start)
		event.duration(v.Duration)
		e.metadata(event, v.Metadata)
		e.keep(event, v.Kept)
		x.add(event)
	}
}

func (e *exporter) activity(x *element, a *pb.WorkoutActivity) {
	activity := &element{name: "WorkoutActivity"}
	activity.set("uuid", a.Uuid)
	if a.Activity != "" {
		activity.set("workoutActivityType", rawWord("workoutActivity", a.Activity))
	}
	activity.set("startDate", e.date(a.Start.AsTime()))
	if a.End != nil {
		activity.set("endDate", e.date(a.End.AsTime()))
	}
	e.whole(a.Start, a.End)
	activity.duration(a.Duration)
	e.metadata(activity, a.Metadata)
	e.events(activity, a.Events)
	e.statistics(activity, a.Statistics)
	e.keep(activity, a.Kept)
	x.add(activity)
}

func (e *exporter) statistics(x *element, list []*pb.WorkoutStatistics) {
	for _, w := range list {
		statistics := &element{name: "WorkoutStatistics"}
		if t, ok := catalog.Lookup(w.Type); ok {
			statistics.set("type", t.Identifier)
		}
		if w.Start != nil {
			statistics.set("startDate", e.date(w.Start.AsTime()))
		}
		if w.End != nil {
			statistics.set("endDate", e.date(w.End.AsTime()))
		}
		e.whole(w.Start, w.End)
		for _, f := range []struct {
			name  string
			value *float64
		}{{"average", w.Average}, {"minimum", w.Minimum}, {"maximum", w.Maximum}, {"sum", w.Sum}} {
			statistics.set(f.name, optional(f.value))
		}
		statistics.set("unit", w.Unit)
		e.keep(statistics, w.Kept)
		x.add(statistics)
	}
}

// route refers to a file of its locations; in a document alone they stand in it.
func (e *exporter) route(s, workout *pb.Sample) *element {
	x := &element{name: "WorkoutRoute"}
	source := s.Source
	if source == nil && workout != nil {
		source = workout.Source
	}
	e.source(x, source)
	e.dates(x, s)
	e.metadata(x, s.Metadata)
	switch {
	case s.GetPayloadToken() == "":
	case e.files != nil:
		path := "workout-routes/route_" + nameOf(s) + ".gpx"
		e.files.add(path, func(w io.Writer) error { return writeGPX(w, s, e.payload(s)) })
		x.add(&element{name: "FileReference", attributes: []attribute{{"path", "/" + path}}})
	default:
		x.stream = func() error { return e.locations(s) }
	}
	e.keep(x, s.Kept)
	return x
}

// locations prints the places of a route, as exports did before there were files.
func (e *exporter) locations(s *pb.Sample) error {
	for chunk, err := range export.Payload(e.ctx, e.reader, s) {
		if err != nil {
			return err
		}
		for p := range places(chunk.GetLocations()) {
			x := element{name: "Location"}
			x.set("date", e.date(p.time))
			if p.time.Nanosecond() != 0 {
				e.report.Changed["fraction of a second of a location"]++
			}
			for i, v := range p.values {
				if !math.IsNaN(v) {
					x.set(locationNames[i], number(v))
				}
			}
			if err := e.print(&x, 3); err != nil {
				return err
			}
		}
	}
	return nil
}

// locationNames are the attributes of the columns.
var locationNames = [...]string{"latitude", "longitude", "altitude", "speed", "course", "horizontalAccuracy", "verticalAccuracy"}
