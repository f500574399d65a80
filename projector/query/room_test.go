package query

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// collect runs a request of the owner and shows what it has collected.
func (s *store) collect(t *testing.T, r *pb.QueryStatisticsRequest, look func(*collection, error)) {
	t.Helper()
	q, err := parseStatistics(r)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.view.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	c := s.engine.collection(context.Background(), snapshot, grants(t, nil).OwnerScope(), q)
	look(c, c.run())
	if err := snapshot.Close(); err != nil {
		t.Fatal(err)
	}
}

// lasting are samples of so many sources that all last from base on.
func lasting(typeName, unit string, sources int, duration int64) []*pb.SampleColumns {
	var all []*pb.SampleColumns
	for i := range sources {
		all = append(all, &pb.SampleColumns{
			Type: code(typeName), Unit: unit, Tick: 1, Source: &pb.Source{Name: fmt.Sprint(i)},
			Start: []int64{base}, Duration: []int64{duration}, Mantissa: []int64{60},
		})
	}
	return all
}

func isAbout(err error, field string) bool {
	var argument *ArgumentError
	return errors.As(err, &argument) && argument.Field == field
}

// Every part of the time names all the sources that gave way in it.
func TestExplanationIsRefusedBeforeItIsLarge(t *testing.T) {
	s := newStore(t)
	s.apply(t, anna, lasting("stepCount", "count", 500, day))
	for name, duration := range map[string]int64{"moments": 0, "stretches": second} {
		c := &pb.SampleColumns{Type: code("stepCount"), Unit: "count", Tick: 1, Source: &pb.Source{Name: name}}
		for i := range 2000 {
			c.Start, c.Duration, c.Mantissa = append(c.Start, 2*second), append(c.Duration, duration), append(c.Mantissa, 0)
			c.Start[0], c.Mantissa[i] = base, 0
		}
		s.apply(t, bert, []*pb.SampleColumns{c})
		s.collect(t, &pb.QueryStatisticsRequest{Type: "stepCount", Explain: true}, func(c *collection, err error) {
			if !isAbout(err, "interval") {
				t.Errorf("%s: error %v", name, err)
			}
			bytes := 0
			for _, b := range c.buckets {
				for _, w := range b.won {
					for _, i := range append(w.over, w.group) {
						bytes += c.groups[i].bytes
					}
				}
			}
			if bytes > maxStatistics {
				t.Errorf("%s: %d bytes of names", name, bytes)
			}
		})
	}
	s.close(t)
}

// With many sources there is much to count in an interval.
func TestStatisticsBySourceAreRefusedBeforeTheyAreLarge(t *testing.T) {
	s := newStore(t)
	s.apply(t, anna, lasting("heartRate", "Hz", 50, day))
	// Some of short samples, for the figures of quarters.
	for _, c := range lasting("stepCount", "count", 50, second) {
		for range 1500 {
			c.Start, c.Duration, c.Mantissa = append(c.Start, 60*second), append(c.Duration, second), append(c.Mantissa, 0)
		}
		s.apply(t, anna, []*pb.SampleColumns{c})
	}
	for _, typeName := range []string{"heartRate", "stepCount"} {
		r := &pb.QueryStatisticsRequest{
			Type: typeName, BySource: true, Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_MINUTE},
			From: health.Timestamp(base), To: health.Timestamp(base + day),
		}
		s.collect(t, r, func(c *collection, err error) {
			if !isAbout(err, "interval") {
				t.Errorf("%s: error %v", typeName, err)
			}
			tallies := 0
			for _, b := range c.buckets {
				tallies += len(b.groups)
			}
			if tallies > maxStatistics/smallestStatistics {
				t.Errorf("%s: %d tallies", typeName, tallies)
			}
		})
	}
	s.close(t)
}

// What fits is answered: the least that an answer was expected to have is not more than it has.
func TestAnswerHasWhatItWasExpectedToHave(t *testing.T) {
	for _, name := range []string{"", "watch"} {
		s := newStore(t)
		s.engine.options.BundleID = func(app uint64) string { return name[:min(len(name), int(app))] }
		for app, start := range []int64{0, 0, 5 * second} {
			for typeName, unit := range map[string]string{"stepCount": "count", "bodyMass": "g"} {
				s.apply(t, uint64(app+1), []*pb.SampleColumns{{
					Type: code(typeName), Unit: unit, Tick: 1,
					Source: &pb.Source{Name: name}, Start: []int64{start, 0}, Duration: []int64{0, 10 * second}, Mantissa: []int64{0, 0},
				}})
			}
		}
		for _, r := range []*pb.QueryStatisticsRequest{
			{Type: "stepCount", Explain: true}, {Type: "stepCount", BySource: true}, {Type: "bodyMass", Unit: "g", BySource: true},
		} {
			r.From = health.Timestamp(0)
			s.collect(t, r, func(c *collection, err error) {
				if err != nil {
					t.Fatal(err)
				}
				answer, err := c.answer()
				if err != nil {
					t.Fatal(err)
				}
				if size := proto.Size(answer); c.least == 0 || c.least > size {
					t.Errorf("%q, %v: %d bytes were expected of %d", name, r, c.least, size)
				}
			})
		}
		s.close(t)
	}
}

// A sample may lie in many intervals, and many samples run on into each.
func TestPatienceIsAskedForEveryInterval(t *testing.T) {
	const samples, intervals = 5, 9000
	for _, test := range []struct {
		typeName, unit string
		looks          int // at each sample in each interval
	}{
		{"heartRate", "Hz", 1},
		{"stepCount", "count", 3}, // counted, taken back and added again
	} {
		s := newStore(t)
		all := lasting(test.typeName, test.unit, 1, intervals*microsPerMinute)
		for _, c := range all {
			c.Start, c.Duration = append(c.Start, make([]int64, samples-1)...), slices.Repeat(c.Duration, samples)
			c.Mantissa = slices.Repeat(c.Mantissa, samples)
		}
		s.apply(t, anna, all)
		r := &pb.QueryStatisticsRequest{Type: test.typeName, Explain: true, Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_MINUTE}}
		s.collect(t, r, func(c *collection, err error) {
			if want := test.looks * samples * intervals; c.patience.read < want || err != nil {
				t.Errorf("%s: %d looks of %d, error %v", test.typeName, c.patience.read, want, err)
			}
		})
		s.close(t)
	}
}

// Correlations that last make a stream look far ahead. What it keeps meanwhile is bounded
// by the limit, and those without a member left take no place in it.
func TestLongCorrelationsComeInOrderUnderALimit(t *testing.T) {
	const foods, limit = 60, 2
	s := newStore(t)
	var all []*pb.Sample
	var want []string
	deleted := &pb.DeletedSamples{Type: code("dietaryFiber")}
	for i := range foods {
		at := base - day/2 + int64(i)
		start, end := health.Timestamp(at), health.Timestamp(at+microsPerHour*(1+int64(i/(foods-1)))) // the last one lasts longer
		member := &pb.Sample{Type: "dietaryFiber", Uuid: id(), Start: start, End: end, Unit: "g", Value: proto.Float64(float64(i))}
		all = append(all, &pb.Sample{Type: "food", Uuid: id(), Start: start, End: end, Source: &pb.Source{Name: "scale"}, Members: []*pb.Sample{member}})
		if i%8 < 5 {
			gone := uuid.MustParse(member.Uuid)
			deleted.Uuids = append(deleted.Uuids, gone[:])
		} else {
			want = append(want, all[i].Uuid)
		}
	}
	s.saveSamples(t, anna, 0, all...)
	s.sequence++
	s.applyEvent(t, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
		App: anna, RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), 1<<60), Deletions: []*pb.DeletedSamples{deleted},
	}}})
	r := &pb.QuerySamplesRequest{Types: []string{"food"}, Limit: limit, Order: pb.Order_ORDER_ASCENDING}
	owner := grants(t, nil).OwnerScope()
	answer, err := s.engine.Samples(context.Background(), owner, r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, sample := range answer.Samples {
		got = append(got, sample.Uuid)
	}
	if diff := cmp.Diff(want[:limit], got); diff != "" {
		t.Error(diff)
	}

	q, err := s.engine.parseSamples(owner, r)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.view.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	m := q.find(&patience{ctx: context.Background(), snapshot: snapshot}, newWriter(owner, &s.engine.options, snapshot)).(*merge)
	var source *view.Source
	if more, err := m.take(&view.Sample{}, &source); err != nil || !more || len(m.streams) != 1 || cap(m.streams[0].waiting.samples) > 4*(limit+1) {
		t.Errorf("%v, %v, room for %d", more, err, cap(m.streams[0].waiting.samples))
	}
	if err := errors.Join(m.close(), snapshot.Close()); err != nil {
		t.Fatal(err)
	}
	s.close(t)
}

// A predicate may name many values, and a sample have many entries: patience is asked for
// each entry, and all values of one unit cost as much as one.
func TestMetadataPredicatesCostEntriesAndUnits(t *testing.T) {
	const entries, values = 60, 5000
	s := newStore(t)
	metadata := &pb.Metadata{}
	length := func(v int, unit string) *pb.MetadataEntry {
		return &pb.MetadataEntry{Value: &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: float64(v), Unit: unit}}}
	}
	predicate := &pb.MetadataPredicate{Key: "k"}
	for i := range entries {
		metadata.Entries = append(metadata.Entries, length(-i, "m"))
		metadata.Entries[i].Key = "k"
	}
	for i := range values {
		predicate.Values = append(predicate.Values, length(1+i, []string{"km", "cm"}[i%2]))
	}
	s.apply(t, anna, []*pb.SampleColumns{{
		Type: code("stepCount"), Unit: "count", Tick: 1, Start: []int64{base}, Mantissa: []int64{1}, Metadata: []*pb.Metadata{metadata}, MetadataIndex: []uint32{1},
	}})
	r := &pb.QueryStatisticsRequest{Type: "stepCount", Predicate: &pb.Predicate{Kind: &pb.Predicate_Metadata{Metadata: predicate}}}
	s.collect(t, r, func(c *collection, err error) {
		if err != nil || len(c.buckets) > 0 || c.patience.read < 3*entries || c.patience.read > 3*entries+10 {
			t.Errorf("%d intervals after %d looks, error %v", len(c.buckets), c.patience.read, err)
		}
	})
	s.close(t)
}
