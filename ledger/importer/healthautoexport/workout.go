package healthautoexport

import (
	"strings"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// activities are the app's folded names of activities beside those of the vocabulary; what
// was indoor or outdoor is cut off before.
var activities = map[string]string{
	"walk": "walking", "run": "running", "cycle": "cycling", "hike": "hiking", "swim": "swimming", "row": "rowing", "rower": "rowing",
	"poolswim": "swimming", "openwaterswim": "swimming", "strengthtraining": "traditionalStrengthTraining", "stairstepper": "stairClimbing",
	"hiit": "highIntensityIntervalTraining", "multisport": "swimBikeRun", "wheelchairwalk": "wheelchairWalkPace",
	"wheelchairrun": "wheelchairRunPace", "football": "americanFootball", "dancing": "dance",
}

// workout reads a workout of version 1 or 2: what is one object in the first is an array of
// points in the second.
func workout(p *parser, o *object) ([]*pb.Sample, error) {
	start, end, ok := o.span("start", "end")
	if !ok {
		return nil, errNoDate
	}
	t, _ := catalog.Lookup("workout")
	s := sampleOf(t, start, end, o)
	o.id(s)
	w := &pb.Workout{}
	s.Object = &pb.Sample_Workout{Workout: w}
	o.activity(w)
	if seconds, ok := o.number("duration"); ok {
		w.Duration = &seconds
	}
	o.totals(w)
	o.heartRates(w)
	o.conditions(s)
	members := newMembers(s)
	if err := o.route(members); err != nil {
		return nil, err
	}
	p.series(o, members)
	return append([]*pb.Sample{s}, members.beyond...), nil
}

// activity takes the name of the activity. One that is not known, for one because the phone
// speaks another language, is "other" and stays.
func (o *object) activity(w *pb.Workout) {
	w.Activity = "other"
	f := o.find("name")
	if f == nil || f.value[0] != '"' {
		return
	}
	name := fold(unquote(f.value))
	if activity, ok := word(catalog.Words("workoutActivity"), name); ok {
		w.Activity, f.taken = activity, true
		return
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "indoor"), "outdoor")
	if activity, ok := word(catalog.Words("workoutActivity"), name); ok {
		w.Activity = activity
	} else if activity, ok := activities[name]; ok {
		w.Activity = activity
	}
}

// totals takes the figures of the whole workout.
func (o *object) totals(w *pb.Workout) {
	if w.TotalEnergyBurned = o.quantity("activeEnergyBurned"); w.TotalEnergyBurned == nil {
		w.TotalEnergyBurned = o.quantity("activeEnergy")
	}
	w.TotalDistance = o.quantity("distance")
	w.TotalSwimmingStrokeCount = o.quantity("totalSwimmingStrokeCount")
	w.TotalFlightsClimbed = o.quantity("flightsClimbed")
	if steps := o.quantity("stepCount"); steps != nil {
		w.Statistics = append(w.Statistics, &pb.WorkoutStatistics{Type: "stepCount", Unit: steps.Unit, Sum: &steps.Value})
	}
}

// heartRates takes the figures of the heart rate. The app states average and maximum in two
// ways; the second one is taken if it says the same.
func (o *object) heartRates(w *pb.Workout) {
	s := &pb.WorkoutStatistics{Type: "heartRate"}
	set := func(into **float64, q *pb.Quantity) {
		if q != nil && (s.Unit == "" || s.Unit == q.Unit) {
			s.Unit, *into = q.Unit, &q.Value
		}
	}
	if f := o.find("heartRate"); f != nil {
		if inner, ok := newObject(f.value); ok {
			low, average, high := inner.quantity("min"), inner.quantity("avg"), inner.quantity("max")
			if f.taken = inner.whole(); f.taken {
				set(&s.Minimum, low)
				set(&s.Average, average)
				set(&s.Maximum, high)
			}
		}
	}
	for _, part := range []struct {
		key  string
		into **float64
	}{{"avgHeartRate", &s.Average}, {"maxHeartRate", &s.Maximum}} {
		f, q := o.find(part.key), o.quantity(part.key)
		switch {
		case q == nil:
		case *part.into == nil && (s.Unit == "" || s.Unit == q.Unit):
			set(part.into, q)
		case *part.into == nil || **part.into != q.Value || s.Unit != q.Unit:
			f.taken = false
		}
	}
	if s.Unit != "" {
		w.Statistics = append(w.Statistics, s)
	}
}

// quantityKeys are what HealthKit keeps in the metadata of a workout as quantities.
var quantityKeys = []struct{ key, name string }{
	{"intensity", "AverageMETs"}, {"intesity", "AverageMETs"}, {"temperature", "WeatherTemperature"}, {"humidity", "WeatherHumidity"},
	{"avgSpeed", "AverageSpeed"}, {"maxSpeed", "MaximumSpeed"}, {"elevationUp", "ElevationAscended"},
	{"elevationDown", "ElevationDescended"}, {"lapLength", "LapLength"},
}

// conditions takes what HealthKit has as metadata of a workout.
func (o *object) conditions(s *pb.Sample) {
	add := func(name string, value any) { s.Metadata = append(s.Metadata, metadata(name, value)) }
	for _, k := range quantityKeys {
		if q := o.quantity(k.key); q != nil {
			add(k.name, q)
		}
	}
	o.elevation(add)
	if indoor, ok := o.truth("isIndoor"); ok {
		add("IndoorWorkout", indoor)
	} else if f := o.find("location"); f != nil && f.value[0] == '"' {
		if place := fold(unquote(f.value)); place == "indoor" || place == "outdoor" {
			f.taken = true
			add("IndoorWorkout", place == "indoor")
		}
	}
	o.enum("location", "SwimmingLocationType", map[string]float64{"pool": 1, "openwater": 2}, s)
	o.enum("strokeStyle", "SwimmingStrokeStyle", map[string]float64{"unknown": 0, "uknown": 0, "mixed": 1, "freestyle": 2,
		"backstroke": 3, "breaststroke": 4, "butterfly": 5, "kickboard": 6}, s)
	o.enum("salinity", "WaterSalinity", map[string]float64{"freshwater": 1, "saltwater": 2}, s)
	if score, ok := o.number("swolfScore"); ok {
		add("SWOLFScore", score)
	}
}

// elevation takes version 1's {"ascent": 16, "descent": 3, "units": "m"}.
func (o *object) elevation(add func(string, any)) {
	f := o.find("elevation")
	if f == nil {
		return
	}
	inner, ok := newObject(f.value)
	if !ok {
		return
	}
	up, hasUp := inner.number("ascent")
	down, hasDown := inner.number("descent")
	if _, unit := scaled(nil, 0, inner.text("units")); unit != "" && inner.whole() {
		f.taken = true
		if hasUp {
			add("ElevationAscended", &pb.Quantity{Value: up, Unit: unit})
		}
		if hasDown {
			add("ElevationDescended", &pb.Quantity{Value: down, Unit: unit})
		}
	}
}
