package health_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"
)

// order groups samples as Columns does: by first appearance of their columns.
func order(samples []*pb.Sample) []*pb.Sample {
	key := func(s *pb.Sample) string {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.Sample{Type: s.Type, Unit: s.Unit, Source: s.Source})
		if err != nil {
			panic(err)
		}
		for i, is := range []bool{s.Created != nil, s.Uuid != "", hasBody(s)} {
			if is {
				b = append(b, byte(i))
			}
		}
		return string(b)
	}
	first := map[string]int{}
	for i, s := range samples {
		if _, ok := first[key(s)]; !ok {
			first[key(s)] = i
		}
	}
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, func(a, b *pb.Sample) int { return cmp.Compare(first[key(a)], first[key(b)]) })
	return sorted
}

func hasBody(s *pb.Sample) bool {
	return s.Object != nil || len(s.Members)+len(s.Kept)+len(s.Payload) > 0 || s.Upload != nil
}

func diff(want, got any) string {
	return gocmp.Diff(want, got, protocmp.Transform(), gocmp.Comparer(func(a, b float64) bool {
		return math.Float64bits(a) == math.Float64bits(b)
	}))
}

// unpack turns columns that were checked into samples.
func unpack(t interface{ Fatal(...any) }, columns []*pb.SampleColumns) (list []*pb.Sample) {
	for _, c := range columns {
		ty, _ := catalog.ByCode(c.Type)
		for _, row := range health.Rows(c) {
			body, err := health.ParseBody(row.Body)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, health.Sample(ty, c.Unit, c.Source, row, body))
		}
	}
	return list
}

func TestRowsToColumnsToRowsLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := healthtest.Samples(t)
		columns, err := health.Columns(samples, healthtest.Importer)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(order(samples), unpack(t, columns)); d != "" {
			t.Fatal(d)
		}
	})
}

// What an app may save it gets back as it was, and an importer may bring it too.
func TestAppSamplesKeepTheirForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := healthtest.AppSample(t, healthtest.AppType(t))
		for _, p := range []health.Policy{{}, healthtest.Importer} {
			columns, err := health.Columns([]*pb.Sample{s}, p)
			if err != nil {
				t.Fatalf("%v: %v\n%v", p, err, s)
			}
			if err := health.Validate(columns, p); err != nil {
				t.Fatal(err)
			}
			if d := diff([]*pb.Sample{s}, unpack(t, columns)); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func TestValidateAcceptsWhatColumnsMakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := healthtest.Samples(t)
		columns, err := health.Columns(samples, healthtest.Importer)
		if err != nil {
			t.Fatal(err)
		}
		if err := health.Validate(columns, healthtest.Importer); err != nil {
			t.Fatal(err)
		}
		// And on the other side of the wire.
		data, err := proto.Marshal(&pb.SamplesSaved{Columns: columns})
		if err != nil {
			t.Fatal(err)
		}
		var arrived pb.SamplesSaved
		if err := proto.Unmarshal(data, &arrived); err != nil {
			t.Fatal(err)
		}
		if err := health.Validate(arrived.Columns, healthtest.Importer); err != nil {
			t.Fatal(err)
		}
		if d := diff(unpack(t, columns), unpack(t, arrived.Columns)); d != "" {
			t.Fatal(d)
		}
		n := 0
		for _, c := range columns {
			n += health.Count(c)
		}
		if n != len(samples) {
			t.Fatalf("%d samples in columns of %d", len(samples), n)
		}
	})
}

// build adds samples to a Builder one by one, as a bulk producer does.
func build(t *rapid.T, b *health.Builder, samples []*pb.Sample) {
	for _, s := range samples {
		columns, err := health.Columns([]*pb.Sample{s}, healthtest.Importer)
		if err != nil {
			t.Fatal(err)
		}
		ty, _ := catalog.Lookup(s.Type)
		for _, row := range health.Rows(columns[0]) {
			b.Add(ty, s.Unit, s.Source, row)
		}
	}
}

func TestBuilderBytesIsAnUpperBound(t *testing.T) {
	b := health.NewBuilder()
	rapid.Check(t, func(t *rapid.T) {
		build(t, b, healthtest.Samples(t))
		n, bound := b.Len(), b.Bytes()
		columns := b.Take()
		if size := proto.Size(&pb.SamplesSaved{Columns: columns}); size > bound {
			t.Fatalf("%d bytes, but at most %d were promised", size, bound)
		}
		if got := len(unpack(t, columns)); got != n || b.Len() != 0 || b.Bytes() != 0 {
			t.Fatalf("took %d of %d, %d are left", got, n, b.Len())
		}
	})
}

func TestBuilderAndColumnsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := healthtest.Samples(t)
		want, err := health.Columns(samples, healthtest.Importer)
		if err != nil {
			t.Fatal(err)
		}
		b := health.NewBuilder()
		build(t, b, samples)
		if d := diff(want, b.Take()); d != "" {
			t.Fatal(d)
		}
	})
}
