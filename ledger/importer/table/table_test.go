package table

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here")
	}
	return zone
}

func parse(t testing.TB, text string, m Mapping, opts Options) ([]*pb.Sample, Report, error) {
	t.Helper()
	var samples []*pb.Sample
	report, err := Parse(strings.NewReader(text), m, func(s *pb.Sample) error {
		samples = append(samples, s)
		return nil
	}, opts)
	if report.Lines != report.Samples+report.Bad || report.Samples != uint64(len(samples)) {
		t.Errorf("%d samples of %+v", len(samples), report)
	}
	for _, s := range samples {
		if _, err := health.Columns([]*pb.Sample{s}, health.Policy{Importer: true}); err != nil {
			t.Errorf("the ledger would refuse %v: %v", s, err)
		}
	}
	return samples, report, err
}

func TestTables(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		m    Mapping
		want []string
	}{
		"German": {
			"\ufeffDate;Weight;Device;Note\r\n31.05.2025 07:10;71,3;\"Scale; new\";\r\n\r\n1.6.2025;72;;ate\r\n;;;\r\n",
			Mapping{Comma: ';', Decimal: ',', Dates: "dmy", Zone: berlin(t), Constants: map[string]string{"type": "bodyMass", "unit": "kg"},
				Columns: map[string]string{"start": "Date", "value": "Weight", "source": "Device"}},
			[]string{
				`{"type":"bodyMass","start":"2025-05-31T05:10:00Z","value":71.3,"unit":"kg","source":{"name":"Scale; new"}}`,
				`{"type":"bodyMass","start":"2025-05-31T22:00:00Z","value":72,"unit":"kg"}`,
			},
		},
		"many types": {
			"t,from,to,v,u,id\nstepCount,2025-05-31T07:00:00+02:00,2025-05-31 05:05:00Z,12,count,\nHKCategoryTypeIdentifierSleepAnalysis,2025-05-31,2025-05-31T08:00:00.5Z,asleepREM,,0e8d39c4-1f0a-4f6c-8f8e-6c7f5a4b3c2d\n",
			Mapping{Columns: map[string]string{"type": "t", "start": "from", "end": "to", "value": "v", "unit": "u", "uuid": "id"}},
			[]string{
				`{"type":"stepCount","start":"2025-05-31T05:00:00Z","end":"2025-05-31T05:05:00Z","value":12,"unit":"count"}`,
				`{"type":"HKCategoryTypeIdentifierSleepAnalysis","start":"2025-05-31T00:00:00Z","end":"2025-05-31T08:00:00.5Z","label":"asleepREM","uuid":"0e8d39c4-1f0a-4f6c-8f8e-6c7f5a4b3c2d"}`,
			},
		},
		"no header, numbers, seconds": {
			"1748671800.25\t97,5\t90\n1748671801\t98\t1h\n1748671802\t99\t0:02:00\n",
			Mapping{Comma: '\t', Decimal: ',', Dates: "unix", NoHeader: true, Constants: map[string]string{"type": "oxygenSaturation", "unit": "percent"},
				Columns: map[string]string{"start": "1", "value": "2", "duration": "3"}},
			[]string{
				`{"type":"oxygenSaturation","start":"2025-05-31T06:10:00.250Z","end":"2025-05-31T06:11:30.250Z","value":0.975,"unit":"%"}`,
				`{"type":"oxygenSaturation","start":"2025-05-31T06:10:01Z","end":"2025-05-31T07:10:01Z","value":0.98,"unit":"%"}`,
				`{"type":"oxygenSaturation","start":"2025-05-31T06:10:02Z","end":"2025-05-31T06:12:02Z","value":0.99,"unit":"%"}`,
			},
		},
		"labels and metadata": {
			"when,how,first,depth,zone,code\n05/31/2025 7:10 PM,medium,yes,3 m,Europe/Berlin,007\n",
			Mapping{Dates: "mdy", Constants: map[string]string{"type": "menstrualFlow"}, Columns: map[string]string{"start": "when", "label": "how",
				"metadata.HKMenstrualCycleStart": "first", "metadata.HKLapLength": "depth", "metadata.HKTimeZone": "zone", "metadata.code": "code"}},
			[]string{`{"type":"menstrualFlow","start":"2025-05-31T19:10:00Z","label":"medium","metadata":[{"key":"HKLapLength","quantity":{"value":3,"unit":"m"}},
				{"key":"HKMenstrualCycleStart","number":1},{"key":"HKTimeZone","text":"Europe/Berlin"},{"key":"code","text":"007"}]}`},
		},
		"devices": {
			"d,v,m,s\n2025/05/31 07:10,6.1,Meter,2.0\n",
			Mapping{Dates: "ymd", Constants: map[string]string{"type": "bloodGlucose", "unit": "mmol<180.15588000005408>/L", "source": "Lab"},
				Columns: map[string]string{"start": "d", "value": "v", "device.model": "m", "source.version": "s"}},
			[]string{`{"type":"bloodGlucose","start":"2025-05-31T07:10:00Z","value":6.1,"unit":"mmol<180.15588000005408>/L","source":{"name":"Lab","version":"2.0","device":{"model":"Meter"}}}`},
		},
	} {
		samples, _, err := parse(t, c.text, c.m, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want []*pb.Sample
		for _, text := range c.want {
			s := &pb.Sample{}
			if err := protojson.Unmarshal([]byte(text), s); err != nil {
				t.Fatal(err)
			}
			want = append(want, s)
		}
		if diff := cmp.Diff(want, samples, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

var weights = Mapping{Constants: map[string]string{"type": "bodyMass", "unit": "kg"}, Columns: map[string]string{"start": "Date", "value": "Weight"}}

func with(change func(*Mapping)) Mapping {
	m := Mapping{Constants: map[string]string{}, Columns: map[string]string{}}
	for k, v := range weights.Constants {
		m.Constants[k] = v
	}
	for k, v := range weights.Columns {
		m.Columns[k] = v
	}
	change(&m)
	return m
}

func TestErrorsNameLineColumnValueAndReason(t *testing.T) {
	good := "Date,Weight,For\n2025-05-31,71,1\n"
	for _, c := range []struct {
		text string
		m    Mapping
		want string
	}{
		{good + "\n\n2025-13-31,71,1\n", weights, `line 5, column Date: "2025-13-31": not a date of this format, as in 2025-05-31T07:10`},
		{good + "31.05.2025,71,1\n", weights, `line 3, column Date: "31.05.2025": not a date of this format, as in 2025-05-31T07:10`},
		{good + "2025-05-31,heavy,1\n", weights, `line 3, column Weight: "heavy": not a number`},
		{good + "2025-05-31,\"1,200\",1\n", weights, `line 3, column Weight: "1,200": not a number`},
		{good + "2025-05-31,1.200,1\n", with(func(m *Mapping) { m.Decimal = ',' }), `line 3, column Weight: "1.200": a point in a number with a decimal comma`},
		{good + "2025-05-31,NaN,1\n", weights, `line 3, column Weight: "NaN": not a number`},
		{good + "2025-05-31,0x10,1\n", weights, `line 3, column Weight: "0x10": not a number`},
		{good + ",71,1\n", weights, `line 3, column Date: missing`},
		{good + "2025-05-31,,1\n", weights, `line 3, column Weight: missing`},
		{good + "2025-05-31,71\n", weights, `line 3: 2 columns instead of 3`},
		{good + "2025-05-31,\"71\"x,1\n", weights, `line 3: extraneous or missing " in quoted-field`},
		{good + "2025-05-31,71,-5\n", with(func(m *Mapping) { m.Columns["duration"] = "For" }), `line 3, column For: "-5": negative, or more than 175200h0m0s`},
		{"Date,Weight,For\n2025-05-31,71,500000\n", with(func(m *Mapping) {
			m.Columns["duration"], m.Constants["type"], m.Constants["unit"] = "For", "stepCount", "count"
		}), `line 2, column For: "500000": a sample of stepCount may last 96 hours, this one lasts 138h53m20s`},
		{good, with(func(m *Mapping) { m.Constants["unit"] = "km" }), `line 2: unit: not compatible with kg`},
		{good, with(func(m *Mapping) { m.Constants["type"] = "bodymass" }), `line 2: type: no such type`},
		{good, with(func(m *Mapping) { m.Constants["type"] = "workout" }), `line 2: type: only quantities and categories fit into a table`},
		{good, with(func(m *Mapping) { m.Constants["type"], m.Constants["unit"] = "headache", "" }), `line 2, column Weight: "71": not a value of headache`},
		{good, with(func(m *Mapping) { m.Constants["type"], m.Constants["unit"] = "insulinDelivery", "IU" }), `line 2: metadata.HKInsulinDeliveryReason: missing; every sample of insulinDelivery needs it`},
		{"Date,Weight,For\n2025-03-30 02:30,71,1\n", with(func(m *Mapping) { m.Zone = berlin(t) }), `line 2, column Date: "2025-03-30 02:30": no such time in Europe/Berlin: the clocks were put forward`},
	} {
		_, _, err := parse(t, c.text, c.m, Options{})
		var flaw *LineError
		if !errors.As(err, &flaw) || flaw.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestMappingsThatCannotBe(t *testing.T) {
	const file = "Date,Weight,Weight\n2025-05-31,71,1\n"
	for want, m := range map[string]Mapping{
		"the type is missing: give one, or name its column":                with(func(m *Mapping) { delete(m.Constants, "type") }),
		"no column has the start":                                          with(func(m *Mapping) { delete(m.Columns, "start") }),
		"no column has the value or the label":                             with(func(m *Mapping) { delete(m.Columns, "value") }),
		"there is an end and a duration: one of them is enough":            with(func(m *Mapping) { m.Columns["end"], m.Columns["duration"] = "Date", "Date" }),
		"unit is a column and a constant":                                  with(func(m *Mapping) { m.Columns["unit"] = "Date" }),
		`no date format "us": dmy, iso, mdy, unix, unixms, ymd`:            with(func(m *Mapping) { m.Dates = "us" }),
		`two columns are called "Weight": give the number of one`:          weights,
		`no column is called "When"; there are ["Date" "Weight" "Weight"]`: with(func(m *Mapping) { m.Columns["start"] = "When" }),
		`no column 4: there are 3`:                                         with(func(m *Mapping) { m.Columns["value"] = "4" }),
		`column "Date": without a header, columns have numbers`:            with(func(m *Mapping) { m.NoHeader = true; m.Columns["value"] = "2" }),
	} {
		_, _, err := parse(t, file, m, Options{})
		var bad *MappingError
		if !errors.As(err, &bad) || bad.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, text := range []string{"", "\xff\xfeD\x00"} {
		if _, _, err := parse(t, text, weights, Options{}); err == nil {
			t.Errorf("%q is a table", text)
		}
	}
}

func TestParseColumns(t *testing.T) {
	got, err := ParseColumns("start=Date,value=Weight, in kg,metadata.HKTimeZone=Zone=1,source.version=Version,end=a,b=c")
	want := map[string]string{"start": "Date", "value": "Weight, in kg", "metadata.HKTimeZone": "Zone=1", "source.version": "Version", "end": "a,b=c"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, text := range []string{"", "Date", "begin=Date", "start=", "start=a,start=b", "x,start=a", "metadata.=a"} {
		if got, err := ParseColumns(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// ledger keeps what is saved; with by-content saves the same samples are there once.
type ledger struct {
	mu    sync.Mutex
	saves int
}

func (l *ledger) save(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saves++
	columns, err := health.Collect(req.Samples, req.Columns, health.Policy{Importer: true})
	if err != nil || !req.ByContent {
		return nil, fmt.Errorf("not what an importer sends: %w", err)
	}
	n := 0
	for _, c := range columns {
		n += health.Count(c)
	}
	return &pb.SaveResponse{Accepted: uint32(n)}, nil
}

func TestABadLineRefusesTheFile(t *testing.T) {
	var file strings.Builder
	file.WriteString("Date,Weight\n")
	for i := range 20_000 {
		fmt.Fprintf(&file, "2025-05-31T07:00:%02d.%03dZ,%d\n", i/1000%60, i%1000, 60+i%20)
	}
	good := file.String()
	var l ledger
	report, err := Import(t.Context(), strings.NewReader(good+"?,1\n"), l.save, weights, Options{})
	if err == nil || l.saves != 0 || report.Saved != 0 || !strings.Contains(err.Error(), "line 20002, column Date") {
		t.Errorf("%d saves, %v", l.saves, err)
	}
	report, err = Import(t.Context(), strings.NewReader(good+"?,1\n\"a\"b,1\n"), l.save, weights, Options{SkipBad: true})
	if err != nil || report.Saved != 20_000 || report.Bad != 2 || len(report.Flaws) != 2 || report.Lines != 20_002 {
		t.Errorf("%+v, %v", report, err)
	}
	report, err = Import(t.Context(), strings.NewReader(good), l.save, weights, Options{})
	if err != nil || report.Saved != 20_000 || l.saves < 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestColumnsThatAreNotMappedAreReported(t *testing.T) {
	_, report, err := parse(t, "Mood,Date,,Weight\n,2025-05-31,,71\n", weights, Options{})
	if err != nil || !cmp.Equal(report.Ignored, []string{"Mood", "#3"}) {
		t.Errorf("%q, %v", report.Ignored, err)
	}
}

func TestAQuoteThatIsNeverClosedIsRefused(t *testing.T) {
	text := "Date,Weight\n\"" + strings.Repeat("aaaaaaaa,\n", 1<<18)
	read := strings.NewReader(text)
	_, err := Parse(read, weights, func(*pb.Sample) error { return nil }, Options{SkipBad: true})
	if err == nil || read.Len() == 0 {
		t.Errorf("all was read: %v", err)
	}
}

// TestWrittenIsRead writes samples as a table in any of the ways and reads them back.
func TestWrittenIsRead(t *testing.T) {
	zones := []*time.Location{time.UTC, berlin(t), time.FixedZone("", 5*3600+1800)}
	ways := map[string]string{"iso": "2006-01-02T15:04:05.999999Z07:00", "dmy": "2.1.2006 15:04:05.999999 -0700", "mdy": "01/02/2006 03:04:05.999999 PM -0700", "ymd": "20060102 15:04:05.999999Z07:00"}
	rapid.Check(t, func(rt *rapid.T) {
		way := rapid.SampledFrom([]string{"iso", "dmy", "mdy", "ymd", "unix", "unixms"}).Draw(rt, "dates")
		zone := rapid.SampledFrom(zones).Draw(rt, "zone")
		m := Mapping{Comma: rapid.SampledFrom([]rune{',', ';', '\t', '|'}).Draw(rt, "comma"), Decimal: rapid.SampledFrom([]byte(".,")).Draw(rt, "decimal"),
			Dates: way, Zone: zone, Constants: map[string]string{"type": "bodyMass"},
			Columns: map[string]string{"start": "1", "value": "2", "unit": "3", "source": "4", "metadata.note": "5"}}
		number := func(v float64) string {
			return strings.Replace(strconv.FormatFloat(v, rapid.SampledFrom([]byte("fge")).Draw(rt, "format"), -1, 64), ".", string(m.Decimal), 1)
		}
		var out bytes.Buffer
		w := csv.NewWriter(&out)
		w.Comma = m.Comma
		w.Write([]string{"a", "b", "c", "d", "e"})
		var want []*pb.Sample
		text := rapid.StringMatching(`[a-zä"',;|]{1,10}`)
		for range rapid.IntRange(1, 20).Draw(rt, "n") {
			at := time.UnixMicro(rapid.Int64Range(-2e15, 4e15).Draw(rt, "at"))
			v := rapid.Float64Range(-1e12, 1e12).Draw(rt, "v")
			s := &pb.Sample{Type: "bodyMass", Start: health.Timestamp(at.UnixMicro()), Value: &v, Unit: rapid.SampledFrom([]string{"kg", "lb", "g"}).Draw(rt, "unit"),
				Source: &pb.Source{Name: text.Draw(rt, "source")}, Metadata: []*pb.MetadataEntry{{Key: "note", Value: &pb.MetadataEntry_Text{Text: text.Draw(rt, "note")}}}}
			date := at.In(zone).Format(ways[way])
			switch way {
			case "unix":
				date = fmt.Sprintf("%d.%06d", at.UnixMicro()/1e6, at.UnixMicro()%1e6)
				if at.UnixMicro() < 0 {
					date = fmt.Sprintf("-%d.%06d", -at.UnixMicro()/1e6, -at.UnixMicro()%1e6)
				}
			case "unixms":
				date = strconv.FormatFloat(float64(at.UnixMicro())/1000, 'f', 3, 64)
			}
			w.Write([]string{date, number(v), s.Unit, s.Source.Name, s.Metadata[0].GetText()})
			want = append(want, s)
		}
		w.Flush()
		got, _, err := parse(t, out.String(), m, Options{})
		if err != nil || len(got) != len(want) {
			rt.Fatalf("%v\n%s", err, out.String())
		}
		for i := range want {
			if !proto.Equal(want[i], got[i]) {
				rt.Fatalf("%v became %v\n%s", want[i], got[i], out.String())
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("Date;Weight\n31.05.2025 07:10;71,3\n", ';', true, "dmy", false)
	f.Add("\ufeffDate,Weight\n\"2025-05-31\",\"7\n1\"\n,\n2025-05-31T07:10:00Z,1e3,\n", ',', false, "iso", false)
	f.Add("1748671800\t12\n-1.5\t3\n", '\t', false, "unix", true)
	f.Add("Date,Weight\n2025-03-30 02:30,1", ',', false, "iso", false)
	f.Fuzz(func(t *testing.T, text string, comma rune, decimal bool, dates string, numbers bool) {
		m := with(func(m *Mapping) {
			m.Comma, m.Dates, m.NoHeader, m.Zone = comma, dates, numbers, time.FixedZone("", 3600)
		})
		if decimal {
			m.Decimal = ','
		}
		if numbers {
			m.Columns = map[string]string{"start": "1", "value": "2"}
		}
		m.Columns["source"] = "2"
		skipped, report, err := parse(t, text, m, Options{SkipBad: true})
		if err != nil {
			return // the mapping does not fit, or the first line tells no columns
		}
		strict, _, err := parse(t, text, m, Options{})
		var flaw *LineError
		if err == nil && report.Bad > 0 || errors.As(err, &flaw) && report.Bad == 0 || len(strict) > len(skipped) {
			t.Errorf("with %d bad lines: %v", report.Bad, err)
		}
		if _, err := Import(t.Context(), strings.NewReader(text), (&ledger{}).save, m, Options{}); err == nil && report.Bad > 0 {
			t.Error("a file with bad lines was imported")
		}
	})
}
