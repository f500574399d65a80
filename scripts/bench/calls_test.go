package bench

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// A round that the machine disturbs, all ways of it alike or one alone, moves no ratio.
func TestRatiosAreThoseOfMostRounds(t *testing.T) {
	var rounds [callWays][]slice
	for i, disturbed := range []float64{1, 1, 9, 1, 3} {
		for way := range callWays {
			rate := 1000 / disturbed / float64(1+way)
			if i == 2 && way == authorized {
				rate /= 7
			}
			rounds[way] = append(rounds[way], slice{
				calls: []time.Duration{time.Duration(1+way) * time.Millisecond}, rate: rate, cpu: float64(20+way) / 20,
			})
		}
	}
	c := call{name: "work", units: 10, unit: "/s", least: 6000}
	rows := c.rows(&rounds)
	want := []CallRow{
		{Work: "work", Way: wayNames[unasked], P50: 1, Rate: 10_000, Unit: "/s"},
		{Work: "work", Way: wayNames[authorized], P50: 2, Rate: 5_000, Unit: "/s", Time: 2, CPU: 1.05, Of: wayNames[unasked], TargetCPU: mayCost},
		{Work: "work", Way: wayNames[throughNATS], P50: 3, Rate: 10_000. / 3, Unit: "/s", Time: 1.5, Of: wayNames[authorized]},
		{Work: "work", Way: wayNames[throughHTTP], P50: 4, Rate: 2_500, Unit: "/s", Time: 2, Of: wayNames[authorized], TargetRate: 6000},
	}
	for i := range want {
		near(t, &rows[i].Rate, want[i].Rate)
		near(t, &rows[i].Time, want[i].Time)
		near(t, &rows[i].CPU, want[i].CPU)
	}
	if !slices.Equal(rows, want) {
		t.Errorf("%+v, want %+v", rows, want)
	}
	for i, met := range []string{"-", "yes", "-", "no"} {
		if rows[i].met() != met {
			t.Errorf("%+v: %s", rows[i], rows[i].met())
		}
	}
	var out bytes.Buffer
	if err := printCalls(CallOptions{Out: &out}, rows); err != nil {
		t.Fatal(err)
	}
	if line := regexp.MustCompile(`\n +and authorized and recorded +2 ms +5000 /s +2.00× +1.05× +in the process, all granted +≤ 1.10× CPU +yes\n`); !line.Match(out.Bytes()) {
		t.Error(out.String())
	}
}

// near takes what rounding makes of a number for the number.
func near(t *testing.T, got *float64, want float64) {
	t.Helper()
	if d := *got - want; d < 1e-9 && d > -1e-9 {
		*got = want
	}
}

// All ways are measured in each round, forwards and backwards in turn; the first round warms up.
func TestRoundsGoForwardsAndBackwards(t *testing.T) {
	var mu sync.Mutex
	var order []int
	c := call{callers: 1, units: 1}
	for way := range callWays {
		c.ways[way] = func(context.Context, int) error {
			mu.Lock()
			defer mu.Unlock()
			if len(order) == 0 || order[len(order)-1] != way {
				order = append(order, way)
			}
			time.Sleep(time.Millisecond)
			return nil
		}
	}
	if _, err := c.measure(t.Context(), CallOptions{Rounds: 2, Duration: time.Microsecond}); err != nil {
		t.Fatal(err)
	}
	// Where one ends the next one begins.
	if want := []int{0, 1, 2, 3, 2, 1, 0, 1, 2, 3}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
	failed := errors.New("no")
	c.ways[throughHTTP] = func(context.Context, int) error { return failed }
	if _, err := c.measure(t.Context(), CallOptions{Rounds: 1, Duration: time.Microsecond}); !errors.Is(err, failed) {
		t.Error(err)
	}
}
