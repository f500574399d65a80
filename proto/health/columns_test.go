package health

import (
	"math"
	"testing"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

var importer = Policy{Importer: true}

func entry(key, text string) *pb.MetadataEntry {
	return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: text}}
}

// unpack turns columns that were checked into samples.
func unpack(columns []*pb.SampleColumns) (list []*pb.Sample) {
	for _, c := range columns {
		ty, _ := catalog.ByCode(c.Type)
		for _, row := range Rows(c) {
			body, err := ParseBody(row.Body)
			if err != nil {
				panic(err)
			}
			list = append(list, Sample(ty, c.Unit, c.Source, row, body))
		}
	}
	return list
}

func dropEmptySources(samples []*pb.Sample) {
	for _, s := range samples {
		if proto.Size(s.Source) == 0 {
			s.Source = nil
		}
	}
}

func TestColumnsAreGroupedInOrderOfFirstAppearance(t *testing.T) {
	at := func(ty string, start int64, source *pb.Source) *pb.Sample {
		v := 1.0
		return &pb.Sample{Type: ty, Start: Timestamp(start), Value: &v, Unit: map[string]string{"stepCount": "count", "HKQuantityTypeIdentifierBodyMass": "kg"}[ty], Source: source}
	}
	watch := func() *pb.Source { return &pb.Source{Name: "watch", Device: &pb.Device{Model: "W"}} }
	withUUID := at("stepCount", 6e6, nil)
	withUUID.Uuid = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
	columns, err := Columns([]*pb.Sample{
		at("stepCount", 1e6, watch()), at("HKQuantityTypeIdentifierBodyMass", 2e6, watch()), at("stepCount", 3e6, nil),
		at("stepCount", 4e6, watch()), at("stepCount", 5e6, &pb.Source{}), withUUID,
	}, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var got [][]int64
	for _, c := range columns {
		var starts []int64
		for _, r := range Rows(c) {
			starts = append(starts, r.Start)
		}
		got = append(got, starts)
	}
	want := [][]int64{{1e6, 4e6}, {2e6}, {3e6, 5e6}, {6e6}}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTicksAreTheCoarsestExactOnes(t *testing.T) {
	for _, c := range []struct {
		start, end, created int64
		tick                uint32
	}{
		{5e6, 7e6, 9e6, 1_000_000}, {5e6, 7e6 + 1000, 9e6, 1000}, {5e6, 7e6, 9e6 + 1, 1},
		{-5e6, 0, 0, 1_000_000}, {-5e6 - 1000, 0, 0, 1000}, {-1, 0, 0, 1},
	} {
		b := NewBuilder()
		ty, _ := catalog.Lookup("stepCount")
		b.Add(ty, "count", nil, Row{Start: c.start, End: c.end, Created: c.created, HasCreated: true, Value: 1})
		got := b.Take()[0]
		if got.Tick != c.tick {
			t.Errorf("%+v: tick is %d", c, got.Tick)
		}
		for _, r := range Rows(got) {
			if r.Start != c.start || r.End != c.end || r.Created != c.created {
				t.Errorf("%+v became %+v", c, r)
			}
		}
	}
}

func TestValuesAreDecimalsOnlyWhereNothingIsLost(t *testing.T) {
	negativeZero := math.Copysign(0, -1)
	for _, c := range []struct {
		values   []float64
		decimal  bool
		exponent uint32
	}{
		{[]float64{1, 2, 3}, true, 0},
		{[]float64{72.5, 80}, true, 1},
		{[]float64{80, 72.25, 0.1}, true, 2},
		{[]float64{0.98, 1e-3}, true, 3},
		{[]float64{0}, true, 0},
		{[]float64{negativeZero}, false, 0},
		{[]float64{1, negativeZero}, false, 0},
		{[]float64{1.0 / 3}, true, 16},
		{[]float64{math.Nextafter(0.3, 1)}, false, 0},
		{[]float64{1 << 53}, true, 0},
		{[]float64{1<<53 + 2}, false, 0},
		{[]float64{1e14, 0.5}, true, 1},
		{[]float64{9e15, 0.5}, false, 0}, // 2^53 does not hold 9e16
		{[]float64{5e-324}, false, 0},
		{[]float64{math.MaxFloat64}, false, 0},
		{[]float64{math.NaN()}, false, 0},
		{[]float64{math.Inf(1)}, false, 0},
	} {
		deltas, exponent, ok := decimals(c.values)
		if ok != c.decimal || exponent != c.exponent {
			t.Errorf("%v: decimal %v with exponent %d, want %v, %d", c.values, ok, exponent, c.decimal, c.exponent)
		}
		var m int64
		for i, d := range deltas {
			m += d
			if got := float64(m) / math.Pow10(int(exponent)); math.Float64bits(got) != math.Float64bits(c.values[i]) {
				t.Errorf("%v became %v", c.values[i], got)
			}
		}
	}
}

func TestRowsStopWhenAsked(t *testing.T) {
	c := plainColumns(10)
	n := 0
	for range Rows(c) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Error(n)
	}
}
