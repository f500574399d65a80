package query

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"healthledger/projector/view"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// drawWorn draws what several sources measure through a day, hour by hour, so that some
// hours are one source's and others are contested; some of it is in series.
func drawWorn(r *rapid.T, name string, base int64) []*pb.Sample {
	var all []*pb.Sample
	for range rapid.IntRange(1, 6).Draw(r, "worn") {
		at := base + rapid.Int64Range(-12, 12).Draw(r, "hour")*microsPerHour
		lasts := rapid.SampledFrom([]int64{0, 1, microsPerMinute, 10 * microsPerMinute, quarter, microsPerHour, microsPerHour + 1}).Draw(r, "lasts")
		apart := rapid.SampledFrom([]int64{0, 1, 5 * microsPerMinute, quarter, microsPerHour}).Draw(r, "apart")
		source := measuring[rapid.IntRange(0, len(measuring)-1).Draw(r, "source")].source
		for i := range rapid.Int64Range(1, 6).Draw(r, "samples") {
			value := rapid.SampledFrom([]float64{0.1, 1.0 / 3, 7, 100}).Draw(r, "value")
			start := at + i*apart
			s := &pb.Sample{
				Type: name, Uuid: id(), Start: health.Timestamp(start), End: health.Timestamp(start + lasts), Source: source,
				Unit: rapid.SampledFrom(statisticsTypes[name]).Draw(r, "unit"), Value: &value,
			}
			if rapid.IntRange(0, 9).Draw(r, "series") == 0 {
				s.Object = &pb.Sample_QuantitySeries{QuantitySeries: &pb.QuantitySeries{}}
				s.Payload = []*pb.Chunk{{Quantities: &pb.Quantities{
					Offset: []int64{0, lasts / 2, lasts / 2, lasts}, Duration: []int64{lasts / 2, lasts - lasts/2, lasts - lasts/2, 0}, Value: []float64{value, 2, 3, value / 3},
				}}}
			}
			all = append(all, s)
		}
	}
	return all
}

// Whether an answer is made of figures or of samples does not change a bit of it.
func TestFiguresTellWhatSamplesTell(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom(append(statisticsNames, "stepCount", "activeEnergyBurned")).Draw(r, "type")
		c := rapid.SampledFrom(changing).Draw(r, "zone")
		base := timestamp(c.day + "T02:00:00Z").AsTime().UnixMicro()
		grant := &pb.ReadGrant{Type: code(name), Extent: pb.ReadExtent(rapid.Int32Range(2, 3).Draw(r, "extent"))}
		if grant.Extent == pb.ReadExtent_READ_EXTENT_SINCE {
			grant.Since = base + rapid.OneOf(rapid.Int64Range(-48, 48), rapid.Just(int64(1))).Draw(r, "since")*quarter + rapid.Int64Range(0, 1).Draw(r, "and")
		}
		state := grants(t, map[uint64][]*pb.ReadGrant{bert: {grant}})
		s := newStore(t)
		for range rapid.IntRange(1, 3).Draw(r, "requests") {
			s.saveSamples(t, rapid.Uint64Range(anna, carl).Draw(r, "app"), 0, drawWorn(r, name, base)...)
		}
		order := drawOrder(r)
		s.engine.options.SourceOrder = func(uint32) []*pb.SourceName { return order }
		for range 3 {
			request := drawStatisticsRequest(r, name, base, c.zone)
			request.Explain = false
			q, err := parseStatistics(request)
			if err != nil {
				r.Fatal(err)
			}
			for _, reader := range []uint64{0, bert} {
				q.way = byFigures
				a, errA := s.engine.statistics(context.Background(), scopeOf(state, reader), q)
				q.way = bySamples
				b, errB := s.engine.statistics(context.Background(), scopeOf(state, reader), q)
				if (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
					r.Fatal(errA, errB)
				}
				compareAnswers(r, b, a)
			}
		}
		s.close(t)
	})
}

// Only what several groups measure at a time is contested.
func TestContestedIsWhatSeveralGroupsHave(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		typ, _ := catalog.Lookup("stepCount")
		c := &collection{query: &statisticsQuery{typ: typ}, groups: make([]*group, 3)}
		var sources [3]view.Source
		const hours = 60
		var there [hours][3]bool
		for range rapid.IntRange(0, 12).Draw(r, "stretches") {
			from, g := rapid.IntRange(0, hours-1).Draw(r, "from"), rapid.IntRange(0, 2).Draw(r, "group")
			to := min(hours, from+rapid.SampledFrom([]int{1, 1, 2, 5, 30}).Draw(r, "hours"))
			for h := from; h < to; h++ {
				there[h][g] = true
			}
			c.note(g, sourceRows{source: &sources[g]}, period{int64(from) * microsPerHour, int64(to) * microsPerHour})
		}
		several := func(h int) bool {
			n := 0
			for g := range 3 {
				if h >= 0 && h < hours && there[h][g] {
					n++
				}
			}
			return n > 1
		}
		var swept [hours]bool
		before := int64(-9 * microsPerHour)
		for _, p := range c.contested() {
			if p.from-before <= bridged {
				r.Fatal("two stretches could be one")
			}
			before = p.to
			for h := p.from / microsPerHour; h < p.to/microsPerHour; h++ {
				swept[h] = true
			}
		}
		for h := range hours {
			if want := several(h) || several(h-1) && several(h+1); swept[h] != want {
				r.Fatalf("hour %d: %v", h, swept[h])
			}
		}
	})
}
