package ndjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	importer "healthledger/ledger/importer/ndjson"
	"healthledger/projector/export"
	"healthledger/projector/export/exporttest"
	"healthledger/proto/catalog"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
)

func write(t testing.TB, s *exporttest.Store, sel export.Selection) (string, *export.Report) {
	t.Helper()
	var out bytes.Buffer
	report := export.NewReport(nil)
	if err := Write(t.Context(), &out, s, sel, report); err != nil {
		t.Fatal(err)
	}
	return out.String(), report
}

func read(t testing.TB, s *exporttest.Store, text string) importer.Report {
	t.Helper()
	var report importer.Report
	if err := importer.Read(t.Context(), strings.NewReader(text), s, &report, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	return report
}

func everything(t testing.TB) *exporttest.Store {
	t.Helper()
	s := exporttest.New()
	s.Fill(t, exporttest.Everything()...)
	return s
}

func TestExportImportExportGivesTheSameBytes(t *testing.T) {
	s := everything(t)
	first, report := write(t, s, export.Selection{})
	other := exporttest.New()
	other.App = "com.example.restore"
	read(t, other, first)
	if second, _ := write(t, other, export.Selection{}); second != first {
		t.Errorf("the exports differ:\n%.2000s\n---\n%.2000s", first, second)
	}
	if other.Incomplete > 0 {
		t.Errorf("%d objects lack a part of their payload", other.Incomplete)
	}
	for _, typ := range catalog.All() {
		if got, want := other.Count(typ), s.Count(typ); got != want {
			t.Errorf("%d samples of %s, want %d", got, typ, want)
		}
		if got, want := report.Samples[typ.Short()], uint64(s.Count(typ)); got != want {
			t.Errorf("reported %d samples of %s, want %d", got, typ, want)
		}
	}
	// Importing once more adds nothing.
	read(t, other, first)
	if again, _ := write(t, other, export.Selection{}); again != first {
		t.Error("an import that is repeated changes the store")
	}
}

func TestEveryObjectStandsInTheFileOnce(t *testing.T) {
	text, _ := write(t, everything(t), export.Selection{})
	seen := map[string]int{}
	for line := range strings.Lines(text) {
		var s struct {
			UUID    string
			Members []struct{ UUID string }
		}
		if strings.Contains(line, `"chunk":`) {
			continue
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		seen[s.UUID]++
		for _, m := range s.Members {
			seen[m.UUID]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s stands there %d times", id, n)
		}
	}
}

func TestMembersStandForThemselvesWithoutTheirWhole(t *testing.T) {
	systolic, _ := catalog.Lookup("bloodPressureSystolic")
	text, _ := write(t, everything(t), export.Selection{Types: []*catalog.Type{systolic}})
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, `"type":"bloodPressureSystolic"`) {
		t.Errorf("got %q", text)
	}
}

func TestNothingIsSaidToTheReaderOnly(t *testing.T) {
	text, _ := write(t, everything(t), export.Selection{})
	for _, word := range []string{"payloadToken", `"importer"`, `"count":"`} {
		if strings.Contains(text, word) {
			t.Errorf("the export says %s", word)
		}
	}
}

func TestHiddenIsNotInTheExport(t *testing.T) {
	s := everything(t)
	s.Hidden["heartRate"] = true
	text, _ := write(t, s, export.Selection{})
	// What restates a hidden type is the view's to hide.
	if strings.Contains(text, `"type":"heartRate","start":"2025-06-01T12:01:00Z"`) {
		t.Error("a hidden member is exported")
	}
}

func TestPeriodBoundsTheExport(t *testing.T) {
	s := everything(t)
	text, _ := write(t, s, export.Selection{To: timestamppb.New(exporttest.Noon.AddDate(-1, 0, 0))})
	for line := range strings.Lines(text) {
		if !strings.Contains(line, `"start":"1970-`) {
			t.Errorf("%s is not within the period", line)
		}
	}
}

func TestOrderDoesNotDependOnTheLog(t *testing.T) {
	first, second := exporttest.New(), exporttest.New()
	var all []*pb.Sample
	for i, s := range exporttest.Everything() {
		if len(s.Members) == 0 {
			s.Uuid = "00000000-0000-4000-8000-0000000000" + string("0123456789abcdef"[i/16]) + string("0123456789abcdef"[i%16])
			all = append(all, s)
		}
	}
	first.Fill(t, all...)
	for i := range all {
		second.Fill(t, all[len(all)-1-i])
	}
	a, _ := write(t, first, export.Selection{})
	if b, _ := write(t, second, export.Selection{}); a != b {
		t.Error("two stores of the same samples give two exports")
	}
}

func TestLargePayloadsGoAheadInParts(t *testing.T) {
	large := exporttest.Everything()
	s := exporttest.New()
	for _, one := range large {
		if one.Type == "cda" {
			for len(one.Payload) < 80 {
				one.Payload = append(one.Payload, one.Payload[0])
			}
			s.Fill(t, one)
		}
	}
	text, _ := write(t, s, export.Selection{})
	if strings.Count(text, `"chunk":`) < 20 {
		t.Error("a payload of 8 MB is in one line")
	}
	other := exporttest.New()
	if report := read(t, other, text); report.Parts == 0 {
		t.Error("the import saw no parts")
	}
	if again, _ := write(t, other, export.Selection{}); again != text {
		t.Error("the exports differ")
	}
}

func TestAnyStoreComesBackByteForByte(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, other := exporttest.New(), exporttest.New()
		s.Fill(t, healthtest.Samples(r)...)
		first, _ := write(t, s, export.Selection{})
		read(t, other, first)
		if second, _ := write(t, other, export.Selection{}); second != first {
			r.Fatalf("the exports differ:\n%s\n---\n%s", first, second)
		}
	})
}
