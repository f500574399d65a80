package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// CallRow is one way of a call.
type CallRow struct {
	Work string `json:"work"`
	Way  string `json:"way"`
	// P50 is the median time of a call in milliseconds, Rate how much is done in a second.
	P50  float64 `json:"p50"`
	Rate float64 `json:"rate"`
	Unit string  `json:"unit"`
	// Time is the median, over the rounds, of how many times that of Of in the same round it
	// takes. CPU is the same of the time that processors worked for it, where both are in this
	// process: unlike Time, what else the machine does hardly changes it.
	Time float64 `json:"time,omitempty"`
	CPU  float64 `json:"cpu,omitempty"`
	Of   string  `json:"of,omitempty"`
	// Targets of the design: of CPU at most, of the rate at least.
	TargetCPU  float64 `json:"targetCpu,omitempty"`
	TargetRate float64 `json:"targetRate,omitempty"`
}

// mayCost is how much authorization and accounting may take of the whole.
const mayCost = 1.10

// slice is what was measured of one way in one round.
type slice struct {
	// each call's time.
	calls []time.Duration
	// rate of calls in a second, and for how many seconds this process worked for one.
	rate, cpu float64
}

// measure goes round by round through all ways, forwards and backwards in turn, so that what
// else the machine does meets all of them.
func (c *call) measure(ctx context.Context, o CallOptions) ([]CallRow, error) {
	var rounds [callWays][]slice
	for round := range o.Rounds + 1 {
		for i := range callWays {
			way := i
			if round%2 == 1 {
				way = callWays - 1 - i
			}
			s, err := sliceOf(ctx, c.callers, o.Duration, c.ways[way])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", wayNames[way], err)
			}
			if round > 0 { // the first one warms up
				rounds[way] = append(rounds[way], s)
			}
		}
	}
	return c.rows(&rounds), nil
}

// sliceOf makes a call from so many callers for a while.
func sliceOf(ctx context.Context, callers int, d time.Duration, one how) (slice, error) {
	var mu sync.Mutex
	var s slice
	before, err := worked()
	if err != nil {
		return s, err
	}
	s.rate, err = rate(ctx, callers, d, func(ctx context.Context, caller int) (int, error) {
		started := time.Now()
		err := one(ctx, caller)
		took := time.Since(started)
		mu.Lock()
		defer mu.Unlock()
		s.calls = append(s.calls, took)
		return 1, err
	})
	if err != nil {
		return s, err
	}
	after, err := worked()
	s.cpu = (after - before).Seconds() / float64(len(s.calls))
	return s, err
}

// worked is how long processors have worked for this process.
func worked() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

func (c *call) rows(rounds *[callWays][]slice) (rows []CallRow) {
	for way := range callWays {
		var calls []time.Duration
		var rates, times, cpus []float64
		of := min(way-1, authorized)
		for i, s := range rounds[way] {
			calls, rates = append(calls, s.calls...), append(rates, s.rate)
			if of >= 0 {
				times = append(times, rounds[of][i].rate/s.rate)
				cpus = append(cpus, s.cpu/rounds[of][i].cpu)
			}
		}
		row := CallRow{Work: c.name, Way: wayNames[way], P50: millis(median(calls)), Rate: median(rates) * float64(c.units), Unit: c.unit}
		if of >= 0 {
			row.Time, row.Of = median(times), wayNames[of]
		}
		if way == authorized {
			row.CPU, row.TargetCPU = median(cpus), mayCost
		}
		if way == throughHTTP {
			row.TargetRate = c.least
		}
		rows = append(rows, row)
	}
	return rows
}

// median of some numbers, of which there is one at least.
func median[T int64 | float64 | time.Duration](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func (r *CallRow) targets() string {
	switch {
	case r.TargetCPU > 0:
		return fmt.Sprintf("≤ %.2f× CPU", r.TargetCPU)
	case r.TargetRate > 0:
		return "≥ " + amount(r.TargetRate, r.Unit)
	}
	return "-"
}

func (r *CallRow) met() string {
	switch {
	case r.TargetCPU == 0 && r.TargetRate == 0:
		return "-"
	case r.TargetCPU > 0 && r.CPU > r.TargetCPU, r.Rate < r.TargetRate:
		return "no"
	}
	return "yes"
}

func printCalls(o CallOptions, rows []CallRow) error {
	if o.JSON {
		lines := json.NewEncoder(o.Out)
		for i := range rows {
			if err := lines.Encode(rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tWAY\tP50\tRATE\tTIME\tCPU\tOF THAT\tTARGET\tMET")
	for i := range rows {
		r := &rows[i]
		work, of := r.Work, r.Of
		if i > 0 && rows[i-1].Work == work {
			work = ""
		}
		if of == "" {
			of = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", work, r.Way, figure(r.P50, "ms"), amount(r.Rate, r.Unit),
			figure(r.Time, "×"), figure(r.CPU, "×"), of, r.targets(), r.met())
	}
	return w.Flush()
}
