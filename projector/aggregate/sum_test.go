package aggregate

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// exactly is an exact sum the slow way.
type exactly struct{ big.Rat }

func (e *exactly) add(x float64, n uint64) {
	product := new(big.Rat).SetInt(new(big.Int).SetUint64(n))
	e.Add(&e.Rat, product.Mul(product, new(big.Rat).SetFloat64(x)))
}

func drawNumber(t *rapid.T) float64 {
	return rapid.OneOf(
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64),
		rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(-5, 5000).Draw(t, "tenths")) / 10 }),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324, 0x1p-1022, 0x1p53, 0x1p53 + 2}),
	).Draw(t, "number")
}

func form(s *Sum) string { return string(s.Append(nil)) }

func TestSumIsExactInAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		type product struct {
			x float64
			n uint64
		}
		products := rapid.SliceOf(rapid.Custom(func(t *rapid.T) product {
			return product{drawNumber(t), rapid.OneOf(rapid.Just(uint64(1)), rapid.Uint64()).Draw(t, "times")}
		})).Draw(r, "products")
		sum, other, want := &Sum{}, &Sum{}, &exactly{}
		for _, p := range products {
			sum.AddProduct(p.x, p.n)
			want.add(p.x, p.n)
		}
		halves := [2]Sum{}
		for i, p := range rapid.Permutation(products).Draw(r, "order") {
			halves[i%2].AddProduct(p.x, p.n)
		}
		other.AddSum(&halves[1])
		other.AddSum(&halves[0])
		if form(sum) != form(other) {
			r.Fatalf("%x in one order, %x in another", form(sum), form(other))
		}
		if got, _ := want.Float64(); math.Float64bits(sum.Float64()) != math.Float64bits(got) {
			r.Fatalf("%v, not %v", sum.Float64(), got)
		}
		for _, p := range products {
			other.AddProduct(-p.x, p.n)
		}
		if form(other) != "\x00" {
			r.Fatalf("%x is left of nothing", form(other))
		}
	})
}

func TestQuotientOfSumsIsRoundedOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Custom(drawNumber), 1, 9).Draw(r, "numbers")
		sum, count, want := &Sum{}, &Sum{}, &exactly{}
		for _, x := range numbers {
			sum.Add(x)
			want.add(x, 1)
		}
		count.AddInt(uint64(len(numbers)))
		want.Quo(&want.Rat, new(big.Rat).SetInt64(int64(len(numbers))))
		if got, _ := want.Float64(); sum.Over(count) != got {
			r.Fatalf("%v, not %v", sum.Over(count), got)
		}
	})
}

func TestWhatIsNotFiniteAddsNothing(t *testing.T) {
	s := &Sum{}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		s.Add(x)
		s.AddPart(x, 0, 10, 0, 3)
	}
	if form(s) != "\x00" {
		t.Errorf("%v", s.Float64())
	}
}

func FuzzSumAgainstBig(f *testing.F) {
	f.Add(binary.BigEndian.AppendUint64(nil, math.Float64bits(72.3)), uint64(5e6))
	f.Fuzz(func(t *testing.T, numbers []byte, times uint64) {
		sum, want := &Sum{}, &exactly{}
		for len(numbers) >= 8 {
			x := math.Float64frombits(binary.BigEndian.Uint64(numbers))
			if numbers = numbers[8:]; !math.IsNaN(x) && !math.IsInf(x, 0) {
				sum.AddProduct(x, times)
				want.add(x, times)
			}
		}
		if got, _ := want.Float64(); sum.Float64() != got {
			t.Errorf("%v, not %v", sum.Float64(), got)
		}
		again := &Sum{}
		if rest, ok := again.Read(sum.Append(nil)); !ok || len(rest) > 0 || form(again) != form(sum) {
			t.Errorf("%x does not read back", form(sum))
		}
	})
}

func FuzzSumForm(f *testing.F) {
	for _, x := range []float64{0, 1, -72.3, math.MaxFloat64, 5e-324} {
		s := &Sum{}
		s.AddProduct(x, 3)
		f.Add(s.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Sum{}
		if rest, ok := s.Read(b); ok && !bytes.Equal(append(s.Append(nil), rest...), b) {
			t.Errorf("%x has two forms", b)
		}
	})
}

func BenchmarkSum(b *testing.B) {
	s := &Sum{}
	for i := range b.N {
		s.AddProduct(72.3, uint64(i&0xff)*1_000_000)
	}
}
