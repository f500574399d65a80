package query

import "math/big"

// exactSum adds with more bits than any double needs and rounds once.
func exactSum(numbers []float64) float64 {
	total := new(big.Float).SetPrec(4096)
	for _, x := range numbers {
		total.Add(total, big.NewFloat(x))
	}
	v, _ := total.Float64()
	return v
}
