package apple

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

var workoutActivities, workoutEvents = catalog.Words("workoutActivity"), catalog.Words("workoutEvent")

// workout reads a workout. Its totals stand in attributes, up to iOS 15, or in the
// statistics among its children.
func (r *reader) workout(n *node) (*pb.Sample, string) {
	s, why := r.sample(n, "workout", nil)
	if why != "" {
		return nil, why
	}
	w := &pb.Workout{
		// An activity that is not known is kept beside "other".
		Activity:                 n.word("workoutActivityType", workoutActivities, "other"),
		Duration:                 n.duration(),
		TotalDistance:            r.quantity(n, "totalDistance", "m"),
		TotalEnergyBurned:        r.quantity(n, "totalEnergyBurned", "kcal"),
		TotalSwimmingStrokeCount: r.quantity(n, "totalSwimmingStrokeCount", "count"),
		TotalFlightsClimbed:      r.quantity(n, "totalFlightsClimbed", "count"),
	}
	s.Object = &pb.Sample_Workout{Workout: w}
	for _, c := range n.children {
		switch c.name {
		case "WorkoutEvent":
			w.Events = r.workoutEvent(w.Events, c)
		case "WorkoutStatistics":
			w.Statistics = r.statistics(w.Statistics, c)
		case "WorkoutActivity":
			w.Activities = r.activity(w.Activities, c)
		case "WorkoutRoute":
			files := len(r.files.taken)
			route, why := r.route(c, s)
			if why == "" {
				route.Kept = r.leftovers(c)
				why = r.refused(route)
			}
			if c.why = why; why == "" {
				c.mapped = true
				s.Members = append(s.Members, route)
			} else {
				r.files.release(files)
				c.all(func(n *node) { n.mapped = false })
			}
		case "Record":
			r.member(s, c, func(t *catalog.Type) bool { return t.Kind == catalog.Quantity || t.Kind == catalog.Category })
		}
	}
	return s, ""
}

// word uses an attribute whose value is one of a vocabulary; otherwise it is another.
func (n *node) word(name string, words *catalog.Vocabulary, otherwise string) string {
	f := n.field(name)
	if f == nil {
		return otherwise
	}
	word, ok := words.Word(string(f.raw))
	if !ok {
		return otherwise
	}
	f.used = true
	return word
}

// duration uses the attributes of a duration, in seconds; nil where they are not there or
// say nothing that can be understood.
func (n *node) duration() *float64 {
	v, ok := parseNumber(n.peek("duration"))
	if !ok {
		return nil
	}
	toSeconds, ok := conversion(string(n.peek("durationUnit")), "s")
	if !ok {
		return nil
	}
	n.take("duration")
	n.take("durationUnit")
	seconds := toSeconds.Apply(v)
	return &seconds
}

// conversion between two units, if both are units and compatible.
func conversion(from, to string) (unit.Conversion, bool) {
	if from == "" || len(from) > maxKey {
		return unit.Conversion{}, false
	}
	a, err := unit.Parse(from)
	if err != nil {
		return unit.Conversion{}, false
	}
	b, err := unit.Parse(to)
	if err != nil {
		return unit.Conversion{}, false
	}
	c, err := unit.Between(a, b)
	return c, err == nil
}

// quantity uses the attributes "name" and "nameUnit", which must be compatible with a
// unit; otherwise they are kept.
func (r *reader) quantity(n *node, name, like string) *pb.Quantity {
	return r.quantityIn(n, name, name+"Unit", like)
}

func (r *reader) quantityIn(n *node, name, unitName, like string) *pb.Quantity {
	v, ok := parseNumber(n.peek(name))
	if !ok {
		return nil
	}
	f := n.field(unitName)
	if f == nil {
		return nil
	}
	unit := r.text(f.raw)
	if _, ok := conversion(unit, like); !ok {
		return nil
	}
	n.take(name)
	f.used = true
	return &pb.Quantity{Value: v, Unit: unit}
}

// workoutEvent reads a WorkoutEvent; one that is not understood is kept.
func (r *reader) workoutEvent(events []*pb.WorkoutEvent, n *node) []*pb.WorkoutEvent {
	at, ok := n.date("date")
	kind := n.word("type", workoutEvents, "")
	metadata, why := r.metadata(n)
	if !ok || kind == "" || why != "" {
		n.all(func(n *node) { n.mapped = false })
		return events
	}
	n.mapped = true
	return append(events, &pb.WorkoutEvent{
		Type: kind, Start: health.Timestamp(at), Duration: n.duration(), Metadata: metadata, Kept: r.leftovers(n),
	})
}

// statistics reads WorkoutStatistics; those of an unknown type are kept.
func (r *reader) statistics(all []*pb.WorkoutStatistics, n *node) []*pb.WorkoutStatistics {
	t, ok := catalog.LookupBytes(n.peek("type"))
	if !ok || t.Kind != catalog.Quantity {
		return all
	}
	unit := r.text(n.peek("unit"))
	if _, ok := conversion(unit, t.Unit); !ok {
		return all
	}
	n.take("type")
	n.take("unit")
	s := &pb.WorkoutStatistics{
		Type: t.Short(), Unit: unit, Sum: n.number("sum"), Average: n.number("average"),
		Minimum: n.number("minimum"), Maximum: n.number("maximum"),
	}
	if at, ok := n.date("startDate"); ok {
		s.Start = health.Timestamp(at)
	}
	if at, ok := n.date("endDate"); ok {
		s.End = health.Timestamp(at)
	}
	s.Kept = r.leftovers(n)
	n.mapped = true
	return append(all, s)
}

// activity reads a WorkoutActivity; one without a start is kept.
func (r *reader) activity(all []*pb.WorkoutActivity, n *node) []*pb.WorkoutActivity {
	start, ok := n.date("startDate")
	metadata, why := r.metadata(n)
	if !ok || why != "" {
		n.all(func(n *node) { n.mapped = false })
		return all
	}
	a := &pb.WorkoutActivity{
		Activity: n.word("workoutActivityType", workoutActivities, ""),
		Start:    health.Timestamp(start), Duration: n.duration(), Metadata: metadata,
	}
	if f := n.field("uuid"); f != nil {
		if a.Uuid, ok = canonicalUUID(f.raw); ok {
			f.used = true
		}
	}
	if end, ok := n.date("endDate"); ok {
		a.End = health.Timestamp(end)
	}
	for _, c := range n.children {
		switch c.name {
		case "WorkoutEvent":
			a.Events = r.workoutEvent(a.Events, c)
		case "WorkoutStatistics":
			a.Statistics = r.statistics(a.Statistics, c)
		}
	}
	a.Kept = r.leftovers(n)
	n.mapped = true
	return append(all, a)
}

// route reads a WorkoutRoute with the locations that stand in it, or in the file that it
// refers to.
func (r *reader) route(n *node, workout *pb.Sample) (*pb.Sample, string) {
	s, why := r.sample(n, "workoutRoute", workout)
	if why != "" {
		return nil, why
	}
	s.Object = &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}}
	if n.track != nil {
		s.Payload = n.track.chunks()
	}
	for _, c := range n.children {
		path := c.peek("path")
		if c.name != "FileReference" || path == nil {
			continue
		}
		c.take("path")
		// Names of files mean nothing outside of the export, so a reference alone is not kept.
		c.mapped = c.done()
		points, err := r.files.route(r.text(path), s)
		if err != nil {
			return nil, err.Error()
		}
		s.Payload = append(s.Payload, points.chunks()...)
	}
	return s, ""
}
