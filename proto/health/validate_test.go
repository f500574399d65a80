package health

import (
	"math"
	"testing"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

func FuzzValidate(f *testing.F) {
	full := plainColumns(3)
	full.Created, full.Uuid = []int64{0, 1, -1}, []byte("0123456789abcdef0123456789abcdef0123456789abcdef")
	full.Metadata = []*pb.Metadata{{Entries: []*pb.MetadataEntry{entry("k", "v"), {Key: "d", Value: &pb.MetadataEntry_Date{Date: Timestamp(1)}}}}}
	full.MetadataIndex = []uint32{0, 1, 1}
	full.Source.Device = &pb.Device{Name: "watch", Other: []string{"a:b"}}
	sleep := &pb.SampleColumns{Type: sleepCode, Tick: 1, Start: []int64{5}, Mantissa: []int64{3}}
	real := plainColumns(2)
	real.Mantissa, real.Real = nil, []float64{1.5, -1e300}
	for _, c := range []*pb.SampleColumns{plainColumns(2), full, sleep, real} {
		data, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, readOnly bool) {
		var c pb.SampleColumns
		if proto.Unmarshal(data, &c) != nil {
			return
		}
		p := Policy{Importer: readOnly}
		if Validate([]*pb.SampleColumns{&c}, p) != nil {
			return
		}
		// What was accepted decodes to samples that are accepted as rows too,
		// and stay the same.
		samples := unpack([]*pb.SampleColumns{&c})
		if len(samples) != Count(&c) {
			t.Fatalf("%d samples of %d", len(samples), Count(&c))
		}
		again, err := Columns(samples, p)
		if err != nil {
			t.Fatal(err)
		}
		dropEmptySources(samples)
		category := c.Unit == ""
		for i, got := range unpack(again) {
			// Sources and labels are compared by value, -0 of a category has become 0.
			if !proto.Equal(samples[i], got) ||
				!category && math.Float64bits(*samples[i].Value) != math.Float64bits(*got.Value) {
				t.Fatalf("sample %d: %v became %v", i, samples[i], got)
			}
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"2024-05-01", "2024-05-01T07:30:00.5+02:00", "9999-12-31T23:59:59Z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTime(text, nil)
		if err != nil {
			return
		}
		micros := got.UnixMicro()
		if again, err := Micros(Timestamp(micros)); err != nil || again != micros {
			t.Fatalf("%q: %d became %d, %v", text, micros, again, err)
		}
	})
}

func TestValidateDoesNotAllocatePerSample(t *testing.T) {
	few, many := []*pb.SampleColumns{plainColumns(10)}, []*pb.SampleColumns{plainColumns(10_000)}
	allocs := func(c []*pb.SampleColumns) float64 {
		return testing.AllocsPerRun(10, func() {
			if err := Validate(c, Policy{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if a, b := allocs(few), allocs(many); a != b {
		t.Errorf("%v allocations for 10 samples, %v for 10000", a, b)
	}
	c := many[0]
	if n := testing.AllocsPerRun(10, func() {
		for range Rows(c) {
		}
	}); n > 1 {
		t.Errorf("Rows allocates %v times", n)
	}
}

func perSample(b *testing.B, n int) {
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}

func BenchmarkValidate(b *testing.B) {
	c := []*pb.SampleColumns{plainColumns(1000)}
	for b.Loop() {
		if err := Validate(c, Policy{}); err != nil {
			b.Fatal(err)
		}
	}
	perSample(b, 1000)
}

func BenchmarkRows(b *testing.B) {
	c := plainColumns(1000)
	var sum float64
	for b.Loop() {
		for _, r := range Rows(c) {
			sum += r.Value
		}
	}
	perSample(b, 1000)
	_ = sum
}

func BenchmarkColumns(b *testing.B) {
	samples := make([]*pb.Sample, 1000)
	for i := range samples {
		samples[i] = steps(func(s *pb.Sample) {
			s.Start, s.End = Timestamp(day+int64(i)*60e6), Timestamp(day+int64(i)*60e6+30e6)
			s.Source = &pb.Source{Name: "watch", Device: &pb.Device{Model: "Watch6,2"}}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Columns(samples, Policy{}); err != nil {
			b.Fatal(err)
		}
	}
	perSample(b, 1000)
}

func BenchmarkBuilder(b *testing.B) {
	ty, _ := catalog.Lookup("heartRate")
	source, builder := &pb.Source{Name: "watch"}, NewBuilder()
	meta := &pb.Metadata{Entries: []*pb.MetadataEntry{entry("HKMetadataKeyHeartRateMotionContext", "1")}}
	b.ReportAllocs()
	for b.Loop() {
		for i := range int64(10_000) {
			builder.Add(ty, "count/min", source, Row{Start: day + i*5e6, End: day + i*5e6, Value: float64(60 + i%40), Metadata: meta})
		}
		builder.Take()
	}
	perSample(b, 10_000)
}
