package aggregate

import (
	"math"
	"math/bits"
)

// Part returns how much of the value of a sample from start to end has come together
// until a time: value·(until−start)/(end−start), rounded once, nothing at the start and
// all of it at the end. It grows as time does, so parts do not change the sign.
func Part(value float64, start, end, until int64) float64 {
	switch {
	case until >= end:
		return value
	case until <= start:
		return 0
	}
	inside, length := uint64(until)-uint64(start), uint64(end)-uint64(start)
	fraction, exponent := math.Frexp(math.Abs(value))
	if math.IsNaN(fraction) || math.IsInf(fraction, 0) {
		return 0
	}
	// 117 bits of the quotient, then whether there are more. No ledger has lengths so great
	// that the first of the bits are too many zeros.
	high, low := bits.Mul64(uint64(math.Ldexp(fraction, 53)), inside)
	high, rest := bits.Div64(high, low, length)
	low, rest = bits.Div64(rest, 0, length)
	if high == 0 && low == 0 {
		return 0
	}
	shift, sticky := 0, rest != 0
	if high == 0 {
		high, low, shift = low, 0, 64
	}
	zeros := bits.LeadingZeros64(high)
	top := high<<zeros | low>>(64-zeros)
	shift, sticky = shift+zeros, sticky || low<<zeros != 0
	if sticky {
		top |= 1
	}
	return math.Copysign(math.Ldexp(float64(top), exponent-53-shift), value)
}

// AddPart adds what of the value of a sample from start to end lies between two times. The
// parts between any times that follow each other add up to the whole. A sample without a
// length has no parts.
func (s *Sum) AddPart(value float64, start, end, from, to int64) {
	s.Add(Part(value, start, end, to))
	s.Sub(Part(value, start, end, from))
}

// energy returns 10^(level/10). It uses nothing whose result differs between machines: no
// function that has an assembly of its own, and no fused multiply-add, which the
// conversions prevent. Levels whose energy a float64 cannot hold count as the greatest.
func energy(level float64) float64 {
	tens := level / 10
	whole := math.Floor(tens)
	if whole > 400 {
		return math.MaxFloat64
	}
	if whole < -400 {
		return 0
	}
	e := float64(math.Pow10(int(whole)) * exp(float64((tens-whole)*math.Ln10)))
	return min(e, math.MaxFloat64)
}

// exp returns e^x for x from 0 to 3, as FreeBSD's e_exp.c does.
func exp(x float64) float64 {
	const (
		ln2High = 6.93147180369123816490e-01
		ln2Low  = 1.90821492927058770002e-10
		p1      = 1.66666666666666657415e-01
		p2      = -2.77777777770155933842e-03
		p3      = 6.61375632143793436117e-05
		p4      = -1.65339022054652515390e-06
		p5      = 4.13813679705723846039e-08
	)
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	high, low := x-float64(k*ln2High), float64(k*ln2Low)
	r := high - low
	t := float64(r * r)
	c := p4 + float64(t*p5)
	c = p3 + float64(t*c)
	c = p2 + float64(t*c)
	c = p1 + float64(t*c)
	c = r - float64(t*c)
	y := 1 - ((low - float64(r*c)/(2-c)) - high)
	return math.Ldexp(y, int(k))
}
