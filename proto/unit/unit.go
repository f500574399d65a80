// Package unit parses, prints and converts HealthKit's units.
//
// The grammar and the factors are Apple's (spec/healthkit.md, section 5), so
// that a value converted here is the value HealthKit would give:
//
//	unit    = product [ "/" product ]                  one slash, it binds last
//	product = factor { ("·" | "." | "*") factor }
//	factor  = ( atom | "(" unit ")" ) [ "^" ["-"] digit ]
//	atom    = [ prefix ] ( "g" | "m" | "L" | "mol<180.15588>" | … ) | "count" | "mi" | …
//
// kg/m.s^2 is therefore kg/(m·s^2). Prefixes go with SI units only; micro is
// "mc". A mole needs its molar mass in grams, which makes it a mass. Kinds of
// numbers that nothing converts between are dimensions of their own: counts,
// IU, dBASPL, dBHL, effort scores, angles, dioptres.
//
// Percent follows HealthKit's convention: the number that goes with "%" is a
// fraction, 0.98 for ninety-eight percent, so that 0.98 % equals 0.98 count.
package unit

import (
	"errors"
	"fmt"
	"math"
)

// Unit is a parsed unit. Units are values and may be compared: two are equal
// if they print alike, whatever the order and spelling they were parsed from.
// The zero Unit is no unit and compatible with nothing, not even with itself.
type Unit struct {
	text  string
	dim   dimension
	scale scale
	temp  temperature
}

// String returns the print form: factors in a fixed order, a middle dot
// between them, one slash: "mL/min·kg". Parse gives the same Unit back.
func (u Unit) String() string { return u.text }

// IsZero says whether u is no unit at all.
func (u Unit) IsZero() bool { return u.text == "" }

// Compatible says whether values convert between the two units.
func (u Unit) Compatible(v Unit) bool {
	return u.text != "" && v.text != "" && u.dim == v.dim
}

// ErrIncompatible is wrapped by the errors of Convert and Between for units of
// different dimensions.
var ErrIncompatible = errors.New("units are not compatible")

// Convert expresses v, given in from, in to. It fails with ErrIncompatible, or
// if the result is too large for a float64.
func Convert(v float64, from, to Unit) (float64, error) {
	c, err := Between(from, to)
	if err != nil {
		return 0, err
	}
	r := c.Apply(v)
	if math.IsInf(r, 0) && !math.IsInf(v, 0) {
		return 0, fmt.Errorf("convert %s to %s: out of range", from, to)
	}
	return r, nil
}

// Conversion converts values between two fixed units. It is v·mul+add, divided
// by div, each step rounded, so that it gives the same bits on every platform.
type Conversion struct{ mul, add, div float64 }

// Between returns the conversion from one unit to another. It fails with
// ErrIncompatible.
func Between(from, to Unit) (Conversion, error) {
	if !from.Compatible(to) {
		return Conversion{}, fmt.Errorf("convert %q to %q: %w", from, to, ErrIncompatible)
	}
	// Adding -0 changes nothing, while adding 0 would make 0 of -0.
	nothing := math.Copysign(0, -1)
	if from == to {
		return Conversion{1, nothing, 1}, nil
	}
	if from.temp.isSet() || to.temp.isSet() {
		return betweenTemperatures(from, to), nil
	}
	mul, div := ratio(from.scale, to.scale)
	return Conversion{mul, nothing, div}, nil
}

// Apply converts one value. The result is infinite if it does not fit.
func (c Conversion) Apply(v float64) float64 {
	// The conversions to float64 keep the compiler from fusing the operations.
	return float64(float64(v*c.mul)+c.add) / c.div
}

// IsIdentity says whether Apply returns its argument.
func (c Conversion) IsIdentity() bool { return c == Conversion{1, 0, 1} }

// scale is num/den·10^exponent in the coherent unit of the dimension. The
// powers of ten stand apart because most factors are short decimals: with whole
// numbers a conversion rounds once or twice instead of drifting.
type scale struct {
	num, den float64
	exponent int
}

// ratio returns multiplier and divisor that lead from a to b.
func ratio(a, b scale) (mul, div float64) {
	mul, div = a.num*b.den, a.den*b.num
	if mul == div {
		mul, div = 1, 1
	}
	if e := a.exponent - b.exponent; e >= 0 {
		mul *= math.Pow10(e)
	} else {
		div *= math.Pow10(-e)
	}
	return mul, div
}

// temperature makes a unit affine: 100·v + offset = perKelvin·K. In hundredths
// all of Apple's constants are whole, and so is the arithmetic.
type temperature struct{ perKelvin, offset int32 }

func (t temperature) isSet() bool { return t.perKelvin != 0 }

// betweenTemperatures solves 100·s·v + b = a·K for both units; s is the size of
// a kelvin with a prefix and 1 for degrees.
func betweenTemperatures(from, to Unit) Conversion {
	side := func(u Unit) (s, a, b float64) {
		if u.temp.isSet() {
			return 1, float64(u.temp.perKelvin), float64(u.temp.offset)
		}
		mul, div := ratio(u.scale, scale{1, 1, 0})
		return mul / div, 100, 0
	}
	s1, a1, b1 := side(from)
	s2, a2, b2 := side(to)
	return Conversion{mul: 100 * s1 * a2, add: float64(a2*b1) - float64(a1*b2), div: 100 * s2 * a1}
}
