package query

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"healthledger/authz/statetest"
	"healthledger/projector/view"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// yearStore holds a heart rate every five seconds for a year: 6.3M samples.
func yearStore(b *testing.B) (*view.View, *Engine) {
	v, err := view.Open(vfs.Default, b.TempDir(), view.Options{AppKey: keyOf})
	if err != nil {
		b.Fatal(err)
	}
	const segment = 8640
	typ := code("heartRate")
	for sequence := uint64(1); sequence <= 730; {
		batch := v.Begin()
		for range 10 {
			c := &pb.SampleColumns{Type: typ, Unit: "count/min", Tick: 1_000_000, Source: &pb.Source{Name: "watch"}, Exponent: 0}
			c.Start, c.Mantissa = make([]int64, segment), make([]int64, segment)
			for i := range segment {
				c.Start[i], c.Mantissa[i] = 5, int64(i*i%7-3)
			}
			c.Start[0], c.Mantissa[0] = 1_700_000_000+int64(sequence)*segment*5, 70
			request := binary.BigEndian.AppendUint64(make([]byte, 8), sequence)
			err := batch.Apply(sequence, 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{
				App: anna, RequestId: request, Columns: []*pb.SampleColumns{c},
			}}})
			if err != nil {
				b.Fatal(err)
			}
			sequence++
		}
		if err := batch.Commit(view.Cursor{Sequence: sequence - 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
	})
	return v, New(v, Options{Tokens: newSealed(), BundleID: bundleID})
}

func BenchmarkYear(b *testing.B) {
	_, engine := yearStore(b)
	scope := statetest.New().OwnerScope()
	ctx := context.Background()
	b.Run("latest 100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			answer, err := engine.Samples(ctx, scope, &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 100})
			if err != nil || len(answer.GetSamples()) != 100 {
				b.Fatal(err)
			}
		}
	})
	b.Run("latest 100 of two types by end", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			answer, err := engine.Samples(ctx, scope, &pb.QuerySamplesRequest{Types: []string{"heartRate", "stepCount"}, Limit: 100, SortBy: pb.SortBy_SORT_BY_END})
			if err != nil || len(answer.GetSamples()) != 100 {
				b.Fatal(err)
			}
		}
	})
	b.Run("highest 100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			answer, err := engine.Samples(ctx, scope, &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 100, SortBy: pb.SortBy_SORT_BY_VALUE})
			if err != nil || len(answer.GetSamples()) != 100 {
				b.Fatal(err)
			}
		}
	})
	b.Run("one in a million by quantity", func(b *testing.B) {
		b.ReportAllocs()
		q := &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Predicate: &pb.Predicate{Kind: &pb.Predicate_Quantity{Quantity: &pb.QuantityPredicate{
			Comparison: pb.Comparison_COMPARISON_GREATER, Quantity: &pb.Quantity{Value: 1e6, Unit: "count/s"},
		}}}}
		for b.Loop() {
			if answer, err := engine.Samples(ctx, scope, q); err != nil || len(answer.GetSamples()) > 0 {
				b.Fatal(err)
			}
		}
	})
	b.Run("page in the middle", func(b *testing.B) {
		b.ReportAllocs()
		q := &pb.QuerySamplesRequest{Types: []string{"heartRate"}, From: health.Timestamp(1_715_000_000 * second), Order: pb.Order_ORDER_ASCENDING}
		n := 0
		for b.Loop() {
			answer, err := engine.Samples(ctx, scope, q)
			if err != nil {
				b.Fatal(err)
			}
			n += len(answer.GetSamples())
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
	})
	b.Run("daily statistics", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			answer, err := engine.Statistics(ctx, scope, &pb.QueryStatisticsRequest{Type: "heartRate", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}, TimeZone: "Europe/Berlin"})
			if err != nil || len(answer.GetStatistics()) < 365 {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkChanges catches up with 10,000 changes, in segments of so many.
func BenchmarkChanges(b *testing.B) {
	for _, each := range []int{1, 100} {
		b.Run(fmt.Sprintf("each=%d", each), func(b *testing.B) {
			s := newStore(b)
			scope := grants(b, nil).Scope(anna)
			first, err := s.engine.Changes(context.Background(), scope, &pb.QueryChangesRequest{Type: "stepCount"})
			if err != nil {
				b.Fatal(err)
			}
			for from := 0; from < 10_000; from += each {
				c := &pb.SampleColumns{Type: code("stepCount"), Unit: "count", Tick: 1_000_000, Source: &pb.Source{Name: "watch"}}
				for i := range each {
					c.Start, c.Mantissa = append(c.Start, 60), append(c.Mantissa, int64(i))
				}
				c.Start[0] = base/1_000_000 + int64(from)*60
				s.apply(b, anna, []*pb.SampleColumns{c})
			}
			b.ResetTimer()
			for range b.N {
				n, anchor := 0, first.Anchor
				for more := true; more; {
					answer, err := s.engine.Changes(context.Background(), scope, &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchor})
					if err != nil {
						b.Fatal(err)
					}
					n, anchor, more = n+len(answer.Samples), answer.Anchor, answer.More
				}
				if n != 10_000 {
					b.Fatal(n)
				}
			}
			b.StopTimer()
			s.close(b)
		})
	}
}

// stepsStore holds steps of ten years from three sources, each a minute of every five from
// six to ten: 2.1M samples.
func stepsStore(b *testing.B, overlap bool) (engine *Engine, samples int) {
	v, err := view.Open(vfs.Default, b.TempDir(), view.Options{AppKey: keyOf})
	if err != nil {
		b.Fatal(err)
	}
	const days, each = 3652, 192
	for at := 0; at < days; {
		batch := v.Begin()
		for range 50 {
			var columns []*pb.SampleColumns
			for n, name := range []string{"watch", "phone", "ring"} {
				c := &pb.SampleColumns{Type: code("stepCount"), Unit: "count", Tick: 1_000_000, Source: &pb.Source{Name: name}}
				for i := range each {
					c.Start, c.Duration, c.Mantissa = append(c.Start, 300), append(c.Duration, int64(60+20*n)), append(c.Mantissa, int64(i%3-1))
				}
				// Apart, each has a third of the day, and the first quarter of the next one's.
				start := 1_400_000_000 + int64(at)*86400 + int64(20*n)
				if !overlap {
					start += int64(n) * (each - 3) * 100
					for i := range c.Start {
						c.Start[i] = 100
					}
				}
				c.Start[0], c.Mantissa[0] = start, 40
				columns, samples = append(columns, c), samples+each
			}
			request := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(at+1))
			err := batch.Apply(uint64(at+1), 0, &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{App: anna, RequestId: request, Columns: columns}}})
			if err != nil {
				b.Fatal(err)
			}
			if at++; at == days {
				break
			}
		}
		if err := batch.Commit(view.Cursor{Sequence: uint64(at)}); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
	})
	return New(v, Options{Tokens: newSealed(), BundleID: bundleID}), samples
}

// BenchmarkSteps merges ten years of three sources by month: that measure at the same time,
// and that mostly do not.
func BenchmarkSteps(b *testing.B) {
	for name, overlap := range map[string]bool{"overlapping": true, "apart": false} {
		b.Run(name, func(b *testing.B) {
			engine, samples := stepsStore(b, overlap)
			scope := statetest.New().OwnerScope()
			q := &pb.QueryStatisticsRequest{Type: "stepCount", Interval: &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_MONTH}, TimeZone: "Europe/Berlin"}
			b.ReportAllocs()
			for b.Loop() {
				answer, err := engine.Statistics(context.Background(), scope, q)
				if err != nil || len(answer.GetStatistics()) < 120 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
		})
	}
}
