package apple

import (
	"bytes"
	"context"
	"io"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/genexport/export"
)

// TestGeneratedExportsAreImportedAsTheManifestSays checks every number of the
// manifest, with and without the flaws of real files.
func TestGeneratedExportsAreImportedAsTheManifestSays(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for name, o := range map[string]export.Options{
		"plain":       {Records: 3_000},
		"iOS 15":      {Records: 1_500, DTD: export.DTD11, Imperial: true},
		"iOS 16":      {Records: 1_500, DTD: export.DTD12},
		"no DTD":      {Records: 1_500, DTD: export.DTDNone},
		"iOS 8":       {Records: 1_500, DTD: export.DTD8},
		"all quirks":  {Records: 5_000, Years: 0.4, Quirks: true, ExportZone: zone(t, "America/New_York")},
		"old quirks":  {Records: 2_500, Years: 0.3, Quirks: true, Imperial: true, DTD: export.DTD12},
		"one of each": {Records: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Seed, o.Zone = 42, berlin
			if o.Records > 1 {
				o.Records = drilled(o.Records)
			}
			path := filepath.Join(t.TempDir(), "export.zip")
			var m export.Manifest
			write(t, path, func(w io.Writer) (err error) {
				m, err = export.WriteZip(w, o)
				return err
			})
			var l fakeLedger
			report, err := Import(context.Background(), path, &l, Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkAccounts(t, report, err)
			if report.Records != m.Records+m.Nested || report.Imported != m.Usable()+m.Nested || report.Bytes != m.Bytes || report.Replaced != m.Replaced {
				t.Errorf("%d records, %d imported, %d bytes, %d replaced; want %d, %d, %d, %d; records: %+v",
					report.Records, report.Imported, report.Bytes, report.Replaced,
					m.Records+m.Nested, m.Usable()+m.Nested, m.Bytes, m.Replaced, report.Elements["Record"])
			}
			compareElements(t, m, report)
			compareObjects(t, m, &l)
			if (m.Replaced > 0) != (len(report.Warnings) > 0) {
				t.Errorf("warnings: %q", report.Warnings)
			}
			compare(t, m, &l, berlin)
		})
	}
}

// compareElements checks what the report says of elements and files.
func compareElements(t *testing.T, m export.Manifest, report Report) {
	t.Helper()
	kept := uint64(0)
	for name, n := range m.Elements {
		tally := report.Elements[name]
		if tally == nil || tally.Found != n {
			t.Errorf("%s: %+v, want %d", name, tally, n)
			continue
		}
		if passed := name == "ExportDate"; tally.Kept != m.Unknown[name] || (tally.Passed > 0) != passed {
			t.Errorf("%s: %+v, want %d kept", name, tally, m.Unknown[name])
		}
		kept += tally.Kept
	}
	files := uint64(0)
	for kind, tally := range report.Files {
		if tally.Kept != m.Unknown[kind] {
			t.Errorf("%s: %+v, want %d kept", kind, tally, m.Unknown[kind])
		}
		files += tally.Kept
	}
	if all := kept + files; all != total(m.Unknown) {
		t.Errorf("%d are kept raw, want %v", all, m.Unknown)
	}
	if got := report.Attributes["Record@Heart Rate Context"]; got != m.OddAttributes {
		t.Errorf("%d odd attributes, want %d", got, m.OddAttributes)
	}
}

func total(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// compareObjects checks what became of everything that is no record.
func compareObjects(t *testing.T, m export.Manifest, l *fakeLedger) {
	t.Helper()
	objects := map[string]uint64{}
	var points, voltages, bytes, records uint64
	add := func(typ string, s *pb.Sample) {
		objects[typ]++
		for _, c := range l.payload(s) {
			points += uint64(len(c.GetLocations().GetTime()))
			voltages += uint64(len(c.Microvolts))
			if typ != "importedElement" {
				bytes += uint64(len(c.Data))
			}
		}
	}
	for _, s := range l.samples() {
		if s.typ.Kind.HasNumber() {
			continue
		}
		body := s.object()
		add(s.typ.Short(), body)
		for _, member := range body.Members {
			if member.Value != nil {
				records++
			} else {
				add(member.Type, member)
			}
		}
	}
	delete(objects, "importedElement")
	if diff := cmp.Diff(m.Objects, objects); diff != "" {
		t.Errorf("objects (-manifest +ledger):\n%s", diff)
	}
	if points != m.Points || voltages != m.Voltages || bytes != m.Payload || records != m.Nested {
		t.Errorf("%d points, %d voltages, %d bytes, %d members; want %d, %d, %d, %d",
			points, voltages, bytes, records, m.Points, m.Voltages, m.Payload, m.Nested)
	}
}

// compare checks the samples of a ledger against a manifest.
func compare(t *testing.T, m export.Manifest, l *fakeLedger, zone *time.Location) {
	t.Helper()
	sources := map[string]uint64{}
	types := map[string]*export.Type{}
	values := map[string]map[float64]uint64{} // of categories
	for _, s := range l.samples() {
		if !s.typ.Kind.HasNumber() {
			continue
		}
		sources[s.source.Name]++
		id := s.typ.Identifier
		y := types[id]
		if y == nil {
			y = &export.Type{Unit: s.unit, Sources: map[string]uint64{}}
			types[id] = y
		}
		y.Records++
		y.Sources[s.source.Name]++
		if s.typ.Kind == catalog.Category {
			if values[id] == nil {
				values[id] = map[float64]uint64{}
			}
			values[id][s.Value]++
			continue
		}
		if y.Days == nil {
			y.Days = map[string]export.Day{}
		}
		date := time.UnixMicro(s.Start).In(zone).Format(time.DateOnly)
		day := y.Days[date]
		if day.Count == 0 {
			day.Min, day.Max = s.Value, s.Value
		}
		day.Count++
		day.Sum += s.Value
		day.Min, day.Max = min(day.Min, s.Value), max(day.Max, s.Value)
		y.Days[date] = day
	}
	if diff := cmp.Diff(m.Sources, sources); diff != "" {
		t.Errorf("sources (-manifest +ledger):\n%s", diff)
	}
	for id, want := range m.Types {
		got := types[id]
		if got == nil {
			t.Errorf("%s: none", id)
			continue
		}
		typ, _ := catalog.Lookup(id)
		for label, n := range want.Labels {
			if value, ok := typ.Value(label); !ok || values[id][float64(value)] != n {
				t.Errorf("%s: %d times %s, want %d", id, values[id][float64(value)], label, n)
			}
		}
		about := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a)) })
		copied := *want
		copied.Labels = nil
		if diff := cmp.Diff(&copied, got, about); diff != "" {
			t.Errorf("%s (-manifest +ledger):\n%.2000s", id, diff)
		}
	}
	if len(types) != len(m.Types) {
		t.Errorf("%d types, want %d", len(types), len(m.Types))
	}
}

func TestTwoImportsOfOneExportSendTheSameSamples(t *testing.T) {
	var b bytes.Buffer
	if _, err := export.WriteXML(&b, export.Options{Seed: 3, Records: 5_000, Quirks: true}); err != nil {
		t.Fatal(err)
	}
	first, _ := mustImport(t, b.Bytes())
	second, _ := mustImport(t, b.Bytes())
	if string(first.requests[0].RequestId) == string(second.requests[0].RequestId) {
		t.Error("the requests have the same id, so the second import would be taken for a retry")
	}
	if len(first.samples()) != len(second.samples()) {
		t.Error("the samples differ")
	}
}
