package main

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// role says what the app may see of what others saved of a type.
type role int

const (
	open    role = iota // all
	since               // what ends at midday or later
	denied              // nothing: the owner has said so
	unasked             // nothing: the owner was never asked
	split               // nothing: not asked in the first store, refused in the second
	granted             // nothing: refused in the first store, while the second has none
	roles
)

func (r role) String() string {
	return []string{"open", "since", "denied", "unasked", "split", "granted"}[r]
}

// midday is where what the app may see of types with a limited history begins.
var midday = time.Date(2024, 3, 10, 12, 0, 0, 0, time.UTC)

// blindType is a type of the histories, with its unit if it has one.
type blindType struct{ name, unit string }

var blindTypes = []blindType{
	{"stepCount", "count"}, {"heartRate", "count/min"}, {"activeEnergyBurned", "kcal"}, {"distanceCycling", "m"}, {"bodyMass", "kg"},
	{"bloodPressureSystolic", "mmHg"}, {"bloodPressureDiastolic", "mmHg"}, {"dietaryProtein", "g"}, {"dietaryFiber", "g"},
	{"sleepAnalysis", ""}, {"mindfulSession", ""}, {"workout", ""}, {"electrocardiogram", ""},
}

var sourceNames = []string{"Watch", "Ring", "Phone"}

func unitOf(name string) string {
	for _, t := range blindTypes {
		if t.name == name {
			return t.unit
		}
	}
	return ""
}

func typeCodeOf(name string) uint32 {
	t, ok := catalog.Lookup(name)
	if !ok {
		panic(name)
	}
	return t.Code
}

// drawTime draws one around which samples lie.
func (h *history) drawTime() time.Time {
	return midday.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, -1, 4, -4, 24, -24, 24 * 21, -24 * 21, 24 * 40}).Draw(h.r, "hours")) * time.Hour)
}

func (h *history) drawTypeName() string {
	if rapid.IntRange(0, 9).Draw(h.r, "odd type") == 0 {
		return rapid.SampledFrom([]string{"noSuchType", "", "HKQuantityTypeIdentifierStepCount", "dateOfBirth", "bloodPressure", "flightsClimbed"}).Draw(h.r, "type")
	}
	if rapid.IntRange(0, 9).Draw(h.r, "correlation or object") < 2 {
		return rapid.SampledFrom(append([]string{"bloodPressure", "food"}, pickedTypes...)).Draw(h.r, "type")
	}
	return rapid.SampledFrom(blindTypes).Draw(h.r, "type").name
}

// single draws a sample that consists of nothing else. Those of others end at times of
// their own: of two that end together, which came first would depend on what came with them.
func (h *history) single(name string, start time.Time, foreign bool) *pb.Sample {
	r := h.r
	if foreign {
		h.made++
		start = start.Add(time.Duration(h.made) * time.Millisecond)
	}
	s := &pb.Sample{
		Type: name, Start: timestamppb.New(start), Source: &pb.Source{Name: rapid.SampledFrom(sourceNames).Draw(r, "source")},
		End: timestamppb.New(start.Add(rapid.SampledFrom([]time.Duration{0, time.Minute, 3 * time.Hour}).Draw(r, "duration"))),
	}
	switch name {
	case "sleepAnalysis":
		s.Label = rapid.SampledFrom([]string{"asleepCore", "inBed"}).Draw(r, "label")
	case "mindfulSession":
		s.Label = "notApplicable"
	default:
		s.Unit, s.Value = unitOf(name), proto.Float64(float64(rapid.IntRange(40, 160).Draw(r, "value")))
	}
	if name == "heartRate" && rapid.IntRange(0, 3).Draw(r, "device") == 0 {
		s.Source.Device = &pb.Device{Name: "Band", Model: "1"}
	}
	if rapid.IntRange(0, 4).Draw(r, "metadata") == 0 {
		s.Metadata = []*pb.MetadataEntry{{Key: "note", Value: &pb.MetadataEntry_Text{Text: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "note")}}}
	}
	return s
}

// sample draws one of any kind.
func (h *history) sample(foreign bool) *pb.Sample {
	r, start := h.r, h.drawTime()
	kinds := append([]string{"single", "single", "single", "bloodPressure", "food", "workout", "electrocardiogram"}, pickedTypes...)
	kind := rapid.SampledFrom(kinds).Draw(r, "kind")
	if kind == "single" || importersOnly(kind) && !foreign {
		return h.single(rapid.SampledFrom(blindTypes[:11]).Draw(r, "type").name, start, foreign)
	}
	h.made++
	if foreign {
		start = start.Add(time.Duration(h.made) * time.Millisecond)
	}
	if isObjectType(kind) {
		return h.object(kind, start)
	}
	end := start.Add(time.Hour)
	s := &pb.Sample{Type: kind, Start: timestamppb.New(start), End: timestamppb.New(end), Source: &pb.Source{Name: rapid.SampledFrom(sourceNames).Draw(r, "source")}}
	member := func(name string) { s.Members = append(s.Members, h.single(name, start, foreign)) }
	figure := func(unit string) *pb.Quantity {
		return &pb.Quantity{Value: float64(rapid.IntRange(1, 99).Draw(r, "figure")), Unit: unit}
	}
	switch kind {
	case "bloodPressure":
		member("bloodPressureSystolic")
		member("bloodPressureDiastolic")
		for _, m := range s.Members {
			m.Start, m.End = s.Start, s.End
		}
	case "food":
		for range rapid.IntRange(1, 3).Draw(r, "members") {
			member(rapid.SampledFrom([]string{"dietaryProtein", "dietaryFiber"}).Draw(r, "member"))
		}
	case "workout":
		statistics := []*pb.WorkoutStatistics{
			{Type: "heartRate", Start: s.Start, End: s.End, Unit: "count/min", Average: proto.Float64(99)},
			{Type: "activeEnergyBurned", Start: s.Start, End: s.End, Unit: "kcal", Sum: proto.Float64(9)},
		}
		s.Object = &pb.Sample_Workout{Workout: &pb.Workout{
			Activity: rapid.SampledFrom([]string{"cycling", "running"}).Draw(r, "activity"), TotalEnergyBurned: figure("kcal"), Statistics: statistics,
			Activities: []*pb.WorkoutActivity{{Uuid: h.newID(), Start: s.Start, End: s.End, Statistics: statistics}},
		}}
		if s.GetWorkout().GetActivity() == "cycling" {
			s.GetWorkout().TotalDistance = figure("m")
		}
		for range rapid.IntRange(0, 2).Draw(r, "members") {
			member(rapid.SampledFrom([]string{"heartRate", "activeEnergyBurned", "stepCount"}).Draw(r, "member"))
		}
	case "electrocardiogram":
		s.Object = &pb.Sample_Electrocardiogram{Electrocardiogram: &pb.Electrocardiogram{
			Classification: "sinusRhythm", Symptoms: "none", Lead: "appleWatchSimilarToLeadI", SamplingFrequency: 512, AverageHeartRate: figure("count/min"),
		}}
		s.Payload = []*pb.Chunk{{Microvolts: []float64{1, -2, 3}}}
	}
	return s
}

// ownSample draws what the app itself saves, the same in both stores: under UUIDs and sync
// identifiers that others may have used before, where it cannot see.
func (h *history) ownSample() *pb.Sample {
	s := h.sample(false)
	if rapid.IntRange(0, 2).Draw(h.r, "own uuid") == 0 {
		s.Uuid = rapid.SampledFrom(h.colliding).Draw(h.r, "uuid")
	}
	if rapid.IntRange(0, 4).Draw(h.r, "synced") == 0 {
		synced(s, rapid.IntRange(1, 3).Draw(h.r, "version"))
	}
	return s
}

// synced gives a sample the one sync identifier that all of them have.
func synced(s *pb.Sample, version int) {
	s.Metadata = append(s.Metadata,
		&pb.MetadataEntry{Key: "HKMetadataKeySyncIdentifier", Value: &pb.MetadataEntry_Text{Text: "s1"}},
		&pb.MetadataEntry{Key: "HKMetadataKeySyncVersion", Value: &pb.MetadataEntry_Number{Number: float64(version)}})
}

// newID is a UUID that was never used.
func (h *history) newID() string {
	h.made++
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(h.made)|1<<63)
	id[0], id[6] = 7, 0x40
	return id.String()
}

// sees says whether the app may see what somebody else saved.
func (h *history) sees(name string, end *timestamppb.Timestamp) bool {
	switch h.roles[name] {
	case open:
		return true
	case since:
		return !end.AsTime().Before(midday)
	}
	return false
}

// without is what the app may see of a sample, as samples of a store that holds no more.
func (h *history) without(s *pb.Sample) []*pb.Sample {
	s = proto.CloneOf(s)
	if isObjectType(s.GetType()) {
		if h.isInBoth(s) {
			return []*pb.Sample{s}
		}
		return nil
	}
	var members []*pb.Sample
	for _, m := range s.GetMembers() {
		if h.sees(m.GetType(), m.GetEnd()) {
			members = append(members, m)
		}
	}
	switch s.GetType() {
	case "bloodPressure":
		if len(members) == 0 {
			return nil
		}
		// It needs both: what cannot be seen is something else.
		for _, m := range s.GetMembers() {
			if !h.sees(m.GetType(), m.GetEnd()) {
				*m.Value += 11
			}
		}
		return []*pb.Sample{s}
	case "food":
		if len(members) == 0 {
			return nil
		}
	default:
		if !h.sees(s.GetType(), s.GetEnd()) {
			for _, m := range members {
				if m.Source == nil {
					m.Source = s.GetSource()
				}
			}
			return members
		}
	}
	s.Members = members
	h.withoutFigures(s)
	return []*pb.Sample{s}
}

// withoutFigures drops what restates types that the app may not see.
func (h *history) withoutFigures(s *pb.Sample) {
	keep := func(all []*pb.WorkoutStatistics) (left []*pb.WorkoutStatistics) {
		for _, figure := range all {
			if h.sees(figure.GetType(), figure.GetEnd()) {
				left = append(left, figure)
			}
		}
		return left
	}
	if w := s.GetWorkout(); w != nil {
		if !h.sees("distanceCycling", s.GetEnd()) {
			w.TotalDistance = nil
		}
		if !h.sees("activeEnergyBurned", s.GetEnd()) {
			w.TotalEnergyBurned = nil
		}
		w.Statistics = keep(w.GetStatistics())
		for _, a := range w.GetActivities() {
			a.Statistics = keep(a.GetStatistics())
		}
	}
	if e := s.GetElectrocardiogram(); e != nil && !h.sees("heartRate", s.GetEnd()) {
		e.AverageHeartRate = nil
	}
}

// concerns says whether a sample is of a type, or has something of it.
func concerns(s *pb.Sample, name string) bool {
	if s.GetType() == name {
		return true
	}
	for _, m := range s.GetMembers() {
		if m.GetType() == name {
			return true
		}
	}
	switch {
	case s.GetWorkout() != nil:
		return name == "heartRate" || name == "activeEnergyBurned" || name == "distanceCycling"
	case s.GetElectrocardiogram() != nil:
		return name == "heartRate"
	}
	return false
}
