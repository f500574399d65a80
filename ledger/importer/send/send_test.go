package send

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func lookup(t *testing.T, name string) *catalog.Type {
	t.Helper()
	typ, ok := catalog.Lookup(name)
	if !ok {
		t.Fatalf("no type %s", name)
	}
	return typ
}

// accept answers as the ledger does, after a look at the request.
func accept(look func(*pb.SaveRequest) error) Func {
	return func(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
		if err := look(req); err != nil {
			return nil, err
		}
		n := 0
		for _, c := range req.Columns {
			n += health.Count(c)
		}
		return &pb.SaveResponse{Accepted: uint32(n)}, nil
	}
}

func TestEverySampleArrivesOnceInRequestsTheServiceTakes(t *testing.T) {
	var mu sync.Mutex
	seen := map[int64]int{}
	requests := 0
	sender := New(t.Context(), accept(func(req *pb.SaveRequest) error {
		mu.Lock()
		defer mu.Unlock()
		requests++
		if n := proto.Size(req); n > rpc.MaxRequest {
			return fmt.Errorf("a request of %d bytes", n)
		}
		if len(req.RequestId) != 16 || !req.ByContent {
			return errors.New("not what an importer sends")
		}
		for _, c := range req.Columns {
			for _, row := range health.Rows(c) {
				seen[row.Start]++
			}
		}
		return nil
	}), 3)
	batch := NewBatch(sender)
	steps, route := lookup(t, "stepCount"), lookup(t, "workoutRoute")
	const count = 20_000
	for i := range int64(count) {
		row := health.Row{Start: i * 1_000_000, End: i * 1_000_000, Value: 1}
		typ, unit := steps, "count"
		if i%1000 == 7 {
			typ, unit, row.Body = route, "", make([]byte, health.MaxBody)
		}
		if err := batch.Add(typ, unit, nil, &row); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Flush(), sender.Close()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != count || sender.Saved() != count || requests < count/1000 {
		t.Errorf("%d samples, %d counted, in %d requests", len(seen), sender.Saved(), requests)
	}
	for at, n := range seen {
		if n != 1 {
			t.Errorf("the sample at %d arrived %d times", at, n)
		}
	}
}

func TestFirstErrorEndsSending(t *testing.T) {
	broken := errors.New("broken")
	var calls atomic.Int32
	sender := New(t.Context(), accept(func(*pb.SaveRequest) error {
		if calls.Add(1) == 2 {
			return broken
		}
		return nil
	}), 1)
	columns := []*pb.SampleColumns{{Start: []int64{0}}}
	var err error
	for range 10 {
		if err = sender.Send(columns); err != nil {
			break
		}
	}
	if closing := sender.Close(); !errors.Is(closing, broken) || !errors.Is(err, broken) {
		t.Errorf("send says %v, close %v", err, closing)
	}
	if calls.Load() != 2 || sender.Saved() != 1 {
		t.Errorf("%d calls, %d saved", calls.Load(), sender.Saved())
	}
	if !errors.Is(context.Cause(sender.Context()), broken) {
		t.Error("the context does not say why it ended")
	}
}

func TestFewerAcceptedThanSentIsAnError(t *testing.T) {
	sender := New(t.Context(), func(context.Context, *pb.SaveRequest) (*pb.SaveResponse, error) {
		return &pb.SaveResponse{Accepted: 1}, nil
	}, 1)
	if err := sender.Send([]*pb.SampleColumns{{Start: []int64{0, 1}}}); err != nil {
		t.Fatal(err)
	}
	if sender.Close() == nil {
		t.Error("a sample got lost and nobody said so")
	}
}

func TestSamplesOfEveryKindGoAsTheyAre(t *testing.T) {
	var mu sync.Mutex
	var got []*pb.Sample
	sender := New(t.Context(), func(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
		mu.Lock()
		defer mu.Unlock()
		n := len(req.Samples)
		if n > 1 || n > 0 && len(req.Columns) > 0 || !req.ByContent || len(req.RequestId) != 16 {
			return nil, errors.New("not what an importer sends")
		}
		got = append(got, req.Samples...)
		for _, c := range req.Columns {
			typ, _ := catalog.ByCode(c.Type)
			for _, row := range health.Rows(c) {
				n++
				body, err := health.ParseBody(row.Body)
				if err != nil {
					return nil, err
				}
				got = append(got, health.Sample(typ, c.Unit, c.Source, row, body))
			}
		}
		return &pb.SaveResponse{Accepted: uint32(n)}, nil
	}, 2)
	batch := NewBatch(sender)
	at := health.Timestamp(1_700_000_000_000_000)
	value := 7.5
	route := func(n int) *pb.Sample {
		return &pb.Sample{Type: "workoutRoute", Start: at, End: at, Object: &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}},
			Payload: []*pb.Chunk{{Locations: &pb.Locations{Time: make([]int64, n), Latitude: make([]float64, n), Longitude: make([]float64, n)}}}}
	}
	want := []*pb.Sample{
		{Type: "bodyMass", Start: at, End: at, Value: &value, Unit: "kg", Source: &pb.Source{Name: "Scale"}},
		{Type: "bodyMass", Start: at, End: at, Value: &value, Unit: "kg", Kept: []*pb.Kept{{Format: "x", Name: "@a", Value: "1"}}},
		route(10), route(12_000),
		{Type: "workout", Start: at, End: at, Object: &pb.Sample_Workout{Workout: &pb.Workout{Activity: "running"}}, Members: []*pb.Sample{route(11_000)}},
	}
	for _, s := range want {
		if err := batch.AddSample(s); err != nil {
			t.Fatal(err)
		}
	}
	bad := &pb.Sample{Type: "bodyMass", Start: at, Value: &value, Unit: "kg", Kept: []*pb.Kept{{}}}
	var refused *health.FieldError
	if err := batch.AddSample(bad); !errors.As(err, &refused) {
		t.Errorf("a bad sample: %v", err)
	}
	if err := errors.Join(batch.Flush(), sender.Close()); err != nil {
		t.Fatal(err)
	}
	if sender.Saved() != uint64(len(want)) {
		t.Errorf("%d were saved", sender.Saved())
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(s *pb.Sample) bool { return proto.Equal(s, w) }) {
			t.Errorf("missing: a %s", w.Type)
		}
	}
}

func TestCheckerSaysWhatTheLedgerWouldSay(t *testing.T) {
	var checker Checker
	rapid.Check(t, func(rt *rapid.T) {
		s := healthtest.Sample(rt, healthtest.Type(rt))
		switch rapid.IntRange(0, 6).Draw(rt, "flaw") {
		case 0:
			s.Unit = rapid.SampledFrom([]string{"", "kg", "nonsense"}).Draw(rt, "unit")
		case 1:
			s.Value = nil
		case 2:
			s.Object = nil
		case 3:
			s.Source = &pb.Source{Name: rapid.SampledFrom([]string{"", "\xff", strings.Repeat("n", 2000)}).Draw(rt, "name")}
		case 4:
			s.End = health.Timestamp(1)
		}
		_, want := health.Columns([]*pb.Sample{s}, health.Policy{Importer: true})
		if got := checker.Check(s); (got == nil) != (want == nil) || want != nil && got.Error() != want.Error() {
			rt.Errorf("%v, the ledger says %v", got, want)
		}
	})
}
