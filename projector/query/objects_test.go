package query

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// may says by the rules, not by scopes, whether a reader may see what an app wrote of a
// type that ends then.
type may func(app uint64, typeName string, end int64) bool

func rules(reader uint64, reads map[uint64][]*pb.ReadGrant) may {
	return func(app uint64, typeName string, end int64) bool {
		if reader == 0 || reader == app {
			return true
		}
		for _, g := range reads[reader] {
			if g.GetType() == code(typeName) {
				return g.GetExtent() == pb.ReadExtent_READ_EXTENT_ALL || g.GetExtent() == pb.ReadExtent_READ_EXTENT_SINCE && end >= g.GetSince()
			}
		}
		return false
	}
}

func endOf(s *pb.Sample) int64 { return s.GetEnd().AsTime().UnixMicro() }

// strip returns what is left of a saved sample for somebody, nil if nothing is.
func strip(s *pb.Sample, app uint64, sees may) *pb.Sample {
	s = proto.CloneOf(s)
	var members []*pb.Sample
	for _, m := range s.Members {
		if sees(app, m.Type, endOf(m)) {
			members = append(members, m)
		}
	}
	s.Members = members
	if s.Type == "food" {
		if members == nil {
			return nil
		}
	} else if !sees(app, s.Type, endOf(s)) {
		return nil
	}
	if !sees(app, "importedElement", endOf(s)) {
		s.Kept = nil
	}
	if w := s.GetWorkout(); w != nil {
		if !sees(app, "distanceCycling", endOf(s)) {
			w.TotalDistance = nil
		}
		if !sees(app, "activeEnergyBurned", endOf(s)) {
			w.TotalEnergyBurned = nil
		}
		w.Statistics = stripStatistics(w.Statistics, app, sees)
		for _, a := range w.Activities {
			a.Statistics = stripStatistics(a.Statistics, app, sees)
		}
	}
	if e := s.GetElectrocardiogram(); e != nil && !sees(app, "heartRate", endOf(s)) {
		e.AverageHeartRate = nil
	}
	if a := s.GetActivitySummary(); a != nil {
		if !sees(app, "activeEnergyBurned", endOf(s)) {
			a.ActiveEnergyBurned, a.ActiveEnergyBurnedGoal = nil, nil
		}
		if !sees(app, "appleStandHour", endOf(s)) {
			a.StandHours = nil
		}
	}
	return s
}

func stripStatistics(all []*pb.WorkoutStatistics, app uint64, sees may) []*pb.WorkoutStatistics {
	var left []*pb.WorkoutStatistics
	for _, s := range all {
		if sees(app, s.Type, s.End.AsTime().UnixMicro()) {
			left = append(left, s)
		}
	}
	return left
}

// answered is how a saved sample goes out. Tokens are opaque: one is one.
func answered(s *pb.Sample, app uint64) *pb.Sample {
	s = proto.CloneOf(s)
	for _, m := range append([]*pb.Sample{s}, s.Members...) {
		if m.Source == nil {
			m.Source = proto.CloneOf(s.Source)
		}
		m.Source.Importer = ""
		if m.Source.App != "" && m.Source.App != bundleID(app) {
			m.Source.Importer = bundleID(app)
		} else {
			m.Source.App = bundleID(app)
		}
		if len(m.Payload) > 0 {
			m.PayloadToken, m.Payload = "token", nil
		}
	}
	if e := s.GetElectrocardiogram(); e != nil {
		e.Count = 5
	}
	return s
}

// saveSamples saves samples that bring their UUIDs, as do their members, and notes what
// must come back.
func (s *store) saveSamples(t testing.TB, app, gap uint64, samples ...*pb.Sample) {
	t.Helper()
	columns, err := health.Columns(samples, health.Policy{Importer: true})
	if err != nil {
		t.Fatal(err)
	}
	s.sequence += gap
	s.apply(t, app, columns)
	byID := map[string]*pb.Sample{}
	next := map[string]uint32{}
	for _, sample := range samples {
		byID[sample.Uuid] = sample
		next[sample.Type]++
	}
	top := map[string]uint32{}
	for _, c := range columns {
		typ, _ := catalog.ByCode(c.GetType())
		for _, row := range health.Rows(c) {
			sample := byID[health.Sample(typ, "", nil, row, nil).Uuid]
			s.note(app, sample, top[sample.Type])
			top[sample.Type]++
			for _, m := range sample.Members {
				m = proto.CloneOf(m)
				if m.Source == nil {
					m.Source = sample.Source
				}
				s.note(app, m, next[m.Type])
				next[m.Type]++
			}
		}
	}
}

func (s *store) note(app uint64, sample *pb.Sample, index uint32) {
	typ, _ := catalog.Lookup(sample.Type)
	s.ids[sample.Type] = append(s.ids[sample.Type], sample.Uuid)
	s.samples = append(s.samples, reference{app: app, typ: typ, input: sample, message: answered(sample, app), place: view.Place{
		Start: sample.Start.AsTime().UnixMicro(), End: endOf(sample), Sequence: s.sequence, Index: index,
	}})
}

// objectNames are types of which drawObject makes objects.
var objectNames = []string{"food", "workout", "electrocardiogram", "activitySummary"}

// grantedNames are types that grants are about because objects have or restate them.
var grantedNames = []string{
	"dietaryProtein", "dietaryFiber", "workout", "electrocardiogram", "activitySummary",
	"distanceCycling", "activeEnergyBurned", "appleStandHour",
}

var made uint64

// id makes UUIDs, none twice.
func id() string {
	made++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", made)
}

func drawSource(t *rapid.T) *pb.Source {
	return proto.CloneOf(rapid.SampledFrom(someSources[1:]).Draw(t, "source"))
}

// drawObject draws an object with a UUID, every one different from all others.
func drawObject(t *rapid.T, name string) *pb.Sample {
	start := drawTime(t, "start")
	end := start + rapid.SampledFrom([]int64{0, second, day / 2, 30 * day}).Draw(t, "duration")
	s := &pb.Sample{Type: name, Uuid: id(), Start: health.Timestamp(start), End: health.Timestamp(end), Source: drawSource(t)}
	figure := func(unit string) *pb.Quantity { return &pb.Quantity{Value: 1, Unit: unit} }
	switch name {
	case "food":
		for range rapid.IntRange(1, 3).Draw(t, "members") {
			s.Members = append(s.Members, drawMember(t, s, rapid.SampledFrom([]string{"dietaryProtein", "dietaryFiber"}).Draw(t, "member"), "g"))
		}
	case "workout":
		statistics := []*pb.WorkoutStatistics{
			{Type: "heartRate", Start: s.Start, End: s.End, Unit: "count/min", Average: proto.Float64(99)},
			{Type: "activeEnergyBurned", Start: s.Start, End: s.Start, Unit: "kcal", Sum: proto.Float64(9)},
		}
		s.Object = &pb.Sample_Workout{Workout: &pb.Workout{
			Activity: "cycling", TotalDistance: figure("m"), TotalEnergyBurned: figure("kcal"), Statistics: statistics,
			Activities: []*pb.WorkoutActivity{{Uuid: id(), Start: s.Start, End: s.End, Statistics: statistics}},
		}}
		s.Kept = []*pb.Kept{{Format: "apple-health-xml", Name: "@heart", Value: "99"}}
		for range rapid.IntRange(0, 2).Draw(t, "members") {
			s.Members = append(s.Members, drawMember(t, s, "heartRate", "count/min"))
		}
	case "electrocardiogram":
		s.Object = &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "sinusRhythm", Symptoms: "none", Lead: "appleWatchSimilarToLeadI", SamplingFrequency: 512, AverageHeartRate: figure("count/min"),
		}}
		cut := rapid.IntRange(1, 4).Draw(t, "cut")
		volts := []float64{1, -2, 3, -4, 5}
		s.Payload = []*pb.Chunk{{Microvolts: volts[:cut]}, {Microvolts: volts[cut:]}}
	case "activitySummary":
		made++
		date := health.Timestamp(day * int64(made%100_000)).AsTime()
		s.Start, s.End = health.Timestamp(date.UnixMicro()), health.Timestamp(date.UnixMicro()+day)
		s.Object = &pb.Sample_ActivitySummary{ActivitySummary: &pb.ActivitySummary{
			Day: date.Format("2006-01-02"), ActiveEnergyBurned: figure("kcal"), ActiveEnergyBurnedGoal: figure("kcal"), StandHours: figure("count"),
		}}
	}
	return s
}

// drawMember draws a member that ends with the object, before or after it.
func drawMember(t *rapid.T, whole *pb.Sample, name, unit string) *pb.Sample {
	start := whole.Start.AsTime().UnixMicro()
	end := rapid.SampledFrom([]int64{endOf(whole), start, endOf(whole) + 9*day}).Draw(t, "member's end")
	end += int64(len(whole.Members)) // members in one moment would have no order but that of the log
	m := &pb.Sample{Type: name, Uuid: id(), Start: health.Timestamp(end), End: health.Timestamp(end), Unit: unit, Value: proto.Float64(100)}
	if rapid.Bool().Draw(t, "own source") {
		m.Source = drawSource(t)
	}
	return m
}

// opaque replaces tokens by their being there.
func opaque(samples []*pb.Sample) []*pb.Sample {
	for _, s := range samples {
		for _, m := range append([]*pb.Sample{s}, s.Members...) {
			if m.PayloadToken != "" {
				m.PayloadToken = "token"
			}
		}
	}
	return samples
}
