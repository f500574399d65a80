package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"healthledger/scripts/genexport/export"
)

func TestDemoShowsTheMainJob(t *testing.T) {
	out, err := exec.Command(built, "demo", "--records", "20000").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"healthledger: the store is locked\n(exit 3)", "none of them in the", "exactly what was generated", "no samples", "no projector process is left", "Done in",
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestBenchPrintsItsFiguresNextToLimitsAndTargets(t *testing.T) {
	out, err := exec.Command(built, "bench", "--duration", "50ms", "--records", "2000").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`saves of one sample, 1 in the process +\S+ /s +\S+ /s +\S+×`,
		`saves of one sample, 64 in the process +\S+ /s +\S+ /s +\S+× +≥ 60.0k /s +\S+×`,
		`saves of one sample, 64 NATS connections +\S+ /s +\S+ /s +\S+× +≥ 15.0k /s +\S+×`,
		`Apple export import, end to end \(.*\) +\S+ MB/s +\S+ MB/s +\S+× +≥ 150 MB/s +\S+×`, `the same +\S+ records/s`,
		`catch-up after unlock +\S+ samples/s +- +- +≥ 600.0k samples/s +\S+×`,
		`bytes per sample in the log +\S+ B +- +- +≤ 12 B +\S+×`, `bytes per sample in the view +\S+ B +- +- +≤ 20 B +\S+×`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no line %s in\n%s", want, out)
		}
	}
}

func TestBenchQueryPrintsATableForEachSizeAndTheGrowth(t *testing.T) {
	cmd := exec.Command(built, "bench", "query", "--samples", "300,600", "--no-peer", "--duration", "1ms")
	var notes bytes.Buffer
	cmd.Stderr = &notes
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &notes)
	}
	for _, want := range []string{
		`\S+ SAMPLES +P50`, `bytes per sample in the view +\S+ B +- +- +- +- +- +≤ 20 B +(yes|no)`,
		`latest 100 heart rates +\S+ ms +\S+ ms +5 +- +- +- +≤ 2 ms +(yes|no)`, `a day of heart rates +\S+ ms`,
		`daily statistics of a year of heart rates +\S+ ms .* ≤ 10 ms, ≥ 100× +(yes|no)`, `monthly merged steps of ten years +\S+ ms`,
		`catch-up of 300 changes +\S+ ms`, `GROWTH +\S+ +\S+`, `latest 100 heart rates +\S+ ms +\S+ ms \(×\S+\) +-`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no line %s in\n%s", want, out)
		}
	}
}

func TestBenchTimingComparesEveryQuestionOverBothTransports(t *testing.T) {
	cmd := exec.Command(built, "bench", "timing", "--samples", "2k", "--rounds", "1", "--restarts", "1")
	var notes bytes.Buffer
	cmd.Stderr = &notes
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &notes)
	}
	together := `all +both +denied: hidden, none +14 `
	if n := len(regexp.MustCompile(together).FindAll(out, -1)); n != 2 {
		t.Errorf("%d lines %s instead of one warm and one cold in\n%s", n, together, out)
	}
	for _, caches := range []string{"warm", "cold"} {
		for _, way := range []string{"NATS", "HTTP"} {
			for _, question := range []string{"samples", "one UUID", "changes", "changes after an anchor", "statistics", "sources", "payload"} {
				compared := []string{"denied: hidden, none", "empty: hidden, none", "unknown: hidden, none", "since a date: hidden, none", "granted: hidden, none", "denied, empty", "unknown, empty"}
				if question == "payload" {
					compared = compared[:1]
				}
				for _, what := range compared {
					want := caches + ` +` + question + ` +` + way + ` +` + what + ` +1 +\d+, \d+ +\S+ \[\S+, \S+\] +\S+ \[\S+, \S+\] .* -\n`
					if !regexp.MustCompile(want).Match(out) {
						t.Errorf("no line %s in\n%s", want, out)
					}
				}
			}
		}
	}
}

func TestBenchCallsComparesFourWaysOfEachCall(t *testing.T) {
	cmd := exec.Command(built, "bench", "calls", "--samples", "300", "--rounds", "1", "--duration", "2ms")
	var notes bytes.Buffer
	cmd.Stderr = &notes
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &notes)
	}
	for _, work := range []string{"a page of 1,000 samples", "daily statistics of a year", "a page of 1,000 changes", "batches of 1,000 rows", "saves of one sample, 64 producers"} {
		want := work + ` +in the process, all granted .*
 +and authorized and recorded +\S+ m?s +\S+ \S+ +\S+× +\S+× +in the process, all granted +≤ 1.10× CPU +(yes|no)
 +over NATS +\S+ m?s +\S+ \S+ +\S+× +- +and authorized and recorded +- +-
 +over HTTP +\S+ m?s +\S+ \S+ +\S+× +- +and authorized and recorded +(- +-|≥ 6000 /s +(yes|no))
`
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestSizesAreNumbersWithASuffix(t *testing.T) {
	for text, want := range map[string]size{"1": 1, "300": 300, "50k": 50_000, "10M": 10_000_000, "100M": 100_000_000} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s is read as %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "k", "1kM", "1G", "101M", "100000001", "99999999999999999999"} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

// A search that cannot find anything would pass on files in the clear.
func TestSearchFindsWhatIsInTheClear(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "export.zip")
	manifest, err := writeExport(archive, export.Options{Seed: 5, Records: 5_000, Quirks: true})
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := needlesOf(archive, manifest)
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets.strings) < 10 || len(secrets.numbers) < 150 {
		t.Fatalf("only %d strings and %d numbers to look for", len(secrets.strings), len(secrets.numbers))
	}
	xml, err := openLargest(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer xml.Close()
	content, err := io.ReadAll(xml)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range secrets.strings {
		// Characters that XML forbids come as U+FFFD from an import.
		if !bytes.Contains(content, name) && !strings.ContainsRune(string(name), '\uFFFD') && !bytes.ContainsAny(name, "&<>\"'") {
			t.Errorf("%q is not in the export", name)
		}
	}
	for _, folder := range []string{"jetstream", "stores"} {
		for i, needle := range append(secrets.strings, secrets.numbers...) {
			d := &demo{dir: t.TempDir(), globals: &globals{out: io.Discard}}
			path := filepath.Join(d.dir, folder, fmt.Sprint(i))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("before"+string(needle)+"behind"), 0o600); err != nil {
				t.Fatal(err)
			}
			if d.search(secrets) == nil {
				t.Fatalf("%q in %s is not found", needle, folder)
			}
		}
	}
}
