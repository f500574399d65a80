package health

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func ptr(v float64) *float64 { return &v }

const day = 1_714_521_600_000_000 // 2024-05-01

func steps(change func(*pb.Sample)) *pb.Sample {
	s := &pb.Sample{Type: "stepCount", Start: Timestamp(day), End: Timestamp(day + 60e6), Value: ptr(12), Unit: "count"}
	if change != nil {
		change(s)
	}
	return s
}

func category(typ string, change func(*pb.Sample)) *pb.Sample {
	return steps(func(s *pb.Sample) {
		s.Type, s.Unit, s.Value = typ, "", nil
		change(s)
	})
}

func unknownField(m proto.Message) {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
}

func wantField(t *testing.T, err error, index int, field string) {
	t.Helper()
	var fe *FieldError
	if !errors.As(err, &fe) {
		t.Errorf("accepted, or no FieldError: %v", err)
		return
	}
	if fe.Field != field || fe.Index != index {
		t.Errorf("refused sample %d, field %q, want sample %d, %q: %v", fe.Index, fe.Field, index, field, err)
	}
	if fe.Why == "" || !utf8.ValidString(fe.Value) || utf8.RuneCountInString(fe.Value) > maxShown+1 || !strings.Contains(fe.Error(), field) {
		t.Errorf("unclear: %#v", fe)
	}
}

func TestRefusedRowsNameTheField(t *testing.T) {
	meta := func(entries ...*pb.MetadataEntry) *pb.Sample {
		return steps(func(s *pb.Sample) { s.Metadata = entries })
	}
	quantity := func(v float64, unit string) *pb.MetadataEntry {
		return &pb.MetadataEntry{Key: "HKFoo", Value: &pb.MetadataEntry_Quantity{Quantity: &pb.Quantity{Value: v, Unit: unit}}}
	}
	source := func(s *pb.Source) *pb.Sample { return steps(func(x *pb.Sample) { x.Source = s }) }
	device := func(d *pb.Device) *pb.Sample { return source(&pb.Source{Device: d}) }
	var many []*pb.MetadataEntry
	for range MaxEntries + 1 {
		many = append(many, entry("k", "v"))
	}
	unknownSource := &pb.Source{Name: "x"}
	unknownField(unknownSource)
	long := strings.Repeat("x", MaxText+1)
	for name, c := range map[string]struct {
		sample *pb.Sample
		field  string
	}{
		"nil":                {nil, "sample"},
		"unknown field":      {steps(func(s *pb.Sample) { unknownField(s) }), "sample"},
		"type missing":       {steps(func(s *pb.Sample) { s.Type = "" }), "type"},
		"type unknown":       {steps(func(s *pb.Sample) { s.Type = "\xff" + strings.Repeat("é", 99) }), "type"},
		"correlation":        {steps(func(s *pb.Sample) { s.Type = "bloodPressure" }), "unit"},
		"workout":            {category("workout", func(s *pb.Sample) { s.Value = ptr(1) }), "value"},
		"characteristic":     {steps(func(s *pb.Sample) { s.Type = "dateOfBirth" }), "type"},
		"read-only quantity": {steps(func(s *pb.Sample) { s.Type, s.Unit = "appleExerciseTime", "min" }), "type"},
		"read-only category": {category("appleStandHour", func(s *pb.Sample) { s.Label = "stood" }), "type"},

		"start missing":      {steps(func(s *pb.Sample) { s.Start = nil }), "start"},
		"start too fine":     {steps(func(s *pb.Sample) { s.Start.Nanos = 1 }), "start"},
		"start bad nanos":    {steps(func(s *pb.Sample) { s.Start.Nanos = -1000 }), "start"},
		"start in year 0":    {steps(func(s *pb.Sample) { s.Start = &timestamppb.Timestamp{Seconds: minMicros/1e6 - 1} }), "start"},
		"start huge":         {steps(func(s *pb.Sample) { s.Start = &timestamppb.Timestamp{Seconds: math.MaxInt64} }), "start"},
		"start unknown":      {steps(func(s *pb.Sample) { unknownField(s.Start) }), "start"},
		"end too fine":       {steps(func(s *pb.Sample) { s.End.Nanos = 1500 }), "end"},
		"end in year 10000":  {steps(func(s *pb.Sample) { s.End = &timestamppb.Timestamp{Seconds: maxMicros/1e6 + 1} }), "end"},
		"end before start":   {steps(func(s *pb.Sample) { s.End = Timestamp(day - 1) }), "end"},
		"longer than 4 days": {steps(func(s *pb.Sample) { s.End = Timestamp(day + 4*86400e6 + 1) }), "end"},
		"not a point":        {category("menopausalState", func(s *pb.Sample) { s.Label, s.End = "none", Timestamp(day+1) }), "end"},
		"created too fine":   {steps(func(s *pb.Sample) { s.Created = &timestamppb.Timestamp{Nanos: 1} }), "created"},

		"value missing":         {steps(func(s *pb.Sample) { s.Value = nil }), "value"},
		"NaN":                   {steps(func(s *pb.Sample) { s.Value = ptr(math.NaN()) }), "value"},
		"infinite":              {steps(func(s *pb.Sample) { s.Value = ptr(math.Inf(-1)) }), "value"},
		"infinite in canonical": {steps(func(s *pb.Sample) { s.Type, s.Unit, s.Value = "height", "km", ptr(1e308) }), "value"},
		"unit missing":          {steps(func(s *pb.Sample) { s.Unit = "" }), "unit"},
		"unit unknown":          {steps(func(s *pb.Sample) { s.Unit = "steps" }), "unit"},
		"unit incompatible":     {steps(func(s *pb.Sample) { s.Unit = "count/min" }), "unit"},
		"unit without molar":    {steps(func(s *pb.Sample) { s.Type, s.Unit = "bloodGlucose", "mmol/L" }), "unit"},
		"label of a quantity":   {steps(func(s *pb.Sample) { s.Label = "many" }), "label"},
		"category without":      {category("sleepAnalysis", func(s *pb.Sample) {}), "value"},
		"category out of enum":  {category("sleepAnalysis", func(s *pb.Sample) { s.Value = ptr(6) }), "value"},
		"category negative":     {category("sleepAnalysis", func(s *pb.Sample) { s.Value = ptr(-1) }), "value"},
		"category huge":         {category("sleepAnalysis", func(s *pb.Sample) { s.Value = ptr(1e300) }), "value"},
		"category fraction":     {category("sleepAnalysis", func(s *pb.Sample) { s.Value = ptr(0.5) }), "value"},
		"category NaN":          {category("sleepAnalysis", func(s *pb.Sample) { s.Value = ptr(math.NaN()) }), "value"},
		"sexual activity":       {category("sexualActivity", func(s *pb.Sample) { s.Value = ptr(1) }), "value"},
		"category with unit":    {category("sleepAnalysis", func(s *pb.Sample) { s.Label, s.Unit = "inBed", "count" }), "unit"},
		"label unknown":         {category("sleepAnalysis", func(s *pb.Sample) { s.Label = "dozing" }), "label"},
		"label disagrees":       {category("sleepAnalysis", func(s *pb.Sample) { s.Label, s.Value = "inBed", ptr(1) }), "label"},

		"uuid short":       {steps(func(s *pb.Sample) { s.Uuid = "1234" }), "uuid"},
		"uuid urn":         {steps(func(s *pb.Sample) { s.Uuid = "urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" }), "uuid"},
		"uuid bare":        {steps(func(s *pb.Sample) { s.Uuid = "a0eebc999c0b4ef8bb6d6bb9bd380a11" }), "uuid"},
		"uuid not hex":     {steps(func(s *pb.Sample) { s.Uuid = "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" }), "uuid"},
		"uuid nil":         {steps(func(s *pb.Sample) { s.Uuid = "00000000-0000-0000-0000-000000000000" }), "uuid"},
		"source.app":       {source(&pb.Source{App: "com.example"}), "source.app"},
		"source.name":      {source(&pb.Source{Name: long}), "source.name"},
		"source.version":   {source(&pb.Source{Version: "\xff"}), "source.version"},
		"source unknown":   {source(unknownSource), "source"},
		"source too large": {device(&pb.Device{Other: strings.Split(strings.Repeat(long[1:]+"|", MaxOther-1)+"x", "|")}), "source"},
		"device empty":     {device(&pb.Device{}), "device"},
		"device.model":     {device(&pb.Device{Model: long}), "device.model"},
		"device.other":     {device(&pb.Device{Other: []string{""}}), "device.other"},
		"device.others":    {device(&pb.Device{Other: make([]string, MaxOther+1)}), "device.other"},

		"key missing":        {meta(entry("", "x")), "metadata[]"},
		"key too long":       {meta(entry(strings.Repeat("k", MaxKey+1), "x")), "metadata[" + strings.Repeat("k", maxShown) + "…]"},
		"entry nil":          {meta(nil), "metadata[]"},
		"entry without":      {meta(&pb.MetadataEntry{Key: "HKFoo"}), "metadata[HKFoo]"},
		"entry nil date":     {meta(&pb.MetadataEntry{Key: "HKFoo", Value: &pb.MetadataEntry_Date{}}), "metadata[HKFoo]"},
		"entry nil quantity": {meta(&pb.MetadataEntry{Key: "HKFoo", Value: &pb.MetadataEntry_Quantity{}}), "metadata[HKFoo]"},
		"entry typed nil":    {meta(&pb.MetadataEntry{Key: "HKFoo", Value: (*pb.MetadataEntry_Text)(nil)}), "metadata[HKFoo]"},
		"text not UTF-8":     {meta(entry("HKFoo", "\xff")), "metadata[HKFoo]"},
		"number NaN":         {meta(&pb.MetadataEntry{Key: "HKFoo", Value: &pb.MetadataEntry_Number{Number: math.NaN()}}), "metadata[HKFoo]"},
		"date too fine":      {meta(&pb.MetadataEntry{Key: "HKFoo", Value: &pb.MetadataEntry_Date{Date: &timestamppb.Timestamp{Nanos: 1}}}), "metadata[HKFoo]"},
		"quantity unit":      {meta(quantity(1, "bananas")), "metadata[HKFoo]"},
		"quantity infinite":  {meta(quantity(math.Inf(1), "m")), "metadata[HKFoo]"},
		"too many entries":   {meta(many...), "metadata"},
		"too large":          {meta(entry("HKFoo", strings.Repeat("x", MaxMetadata))), "metadata"},
		"menstrual flow":     {category("menstrualFlow", func(s *pb.Sample) { s.Label = "light" }), "metadata[HKMenstrualCycleStart]"},
		"insulin": {steps(func(s *pb.Sample) {
			s.Type, s.Unit, s.Metadata = "insulinDelivery", "IU", []*pb.MetadataEntry{entry("HKFoo", "x")}
		}), "metadata[HKInsulinDeliveryReason]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Columns([]*pb.Sample{steps(nil), steps(nil), c.sample}, Policy{})
			wantField(t, err, 2, c.field)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		_, err := Columns(nil, Policy{})
		wantField(t, err, 0, "samples")
	})
}

func TestAcceptedRows(t *testing.T) {
	for name, s := range map[string]*pb.Sample{
		"plain":           steps(nil),
		"point":           steps(func(s *pb.Sample) { s.End = nil }),
		"four days":       steps(func(s *pb.Sample) { s.End = Timestamp(day + 4*86400e6) }),
		"years of sleep":  category("sleepAnalysis", func(s *pb.Sample) { s.Label, s.End = "inBed", Timestamp(maxMicros) }),
		"future":          steps(func(s *pb.Sample) { s.Start, s.End = Timestamp(maxMicros), nil }),
		"year one":        steps(func(s *pb.Sample) { s.Start, s.End = Timestamp(minMicros), nil }),
		"label and value": category("sleepAnalysis", func(s *pb.Sample) { s.Label, s.Value = "HKCategoryValueSleepAnalysisAsleep", ptr(1) }),
		"second name":     category("ovulationTestResult", func(s *pb.Sample) { s.Label = "positive" }),
		"export unit":     steps(func(s *pb.Sample) { s.Type, s.Unit = "HKQuantityTypeIdentifierHeartRate", "count/min" }),
		"molar":           steps(func(s *pb.Sample) { s.Type, s.Unit = "bloodGlucose", "mmol<180.1558800000541>/L" }),
		"old metadata key": category("menstrualFlow", func(s *pb.Sample) {
			s.Label, s.Metadata = "light", []*pb.MetadataEntry{number("HKMenstrualCycleStart", 1)}
		}),
		"new metadata key": category("menstrualFlow", func(s *pb.Sample) {
			s.Label, s.Metadata = "light", []*pb.MetadataEntry{number("HKMetadataKeyMenstrualCycleStart", 1)}
		}),
		"repeated key":      steps(func(s *pb.Sample) { s.Metadata = []*pb.MetadataEntry{entry("k", "1"), entry("k", "1")} }),
		"upper case uuid":   steps(func(s *pb.Sample) { s.Uuid = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11" }),
		"menopausal point":  category("menopausalState", func(s *pb.Sample) { s.Label, s.End = "none", s.Start }),
		"custom properties": steps(func(s *pb.Sample) { s.Source = &pb.Source{Device: &pb.Device{Other: []string{"a:b"}}} }),
	} {
		if _, err := Columns([]*pb.Sample{s}, Policy{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Columns([]*pb.Sample{category("appleStandHour", func(s *pb.Sample) { s.Label = "stood" })}, importer); err != nil {
		t.Errorf("importer: %v", err)
	}
}

func plainColumns(n int) *pb.SampleColumns {
	c := &pb.SampleColumns{Type: 107, Unit: "count", Tick: 1_000_000, Source: &pb.Source{Name: "x"}}
	for i := range n {
		c.Start = append(c.Start, 60)
		c.Duration = append(c.Duration, 30)
		c.Mantissa = append(c.Mantissa, int64(i%5))
	}
	return c
}

func TestRefusedColumnsNameTheField(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*pb.SampleColumns)
		index  int
		field  string
	}{
		"empty":               {func(c *pb.SampleColumns) { proto.Reset(c) }, 0, "start"},
		"unknown field":       {func(c *pb.SampleColumns) { unknownField(c) }, 0, "columns"},
		"erased":              {func(c *pb.SampleColumns) { c.Erased = make([]uint64, 4) }, 0, "erased"},
		"erased end":          {func(c *pb.SampleColumns) { c.ErasedEnd = []int64{0} }, 0, "erased"},
		"type":                {func(c *pb.SampleColumns) { c.Type = 0 }, 0, "type"},
		"unit of none":        {func(c *pb.SampleColumns) { c.Type = 2001 }, 0, "unit"},
		"read-only":           {func(c *pb.SampleColumns) { c.Type, c.Unit = 2, "min" }, 0, "type"},
		"unit":                {func(c *pb.SampleColumns) { c.Unit = "kg" }, 0, "unit"},
		"tick":                {func(c *pb.SampleColumns) { c.Tick = 10 }, 0, "tick"},
		"tick missing":        {func(c *pb.SampleColumns) { c.Tick = 0 }, 0, "tick"},
		"duration length":     {func(c *pb.SampleColumns) { c.Duration = c.Duration[1:] }, 0, "duration"},
		"created length":      {func(c *pb.SampleColumns) { c.Created = []int64{1} }, 0, "created"},
		"uuid length":         {func(c *pb.SampleColumns) { c.Uuid = make([]byte, 16*4+1) }, 0, "uuid"},
		"index length":        {func(c *pb.SampleColumns) { c.MetadataIndex = []uint32{0} }, 0, "metadataIndex"},
		"mantissa length":     {func(c *pb.SampleColumns) { c.Mantissa = append(c.Mantissa, 1) }, 0, "mantissa"},
		"no values":           {func(c *pb.SampleColumns) { c.Mantissa = nil }, 0, "mantissa"},
		"real length":         {func(c *pb.SampleColumns) { c.Mantissa, c.Real = nil, []float64{1} }, 0, "real"},
		"values twice":        {func(c *pb.SampleColumns) { c.Real = make([]float64, 4) }, 0, "real"},
		"exponent":            {func(c *pb.SampleColumns) { c.Exponent = 23 }, 0, "exponent"},
		"exponent of reals":   {func(c *pb.SampleColumns) { c.Mantissa, c.Real, c.Exponent = nil, make([]float64, 4), 1 }, 0, "exponent"},
		"start overflows":     {func(c *pb.SampleColumns) { c.Start[1] = math.MaxInt64 }, 1, "start"},
		"start underflows":    {func(c *pb.SampleColumns) { c.Start[2] = math.MinInt64 }, 2, "start"},
		"start in year 10000": {func(c *pb.SampleColumns) { c.Start[3] = maxMicros / 1e6 }, 3, "start"},
		"end before start":    {func(c *pb.SampleColumns) { c.Duration[1] = -1 }, 1, "end"},
		"end overflows":       {func(c *pb.SampleColumns) { c.Duration[1] = math.MaxInt64 }, 1, "end"},
		"longer than 4 days":  {func(c *pb.SampleColumns) { c.Duration[2] = 4*86400 + 1 }, 2, "end"},
		"created overflows":   {func(c *pb.SampleColumns) { c.Created = []int64{0, 0, 0, math.MinInt64} }, 3, "created"},
		"created late":        {func(c *pb.SampleColumns) { c.Created = []int64{0, math.MaxInt64, 0, 0} }, 1, "created"},
		"mantissa overflows":  {func(c *pb.SampleColumns) { c.Mantissa[0], c.Mantissa[1] = 1<<53, 1 }, 1, "value"},
		"mantissa underflows": {func(c *pb.SampleColumns) { c.Mantissa[2] = math.MinInt64 }, 2, "value"},
		"NaN":                 {func(c *pb.SampleColumns) { c.Mantissa, c.Real = nil, []float64{0, 0, math.NaN(), 0} }, 2, "value"},
		"nil uuid":            {func(c *pb.SampleColumns) { c.Uuid = make([]byte, 64); c.Uuid[15] = 1 }, 1, "uuid"},
		"source.app":          {func(c *pb.SampleColumns) { c.Source.App = "x" }, 0, "source.app"},
		"device":              {func(c *pb.SampleColumns) { c.Source.Device = &pb.Device{} }, 0, "device"},
		"device unknown": {func(c *pb.SampleColumns) {
			c.Source.Device = &pb.Device{Name: "x"}
			unknownField(c.Source.Device)
		}, 0, "device"},
		"metadata without index": {func(c *pb.SampleColumns) {
			c.Metadata = []*pb.Metadata{{Entries: []*pb.MetadataEntry{entry("k", "v")}}}
		}, 0, "metadata"},
		"metadata bad": {func(c *pb.SampleColumns) {
			c.Metadata = []*pb.Metadata{{Entries: []*pb.MetadataEntry{{Key: "k"}}}}
			c.MetadataIndex = []uint32{0, 0, 1, 1}
		}, 2, "metadata[k]"},
		"metadata empty": {func(c *pb.SampleColumns) { c.Metadata, c.MetadataIndex = []*pb.Metadata{{}}, []uint32{0, 1, 0, 0} }, 1, "metadata"},
		"metadata nil":   {func(c *pb.SampleColumns) { c.Metadata, c.MetadataIndex = []*pb.Metadata{nil}, []uint32{0, 1, 0, 0} }, 1, "metadata"},
		"metadata many":  {func(c *pb.SampleColumns) { c.Metadata, c.MetadataIndex = make([]*pb.Metadata, 5), make([]uint32, 4) }, 0, "metadata"},
		"index off":      {func(c *pb.SampleColumns) { c.MetadataIndex = []uint32{0, 0, 0, 1} }, 3, "metadataIndex"},
		"category fraction": {func(c *pb.SampleColumns) {
			c.Type, c.Unit, c.Exponent, c.Mantissa = sleepCode, "", 1, []int64{10, 10, 5, 0}
		}, 2, "value"},
		"category enum": {func(c *pb.SampleColumns) { c.Type, c.Unit, c.Mantissa = sleepCode, "", []int64{1, 1, 1, 3} }, 3, "value"},
		"point":         {func(c *pb.SampleColumns) { c.Type, c.Unit, c.Mantissa = menopauseCode, "", []int64{1, 1, 1, 0} }, 0, "end"},
		"mandatory":     {func(c *pb.SampleColumns) { c.Type, c.Unit = insulinCode, "IU" }, 0, "metadata[HKInsulinDeliveryReason]"},
		"mandatory of one": {func(c *pb.SampleColumns) {
			c.Type, c.Unit = insulinCode, "IU"
			c.Metadata = []*pb.Metadata{{Entries: []*pb.MetadataEntry{number("HKMetadataKeyInsulinDeliveryReason", 1)}}, {Entries: []*pb.MetadataEntry{entry("k", "1")}}}
			c.MetadataIndex = []uint32{1, 1, 2, 0}
		}, 2, "metadata[HKInsulinDeliveryReason]"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := plainColumns(4)
			c.change(bad)
			wantField(t, Validate([]*pb.SampleColumns{plainColumns(3), bad}, Policy{}), 3+c.index, c.field)
		})
	}
	wantField(t, Validate(nil, Policy{}), 0, "samples")
	wantField(t, Validate([]*pb.SampleColumns{nil}, Policy{}), 0, "start")
	if err := Validate([]*pb.SampleColumns{plainColumns(4)}, Policy{}); err != nil {
		t.Error(err)
	}
}

var (
	sleepCode     = codeOf("sleepAnalysis")
	menopauseCode = codeOf("menopausalState")
	insulinCode   = codeOf("insulinDelivery")
)

func codeOf(name string) uint32 {
	t, _ := catalog.Lookup(name)
	return t.Code
}

func TestCollectCountsRowsBeforeColumns(t *testing.T) {
	rows := []*pb.Sample{steps(nil), steps(nil)}
	bad := plainColumns(4)
	bad.Duration[1] = -1
	_, err := Collect(rows, []*pb.SampleColumns{plainColumns(3), bad}, Policy{})
	wantField(t, err, 2+3+1, "end")
	_, err = Collect(nil, nil, Policy{})
	wantField(t, err, 0, "samples")
	for _, c := range []struct {
		rows    []*pb.Sample
		columns []*pb.SampleColumns
		want    int
	}{{rows, nil, 1}, {nil, []*pb.SampleColumns{plainColumns(3)}, 1}, {rows, []*pb.SampleColumns{plainColumns(3)}, 2}} {
		if got, err := Collect(c.rows, c.columns, Policy{}); err != nil || len(got) != c.want {
			t.Errorf("%d columns, %v", len(got), err)
		}
	}
}

func TestParseTime(t *testing.T) {
	berlin := time.FixedZone("", 7200)
	for text, want := range map[string]string{
		"2024-05-01":                       "2024-04-30T22:00:00Z",
		"2024-05-01T07:30:00+02:00":        "2024-05-01T05:30:00Z",
		"2024-05-01T07:30:00.123456789Z":   "2024-05-01T07:30:00.123456789Z",
		"0001-01-01T00:00:00Z":             "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59Z":             "9999-12-31T23:59:59Z",
		"":                                 "",
		"2024-5-1":                         "",
		"2024-13-01":                       "",
		"2024-02-30":                       "",
		"2024-05-01 07:30:00":              "",
		"2024-05-01T07:30:00":              "",
		"2024-05-01T7:30:00Z":              "",
		"2024-05-01T07:30:00,5Z":           "",
		"0000-01-01T00:00:00Z":             "",
		"0001-01-01T00:00:00+01:00":        "",
		"9999-12-31T23:59:59-01:00":        "",
		"\xff" + strings.Repeat("é", 1000): "",
	} {
		got, err := ParseTime(text, berlin)
		if (err == nil) != (want != "") || err == nil && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("ParseTime(%.30q) = %v, %v, want %s", text, got, err, want)
		}
		if err != nil && (len(err.Error()) > 300 || !utf8.ValidString(err.Error())) {
			t.Errorf("unclear: %v", err)
		}
	}
	if got, err := ParseTime("2024-05-01", nil); err != nil || got.UnixMicro() != day {
		t.Errorf("a day without a zone is %v, %v", got, err)
	}
}
