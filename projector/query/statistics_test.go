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
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// measured is a sample of the reference: of which type and app, from where, and what.
type measured struct {
	view.Place
	app      uint64
	typeName string
	source   int // in measuring
	value    float64
	unit     string
	// message is the sample as answers show it, once it is saved.
	message *pb.Sample
}

// measuring are sources by class, as the owner sees them. The two watches are one source.
var measuring = []struct {
	source *pb.Source
	class  int
}{
	{&pb.Source{Name: "Health", App: "com.apple.Health"}, 0},
	{&pb.Source{Name: "watch", Device: &pb.Device{Manufacturer: "Apple Inc.", Model: "Watch"}}, 1},
	{&pb.Source{Name: "watch", Version: "2"}, 3},
	{&pb.Source{Name: "phone", App: "com.apple.health.X", ProductType: "iPhone14,5"}, 2},
	{&pb.Source{Name: "strap", ProductType: "Watch6,2", Device: &pb.Device{Model: "Watch"}}, 3},
	{&pb.Source{}, 3},
}

// changing are zones with a day near which their clocks change or which others lack.
var changing = []struct{ zone, day string }{
	{"", "2024-02-29"}, {"Europe/Berlin", "2024-03-31"}, {"Europe/Berlin", "2024-10-27"}, {"America/New_York", "2024-03-10"},
	{"America/New_York", "2023-11-05"}, {"Australia/Lord_Howe", "2024-04-07"}, {"Australia/Lord_Howe", "2024-10-06"},
	{"Pacific/Apia", "2011-12-30"}, {"America/Sao_Paulo", "2018-11-04"}, {"America/Sao_Paulo", "2018-02-18"},
	{"America/Havana", "2024-11-03"}, {"America/St_Johns", "2010-11-07"}, {"Asia/Kathmandu", "2024-12-31"}, {"UTC", "2000-02-28"},
}

// statisticsTypes have every style, and several units where there are.
var statisticsTypes = map[string][]string{
	"activeEnergyBurned": {"kcal", "kJ"}, "stepCount": {"count"}, "bodyTemperature": {"degC", "degF"}, "bodyMass": {"kg", "lb"},
	"heartRate": {"count/min", "count/s"}, "environmentalAudioExposure": {"dBASPL"},
}

var statisticsNames = []string{"activeEnergyBurned", "stepCount", "activeEnergyBurned", "bodyTemperature", "bodyMass", "heartRate", "environmentalAudioExposure"}

// drawMeasured draws samples of a type around a time.
func drawMeasured(r *rapid.T, name string, base int64) []measured {
	var all []measured
	times := rapid.OneOf(
		rapid.Map(rapid.Int64Range(-20, 20), func(n int64) int64 { return n * microsPerHour / 4 }),
		rapid.Map(rapid.Int64Range(-6, 6), func(n int64) int64 { return n * microsPerDay / 2 }),
		rapid.Int64Range(-3, 3), rapid.Int64Range(-40*microsPerDay, 40*microsPerDay),
	)
	lasting := rapid.OneOf(
		rapid.SampledFrom([]int64{0, 1, 3, microsPerMinute, 7 * microsPerMinute, microsPerHour, 2*microsPerHour + 1, microsPerDay, 36 * microsPerDay}),
		rapid.Just(int64(0)), rapid.Just(15*int64(microsPerMinute)),
	)
	values := rapid.OneOf(rapid.SampledFrom([]float64{0.1, 0.2, 0.3, 1, 60, 1e15, 1.0 / 3, -40}), rapid.Float64Range(0, 200))
	for range rapid.IntRange(0, 10).Draw(r, "samples") {
		m := measured{typeName: name, app: rapid.Uint64Range(anna, carl).Draw(r, "app"), source: rapid.IntRange(0, len(measuring)-1).Draw(r, "source")}
		m.Start = base + times.Draw(r, "start")
		m.End = m.Start + lasting.Draw(r, "lasts")
		if rapid.IntRange(0, 59).Draw(r, "open-ended") == 59 {
			m.End = m.Start + 60*365*microsPerDay
		}
		m.value, m.unit = values.Draw(r, "value"), rapid.SampledFrom(statisticsTypes[name]).Draw(r, "unit")
		if name == "environmentalAudioExposure" {
			m.value = math.Mod(m.value, 200) // decibels
		}
		all = append(all, m)
	}
	return all
}

// saveMeasured saves samples in requests of one or more, and notes their places.
func (s *store) saveMeasured(t testing.TB, samples []measured, together func() bool) {
	for at := 0; at < len(samples); {
		from, before := at, len(s.samples)
		var columns []*pb.SampleColumns
		for ; at < len(samples) && samples[at].app == samples[from].app && (at == from || together()); at++ {
			m := &samples[at]
			columns = append(columns, &pb.SampleColumns{
				Type: code(m.typeName), Unit: m.unit, Tick: 1, Source: proto.CloneOf(measuring[m.source].source),
				Start: []int64{m.Start}, Duration: []int64{m.End - m.Start}, Real: []float64{m.value},
			})
		}
		s.save(t, samples[from].app, 0, columns...)
		for i, saved := range s.samples[before:] {
			samples[from+i].Place, samples[from+i].message = saved.place, saved.message
		}
	}
}

func drawStatisticsRequest(r *rapid.T, name string, base int64, zone string) *pb.QueryStatisticsRequest {
	q := &pb.QueryStatisticsRequest{
		Type: name, TimeZone: zone, BySource: rapid.Bool().Draw(r, "by source"), Explain: rapid.Bool().Draw(r, "explain"),
		IncludeEmpty: rapid.Bool().Draw(r, "empty"), Unit: rapid.SampledFrom(append([]string{""}, statisticsTypes[name]...)).Draw(r, "unit"),
	}
	p := always
	if rapid.Bool().Draw(r, "bounded below") {
		p.from = base + rapid.Int64Range(-9, 9).Draw(r, "from")*microsPerHour*5
	}
	if rapid.Bool().Draw(r, "bounded above") {
		p.to = max(p.from, base+rapid.Int64Range(-9, 90).Draw(r, "to")*microsPerHour*5)
	}
	i := &pb.Interval{Unit: pb.CalendarUnit(rapid.Int32Range(0, 6).Draw(r, "interval")), Count: rapid.SampledFrom([]uint32{0, 1, 1, 2, 3, 7, 11}).Draw(r, "count")}
	switch rapid.IntRange(0, 3).Draw(r, "anchor") {
	case 0:
		i.Anchor = health.Timestamp(base + rapid.Int64Range(-99*microsPerDay, 99*microsPerDay).Draw(r, "away"))
	case 1:
		i.Anchor = timestamp(rapid.SampledFrom([]string{"2024-01-31T22:30:00Z", "2020-02-29T12:00:00Z", "2011-12-30T08:00:00Z", "2018-11-04T02:59:00Z"}).Draw(r, "at"))
	}
	if i.Unit != 0 || rapid.Bool().Draw(r, "explicitly none") {
		q.Interval = i
	}
	if i.Unit == pb.CalendarUnit_CALENDAR_UNIT_MINUTE {
		p = period{base - microsPerDay/2, base + microsPerDay}
	}
	q.From, q.To = timestamps(p)
	return q
}

// drawStatistics draws a request about the types and the times of other tests.
func drawStatistics(r *rapid.T) *pb.QueryStatisticsRequest {
	name := rapid.SampledFrom([]string{"stepCount", "heartRate", "bodyMass", "environmentalAudioExposure"}).Draw(r, "type")
	return drawStatisticsRequest(r, name, base, rapid.SampledFrom(changing).Draw(r, "zone").zone)
}

func TestStatisticsAreWhatTheReferenceGives(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		c := rapid.SampledFrom(changing).Draw(r, "zone")
		base := timestamp(c.day + "T02:00:00Z").AsTime().UnixMicro()
		name := rapid.SampledFrom(statisticsNames).Draw(r, "type")
		s := newStore(t)
		samples := drawMeasured(r, name, base)
		s.saveMeasured(t, samples, func() bool { return rapid.Bool().Draw(r, "together") })
		order := drawOrder(r)
		s.engine.options.SourceOrder = func(uint32) []*pb.SourceName { return order }
		for range 2 {
			q := drawStatisticsRequest(r, name, base, c.zone)
			if rapid.IntRange(0, 3).Draw(r, "predicate") == 0 {
				q.Predicate = drawPredicate(r, []string{name}, s, 0)
			}
			for _, reader := range []uint64{0, anna, bert} {
				got, err := s.engine.Statistics(context.Background(), scopeOf(state, reader), q)
				var argument *ArgumentError
				if errors.As(err, &argument) && argument.Field == "interval" {
					if slices.ContainsFunc(samples, func(m measured) bool { return m.End > base+50*365*microsPerDay }) {
						continue
					}
				}
				want := (&obviously{q: q, order: order}).answer(visibleTo(samples, reader, reads), s.visible(reader, reads, nil))
				if want == nil && errors.Is(err, ErrNoData) {
					continue
				}
				if err != nil {
					r.Fatal(err)
				}
				if proto.Equal(want, got) {
					continue
				}
				equate := cmp.Options{protocmp.Transform()}
				if name == "environmentalAudioExposure" {
					equate = append(equate, cmpopts.EquateApprox(1e-12, 0))
				}
				if diff := cmp.Diff(want, got, equate); diff != "" {
					r.Fatalf("reader %d, %v: %s", reader, q, diff)
				}
			}
		}
		s.close(t)
	})
}

func TestSourcesComeInTheOrderOfMerging(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reads := drawGrants(r)
		state := grants(t, reads)
		s := newStore(t)
		samples := drawMeasured(r, "stepCount", base)
		s.saveMeasured(t, samples, func() bool { return true })
		order := drawOrder(r)
		s.engine.options.SourceOrder = func(uint32) []*pb.SourceName { return order }
		for _, reader := range []uint64{0, anna, bert} {
			answer, err := s.engine.Sources(context.Background(), scopeOf(state, reader), &pb.QuerySourcesRequest{Type: "stepCount"})
			if err != nil {
				r.Fatal(err)
			}
			seen := visibleTo(samples, reader, reads)
			var got []name
			for _, source := range answer.Sources {
				if n := (name{source.App, source.Name}); len(got) == 0 || got[len(got)-1] != n {
					got = append(got, n)
				}
			}
			if want := (&obviously{order: order}).sorted(seen); !slices.Equal(got, want) {
				r.Fatalf("reader %d: %v, want %v", reader, got, want)
			}
		}
		s.close(t)
	})
}

func drawOrder(r *rapid.T) []*pb.SourceName {
	var order []*pb.SourceName
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(measuring)-1), 0, 3, rapid.ID).Draw(r, "order") {
		app := measuring[i].source.App
		if app == "" {
			app = bundleID(rapid.Uint64Range(anna, carl).Draw(r, "app of order"))
		}
		one := &pb.SourceName{App: app, Name: measuring[i].source.Name}
		// The ledger takes no order that names a source twice.
		if !slices.ContainsFunc(order, func(other *pb.SourceName) bool { return proto.Equal(one, other) }) {
			order = append(order, one)
		}
	}
	return order
}

func visibleTo(samples []measured, reader uint64, reads map[uint64][]*pb.ReadGrant) []measured {
	sees := rules(reader, reads)
	return slices.DeleteFunc(slices.Clone(samples), func(m measured) bool { return !sees(m.app, m.typeName, m.End) })
}

func timestamp(text string) *timestamppb.Timestamp {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return timestamppb.New(t)
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
		"interval":         {&pb.QueryStatisticsRequest{Type: "stepCount", Interval: &pb.Interval{Unit: 7}}, "interval.unit"},
		"too many":         {&pb.QueryStatisticsRequest{Type: "stepCount", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_HOUR}, From: health.Timestamp(0), To: health.Timestamp(4 * 365 * day)}, "interval"},
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
	if _, err := s.engine.Statistics(context.Background(), state.OwnerScope(), q); !errors.As(err, &argument) || argument.Field != "interval" {
		t.Errorf("error %v", err)
	}
	q.To = health.Timestamp(base + 3*3600*second)
	if answer, err := s.engine.Statistics(context.Background(), state.OwnerScope(), q); err != nil || len(answer.GetStatistics()) != 4 {
		t.Errorf("answer %v, error %v", answer, err)
	}
	s.close(t)
}
