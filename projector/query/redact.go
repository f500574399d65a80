package query

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// redactor takes out of an object what restates samples of another type that the reader
// may not see: it is as if it had never been recorded (DESIGN.md, section 5).
type redactor struct {
	scope authz.Scope
	// app that wrote the object, and when the object ends.
	app uint64
	end int64
}

// sees says whether the reader may see a figure about a type that ends then.
func (r *redactor) sees(typeName string, end *timestamppb.Timestamp) bool {
	t, ok := catalog.Lookup(typeName)
	if !ok {
		return r.own()
	}
	at := r.end
	if end != nil {
		var err error
		if at, err = health.Micros(end); err != nil {
			return r.own()
		}
	}
	since, ok := r.scope.Access(t.Code).Since(r.app, "")
	return ok && at >= since
}

// own says whether the reader is the app that wrote the object, or the owner: either may
// see what is of no type of the catalogue.
func (r *redactor) own() bool {
	_, ok := r.scope.Access(0).Since(r.app, "")
	return ok
}

func (r *redactor) quantity(q **pb.Quantity, typeName string) {
	if *q != nil && !r.sees(typeName, nil) {
		*q = nil
	}
}

func (r *redactor) body(s *pb.Sample) {
	switch o := s.GetObject().(type) {
	case *pb.Sample_Workout:
		r.workout(o.Workout)
	case *pb.Sample_Electrocardiogram:
		r.quantity(&o.Electrocardiogram.AverageHeartRate, "heartRate")
	case *pb.Sample_ActivitySummary:
		r.summary(o.ActivitySummary)
	}
	if !r.own() {
		// Nobody knows what it restates.
		forgetKept(s.ProtoReflect())
	}
}

func (r *redactor) workout(w *pb.Workout) {
	r.quantity(&w.TotalDistance, distanceType(w.GetActivity()))
	r.quantity(&w.TotalEnergyBurned, "activeEnergyBurned")
	r.quantity(&w.TotalSwimmingStrokeCount, "swimmingStrokeCount")
	r.quantity(&w.TotalFlightsClimbed, "flightsClimbed")
	w.Statistics = r.statistics(w.Statistics, nil)
	for _, a := range w.GetActivities() {
		a.Statistics = r.statistics(a.Statistics, a.GetEnd())
	}
}

// statistics returns those that the reader may see, each at its own end or else at that of
// the activity it stands in.
func (r *redactor) statistics(all []*pb.WorkoutStatistics, end *timestamppb.Timestamp) []*pb.WorkoutStatistics {
	var seen []*pb.WorkoutStatistics
	for _, s := range all {
		at := s.GetEnd()
		if at == nil {
			at = end
		}
		if r.sees(s.GetType(), at) {
			seen = append(seen, s)
		}
	}
	return seen
}

func (r *redactor) summary(s *pb.ActivitySummary) {
	for _, figure := range [...]struct {
		quantity **pb.Quantity
		typeName string
	}{
		{&s.ActiveEnergyBurned, "activeEnergyBurned"}, {&s.ActiveEnergyBurnedGoal, "activeEnergyBurned"},
		{&s.MoveTime, "appleMoveTime"}, {&s.MoveTimeGoal, "appleMoveTime"},
		{&s.ExerciseTime, "appleExerciseTime"}, {&s.ExerciseTimeGoal, "appleExerciseTime"},
		{&s.StandHours, "appleStandHour"}, {&s.StandHoursGoal, "appleStandHour"},
	} {
		r.quantity(figure.quantity, figure.typeName)
	}
}

// distanceType is the type that the total distance of a workout restates.
func distanceType(activity string) string {
	switch activity {
	case "cycling", "handCycling":
		return "distanceCycling"
	case "swimming":
		return "distanceSwimming"
	case "wheelchairWalkPace", "wheelchairRunPace":
		return "distanceWheelchair"
	case "downhillSkiing", "snowboarding", "snowSports":
		return "distanceDownhillSnowSports"
	case "crossCountrySkiing":
		return "distanceCrossCountrySkiing"
	case "paddleSports":
		return "distancePaddleSports"
	case "rowing":
		return "distanceRowing"
	case "skatingSports":
		return "distanceSkatingSports"
	}
	return "distanceWalkingRunning"
}

// forgetKept takes what an import kept out of a message and all in it.
func forgetKept(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Name() == "kept":
			m.Clear(field)
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				forgetKept(value.List().Get(i).Message())
			}
		default:
			forgetKept(value.Message())
		}
		return true
	})
}
