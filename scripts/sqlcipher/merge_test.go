package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMergeCountsTheFirstSourceAtEachMoment compares the sweep with looking at every
// single moment.
func TestMergeCountsTheFirstSourceAtEachMoment(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var samples []sample
		for source := range 3 {
			for at := r.Int64N(10); at < 60; {
				end := at + 1 + r.Int64N(12)
				samples = append(samples, sample{at, end, float64(r.IntN(100)), source})
				at = end + r.Int64N(8)
			}
		}
		bounds := []int64{5 + r.Int64N(10), 20 + r.Int64N(10), 35, 36 + r.Int64N(30)}
		want := make([]float64, len(bounds)-1)
		for i := range want {
			for moment := bounds[i]; moment < bounds[i+1]; moment++ {
				if s := first(samples, moment); s != nil {
					want[i] += s.value / float64(s.end-s.start)
				}
			}
		}
		slices.SortStableFunc(samples, func(a, b sample) int { return cmp.Compare(a.start, b.start) })
		m := newMerge(bounds)
		for _, s := range samples {
			m.add(s)
		}
		for i, got := range m.finish() {
			if math.Abs(got-want[i]) > 1e-9 {
				t.Fatalf("seed %d: %v, want %v", seed, m.sums, want)
			}
		}
	}
}

// first returns the sample that counts at a moment: they are in the order of sources.
func first(samples []sample, moment int64) *sample {
	for i, s := range samples {
		if s.start <= moment && moment < s.end {
			return &samples[i]
		}
	}
	return nil
}
