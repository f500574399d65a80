package unit

import (
	"math"
	"slices"
	"strconv"
)

// factor is a symbol raised to a power; molar is the molar mass of a mole.
type factor struct {
	symbol
	molar float64
	power int
}

// merge puts like factors together and drops what cancels.
func merge(factors []factor, f factor) []factor {
	for i := range factors {
		if factors[i].symbol == f.symbol && factors[i].molar == f.molar {
			if factors[i].power += f.power; factors[i].power == 0 {
				return slices.Delete(factors, i, i+1)
			}
			return factors
		}
	}
	return append(factors, f)
}

// assemble makes a unit of its factors. Everything is computed in the printed
// order, so that equal texts are equal units to the last bit.
func assemble(factors []factor) (u Unit, why string) {
	slices.SortFunc(factors, func(a, b factor) int {
		switch {
		case a.rank != b.rank:
			return a.rank - b.rank
		case a.symbol.power != b.symbol.power:
			return a.symbol.power - b.symbol.power
		case a.molar < b.molar:
			return -1
		default:
			return 1 // never equal: merge has put those together
		}
	})
	var exponents [len(dimension{})]int
	for _, f := range factors {
		if abs(f.power) > maxPower {
			return Unit{}, "the power is too high"
		}
		for i, n := range atoms[f.rank].dim {
			exponents[i] += int(n) * f.power
		}
	}
	for i, n := range exponents {
		if n < math.MinInt8 || math.MaxInt8 < n {
			return Unit{}, "the power is too high"
		}
		u.dim[i] = int8(n)
	}
	for c := range sets {
		s := size(factors, c)
		if abs(s.exponent) > maxExponent || max(s.num, s.den) > 1e60 {
			return Unit{}, "the unit is too large or too small"
		}
		u.scales[c] = s
	}
	if len(factors) == 1 && factors[0].power == 1 {
		u.temp = atoms[factors[0].rank].temp
	}
	if u.text = print(factors); len(u.text) > MaxLength {
		return Unit{}, "too long"
	}
	return u, ""
}

// size multiplies the scales of the factors.
func size(factors []factor, c Constants) scale {
	product := scale{num: 1, den: 1}
	for _, f := range factors {
		s := atoms[f.rank].scale(c)
		if f.molar != 0 {
			s.num *= f.molar // of 1
		}
		if f.power < 0 {
			s.num, s.den = s.den, s.num
		}
		for range abs(f.power) {
			var numExact, denExact bool
			product.num, numExact = times(product.num, s.num)
			product.den, denExact = times(product.den, s.den)
			product.wide = product.wide || !numExact || !denExact
		}
		product.exponent += (s.exponent + f.symbol.power) * f.power
	}
	return product
}

// print writes the positive powers, a slash and the negative ones. Without
// positive ones there is no slash and the powers keep their sign.
func print(factors []factor) string {
	text := make([]byte, 0, 24)
	for _, f := range factors {
		if f.power > 0 {
			text = appendFactor(text, len(text) > 0, f, f.power)
		}
	}
	slash, above := len(text), len(text) > 0
	for _, f := range factors {
		switch {
		case f.power > 0:
		case !above:
			text = appendFactor(text, len(text) > 0, f, f.power)
		default:
			if len(text) == slash {
				text = append(text, '/')
			}
			text = appendFactor(text, len(text) > slash+1, f, -f.power)
		}
	}
	return string(text)
}

func appendFactor(text []byte, dot bool, f factor, power int) []byte {
	if dot {
		text = append(text, "·"...)
	}
	text = append(text, f.text...)
	if f.molar != 0 {
		text = append(text, '<')
		text = strconv.AppendFloat(text, f.molar, 'f', -1, 64)
		text = append(text, '>')
	}
	if power != 1 {
		text = append(text, '^')
		text = strconv.AppendInt(text, int64(power), 10)
	}
	return text
}
