package query

import (
	"math"

	"healthledger/proto/unit"
)

// converter expresses quantities in other units, and remembers how.
type converter struct{ known map[units]conversion }

type units struct{ from, to string }

type conversion struct {
	apply unit.Conversion
	ok    bool
}

// convert is false if the units are not compatible, or the result is too large.
func (c *converter) convert(v float64, from, to string) (float64, bool) {
	k, ok := c.known[units{from, to}]
	if !ok {
		k = between(from, to)
		if c.known == nil {
			c.known = map[units]conversion{}
		}
		c.known[units{from, to}] = k
	}
	v = k.apply.Apply(v)
	return v, k.ok && !math.IsInf(v, 0)
}

func between(from, to string) (c conversion) {
	a, errA := unit.Parse(from)
	b, errB := unit.Parse(to)
	if errA != nil || errB != nil {
		return c
	}
	var err error
	c.apply, err = unit.Between(a, b)
	c.ok = err == nil
	return c
}
