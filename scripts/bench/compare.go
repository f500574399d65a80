package bench

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// quanta that are told apart: the last one has all that took longer.
const quanta = 12

// Estimate is a number that was found in pairs of answers, and where it lies with 95 %
// confidence.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// deviation of what resamples say.
	deviation float64
}

// bound is how far from nothing it may be.
func (e *Estimate) bound() float64 { return max(math.Abs(e.Low), math.Abs(e.High)) }

// beyond says whether it is further from nothing than the tolerance, so many standard
// deviations from doubt.
func (e *Estimate) beyond(tolerance, deviations float64) bool {
	return math.Abs(e.Value)-deviations*e.deviation > tolerance
}

// Comparison of two series of answers.
type Comparison struct {
	// Median of the differences, in microseconds.
	Median Estimate `json:"median"`
	// Shares are, for each quantum, how much larger the share of the first series' answers
	// is that came in it.
	Shares [quanta]Estimate `json:"shares"`
}

// resamples of a bootstrap.
const resamples = 1000

// compare compares answers that were taken pair by pair, in random order within the pair:
// whatever else the machine does moves both. Pairs are drawn again and again to see how
// much the outcome depends on which were measured.
func compare(a, b []time.Duration, r *rand.Rand) *Comparison {
	pairs := newPairs(a, b)
	var medians []float64
	var shares [quanta][]float64
	for range resamples {
		median, share := pairs.statistics(pairs.draw(r))
		medians = append(medians, median)
		for q := range shares {
			shares[q] = append(shares[q], share[q])
		}
	}
	median, share := pairs.statistics(pairs.each())
	c := &Comparison{Median: newEstimate(median, medians)}
	for q := range shares {
		c.Shares[q] = newEstimate(share[q], shares[q])
	}
	return c
}

// newEstimate takes the interval from what resamples gave instead.
func newEstimate(value float64, found []float64) Estimate {
	slices.Sort(found)
	outside := len(found) / 40
	mean, square := 0.0, 0.0
	for _, f := range found {
		mean += f / float64(len(found))
	}
	for _, f := range found {
		square += (f - mean) * (f - mean) / float64(len(found))
	}
	return Estimate{Value: value, Low: found[outside], High: found[len(found)-1-outside], deviation: math.Sqrt(square)}
}

// pair is how much longer the first answer took, in microseconds, and the quantum of each.
type pair struct {
	difference    float64
	first, second int
}

// pairs are sorted by difference.
type pairs []pair

func newPairs(a, b []time.Duration) (all pairs) {
	for i := range a {
		all = append(all, pair{float64(a[i]-b[i]) / float64(time.Microsecond), quantumOf(a[i]), quantumOf(b[i])})
	}
	slices.SortFunc(all, func(x, y pair) int { return cmp.Compare(x.difference, y.difference) })
	return all
}

func quantumOf(d time.Duration) int { return min(int(d/time.Millisecond), quanta-1) }

// draw says how often each pair is in a resample.
func (p pairs) draw(r *rand.Rand) []int {
	times := make([]int, len(p))
	for range p {
		times[r.IntN(len(p))]++
	}
	return times
}

func (p pairs) each() []int { return slices.Repeat([]int{1}, len(p)) }

func (p pairs) statistics(times []int) (median float64, shares [quanta]float64) {
	middle := (len(p) + 1) / 2
	for i, n := range times {
		if middle > 0 && middle <= n {
			median = p[i].difference
		}
		middle -= n
		shares[p[i].first] += float64(n) / float64(len(p))
		shares[p[i].second] -= float64(n) / float64(len(p))
	}
	return median, shares
}

// What no comparison calls a difference: less is not to be told from the machine.
const (
	leastMedian = 50.0 // microseconds
	leastShare  = 0.02
)

// differs says whether two stores can be told apart by time: by more than twice the same
// store can, with so many standard deviations that chance does not say so.
func differs(stores, same *Comparison, deviations float64) bool {
	if stores.Median.beyond(max(leastMedian, same.Median.bound()), deviations) {
		return true
	}
	for q := range stores.Shares {
		if stores.Shares[q].beyond(max(leastShare, same.Shares[q].bound()), deviations) {
			return true
		}
	}
	return false
}

// strictness is how many standard deviations it takes so that of all comparisons together
// one in twenty runs fails by chance at most (Bonferroni).
func strictness(comparisons int) float64 {
	const chance = 0.05
	return math.Sqrt2 * math.Erfinv(1-chance/float64(comparisons*(1+quanta)))
}
