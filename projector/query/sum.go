package query

import "math"

// sum adds numbers without rounding: its parts do not overlap and add up to exactly what
// was added (J. R. Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997). Their
// order therefore does not matter. A few parts are enough for any real series.
type sum struct{ parts []float64 }

func (s *sum) add(x float64) {
	n := 0
	for _, y := range s.parts {
		if math.Abs(x) < math.Abs(y) {
			x, y = y, x
		}
		high := x + y
		if low := y - (high - x); low != 0 {
			s.parts[n] = low
			n++
		}
		x = high
	}
	s.parts = append(s.parts[:n], x)
}

// value returns the sum, rounded once, to even.
func (s *sum) value() float64 {
	n := len(s.parts) - 1
	if n < 0 {
		return 0
	}
	high, low := s.parts[n], 0.0
	for n > 0 && low == 0 {
		n--
		x := high
		high = x + s.parts[n]
		low = s.parts[n] - (high - x)
	}
	// Exactly between two numbers: what remains below decides.
	if n > 0 && low != 0 && (low < 0) == (s.parts[n-1] < 0) {
		if twice := low + low; high+twice-high == twice {
			high += twice
		}
	}
	return high
}
