package bench

import (
	"context"
	"errors"
	"slices"
	"time"
)

// timing is how long the runs of a query took.
type timing struct {
	p50, p99 time.Duration
	runs     int
	// result in numbers, to compare with that of somebody else.
	result []float64
}

// few runs are made however long they take, and many at most.
const few, many = 5, 1000

func newTiming(runs []time.Duration, result []float64) *timing {
	slices.Sort(runs)
	at := func(p int) time.Duration { return runs[min(len(runs)-1, len(runs)*p/100)] }
	return &timing{p50: at(50), p99: at(99), runs: len(runs), result: result}
}

// measure runs a query once to warm up, then as often as time allows.
func measure(ctx context.Context, d time.Duration, run func(context.Context) ([]float64, error)) (*timing, error) {
	result, err := run(ctx)
	if err != nil {
		return nil, err
	}
	var runs []time.Duration
	for began := time.Now(); len(runs) < many && (len(runs) < few || time.Since(began) < d); {
		started := time.Now()
		again, err := run(ctx)
		if err != nil {
			return nil, err
		}
		runs = append(runs, time.Since(started))
		if !slices.Equal(again, result) {
			return nil, errors.New("a query's results differ from run to run")
		}
	}
	return newTiming(runs, result), nil
}
