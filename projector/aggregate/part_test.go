package aggregate

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPartsOfAnyPartitionAddUpToTheWhole(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		start, value := rapid.Int64Range(-1<<50, 1<<50).Draw(r, "start"), drawNumber(r)
		end := start + rapid.Int64Range(0, 1<<rapid.IntRange(0, 55).Draw(r, "magnitude")).Draw(r, "length")
		cuts := rapid.SliceOf(rapid.Int64Range(start-9, end+9)).Draw(r, "cuts")
		cuts = append(cuts, start, end)
		slices.Sort(cuts)
		sum, whole := &Sum{}, &Sum{}
		for i := range len(cuts) - 1 {
			sum.AddPart(value, start, end, cuts[i], cuts[i+1])
		}
		if whole.Add(value); start < end && form(sum) != form(whole) {
			r.Fatalf("%v, not %v", sum.Float64(), value)
		}
		for i := range len(cuts) - 1 {
			if a, b := Part(value, start, end, cuts[i]), Part(value, start, end, cuts[i+1]); math.Abs(a) > math.Abs(b) || a*value < 0 {
				r.Fatalf("%v of %v after %v", b, value, a)
			}
		}
	})
}

func TestPartIsRoundedOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		// Far from where float64 has fewer bits.
		value := rapid.Float64Range(1e-200, 1e300).Draw(r, "value")
		length := rapid.Int64Range(1, 1<<rapid.IntRange(1, 60).Draw(r, "magnitude")).Draw(r, "length")
		inside := rapid.OneOf(rapid.Int64Range(0, length), rapid.SampledFrom([]int64{1, length - 1})).Draw(r, "inside")
		exact := new(big.Rat).Mul(new(big.Rat).SetFloat64(value), big.NewRat(inside, length))
		if want, _ := exact.Float64(); Part(value, 7, 7+length, 7+inside) != want {
			r.Fatalf("%v, not %v", Part(value, 7, 7+length, 7+inside), want)
		}
	})
}

func TestEnergyIsThePowerOfTen(t *testing.T) {
	for bels, want := range map[float64]float64{0: 1, 10: 10, 60: 1e6, -20: 0.01, 1e9: math.MaxFloat64, -1e9: 0} {
		if got := energy(bels); got != want {
			t.Errorf("energy(%v) = %v", bels, got)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		level := rapid.Float64Range(-200, 300).Draw(r, "level")
		if got, want := energy(level), math.Pow(10, level/10); math.Abs(got-want) > 1e-14*want {
			r.Fatalf("%v, not %v", got, want)
		}
	})
}
