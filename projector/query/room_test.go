package query

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

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

// What fits is answered: the least that an answer was expected to have is not more than it has.
func TestAnswerHasWhatItWasExpectedToHave(t *testing.T) {
	for _, name := range []string{"", "watch"} {
		s := newStore(t)
		s.engine.options.BundleID = func(app uint64) string { return name[:min(len(name), int(app))] }
		for app, start := range []int64{0, 0, 5 * second} {
			s.apply(t, uint64(app+1), []*pb.SampleColumns{{
				Type: code("stepCount"), Unit: "count", Tick: 1,
				Source: &pb.Source{Name: name}, Start: []int64{start, 0}, Duration: []int64{0, 10 * second}, Mantissa: []int64{0, 0},
			}})
		}
		r := &pb.QueryStatisticsRequest{Type: "stepCount", Explain: true, From: health.Timestamp(0)}
		s.collect(t, r, func(c *collection, err error) {
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.answer()
			if err != nil {
				t.Fatal(err)
			}
			if size := proto.Size(answer); c.least == 0 || c.least > size {
				t.Errorf("%q: %d bytes were expected of %d", name, c.least, size)
			}
		})
		s.close(t)
	}
}
