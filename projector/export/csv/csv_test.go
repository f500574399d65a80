package csv

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/projector/export"
	"healthledger/projector/export/exporttest"
	"healthledger/proto/catalog"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
)

// parse reads records as RFC 4180 says. (encoding/csv does not keep CR LF in a field.)
func parse(t testing.TB, text string) (records [][]string) {
	t.Helper()
	for len(text) > 0 {
		var record []string
		for more := true; more; {
			var field string
			if rest, quoted := strings.CutPrefix(text, `"`); quoted {
				for {
					before, after, ok := strings.Cut(rest, `"`)
					if !ok {
						t.Fatal("a quote is not closed")
					}
					field, rest = field+before, after
					if rest, ok = strings.CutPrefix(rest, `"`); !ok {
						break
					}
					field += `"`
				}
				text = rest
			} else {
				end := strings.IndexAny(text, ",\r\n")
				field, text = text[:end], text[end:]
			}
			record = append(record, field)
			if text, more = strings.CutPrefix(text, ","); !more {
				var ended bool
				if text, ended = strings.CutPrefix(text, "\r\n"); !ended {
					t.Fatalf("a record ends with %.10q", text)
				}
			}
		}
		records = append(records, record)
	}
	return records
}

// sampleOf reads a record back.
func sampleOf(t testing.TB, typeName string, record []string) *pb.Sample {
	t.Helper()
	f := map[string]string{}
	for i, name := range Header {
		f[name] = record[i]
	}
	s := &pb.Sample{}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if f["object"] != "" {
		must(protojson.Unmarshal([]byte(f["object"]), s))
	}
	if f["metadata"] != "" {
		m := &pb.Metadata{}
		must(protojson.Unmarshal([]byte(`{"entries":`+f["metadata"]+`}`), m))
		s.Metadata = m.Entries
	}
	s.Type, s.Unit, s.Label, s.Uuid = typeName, f["unit"], f["label"], f["uuid"]
	s.Start, s.End, s.Created = timeOf(t, f["start"]), timeOf(t, f["end"]), timeOf(t, f["created"])
	if f["value"] != "" {
		v, err := strconv.ParseFloat(f["value"], 64)
		must(err)
		s.Value = &v
	}
	s.Source = &pb.Source{Name: f["source_name"], App: f["source_app"], Version: f["source_version"], ProductType: f["product_type"], OsVersion: f["os_version"]}
	d := &pb.Device{Name: f["device_name"], Manufacturer: f["manufacturer"], Model: f["model"], HardwareVersion: f["hardware_version"],
		FirmwareVersion: f["firmware_version"], SoftwareVersion: f["software_version"], LocalIdentifier: f["local_identifier"], UdiDeviceIdentifier: f["udi"]}
	if f["device_other"] != "" {
		must(json.Unmarshal([]byte(f["device_other"]), &d.Other))
	}
	if proto.Size(d) > 0 {
		s.Source.Device = d
	}
	return s
}

func timeOf(t testing.TB, text string) *timestamppb.Timestamp {
	if text == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return timestamppb.New(at)
}

// exported returns the samples of a type as they were and as they come back.
func exported(t testing.TB, s *exporttest.Store, typ *catalog.Type) (want, got []*pb.Sample) {
	t.Helper()
	var out bytes.Buffer
	if err := Write(t.Context(), &out, s, export.Selection{}, typ, export.NewReport(nil)); err != nil {
		t.Fatal(err)
	}
	for _, record := range parse(t, out.String())[1:] {
		got = append(got, sampleOf(t, typ.Short(), record))
	}
	for one, err := range (&export.Selection{}).Samples(t.Context(), s, typ) {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range append([]*pb.Sample{one}, one.Members...) {
			o.PayloadToken = ""
		}
		want = append(want, one)
	}
	return want, got
}

func checkSame(t testing.TB, typ *catalog.Type, want, got []*pb.Sample) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%s: %d samples became %d", typ, len(want), len(got))
	}
	for i := range want {
		if !proto.Equal(want[i], got[i]) {
			t.Fatalf("%s\n%v\nbecame\n%v", typ, want[i], got[i])
		}
	}
}

func TestTablesHoldEverythingButPayloads(t *testing.T) {
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	for _, typ := range catalog.All() {
		want, got := exported(t, s, typ)
		checkSame(t, typ, want, got)
	}
}

func TestTextsComeBackAsTheyAre(t *testing.T) {
	typ, _ := catalog.Lookup("bodyMass")
	text := rapid.OneOf(rapid.StringN(0, 20, 200), rapid.SampledFrom([]string{"\r\n", "a\rb", `"`, " a", "a\t", ",", "=1+1", `","`, "\u00a0"}))
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.Float64Range(-1e300, 1e300).Draw(r, "value")
		one := &pb.Sample{Type: "bodyMass", Start: timestamppb.New(exporttest.Noon), Unit: "kg", Value: &value,
			Source:   &pb.Source{Name: text.Draw(r, "name"), OsVersion: text.Draw(r, "os"), Device: &pb.Device{Model: text.Draw(r, "model"), Other: []string{text.Draw(r, "other") + "x"}}},
			Metadata: []*pb.MetadataEntry{{Key: text.Draw(r, "key") + "k", Value: &pb.MetadataEntry_Text{Text: text.Draw(r, "text")}}},
		}
		s := exporttest.New()
		s.Fill(t, one)
		want, got := exported(t, s, typ)
		checkSame(t, typ, want, got)
	})
}

func TestArchiveHasATableForEachTypeThatHasSamples(t *testing.T) {
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	var out bytes.Buffer
	report := export.NewReport(nil)
	if err := WriteArchive(t.Context(), &out, s, export.Selection{}, report); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		rows[f.Name] = len(parse(t, string(text))) - 1
	}
	for _, typ := range catalog.All() {
		if got, want := rows[typ.Short()+".csv"], s.Count(typ); got != want {
			t.Errorf("%d rows of %s, want %d", got, typ, want)
		}
		if _, there := rows[typ.Short()+".csv"]; there && s.Count(typ) == 0 {
			t.Errorf("a table of %s, which has no samples", typ)
		}
	}
	for _, what := range []string{"payload of electrocardiogram", "payload of workoutRoute", "payload of cda"} {
		if report.LeftOut[what] != 1 {
			t.Errorf("the report says %v", report.LeftOut)
		}
	}
}

func TestAnySampleComesBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		typ := healthtest.Type(r)
		s := exporttest.New()
		s.Fill(t, healthtest.Sample(r, typ))
		want, got := exported(t, s, typ)
		checkSame(t, typ, want, got)
	})
}
