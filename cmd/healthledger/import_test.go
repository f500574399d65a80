package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample is a line of `query samples --json`.
type sample struct {
	UUID    string
	Start   time.Time
	End     time.Time
	Value   float64
	Unit    string
	Created time.Time
	Source  struct{ Name, Version string }
}

func (s *store) samples(typeName string, args ...string) []sample {
	s.t.Helper()
	out := s.run(append([]string{"--json", "query", "samples", typeName, "--order", "oldest"}, args...)...)
	var all []sample
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var one sample
		if err := d.Decode(&one); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// status is what the owner sees.
type status struct {
	State          string
	LogSegments    uint64 `json:",string"`
	ViewSegments   uint64 `json:",string"`
	ViewSamples    uint64 `json:",string"`
	ViewDuplicates uint64 `json:",string"`
}

func (s *store) status() status {
	s.t.Helper()
	var got status
	if err := json.Unmarshal([]byte(s.run("--json", "status")), &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// report is what an import says.
type report struct {
	Records     uint64
	Imported    uint64
	Saved       uint64
	Unexplained uint64
}

func (s *store) imports(path string) report {
	s.t.Helper()
	var got report
	if err := json.Unmarshal([]byte(s.run("--json", "import", path)), &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

func needShared(t *testing.T) string {
	t.Helper()
	dir := sharedTestdata()
	if dir == "" {
		t.Skip("the shared test data is missing (HEALTHLEDGER_TESTDATA)")
	}
	return filepath.Join(dir, "apple-export")
}

func TestImportedWhileLockedGivesTheRowsOfTheCSV(t *testing.T) {
	folder := filepath.Join(needShared(t), "tdda+applehealthdata", "testdata")
	s := newStore(t)
	s.serve()
	s.imports(filepath.Join(folder, "export6s3sample.xml"))
	s.run("unlock")
	for _, name := range []string{"StepCount", "DistanceWalkingRunning"} {
		want := csvRows(t, filepath.Join(folder, name+".csv"))
		var got []string
		for _, row := range s.samples(name, "--owner") {
			got = append(got, fmt.Sprint(row.Source.Name, row.Source.Version, row.Unit, row.Created.UTC(), row.Start.UTC(), row.End.UTC(), number(row.Value)))
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-csv +ledger)\n%s", name, diff)
		}
	}
}

func csvRows(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	var rows []string
	for _, line := range lines[1:] {
		at := func(name string) time.Time {
			parsed, err := time.Parse("2006-01-02 15:04:05 -0700", line[column[name]])
			if err != nil {
				t.Fatal(err)
			}
			return parsed.UTC()
		}
		rows = append(rows, fmt.Sprint(line[column["sourceName"]], line[column["sourceVersion"]], line[column["unit"]],
			at("creationDate"), at("startDate"), at("endDate"), line[column["value"]]))
	}
	return rows
}

func TestEveryRecordOfAnExportIsAccountedFor(t *testing.T) {
	folder := needShared(t)
	s := newStore(t)
	s.serve()
	var saved uint64
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || strings.Contains(path, "adversarial") {
			return err
		}
		if name := entry.Name(); !strings.HasPrefix(name, "export") && !strings.HasPrefix(name, "sample_export") {
			return nil
		}
		got := s.imports(path)
		if content, err := os.ReadFile(path); err == nil && strings.HasSuffix(path, ".xml") {
			if want := uint64(bytes.Count(content, []byte("<Record "))); want != got.Records {
				t.Errorf("%s: %d records, %d reported", path, want, got.Records)
			}
		}
		if got.Unexplained != 0 {
			t.Errorf("%s: %d elements are not explained", path, got.Unexplained)
		}
		saved += got.Saved
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.run("unlock")
	if at := s.status(); at.ViewSamples+at.ViewDuplicates < saved || saved == 0 {
		t.Errorf("%d samples and %d duplicates in the view, %d were saved", at.ViewSamples, at.ViewDuplicates, saved)
	}
}
