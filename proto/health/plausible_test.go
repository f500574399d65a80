package health_test

import (
	"fmt"
	"slices"
	"testing"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"

	"pgregory.net/rapid"
)

// wild looks at every value of a sample by the plainest means.
func wild(t interface{ Fatal(...any) }, index int, prefix string, s *pb.Sample) (list []string) {
	ty, _ := catalog.Lookup(s.Type)
	check := func(field string, v float64) {
		from, _ := unit.Parse(s.Unit)
		to, _ := unit.Parse(ty.Plausible.Unit)
		in, err := unit.Convert(v, from, to)
		if err != nil {
			t.Fatal(err)
		}
		if in < ty.Plausible.Min || in > ty.Plausible.Max {
			list = append(list, fmt.Sprint(index, prefix, field))
		}
	}
	if ty.Plausible != nil {
		check("value", *s.Value)
	}
	for i, m := range s.Members {
		list = append(list, wild(t, index, fmt.Sprintf("%smembers[%d].", prefix, i), m)...)
	}
	for i, c := range s.Payload {
		for _, v := range c.GetQuantities().GetValue() {
			if ty.Plausible != nil {
				check(fmt.Sprintf("payload[%d].quantities.value", i), v)
			}
		}
	}
	return list
}

func TestImplausibleFindsEveryWildValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, more := healthtest.Samples(t), healthtest.Samples(t)
		columns, err := health.Columns(more, healthtest.Importer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := health.Collect(rows, columns, healthtest.Importer); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for i, s := range slices.Concat(rows, order(more)) {
			want = append(want, wild(t, i, " ", s)...)
		}
		for err := range health.Implausible(rows, columns) {
			got = append(got, fmt.Sprint(err.Index, " ", err.Field))
		}
		// Columns are looked at value by value first, then body by body.
		slices.Sort(want)
		slices.Sort(got)
		if d := diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestImplausibleSaysWhatItSaw(t *testing.T) {
	v := 340.0
	s := &pb.Sample{Type: "heartRate", Unit: "count/min", Value: &v, Start: health.Timestamp(0)}
	for err := range health.Implausible([]*pb.Sample{s, s, s}, nil) {
		if want := `sample 0: value "340 count/min": a heartRate is hardly outside of 1 to 300 count/min`; err.Error() != want {
			t.Errorf("%v", err)
		}
		return // it stops when asked
	}
	t.Error("nothing found")
}

func TestRangesFitTheirTypes(t *testing.T) {
	n := 0
	for _, ty := range catalog.All() {
		if ty.Plausible == nil {
			continue
		}
		n++
		of, err := unit.Parse(ty.Plausible.Unit)
		canonical, err2 := unit.Parse(ty.Unit)
		if err != nil || err2 != nil || !of.Compatible(canonical) {
			t.Errorf("%s: %q does not go with %q", ty, ty.Plausible.Unit, ty.Unit)
		}
	}
	if n < 70 {
		t.Errorf("only %d types have a range", n)
	}
}

// million returns a million heart rates, as a thousand times the same thousand: the
// values of a request are in the cache when they are looked at again.
func million() []*pb.SampleColumns {
	heartRate, _ := catalog.Lookup("heartRate")
	c := &pb.SampleColumns{Type: heartRate.Code, Unit: "count/min", Tick: 1_000_000}
	for i := range 1000 {
		c.Start, c.Duration, c.Mantissa = append(c.Start, 5), append(c.Duration, 1), append(c.Mantissa, int64(i%7-3))
	}
	c.Mantissa[0] = 70
	return slices.Repeat([]*pb.SampleColumns{c}, 1000)
}

func BenchmarkCollectMillion(b *testing.B) {
	columns := million()
	for b.Loop() {
		if _, err := health.Collect(nil, columns, health.Policy{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImplausibleMillion(b *testing.B) {
	columns := million()
	for b.Loop() {
		for err := range health.Implausible(nil, columns) {
			b.Fatal(err)
		}
	}
}

// rowsOf returns a thousand heart rates as rows.
func rowsOf() []*pb.Sample {
	list := make([]*pb.Sample, 1000)
	for i := range list {
		v := float64(60 + i%40)
		list[i] = &pb.Sample{Type: "heartRate", Unit: "count/min", Value: &v, Start: health.Timestamp(int64(i) * 5_000_000)}
	}
	return list
}

func BenchmarkCollectRows(b *testing.B) {
	rows := rowsOf()
	for b.Loop() {
		if _, err := health.Collect(rows, nil, health.Policy{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImplausibleRows(b *testing.B) {
	rows := rowsOf()
	for b.Loop() {
		for err := range health.Implausible(rows, nil) {
			b.Fatal(err)
		}
	}
}
