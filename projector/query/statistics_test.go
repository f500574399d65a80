package query

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

var zones = []string{"", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns"}

func drawStatistics(r *rapid.T) *pb.QueryStatisticsRequest {
	q := &pb.QueryStatisticsRequest{
		Type:     rapid.SampledFrom([]string{"stepCount", "heartRate", "bodyMass", "environmentalAudioExposure"}).Draw(r, "type"),
		Interval: &pb.Interval{Unit: rapid.SampledFrom([]pb.CalendarUnit{0, pb.CalendarUnit_CALENDAR_UNIT_HOUR, pb.CalendarUnit_CALENDAR_UNIT_DAY}).Draw(r, "unit")},
		TimeZone: rapid.SampledFrom(zones).Draw(r, "zone"),
	}
	if q.Type == "bodyMass" && rapid.Bool().Draw(r, "in grams") {
		q.Unit = "g"
	}
	q.From, q.To = timestamps(drawPeriod(r))
	return q
}

// statisticsOf computes one bucket from its definition, in time.Duration and float64.
func statisticsOf(seen []reference, p period, typ *catalog.Type, unitText string) *pb.Statistics {
	to, err := unit.Parse(unitText)
	if err != nil {
		panic(err)
	}
	s := &pb.Statistics{Unit: unitText}
	var total, weights float64
	least, most := math.Inf(1), math.Inf(-1)
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	var recent *reference
	for i, r := range seen {
		start, end := r.place.Start, r.place.End
		if start >= p.to || end < p.from || end == p.from && start < end {
			continue
		}
		from, err := unit.Parse(r.message.GetUnit())
		if err != nil {
			panic(err)
		}
		value, err := unit.Convert(r.message.GetValue(), from, to)
		if err != nil {
			panic(err)
		}
		s.Count++
		least, most, first, last = min(least, value), max(most, value), min(first, start), max(last, end)
		inside := float64(max(0, min(end, p.to)-max(start, p.from)))
		switch typ.Aggregation {
		case catalog.Cumulative:
			if start == end {
				total += value
			} else {
				total += value * inside / float64(end-start)
			}
		case catalog.DiscreteArithmetic:
			total, weights = total+value, weights+1
		case catalog.DiscreteTemporallyWeighted:
			total, weights = total+value*max(inside, 1), weights+max(inside, 1)
		case catalog.DiscreteEquivalentContinuousLevel:
			total, weights = total+math.Pow(10, value/10)*max(inside, 1), weights+max(inside, 1)
		}
		if recent == nil || end > recent.place.End || end == recent.place.End && r.place.Compare(&recent.place) > 0 {
			recent = &seen[i]
			s.MostRecent = &value
		}
	}
	if s.Count == 0 {
		return nil
	}
	if p.from == math.MinInt64 {
		p.from = first
	}
	if p.to == math.MaxInt64 {
		p.to = last
	}
	s.Start, s.End, s.MostRecentEnd = health.Timestamp(p.from), health.Timestamp(p.to), health.Timestamp(recent.place.End)
	if typ.Aggregation == catalog.Cumulative {
		s.Sum = &total
		return s
	}
	average := total / weights
	if typ.Aggregation == catalog.DiscreteEquivalentContinuousLevel {
		average = 10 * math.Log10(average)
	}
	s.Average, s.Minimum, s.Maximum = &average, &least, &most
	return s
}

// expectedStatistics walks all buckets between the first start and the last end.
func expectedStatistics(seen []reference, p period, q *pb.QueryStatisticsRequest, typ *catalog.Type) []*pb.Statistics {
	unitText := typ.Unit
	if q.GetUnit() != "" {
		unitText = q.GetUnit()
	}
	if p.from >= p.to {
		return nil
	}
	if q.GetInterval().GetUnit() == pb.CalendarUnit_CALENDAR_UNIT_UNSPECIFIED {
		if s := statisticsOf(seen, p, typ, unitText); s != nil {
			return []*pb.Statistics{s}
		}
		return nil
	}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, r := range seen {
		first, last = min(first, r.place.Start), max(last, r.place.End)
	}
	zone, err := time.LoadLocation(q.GetTimeZone())
	if err != nil {
		panic(err)
	}
	var answer []*pb.Statistics
	for at := max(first, p.from); at <= min(last, p.to-1); {
		b := referenceBucket(at, q.GetInterval().GetUnit(), zone)
		at = b.to
		if s := statisticsOf(seen, period{max(b.from, p.from), min(b.to, p.to)}, typ, unitText); s != nil {
			answer = append(answer, s)
		}
	}
	return answer
}

// referenceBucket finds the edges by looking at the clock on the wall, a quarter of an
// hour at a time: no zone here changes within one.
func referenceBucket(at int64, bucket pb.CalendarUnit, zone *time.Location) period {
	const step = 15 * 60 * second
	same := func(a, b int64) bool {
		x, y := time.UnixMicro(a).In(zone), time.UnixMicro(b).In(zone)
		if bucket == pb.CalendarUnit_CALENDAR_UNIT_DAY {
			return x.YearDay() == y.YearDay() && x.Year() == y.Year()
		}
		_, offX := x.Zone()
		_, offY := y.Zone()
		return x.Hour() == y.Hour() && x.YearDay() == y.YearDay() && x.Year() == y.Year() && offX == offY
	}
	p := period{at - ((at%step)+step)%step, 0}
	for same(p.from-1, at) {
		p.from -= step
	}
	p.to = p.from + step
	for same(p.to, at) {
		p.to += step
	}
	return p
}

func TestStatisticsAreWhatTheReferenceGives(t *testing.T) {
	near := cmp.Options{protocmp.Transform(), cmpopts.EquateApprox(1e-9, 0)}
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		s := drawStore(r, t)
		q := drawStatistics(r)
		p, err := parsePeriod(q.GetFrom(), q.GetTo())
		if err != nil {
			r.Fatal(err)
		}
		typ, _ := catalog.Lookup(q.GetType())
		for _, reader := range []uint64{0, bert} {
			seen := s.visible(reader, reads, typ)
			got, err := s.engine.Statistics(context.Background(), scopeOf(state, reader), q)
			var argument *ArgumentError
			if errors.As(err, &argument) && argument.Field == "bucket" {
				if slices.ContainsFunc(seen, func(r reference) bool { return r.place.End > base+1000*365*day }) {
					continue
				}
			}
			if err != nil {
				r.Fatal(err)
			}
			want := expectedStatistics(seen, p, q, typ)
			if diff := cmp.Diff(want, got.GetStatistics(), near); diff != "" {
				r.Fatalf("reader %d, %v: %s", reader, q, diff)
			}
		}
		s.close(t)
	})
}

func TestDaysHaveTheHoursTheyHave(t *testing.T) {
	cases := []struct {
		zone, day string
		hours     float64
	}{
		{"Europe/Berlin", "2024-03-31", 23},
		{"Europe/Berlin", "2024-10-27", 25},
		{"Europe/Berlin", "2024-06-01", 24},
		{"Australia/Sydney", "2024-10-06", 23},
		{"Australia/Sydney", "2024-04-07", 25},
		{"Australia/Lord_Howe", "2024-10-06", 23.5},
		{"Australia/Lord_Howe", "2024-04-07", 24.5},
		// Midnight is skipped, and an hour before midnight repeated.
		{"America/Sao_Paulo", "2018-11-04", 23},
		{"America/Sao_Paulo", "2018-02-17", 25},
		// Midnight comes twice.
		{"America/Havana", "2024-11-03", 25},
		{"Asia/Amman", "2021-10-29", 25},
		{"Atlantic/Azores", "2024-10-27", 25},
		{"Asia/Beirut", "2022-03-27", 23},
		{"", "2024-03-31", 24},
	}
	for _, c := range cases {
		zone, err := parseZone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		noon, err := time.ParseInLocation("2006-01-02 15:04", c.day+" 12:00", zone)
		if err != nil {
			t.Fatal(err)
		}
		p := dayOf(noon)
		if hours := float64(p.to-p.from) / 3.6e9; hours != c.hours {
			t.Errorf("%s in %s has %v hours, want %v", c.day, c.zone, hours, c.hours)
		}
		if first := time.UnixMicro(p.from).In(zone).Format(time.DateOnly); first != c.day {
			t.Errorf("%s in %s begins on %s", c.day, c.zone, first)
		}
		hours, length := 0, int64(0)
		for at := p.from; at < p.to; hours++ {
			h := hourOf(time.UnixMicro(at).In(zone))
			if h.from != at {
				t.Fatalf("%s in %s: the hour of %d begins at %d", c.day, c.zone, at, h.from)
			}
			length += h.to - h.from
			at = h.to
		}
		if length != p.to-p.from {
			t.Errorf("%s in %s: %d hours of %d µs", c.day, c.zone, hours, length)
		}
	}
}

func TestBucketsPartitionTime(t *testing.T) {
	names := append([]string{"Africa/Monrovia", "America/Havana", "Pacific/Apia", "Asia/Beirut", "Antarctica/Troll", "Africa/Casablanca"}, zones...)
	rapid.Check(t, func(r *rapid.T) {
		zone, err := parseZone(rapid.SampledFrom(names).Draw(r, "zone"))
		if err != nil {
			r.Fatal(err)
		}
		at := rapid.Int64Range(-100*365*day, 100*365*day).Draw(r, "time")
		for _, of := range []func(time.Time) period{dayOf, hourOf} {
			p := of(time.UnixMicro(at).In(zone))
			if at < p.from || at >= p.to {
				r.Fatalf("%d is not within %v", at, p)
			}
			for _, inside := range []int64{p.from, p.to - 1} {
				if q := of(time.UnixMicro(inside).In(zone)); q != p {
					r.Fatalf("%v and %v share %d", p, q, inside)
				}
			}
		}
	})
}

func TestCumulativeSampleIsSharedOutOverBuckets(t *testing.T) {
	state := grants(t, nil)
	s := newStore(t)
	start := time.Date(2024, 3, 31, 0, 30, 0, 0, time.UTC).UnixMicro()
	s.save(t, anna, 0, &pb.SampleColumns{
		Type: code("stepCount"), Unit: "count", Tick: 1, Start: []int64{start}, Duration: []int64{2 * 3600 * second}, Mantissa: []int64{400},
	})
	answer, err := s.engine.Statistics(context.Background(), state.OwnerScope(), &pb.QueryStatisticsRequest{
		Type: "stepCount", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_HOUR}, TimeZone: "Europe/Berlin",
	})
	if err != nil {
		t.Fatal(err)
	}
	var sums []float64
	for _, b := range answer.GetStatistics() {
		sums = append(sums, b.GetSum())
	}
	if !slices.Equal(sums, []float64{100, 200, 100}) {
		t.Errorf("sums %v", sums)
	}
	s.close(t)
}

func TestAveragesFollowTheStyle(t *testing.T) {
	hour := 3600 * second
	cases := []struct {
		name, typeName, unit string
		durations            []int64
		values               []int64
		want                 float64
	}{
		{"plain mean", "bodyMass", "kg", []int64{hour, 3 * hour}, []int64{80, 60}, 70},
		{"weighted by time", "heartRate", "count/s", []int64{hour, 3 * hour}, []int64{2, 4}, 3.5},
		{"moments alone have their plain mean", "heartRate", "count/s", []int64{0, 0}, []int64{2, 4}, 3},
		{"sound", "environmentalAudioExposure", "dBASPL", []int64{hour, hour}, []int64{70, 80}, 10 * math.Log10((1e7+1e8)/2)},
		{"sound by time", "environmentalAudioExposure", "dBASPL", []int64{hour, 3 * hour}, []int64{80, 80}, 80},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			state := grants(t, nil)
			s := newStore(t)
			s.save(t, anna, 0, &pb.SampleColumns{
				Type: code(c.typeName), Unit: c.unit, Tick: 1, Start: []int64{0, 0}, Duration: c.durations, Real: []float64{float64(c.values[0]), float64(c.values[1])},
			})
			answer, err := s.engine.Statistics(context.Background(), state.OwnerScope(), &pb.QueryStatisticsRequest{Type: c.typeName, Unit: c.unit})
			if err != nil || len(answer.GetStatistics()) != 1 {
				t.Fatal(answer, err)
			}
			if got := answer.GetStatistics()[0].GetAverage(); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("average %v, want %v", got, c.want)
			}
			s.close(t)
		})
	}
}

func TestRefusedStatisticsNameTheField(t *testing.T) {
	state := grants(t, nil)
	s := newStore(t)
	cases := map[string]struct {
		request *pb.QueryStatisticsRequest
		field   string
	}{
		"unknown type":     {&pb.QueryStatisticsRequest{Type: "x"}, "type"},
		"category":         {&pb.QueryStatisticsRequest{Type: "sleepAnalysis"}, "type"},
		"from after to":    {&pb.QueryStatisticsRequest{Type: "stepCount", From: health.Timestamp(2), To: health.Timestamp(1)}, "from"},
		"zone":             {&pb.QueryStatisticsRequest{Type: "stepCount", TimeZone: "Mars/Olympus"}, "time_zone"},
		"zone of the host": {&pb.QueryStatisticsRequest{Type: "stepCount", TimeZone: "Local"}, "time_zone"},
		"path":             {&pb.QueryStatisticsRequest{Type: "stepCount", TimeZone: "../etc/passwd"}, "time_zone"},
		"bucket":           {&pb.QueryStatisticsRequest{Type: "stepCount", Interval: &pb.Interval{Unit: 7}}, "bucket"},
		"too many buckets": {&pb.QueryStatisticsRequest{Type: "stepCount", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_HOUR}, From: health.Timestamp(0), To: health.Timestamp(4 * 365 * day)}, "bucket"},
		"bad unit":         {&pb.QueryStatisticsRequest{Type: "stepCount", Unit: "furlong"}, "unit"},
		"other dimension":  {&pb.QueryStatisticsRequest{Type: "stepCount", Unit: "kg"}, "unit"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer, err := s.engine.Statistics(context.Background(), state.OwnerScope(), c.request)
			var argument *ArgumentError
			if !errors.As(err, &argument) || argument.Field != c.field || argument.Why == "" {
				t.Errorf("answer %v, error %v, want one about %s", answer, err, c.field)
			}
		})
	}
	s.close(t)
}

// A sample that never ends would fill hours for ever.
func TestEndlessSampleDoesNotFillTheAnswer(t *testing.T) {
	state := grants(t, nil)
	s := newStore(t)
	s.save(t, anna, 0, &pb.SampleColumns{
		Type: code("heartRate"), Unit: "count/s", Tick: 1, Start: []int64{base}, Duration: []int64{2000 * 365 * day}, Mantissa: []int64{1},
	})
	q := &pb.QueryStatisticsRequest{Type: "heartRate", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_HOUR}}
	var argument *ArgumentError
	if _, err := s.engine.Statistics(context.Background(), state.OwnerScope(), q); !errors.As(err, &argument) || argument.Field != "bucket" {
		t.Errorf("error %v", err)
	}
	q.To = health.Timestamp(base + 3*3600*second)
	if answer, err := s.engine.Statistics(context.Background(), state.OwnerScope(), q); err != nil || len(answer.GetStatistics()) != 4 {
		t.Errorf("answer %v, error %v", answer, err)
	}
	s.close(t)
}
