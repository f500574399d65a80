package health_test

import (
	"math"
	"strings"
	"testing"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

type spoilt struct {
	typ    string
	change func(*pb.Sample)
	field  string
	value  string
	why    string
	// kept: an importer may bring it all the same.
	kept bool
}

func TestRefusedWorkouts(t *testing.T) {
	w := func(change func(*pb.Workout)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetWorkout()) }
	}
	refuseAll(t, map[string]spoilt{
		"no activity":        {"workout", w(func(w *pb.Workout) { w.Activity = "" }), "workout.activity", "", "missing", false},
		"unknown activity":   {"workout", w(func(w *pb.Workout) { w.Activity = "chess" }), "workout.activity", "chess", "no such word", false},
		"activity 81":        {"workout", w(func(w *pb.Workout) { w.Activity = "81" }), "workout.activity", "81", "no such word", false},
		"negative duration":  {"workout", w(func(w *pb.Workout) { w.Duration = num(-1) }), "workout.duration", "-1", "from 0 up", false},
		"distance in kcal":   {"workout", w(func(w *pb.Workout) { w.TotalDistance.Unit = "kcal" }), "workout.totalDistance.unit", "kcal", "not compatible with m", false},
		"energy of no unit":  {"workout", w(func(w *pb.Workout) { w.TotalEnergyBurned.Unit = "" }), "workout.totalEnergyBurned.unit", "", "missing", false},
		"energy infinite":    {"workout", w(func(w *pb.Workout) { w.TotalEnergyBurned.Value = math.Inf(1) }), "workout.totalEnergyBurned.value", "+Inf", "finite", false},
		"strokes in m":       {"workout", w(func(w *pb.Workout) { w.TotalSwimmingStrokeCount = in(1, "m") }), "workout.totalSwimmingStrokeCount.unit", "m", "count", false},
		"flights in bananas": {"workout", w(func(w *pb.Workout) { w.TotalFlightsClimbed = in(1, "bananas") }), "workout.totalFlightsClimbed.unit", "bananas", "", false},

		"event of no type":    {"workout", w(func(w *pb.Workout) { w.Events[2].Type = "" }), "workout.events[2].type", "", "missing", false},
		"event unknown":       {"workout", w(func(w *pb.Workout) { w.Events[2].Type = "fall" }), "workout.events[2].type", "fall", "workoutEvent", false},
		"event without start": {"workout", w(func(w *pb.Workout) { w.Events[0].Start = nil }), "workout.events[0].start", "", "missing", false},
		"event before":        {"workout", w(func(w *pb.Workout) { w.Events[0].Start = at(-1) }), "workout.events[0].start", "2024-05-01T11:59:59Z", "not within the workout", true},
		"event until after":   {"workout", w(func(w *pb.Workout) { w.Events[5].Duration = num(3601) }), "workout.events[5].start", "2024-05-01T12:00:00Z", "not within the workout", true},
		"event for ever":      {"workout", w(func(w *pb.Workout) { w.Events[5].Duration = num(1e30) }), "workout.events[5].duration", "1e+30", "years", false},
		"laps overlap":        {"workout", w(func(w *pb.Workout) { w.Events[4].Duration = num(601) }), "workout.events", "2024-05-01T12:10:00Z", "lap", true},
		"event metadata": {"workout", w(func(w *pb.Workout) { w.Events[1].Metadata = []*pb.MetadataEntry{{Key: "x"}} }),
			"workout.events[1].metadata[x]", "", "missing", false},
		"event keeps": {"workout", w(func(w *pb.Workout) { w.Events[1].Kept = []*pb.Kept{{Format: "f", Name: "n"}} }), "workout.events[1].kept", "", "only an import", true},

		"activity uuid":      {"workout", w(func(w *pb.Workout) { w.Activities[0].Uuid = "1" }), "workout.activities[0].uuid", "1", "canonical", false},
		"activity nil uuid":  {"workout", w(func(w *pb.Workout) { w.Activities[0].Uuid = "00000000-0000-0000-0000-000000000000" }), "workout.activities[0].uuid", "00000000-0000-0000-0000-000000000000", "nil UUID", false},
		"activity twice":     {"workout", w(func(w *pb.Workout) { w.Activities[1].Uuid = strings.ToLower(w.Activities[0].Uuid) }), "workout.activities[1].uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "twice", false},
		"activity word":      {"workout", w(func(w *pb.Workout) { w.Activities[1].Activity = "x" }), "workout.activities[1].activity", "x", "no such word", false},
		"activity start":     {"workout", w(func(w *pb.Workout) { w.Activities[1].Start = nil }), "workout.activities[1].start", "", "missing", false},
		"activity backwards": {"workout", w(func(w *pb.Workout) { w.Activities[1].End = at(1799) }), "workout.activities[1].end", "2024-05-01T12:29:59Z", "before the start", false},
		"activity outside":   {"workout", w(func(w *pb.Workout) { w.Activities[1].End = at(3601) }), "workout.activities[1].start", "2024-05-01T12:30:00Z", "not within", true},
		"activity duration":  {"workout", w(func(w *pb.Workout) { w.Activities[0].Duration = num(math.NaN()) }), "workout.activities[0].duration", "NaN", "from 0 up", false},
		"activity event": {"workout", w(func(w *pb.Workout) { w.Activities[0].Events = []*pb.WorkoutEvent{{Type: "x"}} }),
			"workout.activities[0].events[0].type", "x", "no such word", false},

		"figures of nothing":   {"workout", w(func(w *pb.Workout) { w.Statistics[0].Type = "sleepAnalysis" }), "workout.statistics[0].type", "sleepAnalysis", "quantities", false},
		"figures unit":         {"workout", w(func(w *pb.Workout) { w.Statistics[0].Unit = "kg" }), "workout.statistics[0].unit", "kg", "count/s", false},
		"figures backwards":    {"workout", w(func(w *pb.Workout) { w.Statistics[1].End = at(-1) }), "workout.statistics[1].end", "2024-05-01T11:59:59Z", "before", false},
		"figures NaN":          {"workout", w(func(w *pb.Workout) { w.Statistics[0].Average = num(math.NaN()) }), "workout.statistics[0].average", "NaN", "finite", false},
		"average of steps":     {"workout", w(func(w *pb.Workout) { w.Statistics[1].Average = num(1) }), "workout.statistics[1].type", "stepCount", "cumulative", true},
		"sum of heart rates":   {"workout", w(func(w *pb.Workout) { w.Statistics[0].Sum = num(1) }), "workout.statistics[0].sum", "1", "only cumulative", true},
		"no figure":            {"workout", w(func(w *pb.Workout) { w.Statistics[1].Sum = nil }), "workout.statistics[1].sum", "", "missing", true},
		"minimum over maximum": {"workout", w(func(w *pb.Workout) { w.Statistics[0].Minimum = num(171) }), "workout.statistics[0].maximum", "170", "less", true},
		"figures twice":        {"workout", w(func(w *pb.Workout) { w.Statistics = append(w.Statistics, w.Statistics[1]) }), "workout.statistics[2].type", "stepCount", "twice", true},

		"member of a member": {"workout", func(s *pb.Sample) { s.Members[0].Members = []*pb.Sample{member("stepCount", 1, "count")} }, "members[0].members", "", "members have no members", false},
		"workout in workout": {"workout", func(s *pb.Sample) { s.Members[0] = hour("workout") }, "members[0].type", "workout", "not a member", false},
		"member's unit":      {"workout", func(s *pb.Sample) { s.Members[0].Unit = "kg" }, "members[0].unit", "kg", "not compatible", false},
		"member's token":     {"workout", func(s *pb.Sample) { s.Members[0].PayloadToken = "x" }, "members[0].payloadToken", "", "set by the ledger", false},
		"token":              {"workout", func(s *pb.Sample) { s.PayloadToken = "x" }, "payloadToken", "", "set by the ledger", false},
		"member's ghost":     {"workout", func(s *pb.Sample) { s.Members[0].Ghost = &pb.Ghost{} }, "members[0].ghost", "", "set by the ledger", false},
		"ghost":              {"workout", func(s *pb.Sample) { s.Ghost = &pb.Ghost{Erased: 1} }, "ghost", "", "set by the ledger", false},
		"no object":          {"workout", func(s *pb.Sample) { s.Object = nil }, "workout", "", "missing", false},
		"other object":       {"workout", func(s *pb.Sample) { s.Object = whole["gad7"]().Object }, "scoredAssessment", "", "not what a workout has", false},
		"a value":            {"workout", func(s *pb.Sample) { s.Value = num(1) }, "value", "1", "have no value", false},
		"kept":               {"workout", func(s *pb.Sample) { s.Kept = []*pb.Kept{{Format: "f", Name: "n"}} }, "kept", "", "only an import", true},
		"payload":            {"workout", func(s *pb.Sample) { s.Payload = []*pb.Chunk{{Data: []byte("x")}} }, "payload", "", "a workout has none", false},
	})
}

func TestRefusedSeries(t *testing.T) {
	locations := func(change func(*pb.Locations)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.Payload[0].Locations) }
	}
	entries := func(change func(*pb.Quantities)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.Payload[0].Quantities) }
	}
	refuseAll(t, map[string]spoilt{
		"count":             {"workoutRoute", func(s *pb.Sample) { s.GetWorkoutRoute().Count = 2 }, "workoutRoute.count", "2", "set by the ledger", false},
		"no locations":      {"workoutRoute", func(s *pb.Sample) { s.Payload = nil }, "payload", "", "missing", true},
		"empty chunk":       {"workoutRoute", func(s *pb.Sample) { s.Payload = append(s.Payload, &pb.Chunk{}) }, "payload[1]", "", "without content", false},
		"voltages":          {"workoutRoute", func(s *pb.Sample) { s.Payload[0] = &pb.Chunk{Microvolts: []float64{1}} }, "payload[0]", "", "not what the payload", false},
		"twice":             {"workoutRoute", func(s *pb.Sample) { s.Upload = &pb.Upload{Id: make([]byte, 16), Parts: 1} }, "upload", "", "already", false},
		"upload id":         {"workoutRoute", func(s *pb.Sample) { s.Payload, s.Upload = nil, &pb.Upload{Id: make([]byte, 15), Parts: 1} }, "upload.id", "15", "16 bytes", false},
		"upload parts":      {"workoutRoute", func(s *pb.Sample) { s.Payload, s.Upload = nil, &pb.Upload{Id: make([]byte, 16)} }, "upload.parts", "0", "not from 1", false},
		"latitude":          {"workoutRoute", locations(func(l *pb.Locations) { l.Latitude[1] = 91 }), "payload[0].locations.latitude", "91", "not within -90", false},
		"longitude":         {"workoutRoute", locations(func(l *pb.Locations) { l.Longitude[1] = math.NaN() }), "payload[0].locations.longitude", "NaN", "not within", false},
		"column too short":  {"workoutRoute", locations(func(l *pb.Locations) { l.Speed = l.Speed[1:] }), "payload[0].locations.speed", "1", "instead of 2", false},
		"infinite altitude": {"workoutRoute", locations(func(l *pb.Locations) { l.Altitude = []float64{1, math.Inf(1)} }), "payload[0].locations.altitude", "+Inf", "finite", false},
		"before":            {"workoutRoute", locations(func(l *pb.Locations) { l.Time[0]-- }), "payload[0].locations.time", "2024-05-01T11:59:59.999999Z", "not within the sample", true},
		"no time":           {"workoutRoute", locations(func(l *pb.Locations) { l.Time[1] = math.MaxInt64 }), "payload[0].locations.time", "", "years", false},

		"beats count":     {"heartbeatSeries", func(s *pb.Sample) { s.GetHeartbeatSeries().Count = 2 }, "heartbeatSeries.count", "2", "set by the ledger", false},
		"beats backwards": {"heartbeatSeries", func(s *pb.Sample) { s.Payload[0].Beats.Offset[1] = -1 }, "payload[0].beats.offset", "-1", "before the beat", false},
		"chunk backwards": {"heartbeatSeries", func(s *pb.Sample) { s.Payload[1].Beats.Offset[0] = 5 }, "payload[1].beats.offset", "5", "before the beat", false},
		"beat after":      {"heartbeatSeries", func(s *pb.Sample) { s.Payload[1].Beats.Offset[0] = 3600e6 + 1 }, "payload[1].beats.offset", "3600000001", "after the end", true},
		"gap":             {"heartbeatSeries", func(s *pb.Sample) { s.Payload[1].Beats.AfterGap[0] = 1 }, "payload[1].beats.afterGap", "1", "ascending", false},

		"series count":      {"stepCount", func(s *pb.Sample) { s.GetQuantitySeries().Count = 2 }, "quantitySeries.count", "2", "set by the ledger", false},
		"no entries":        {"stepCount", func(s *pb.Sample) { s.Payload = nil }, "payload", "", "missing", true},
		"no series":         {"stepCount", func(s *pb.Sample) { s.Object = nil }, "payload", "", "a stepCount has none", false},
		"entry NaN":         {"stepCount", entries(func(q *pb.Quantities) { q.Value[1] = math.NaN() }), "payload[0].quantities.value", "NaN", "finite", false},
		"entry before":      {"stepCount", entries(func(q *pb.Quantities) { q.Offset[0] = -5 }), "payload[0].quantities.offset", "-5", "before", false},
		"entry after":       {"stepCount", entries(func(q *pb.Quantities) { q.Duration[1]++ }), "payload[0].quantities.offset", "3599000000", "after the end", true},
		"entry backwards":   {"stepCount", entries(func(q *pb.Quantities) { q.Duration[1] = -1 }), "payload[0].quantities.duration", "-1", "negative", false},
		"values missing":    {"stepCount", entries(func(q *pb.Quantities) { q.Value = q.Value[1:] }), "payload[0].quantities.value", "1", "instead of 2", false},
		"durations missing": {"stepCount", entries(func(q *pb.Quantities) { q.Duration = q.Duration[1:] }), "payload[0].quantities.duration", "1", "instead of 2", false},
	})
}

func TestRefusedObservations(t *testing.T) {
	ecg := func(change func(*pb.Electrocardiogram)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetElectrocardiogram()) }
	}
	point := func(change func(*pb.SensitivityPoint)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetAudiogram().Points[0]) }
	}
	mind := func(change func(*pb.StateOfMind)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetStateOfMind()) }
	}
	score := func(change func(*pb.ScoredAssessment)) func(*pb.Sample) {
		return func(s *pb.Sample) { change(s.GetScoredAssessment()) }
	}
	refuseAll(t, map[string]spoilt{
		"classification":     {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.Classification = "fine" }), "electrocardiogram.classification", "fine", "no such word", false},
		"not classified":     {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.Classification = "" }), "electrocardiogram.classification", "", "missing", false},
		"symptoms":           {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.Symptoms = "3" }), "electrocardiogram.symptoms", "3", "no such word", false},
		"lead":               {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.Lead = "V1" }), "electrocardiogram.lead", "V1", "no such word", false},
		"sampling":           {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.SamplingFrequency = 0 }), "electrocardiogram.samplingFrequency", "0", "above 0", false},
		"sampling NaN":       {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.SamplingFrequency = math.NaN() }), "electrocardiogram.samplingFrequency", "NaN", "above 0", false},
		"heart rate":         {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.AverageHeartRate.Unit = "Hz" }), "electrocardiogram.averageHeartRate.unit", "Hz", "count/min", false},
		"voltages":           {"electrocardiogram", ecg(func(e *pb.Electrocardiogram) { e.Count = 2 }), "electrocardiogram.count", "2", "set by the ledger", false},
		"voltage infinite":   {"electrocardiogram", func(s *pb.Sample) { s.Payload[0].Microvolts[1] = math.Inf(-1) }, "payload[0].microvolts", "-Inf", "finite", false},
		"no points":          {"audiogram", func(s *pb.Sample) { s.GetAudiogram().Points = nil }, "audiogram.points", "0", "not from 1 to 30", false},
		"31 points":          {"audiogram", func(s *pb.Sample) { a := s.GetAudiogram(); a.Points = repeat(a.Points[0], 31) }, "audiogram.points", "31", "not from 1 to 30", false},
		"no frequency":       {"audiogram", point(func(p *pb.SensitivityPoint) { p.Frequency = nil }), "audiogram.points[0].frequency", "", "missing", false},
		"frequency 0":        {"audiogram", point(func(p *pb.SensitivityPoint) { p.Frequency.Value = 0 }), "audiogram.points[0].frequency.value", "0", "not above 0", false},
		"frequency unit":     {"audiogram", point(func(p *pb.SensitivityPoint) { p.Frequency.Unit = "s" }), "audiogram.points[0].frequency.unit", "s", "Hz", false},
		"no ear tested":      {"audiogram", point(func(p *pb.SensitivityPoint) { p.Tests = nil }), "audiogram.points[0].tests", "", "missing", false},
		"third ear":          {"audiogram", point(func(p *pb.SensitivityPoint) { p.Tests[1].Side = "2" }), "audiogram.points[0].tests[1].side", "2", "no such word", false},
		"no ear":             {"audiogram", point(func(p *pb.SensitivityPoint) { p.Tests[1].Side = "" }), "audiogram.points[0].tests[1].side", "", "missing", false},
		"no threshold":       {"audiogram", point(func(p *pb.SensitivityPoint) { p.Tests[1].Sensitivity = nil }), "audiogram.points[0].tests[1].sensitivity", "", "missing", false},
		"threshold unit":     {"audiogram", point(func(p *pb.SensitivityPoint) { p.Tests[1].Sensitivity.Unit = "dBASPL" }), "audiogram.points[0].tests[1].sensitivity.unit", "dBASPL", "dBHL", false},
		"clamped backwards":  {"audiogram", point(func(p *pb.SensitivityPoint) { p.Tests[1].ClampingUpper.Value = -11 }), "audiogram.points[0].tests[1].clampingUpper.value", "-11", "below", false},
		"kind of mood":       {"stateOfMind", mind(func(m *pb.StateOfMind) { m.Kind = "" }), "stateOfMind.kind", "", "missing", false},
		"too pleasant":       {"stateOfMind", mind(func(m *pb.StateOfMind) { m.Valence = 1.01 }), "stateOfMind.valence", "1.01", "not within -1 and 1", false},
		"valence NaN":        {"stateOfMind", mind(func(m *pb.StateOfMind) { m.Valence = math.NaN() }), "stateOfMind.valence", "NaN", "not within", false},
		"label":              {"stateOfMind", mind(func(m *pb.StateOfMind) { m.Labels[1] = "39" }), "stateOfMind.labels[1]", "39", "no such word", false},
		"label twice":        {"stateOfMind", mind(func(m *pb.StateOfMind) { m.Labels[1] = "HKStateOfMindLabelCalm" }), "stateOfMind.labels[1]", "calm", "twice", false},
		"association":        {"stateOfMind", mind(func(m *pb.StateOfMind) { m.Associations[0] = "" }), "stateOfMind.associations[0]", "", "missing", false},
		"six answers":        {"gad7", score(func(a *pb.ScoredAssessment) { a.Answers = a.Answers[1:] }), "scoredAssessment.answers", "6", "7 answers", false},
		"seven of nine":      {"phq9", score(func(a *pb.ScoredAssessment) { a.Answers = a.Answers[2:] }), "scoredAssessment.answers", "7", "9 answers", false},
		"answer":             {"gad7", score(func(a *pb.ScoredAssessment) { a.Answers[3] = "always" }), "scoredAssessment.answers[3]", "always", "no such word", false},
		"declined":           {"gad7", score(func(a *pb.ScoredAssessment) { a.Answers[6] = "4" }), "scoredAssessment.answers[6]", "preferNotToAnswer", "needs an answer", false},
		"declined too early": {"phq9", score(func(a *pb.ScoredAssessment) { a.Answers[7] = "4" }), "scoredAssessment.answers[7]", "preferNotToAnswer", "needs an answer", false},
		"score":              {"gad7", score(func(a *pb.ScoredAssessment) { a.Score = 11 }), "scoredAssessment.score", "11", "add up to 10", false},
		"risk":               {"gad7", score(func(a *pb.ScoredAssessment) { a.Risk = "mild" }), "scoredAssessment.risk", "mild", "means moderate", false},
		"risk of the other":  {"gad7", score(func(a *pb.ScoredAssessment) { a.Risk = "moderatelySevere" }), "scoredAssessment.risk", "moderatelySevere", "no such word", false},
	})
}

func repeat(p *pb.SensitivityPoint, n int) (list []*pb.SensitivityPoint) {
	for range n {
		list = append(list, p)
	}
	return list
}

// refuseAll spoils one thing in each case, and expects the reason.
func refuseAll(t *testing.T, cases map[string]spoilt) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bad := whole[c.typ]()
			c.change(bad)
			_, err := health.Columns([]*pb.Sample{whole[c.typ](), bad}, policyOf(c.typ))
			refusal(t, err, c.field, c.value, c.why)
			if policyOf(c.typ).Importer {
				return
			}
			if _, err := health.Columns([]*pb.Sample{bad}, health.Policy{Importer: true}); (err == nil) != c.kept {
				t.Errorf("from an importer: %v", err)
			}
		})
	}
}
