package apple

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/genexport/export"
)

// contents are what the ledger would compare of everything that was saved, in order. A
// clinical document counts by its sync identifier and version, since every export has
// another one.
func (l *fakeLedger) contents(t testing.TB) []string {
	t.Helper()
	var all []string
	sources := map[*pb.Source][]byte{}
	for _, s := range l.samples() {
		source, known := sources[s.source]
		if !known {
			var err error
			if source, err = (proto.MarshalOptions{Deterministic: true}).Marshal(s.source); err != nil {
				t.Fatal(err)
			}
			sources[s.source] = source
		}
		var text []byte
		if len(s.Body) > 0 && s.typ.Short() != "cda" {
			var err error
			if text, err = (prototext.MarshalOptions{}).Marshal(s.object()); err != nil {
				t.Fatal(err)
			}
			// The printer of the library varies its spaces on purpose.
			text = bytes.Join(bytes.Fields(text), []byte(" "))
		}
		all = append(all, fmt.Sprintf("%s %s %d %d %v %d %v | %s | %q | %s", s.typ, s.unit, s.Start, s.End, s.Value, s.Created, s.HasCreated, s.text(), source, text))
	}
	slices.Sort(all)
	return all
}

// differing tells two lists of contents apart; they are compared in full only where they differ.
func differing(want, got []string) string {
	if slices.Equal(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

// archived imports a generated archive.
func archived(t testing.TB, o export.Options) []string {
	t.Helper()
	var b bytes.Buffer
	if _, err := export.WriteZip(&b, o); err != nil {
		t.Fatal(err)
	}
	var l fakeLedger
	report, err := Import(context.Background(), file(t, "export.zip", b.Bytes()), &l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, report, err)
	return l.contents(t)
}

// TestAnotherExportOfThePhoneBringsTheSameObjects: the same data, exported from another
// zone, with other addresses of devices. With quirks the folders have other names, and
// files were renamed.
func TestAnotherExportOfThePhoneBringsTheSameObjects(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	dtds := []export.DTD{export.DTD8, export.DTD11, export.DTD12, export.DTD14}
	zones := []string{"America/New_York", "Asia/Kathmandu", "UTC", "Pacific/Apia"}
	// Each has some thousand elements, so few are many cases: with quirks and without for each
	// document type.
	for n := range drilled(8) {
		o := export.Options{
			Seed: rand.Uint64N(1e6) + 1, Records: 1 + rand.IntN(200), Years: 0.02, Zone: berlin, Quirks: n%2 == 0, DTD: dtds[n/2%4],
		}
		first := archived(t, o)
		again := o
		again.Pointers, again.ExportZone = rand.Uint64(), zone(t, zones[rand.IntN(len(zones))])
		if diff := differing(first, archived(t, again)); diff != "" {
			t.Fatalf("%+v and as %s (-first +second)\n%.3000s", o, again.ExportZone, diff)
		}
	}
}

// TestInterruptedImportIsMadeWholeByAnother: whatever was saved before a failure, the next
// import brings all of it again and everything else.
func TestInterruptedImportIsMadeWholeByAnother(t *testing.T) {
	var b bytes.Buffer
	if _, err := export.WriteZip(&b, export.Options{Seed: 5, Records: 12_000, Years: 0.1, Quirks: true}); err != nil {
		t.Fatal(err)
	}
	path := file(t, "export.zip", b.Bytes())
	var whole fakeLedger
	if _, err := Import(context.Background(), path, &whole, Options{}); err != nil {
		t.Fatal(err)
	}
	want := whole.contents(t)
	broken := errors.New("the power fails")
	for at := 1; ; at++ {
		l := fakeLedger{refuse: func(number int) error {
			if number == at {
				return broken
			}
			return nil
		}}
		report, err := Import(context.Background(), path, &l, Options{InFlight: 1})
		if err == nil {
			if at < 3 {
				t.Errorf("only %d requests", at)
			}
			return
		}
		if !errors.Is(err, broken) || report.Saved != uint64(len(l.samples())) {
			t.Fatalf("%v, %d saved, the report says %d", err, len(l.samples()), report.Saved)
		}
		before := l.contents(t)
		for _, s := range before {
			if _, found := slices.BinarySearch(want, s); !found {
				t.Fatalf("an interrupted import has saved what a whole one does not have: %s", s)
			}
		}
		l.refuse = nil
		if _, err := Import(context.Background(), path, &l, Options{}); err != nil {
			t.Fatal(err)
		}
		all := slices.Compact(l.contents(t))
		if diff := differing(slices.Compact(slices.Clone(want)), all); diff != "" {
			t.Fatalf("interrupted at request %d: (-whole +resumed)\n%.2000s", at, diff)
		}
	}
}

func TestRawTextDoesNotDependOnTheExport(t *testing.T) {
	const here = `<Thing device="&lt;&lt;HKDevice: 0x3035d0460&gt;, name:W&gt;" startDate="2024-08-24 17:12:03 +0200" endDate="2024-08-24 17:12:04 +0200" path="/a/route_5.12pm.gpx"><Part date='2024-08-24 17:12:03 +0200'>t &amp; u</Part></Thing>`
	const there = `<Thing device="&lt;&lt;HKDevice: 0x1&gt;, name:W&gt;" startDate="2024-08-24 11:12:03 -0400" endDate="2024-08-24 11:12:04 -0400" path="/b/route_11.12am.gpx"><Part date='2024-08-24 11:12:03 -0400'>t &amp; u</Part></Thing>`
	const want = `<Thing device="&lt;&lt;HKDevice: 0x0&gt;, name:W&gt;" startDate="2024-08-24 15:12:03 +0000" endDate="2024-08-24 15:12:04 +0000" path=""><Part date='2024-08-24 15:12:03 +0000'>t &amp; u</Part></Thing>`
	for _, text := range []string{here, there} {
		l, _ := mustImport(t, exportOf(text))
		if got := l.of("importedElement"); len(got) != 1 || got[0].raw(l) != want || got[0].Start != 1724512323000000 || got[0].End != got[0].Start+1e6 {
			t.Errorf("got %+v", got)
		}
	}
}
