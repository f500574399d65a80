package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTimingIsOfAllRuns(t *testing.T) {
	var runs []time.Duration
	for i := range 200 {
		runs = append(runs, time.Duration(200-i)*time.Millisecond)
	}
	if got := newTiming(runs, nil); got.p50 != 101*time.Millisecond || got.p99 != 199*time.Millisecond || got.runs != 200 {
		t.Errorf("%+v", got)
	}
	if got := newTiming(runs[:1], nil); got.p50 != time.Millisecond || got.p99 != got.p50 {
		t.Errorf("%+v", got)
	}
}

func TestMeasureRunsAFewTimesAndNoLongerThanAsked(t *testing.T) {
	calls := 0
	got, err := measure(t.Context(), 0, func(context.Context) ([]float64, error) { calls++; return []float64{7}, nil })
	if err != nil || got.runs != few || calls != few+1 || !slices.Equal(got.result, []float64{7}) {
		t.Errorf("%+v, %d calls, %v", got, calls, err)
	}
	if got, err = measure(t.Context(), time.Hour, func(context.Context) ([]float64, error) { return nil, nil }); err != nil || got.runs != many {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := measure(t.Context(), 0, func(context.Context) ([]float64, error) { calls++; return []float64{float64(calls)}, nil }); err == nil {
		t.Error("results that differ from run to run are taken")
	}
	want := errors.New("no")
	if _, err := measure(t.Context(), 0, func(context.Context) ([]float64, error) { return nil, want }); !errors.Is(err, want) {
		t.Error(err)
	}
}

func TestResultsAgreeButForRounding(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		same bool
	}{
		{nil, nil, true},
		{[]float64{1e9, 0.3}, []float64{1e9 + 0.1, 0.1 + 0.2}, true},
		{[]float64{1e9}, []float64{1e9 + 2}, false},
		{[]float64{1}, []float64{1, 1}, false},
		{[]float64{0}, []float64{1e-3}, false},
	} {
		if err := agree(c.a, c.b); (err == nil) != c.same {
			t.Errorf("%v and %v: %v", c.a, c.b, err)
		}
	}
}

func TestTablesHaveRatiosTargetsAndGrowth(t *testing.T) {
	of := func(samples int, ms, peer float64) []QueryRow {
		fast := QueryRow{Samples: samples, Work: "daily", Unit: "ms", Result: ms, P99: 2 * ms, Runs: 9, Target: 10, TargetRatio: 100}
		fast.compare(peer)
		return []QueryRow{fast, {Samples: samples, Work: "alone", Unit: "B", Result: 17}}
	}
	small, large := of(1_000_000, 4, 500), of(10_000_000, 6, 5000)
	slow, near := of(50_000, 11, 5000), of(50_000, 9, 500)
	var out bytes.Buffer
	o := QueryOptions{Out: &out}
	for _, rows := range [][]QueryRow{small, slow, near} {
		if err := printQueries(o, rows); err != nil {
			t.Fatal(err)
		}
	}
	if got := short(999_900) + " " + short(2_300_000) + " " + short(30_000) + " " + short(999); got != "1M 2.3M 30k 999" {
		t.Error(got)
	}
	if err := printGrowth(&out, [][]QueryRow{small, large}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`1M SAMPLES +P50`, `daily +4 ms +8 ms +9 +500 ms +- +125× +≤ 10 ms, ≥ 100× +yes\n`, `alone +17 B +- +- +- +- +- +- +-\n`,
		`50k SAMPLES`, `daily +11 ms +22 ms .* no\n`, `daily +9 ms +18 ms .* 56× +.* no\n`,
		`GROWTH +1M +10M +1M +10M\n`, `daily +4 ms +6 ms \(×1.5\) +500 ms +5 s \(×10\)\n`, `alone +17 B +17 B \(×1\) +- +-\n`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	out.Reset()
	o.JSON = true
	if err := printQueries(o, small); err != nil || strings.Count(out.String(), "\n") != 2 ||
		!strings.HasPrefix(out.String(), `{"samples":1000000,"work":"daily","unit":"ms","result":4,"p99":8,"runs":9,"peer":500,"ratio":125,"target":10,"targetRatio":100}`+"\n") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestPeerIsFoundFromWithinTheSourceOnly(t *testing.T) {
	if source, err := findPeer(); err != nil || filepath.Base(source) != "sqlcipher" {
		t.Errorf("%s, %v", source, err)
	}
	t.Chdir(t.TempDir())
	if source, err := findPeer(); err == nil {
		t.Errorf("found in %s", source)
	}
}

// TestPeerIsAskedInItsWords holds against each other what the two modules call things.
func TestPeerIsAskedInItsWords(t *testing.T) {
	main, err := os.ReadFile(filepath.Join("..", "sqlcipher", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	queries, err := os.ReadFile(filepath.Join("..", "sqlcipher", "queries.go"))
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(peerRequest{Rows: [][5]float64{{}}, Loaded: true, Seconds: 1, Runs: 1,
		Query: &peerQuery{Name: "n", Type: 1, Bounds: []int64{1}, After: 1, Limit: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`"(\w+)":`).FindAllSubmatch(line, -1) {
		if tag := []byte("`json:\"" + string(name[1]) + "\"`"); !bytes.Contains(main, tag) && !bytes.Contains(queries, tag) {
			t.Errorf("scripts/sqlcipher knows no %s", name[1])
		}
	}
	l := &filled{decade: theDecade(t, 1)}
	for _, w := range l.works("") {
		if !bytes.Contains(queries, []byte(`case "`+w.asked.Name+`":`)) {
			t.Errorf("scripts/sqlcipher knows no query %q", w.asked.Name)
		}
	}
}
