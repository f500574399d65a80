package unit

import "math/big"

// betweenWide is Between for units whose ratio is not one of two whole float64
// numbers. It starts over from their texts with numbers of any size.
func betweenWide(c Constants, from, to Unit) Conversion {
	r := exactly(c, from)
	r.Quo(r, exactly(c, to))
	num, numExact := new(big.Float).SetInt(r.Num()).Float64()
	den, denExact := new(big.Float).SetInt(r.Denom()).Float64()
	if numExact == big.Exact && denExact == big.Exact {
		return newConversion(num, nothing, den)
	}
	mul, _ := r.Float64()
	low, _ := r.Sub(r, new(big.Rat).SetFloat64(mul)).Float64()
	return Conversion{mul: mul, low: low, add: nothing, div: 1, inverse: 1}
}

// exactly returns the size of a unit in the coherent unit of its dimension.
func exactly(c Constants, u Unit) *big.Rat {
	product := big.NewRat(1, 1)
	for _, f := range u.factors() {
		s := atoms[f.rank].scale(c)
		size := new(big.Rat).Quo(new(big.Rat).SetFloat64(s.num), new(big.Rat).SetFloat64(s.den))
		if f.molar != 0 {
			size.Mul(size, new(big.Rat).SetFloat64(f.molar))
		}
		size.Mul(size, tenTo(s.exponent+f.symbol.power))
		if f.power < 0 {
			size.Inv(size)
		}
		for range abs(f.power) {
			product.Mul(product, size)
		}
	}
	return product
}

func tenTo(n int) *big.Rat {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(abs(n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), power)
	}
	return new(big.Rat).SetInt(power)
}
