package applexml

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"healthledger/ledger/importer/apple"
	"healthledger/projector/export"
	"healthledger/projector/export/exporttest"
	"healthledger/proto/catalog"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

var berlin = func() *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return loc
}()

// way is one of the two forms of an export.
type way struct {
	name  string
	write func(t testing.TB, w io.Writer, s *exporttest.Store) *export.Report
}

var opts = Options{Zone: berlin, Made: exporttest.Noon.AddDate(0, 1, 0)}

var ways = []way{
	{"export.xml", func(t testing.TB, w io.Writer, s *exporttest.Store) *export.Report {
		report := export.NewReport(nil)
		if err := Write(t.Context(), w, s, export.Selection{}, opts, report); err != nil {
			t.Fatal(err)
		}
		return report
	}},
	{"export.zip", func(t testing.TB, w io.Writer, s *exporttest.Store) *export.Report {
		report := export.NewReport(nil)
		if err := WriteArchive(t.Context(), w, s, export.Selection{}, opts, report); err != nil {
			t.Fatal(err)
		}
		return report
	}},
}

// imported exports a store and imports it into another.
func (x way) imported(t testing.TB, s *exporttest.Store) (*exporttest.Store, *export.Report) {
	t.Helper()
	var out bytes.Buffer
	report := x.write(t, &out, s)
	path := filepath.Join(t.TempDir(), x.name)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	other := exporttest.New()
	if _, err := apple.Import(t.Context(), path, other, apple.Options{InFlight: 1}); err != nil {
		t.Fatalf("%v\n%.3000s", err, out.String())
	}
	return other, report
}

// all returns everything of a type as far as the format can say it, in one form.
func all(t testing.TB, s *exporttest.Store, typ *catalog.Type, sidecars bool) []string {
	t.Helper()
	var list []string
	for one, err := range (&export.Selection{}).Samples(t.Context(), s, typ) {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range append([]*pb.Sample{one}, one.Members...) {
			for chunk, err := range export.Payload(t.Context(), s, o) {
				if err != nil {
					t.Fatal(err)
				}
				o.Payload = append(o.Payload, chunk)
			}
			asSaid(o, sidecars)
		}
		one.Members = slices.DeleteFunc(one.Members, func(m *pb.Sample) bool { return m.GetHeartbeatSeries() != nil })
		text, err := prototext.MarshalOptions{Multiline: true}.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.ReplaceAll(string(text), ":  ", ": "))
	}
	slices.Sort(list)
	return list
}

// asSaid leaves of a sample what the package's comment says that the format can say.
func asSaid(s *pb.Sample, sidecars bool) {
	s.Uuid, s.PayloadToken = "", ""
	export.ForgetCounts(s)
	if src := s.Source; src != nil {
		s.Source = &pb.Source{Name: src.Name, Version: src.Version, Device: src.Device}
	}
	if d := s.GetSource().GetDevice(); len(d.GetOther()) > 0 {
		d.Other = []string{strings.Join(d.Other, ", ")} // where one ends and the next begins is a guess
	}
	if proto.Size(s.Source) == 0 {
		s.Source = nil
	}
	toSeconds(s.Start, s.End, s.Created)
	s.Metadata = asText(s.Metadata)
	s.Kept = ours(s.Kept)
	switch o := s.Object.(type) {
	case *pb.Sample_QuantitySeries:
		s.Object, s.Payload = nil, nil
	case *pb.Sample_Workout:
		o.Workout.Events = events(o.Workout.Events)
		for _, a := range o.Workout.Activities {
			toSeconds(a.Start, a.End)
			a.Metadata, a.Events, a.Kept = asText(a.Metadata), events(a.Events), ours(a.Kept)
			figures(a.Statistics)
		}
		figures(o.Workout.Statistics)
	case *pb.Sample_WorkoutRoute:
		for _, c := range s.Payload {
			if !sidecars && c.Locations != nil {
				inSeconds(c.Locations)
			}
		}
	case *pb.Sample_ActivitySummary:
		rings(o.ActivitySummary)
		s.Source, s.Created, s.Metadata, s.Kept = nil, nil, nil, ours(s.Kept)
	case *pb.Sample_Characteristic:
		s.Source, s.Created, s.Metadata, s.Kept = nil, nil, nil, nil
	case *pb.Sample_VisionPrescription:
		prescription(s, o.VisionPrescription, sidecars)
	case *pb.Sample_Audiogram:
		for _, p := range o.Audiogram.Points {
			p.Tests, p.Kept = ears(p.Tests), ours(p.Kept)
		}
	case *pb.Sample_ImportedElement:
		s.Source, s.Created, s.Metadata, s.Kept = nil, nil, nil, nil
	case *pb.Sample_ClinicalRecord:
		if o.ClinicalRecord.Received == nil {
			o.ClinicalRecord.Received = s.Start
		}
		toSeconds(o.ClinicalRecord.Received)
		s.Start, s.End, s.Created = o.ClinicalRecord.Received, o.ClinicalRecord.Received, nil
		if !sidecars || len(s.Payload) == 0 {
			// What kind of resource it is stands in the resource.
			o.ClinicalRecord.ResourceType, s.Payload = "", nil
		}
	}
}

func prescription(s *pb.Sample, v *pb.VisionPrescription, sidecars bool) {
	if !v.Expires {
		s.End = s.Start
	}
	for _, a := range v.Attachments {
		a.Name, a.ContentType = "", ""
		if !sidecars {
			a.Size, s.Payload = 0, nil
		}
	}
	for _, l := range []*pb.LensSpecification{v.LeftEye, v.RightEye} {
		if l != nil {
			l.Kept = ours(l.Kept)
		}
	}
}

// rings have fixed units, and one for both figures of the energy.
func rings(a *pb.ActivitySummary) {
	energy := a.GetActiveEnergyBurned().GetUnit()
	for _, f := range []struct {
		q    *pb.Quantity
		unit string
	}{
		{a.ActiveEnergyBurnedGoal, energy}, {a.MoveTime, "min"}, {a.MoveTimeGoal, "min"}, {a.ExerciseTime, "min"},
		{a.ExerciseTimeGoal, "min"}, {a.StandHours, "count"}, {a.StandHoursGoal, "count"},
	} {
		from, bad := unit.Parse(f.q.GetUnit())
		to, none := unit.Parse(f.unit)
		if bad == nil && none == nil {
			v, err := unit.Convert(f.q.Value, from, to)
			if err == nil {
				f.q.Value, f.q.Unit = v, f.unit
			}
		}
	}
}

// ears is one test of each ear, the left one first.
func ears(tests []*pb.SensitivityTest) (said []*pb.SensitivityTest) {
	for _, side := range []string{"left", "right"} {
		if i := slices.IndexFunc(tests, func(t *pb.SensitivityTest) bool { return t.Side == side }); i >= 0 {
			said = append(said, tests[i])
		}
	}
	return said
}

func toSeconds(all ...*timestamppb.Timestamp) {
	for _, ts := range all {
		if ts != nil {
			ts.Nanos = 0
		}
	}
}

func inSeconds(l *pb.Locations) {
	var at, before int64
	for i, delta := range l.Time {
		at += delta
		second := time.UnixMicro(at).Unix() * 1e6
		l.Time[i], before = second-before, second
	}
}

func asText(entries []*pb.MetadataEntry) (texts []*pb.MetadataEntry) {
	e := exporter{opts: opts, report: export.NewReport(nil)}
	x := element{}
	e.metadata(&x, entries)
	for _, c := range x.children {
		texts = append(texts, &pb.MetadataEntry{Key: c.attributes[0].value, Value: &pb.MetadataEntry_Text{Text: c.attributes[1].value}})
	}
	return texts
}

func events(list []*pb.WorkoutEvent) []*pb.WorkoutEvent {
	for _, v := range list {
		toSeconds(v.Start)
		v.Metadata, v.Kept = asText(v.Metadata), ours(v.Kept)
	}
	return list
}

func figures(list []*pb.WorkoutStatistics) {
	for _, w := range list {
		toSeconds(w.Start, w.End)
		w.Kept = ours(w.Kept)
	}
}

func ours(kept []*pb.Kept) []*pb.Kept {
	return slices.DeleteFunc(kept, func(k *pb.Kept) bool { return k.Format != format || !isName(strings.TrimPrefix(k.Name, "@")) })
}

func TestImportGivesTheSameSamplesBack(t *testing.T) {
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	for _, x := range ways {
		t.Run(x.name, func(t *testing.T) {
			other, report := x.imported(t, s)
			for _, typ := range catalog.All() {
				sidecars := x.name == "export.zip"
				want, got := all(t, s, typ, sidecars), all(t, other, typ, sidecars)
				switch typ.Short() {
				case "cda", "electrocardiogram":
					// Dates and details of files are the subject of tests of their own.
					if len(want) != len(got) {
						t.Errorf("%d samples of %s, want %d", len(got), typ, len(want))
					}
					continue
				}
				if !slices.Equal(want, got) {
					t.Errorf("%s: want\n%.1500s\ngot\n%.1500s", typ, strings.Join(want, "\n"), strings.Join(got, "\n"))
				}
			}
			if total := uint64(0); report.Total() == total {
				t.Error("the report says nothing")
			}
		})
	}
}

func TestDocumentIsXML(t *testing.T) {
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	var out bytes.Buffer
	ways[0].write(t, &out, s)
	for d := xml.NewDecoder(&out); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnySampleComesBackAsFarAsTheFormatSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		typ := rapid.Custom(healthtest.Type).Filter(func(t *catalog.Type) bool {
			// What they consist of has to make sense, at least as a file: see the other tests.
			return t.Kind != catalog.Imported && t.Kind != catalog.Document
		}).Draw(r, "type")
		s := exporttest.New()
		s.Fill(t, healthtest.Sample(r, typ))
		x := rapid.SampledFrom(ways).Draw(r, "way")
		if typ.Kind == catalog.Clinical || typ.Short() == "electrocardiogram" || typ.Short() == "visionPrescription" {
			x = ways[0]
		}
		other, _ := x.imported(t, s)
		sidecars := x.name == "export.zip"
		if want, got := all(t, s, typ, sidecars), all(t, other, typ, sidecars); !slices.Equal(want, got) {
			r.Fatalf("%s: want\n%s\ngot\n%s", typ, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	})
}
