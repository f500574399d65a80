package unit

import (
	"errors"
	"fmt"
	"math"
)

// Constants is a set of factors between units.
type Constants uint8

const (
	// Apple holds HealthKit's factors, short decimals some of which are rounded: a
	// mile is 1609.34 m. With them a converted value is the one HealthKit gives.
	Apple Constants = iota
	// Exact holds the factors by which the units are defined: a mile is 1609.344 m.
	// They are for exchange with everything that is not HealthKit.
	Exact
	sets
)

// ErrIncompatible is wrapped by the errors of Convert and Between for units of
// different dimensions.
var ErrIncompatible = errors.New("units are not compatible")

// Convert expresses v, given in from, in to, with Apple's constants. See
// Constants.Convert.
func Convert(v float64, from, to Unit) (float64, error) { return Apple.Convert(v, from, to) }

// Between returns the conversion between two units with Apple's constants. See
// Constants.Between.
func Between(from, to Unit) (Conversion, error) { return Apple.Between(from, to) }

// Convert expresses v, given in from, in to. It fails with ErrIncompatible, or
// if the result is too large for a float64.
func (c Constants) Convert(v float64, from, to Unit) (float64, error) {
	conversion, err := c.Between(from, to)
	if err != nil {
		return 0, err
	}
	r := conversion.Apply(v)
	if math.IsInf(r, 0) && !math.IsInf(v, 0) {
		return 0, fmt.Errorf("convert %s to %s: out of range", from, to)
	}
	return r, nil
}

// Between returns the conversion from one unit to another. It fails with
// ErrIncompatible.
func (c Constants) Between(from, to Unit) (Conversion, error) {
	if !from.Compatible(to) {
		return Conversion{}, fmt.Errorf("convert %q to %q: %w", from, to, ErrIncompatible)
	}
	if from == to {
		return identity, nil
	}
	if from.temp.isSet() || to.temp.isSet() {
		return betweenTemperatures(from, to), nil
	}
	mul, div, whole := ratio(from.scales[c], to.scales[c])
	if !whole {
		return betweenWide(c, from, to), nil
	}
	if mul == div {
		return identity, nil
	}
	return newConversion(mul, nothing, div), nil
}

// Conversion converts values between two fixed units: (v·mul + add) / div.
//
// Apply rounds once: it gives the float64 next to the true value, if the factors are
// whole numbers below 2^48 but for powers of two, as they are between HealthKit's
// units with prefixes from micro to mega. Beyond that, as with molar masses, the odds
// that it gives the other neighbour are one in 2^48; between degrees and kelvins with
// a very small prefix it may. For results rounded once it follows that
//
//   - from a to b and back gives the value, or one of its two neighbours;
//   - from a to b to c gives what a to c gives, or one of its two neighbours;
//
// as long as nothing overflows or becomes subnormal: each rounding moves the value by
// half a unit in the last place, and two numbers less than one apart round to the same
// number or to neighbours. An offset takes what it takes: 1e-20 degC are 273.15 K,
// which are 0 degC. The bits are the same on every platform.
type Conversion struct {
	mul, low float64 // the factor is mul+low
	add, div float64
	inverse  float64 // of div, rounded
}

// nothing is what add is without an offset. Adding -0 changes nothing, while
// adding 0 would make 0 of -0.
var nothing = math.Copysign(0, -1)

var identity = Conversion{mul: 1, add: nothing, div: 1, inverse: 1}

// newConversion brings mul into the range from 1/2 to 1, so that no step leaves
// the range of a float64 unless the result does.
func newConversion(mul, add, div float64) Conversion {
	mul, e := math.Frexp(mul)
	div = math.Ldexp(div, -e)
	return Conversion{mul: mul, add: math.Ldexp(add, -e), div: div, inverse: 1 / div}
}

// Apply converts one value. The result is infinite if it does not fit.
func (c *Conversion) Apply(v float64) float64 {
	// The first result is off by up to two units in the last place: the product,
	// the sum and the inverse are rounded. The rest is what they lost, found with
	// steps that are exact, and divided like the first. The conversions to float64
	// keep the compiler from fusing operations where it is not asked to.
	product := float64(v * c.mul)
	lost := math.FMA(v, c.mul, -product) + float64(v*c.low)
	sum := product
	if c.add != 0 {
		sum = product + c.add
		added := sum - product
		lost += (product - (sum - added)) + (c.add - added)
	}
	first := float64(sum * c.inverse)
	rest := (math.FMA(-first, c.div, sum) + lost) / c.div
	if rest != 0 && rest == rest {
		return first + rest
	}
	return first // which may be -0, or too large for there to be a rest
}

// IsIdentity says whether Apply returns its argument.
func (c *Conversion) IsIdentity() bool { return *c == identity }

// scale is num/den·10^exponent in the coherent unit of the dimension. The powers
// of ten stand apart because most factors are short decimals.
type scale struct {
	num, den float64
	exponent int
	// wide says that num or den is rounded.
	wide bool
}

// times multiplies, and says whether the product is exact.
func times(a, b float64) (product float64, exact bool) {
	product = a * b
	return product, math.FMA(a, b, -product) == 0
}

// maxTen is the highest power of ten that a float64 holds exactly.
const maxTen = 22

// ratio returns multiplier and divisor that lead from a to b, if they are whole.
func ratio(a, b scale) (mul, div float64, whole bool) {
	mul, mulExact := times(a.num, b.den)
	div, divExact := times(a.den, b.num)
	scaled, e := true, a.exponent-b.exponent
	if mul == div {
		mul, div = 1, 1
	}
	if e >= 0 {
		mul, scaled = times(mul, math.Pow10(e))
	} else {
		div, scaled = times(div, math.Pow10(-e))
	}
	return mul, div, mulExact && divExact && scaled && abs(e) <= maxTen && !a.wide && !b.wide
}

// temperature makes a unit affine: 100·v + offset = perKelvin·K. In hundredths
// all constants are whole, and so is the arithmetic.
type temperature struct{ perKelvin, offset int32 }

func (t temperature) isSet() bool { return t.perKelvin != 0 }

// betweenTemperatures solves 100·n/d·v + b = a·K for both units; n/d is the size
// of a kelvin with a prefix and 1 for degrees. The sets of constants agree on it.
func betweenTemperatures(from, to Unit) Conversion {
	side := func(u Unit) (n, d, a, b float64) {
		if u.temp.isSet() {
			return 1, 1, float64(u.temp.perKelvin), float64(u.temp.offset)
		}
		n, d, _ = ratio(u.scales[Apple], scale{num: 1, den: 1})
		return n, d, 100, 0
	}
	n1, d1, a1, b1 := side(from)
	n2, d2, a2, b2 := side(to)
	return newConversion(100*n1*d2*a2, d1*d2*(float64(a2*b1)-float64(a1*b2)), 100*n2*d1*a1)
}
