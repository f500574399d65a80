package unit

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// The factors of spec 5.2, and Apple's rounding of them.
func TestApplesConstants(t *testing.T) {
	for _, c := range []struct {
		v        float64
		from, to string
		want     float64
	}{
		{1, "oz", "kg", 0.0283495}, {1, "lb", "kg", 0.453592}, {1, "st", "kg", 6.35},
		{1, "in", "m", .0254}, {1, "ft", "m", .3048}, {1, "yd", "m", .9144}, {1, "mi", "m", 1609.34},
		{1, "mmHg", "Pa", 133.3224}, {1, "inHg", "Pa", 3386.38}, {1, "cmAq", "Pa", 98.0665}, {1, "atm", "Pa", 101325},
		{1, "fl_oz_us", "L", .0295735295625}, {1, "fl_oz_imp", "L", .0284130625}, {1, "pt_us", "L", .473176473},
		{1, "pt_imp", "L", .56826125}, {1, "cup_us", "L", .2365882365}, {1, "cup_imp", "L", .284130625},
		{1, "min", "s", 60}, {1, "hr", "s", 3600}, {1, "d", "s", 86400},
		{1, "cal", "J", 4.184}, {1, "kcal", "J", 4184}, {1, "Cal", "J", 4184}, {1, "Cal", "kcal", 1}, {1, "Cal", "cal", 1000},
		{37, "degC", "degF", 98.6}, {98.6, "degF", "degC", 37}, {-40, "degC", "degF", -40},
		{0, "degC", "K", 273.15}, {0, "K", "degF", -459.67}, {0, "K", "degC", -273.15}, {1, "K", "mK", 1000},
		{0, "degC", "mK", 273150},
		{0.98, "%", "count", 0.98},
		{5.5, "mmol<180.15588000005408>/L", "mg/dL", 99.085734000029744},
		{1, "mol<18>", "g", 18},
		{71, "count/min", "count/s", 71.0 / 60}, {72, "count/min", "count/s", 1.2},
		{1, "mcg", "g", 1e-6}, {1, "ft^3", "L", 28.316846592}, {180, "deg", "rad", math.Pi},
		{1, "kg·m/s^2", "g·m/s^2", 1000}, {60, "mi/hr", "m/s", 60 * 1609.34 / 3600},
		{1, "J/s", "W", 1}, {1, "Pa", "kg/m.s^2", 1}, {1, "V.S", "W/V", 1}, {3, "hPa", "Pa", 300},
	} {
		got, err := Convert(c.v, must(t, c.from), must(t, c.to))
		if err != nil || got != c.want {
			t.Errorf("%v %s = %v %s, %v, want %v", c.v, c.from, got, c.to, err, c.want)
		}
	}
}

func TestDimensionsOfTheirOwnDoNotConvert(t *testing.T) {
	for _, pair := range [][2]string{{"IU", "count"}, {"dBASPL", "Pa"}, {"dBASPL", "dBHL"}, {"appleEffortScore", "count"},
		{"count/s", "Hz"}, {"rad", "count"}, {"D", "count"}, {"kcal", "kg"}, {"count", "g"}, {"degC", "%"}, {"mmol<18>/L", "mmHg"}} {
		a, b := must(t, pair[0]), must(t, pair[1])
		if a.Compatible(b) || b.Compatible(a) {
			t.Errorf("%s converts to %s", a, b)
		}
		if _, err := Convert(1, a, b); !errors.Is(err, ErrIncompatible) {
			t.Errorf("Convert(%s, %s): %v", a, b, err)
		}
	}
	// Pitfall 23: no unit converts to nothing, not even to itself.
	var none Unit
	if none.Compatible(none) || none.Compatible(must(t, "count")) || must(t, "%").Compatible(none) || !none.IsZero() {
		t.Error("no unit is compatible with something")
	}
}

func TestResultsOutOfRangeAreErrors(t *testing.T) {
	if v, err := Convert(1e300, must(t, "Tm"), must(t, "fm")); err == nil {
		t.Errorf("got %v", v)
	}
}

func TestSameUnitKeepsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, v := anyUnit(t, "unit"), rapid.Float64().Draw(t, "value")
		if got, err := Convert(v, u, u); err != nil || math.Float64bits(got) != math.Float64bits(v) {
			t.Fatalf("%v %s = %v, %v", v, u, got, err)
		}
	})
}

func TestExactConstants(t *testing.T) {
	for _, c := range []struct {
		v        float64
		from, to string
		want     float64
	}{
		{1, "oz", "g", 28.349523125}, {1, "lb", "kg", .45359237}, {1, "st", "kg", 6.35029318}, {1, "st", "lb", 14}, {1, "lb", "oz", 16},
		{1, "mi", "m", 1609.344}, {1, "mi", "ft", 5280}, {1, "mi", "yd", 1760}, {1, "ft", "in", 12},
		{1, "mmHg", "Pa", 133.322387415}, {1, "inHg", "mmHg", 25.4}, {1, "cmAq", "Pa", 98.0665}, {760, "mmHg", "atm", 760 * 133.322387415 / 101325},
		{1, "pt_us", "fl_oz_us", 16}, {1, "pt_imp", "fl_oz_imp", 20}, {1, "cup_us", "fl_oz_us", 8}, {1, "cup_imp", "fl_oz_imp", 10},
		{98.6, "degF", "degC", 37}, {1, "kcal", "kJ", 4.184}, {72, "count/min", "count/s", 1.2}, {1, "mi/hr", "m/s", .44704},
	} {
		got, err := Exact.Convert(c.v, must(t, c.from), must(t, c.to))
		if err != nil || got != c.want {
			t.Errorf("%v %s = %v %s, %v, want %v", c.v, c.from, got, c.to, err, c.want)
		}
	}
}

// A rounded constant is Apple's decimal of the exact one, not another unit.
func TestTheSetsDifferByRoundingOnly(t *testing.T) {
	differ := 0
	for _, a := range atoms {
		apple, exact := a.scale(Apple), a.scale(Exact)
		if apple == exact {
			continue
		}
		differ++
		ratio := apple.num / exact.num * math.Pow10(apple.exponent-exact.exponent)
		if math.Abs(ratio-1) > 1e-4 { // a stone is off most
			t.Errorf("%s: Apple's constant is %v times the exact one", a.name, ratio)
		}
	}
	if differ != 6 {
		t.Errorf("%d atoms differ, want mi, oz, lb, st, mmHg and inHg", differ)
	}
}

// truth is the conversion without rounding.
func truth(c Constants, v float64, from, to Unit) *big.Rat {
	kelvin := func(u Unit) (slope, offset *big.Rat) {
		if !u.temp.isSet() {
			return exactly(c, u), new(big.Rat)
		}
		return big.NewRat(100, int64(u.temp.perKelvin)), big.NewRat(int64(u.temp.offset), int64(u.temp.perKelvin))
	}
	x := new(big.Rat).SetFloat64(v)
	slope, offset := kelvin(from)
	x.Add(x.Mul(x, slope), offset)
	slope, offset = kelvin(to)
	return x.Quo(x.Sub(x, offset), slope)
}

// convertible draws units that convert to each other, with a set of constants.
func convertible(t *rapid.T, n int, groups [][]Unit) (Constants, []Unit) {
	group := rapid.SampledFrom(groups).Draw(t, "dimension")
	units := make([]Unit, n)
	for i := range units {
		units[i] = rapid.SampledFrom(group).Draw(t, "unit")
	}
	return rapid.SampledFrom([]Constants{Apple, Exact}).Draw(t, "constants"), units
}

// dimensions lists the symbols that convert to each other, and some products.
func dimensions(t *testing.T) (groups [][]Unit) {
	index := map[dimension]int{}
	all := append([]string{"mg/dL", "g/L", "mmol<180.15588000005408>/L", "mcmol<113.12>/dL", "kg/m^3", "lb/ft^3", "st/mi^3", "oz/in^3",
		"m/s", "km/hr", "mi/hr", "ft/min", "kcal/hr·kg", "J/s.lb", "Cal/d.st", "W/kg", "fl_oz_us^2", "pt_us^2", "L^2", "cup_imp^2", "mi^6",
		"mL/min·kg", "L/hr.st", "inHg^3", "mmHg^3", "Pa^3", "count/min", "count/s", "%/d"}, words...)
	for _, text := range all {
		u := must(t, text)
		i, ok := index[u.dim]
		if !ok {
			i = len(groups)
			index[u.dim], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], u)
	}
	return groups
}

func anyValue(t *rapid.T) float64 {
	v := rapid.OneOf(rapid.Float64Range(-1e6, 1e6),
		rapid.Map(rapid.IntRange(-1e6, 1e6), func(n int) float64 { return float64(n) / 100 }),
		rapid.Map(rapid.Uint64Range(0, 1<<52-1), func(m uint64) float64 { return math.Float64frombits(1023<<52 | m) }), // 1 to 2
	).Draw(t, "value")
	if math.Abs(v) < 1e-100 {
		return 0 // too close to the subnormal numbers
	}
	return v
}

func convert(t *rapid.T, c Constants, v float64, from, to Unit) float64 {
	w, err := c.Convert(v, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestConversionsRoundOnce(t *testing.T) {
	groups := dimensions(t)
	rapid.Check(t, func(t *rapid.T) {
		c, units := convertible(t, 2, groups)
		v := anyValue(t)
		got := convert(t, c, v, units[0], units[1])
		want, _ := truth(c, v, units[0], units[1]).Float64()
		offset := units[0].temp != units[1].temp // 1 fK, in degC, has 18 digits
		if got != want && !(offset && adjacent(got, want)) {
			t.Fatalf("%v %s = %v %s, want %v", v, units[0], got, units[1], want)
		}
	})
}

// What Conversion says about rounding holds for factors below 2^48.
func TestFactorsBetweenHealthKitsUnitsAreWholeAndSmall(t *testing.T) {
	odd := func(x float64) float64 {
		m, _ := math.Frexp(x)
		for m != math.Trunc(m) {
			m *= 2
		}
		return m
	}
	for _, a := range words {
		for _, b := range words {
			from, to := symbols[a], symbols[b]
			usual := abs(from.power) <= 6 && abs(to.power) <= 6 && a != "deg" && b != "deg" // π
			if atoms[from.rank].dim != atoms[to.rank].dim || !usual {
				continue
			}
			for c := range sets {
				conversion, err := c.Between(must(t, a), must(t, b))
				if err != nil {
					t.Fatal(err)
				}
				if m, d := odd(conversion.mul), odd(conversion.div); m >= 1<<48 || d >= 1<<48 || conversion.low != 0 {
					t.Errorf("%s to %s: %v / %v", a, b, m, d)
				}
			}
		}
	}
}

// adjacent says whether two numbers are the same or neighbours.
func adjacent(a, b float64) bool { return a == b || math.Nextafter(a, b) == b }

// withoutOffset leaves out the temperatures, which lose what their offset takes.
func withoutOffset(groups [][]Unit) (linear [][]Unit) {
	for _, group := range groups {
		if group[0].dim != dim(temperatureDim, 1) {
			linear = append(linear, group)
		}
	}
	return linear
}

func TestConversionsInvertWithinOneUnitInTheLastPlace(t *testing.T) {
	groups := withoutOffset(dimensions(t))
	rapid.Check(t, func(t *rapid.T) {
		c, units := convertible(t, 2, groups)
		v := anyValue(t)
		w := convert(t, c, v, units[0], units[1])
		if back := convert(t, c, w, units[1], units[0]); !adjacent(back, v) {
			t.Fatalf("%v %s = %v %s = %v %s", v, units[0], w, units[1], back, units[0])
		}
	})
}

func TestConversionsComposeWithinOneUnitInTheLastPlace(t *testing.T) {
	groups := withoutOffset(dimensions(t))
	rapid.Check(t, func(t *rapid.T) {
		c, units := convertible(t, 3, groups)
		v := anyValue(t)
		direct := convert(t, c, v, units[0], units[2])
		if around := convert(t, c, convert(t, c, v, units[0], units[1]), units[1], units[2]); !adjacent(around, direct) {
			t.Fatalf("%v %s = %v %s, over %s %v", v, units[0], direct, units[2], units[1], around)
		}
	})
}

// Half a unit in the last place is lost in each of the two temperatures, the
// first of which may be hundreds of degrees where the value is none.
func TestTemperaturesInvertWithinTheirOffsetsLastPlace(t *testing.T) {
	scales := []Unit{must(t, "degC"), must(t, "degF"), must(t, "K"), must(t, "mK")}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SampledFrom(scales).Draw(t, "from"), rapid.SampledFrom(scales).Draw(t, "to")
		v := anyValue(t)
		w := convert(t, Apple, v, a, b)
		back := convert(t, Apple, w, b, a)
		ulp := func(x float64) float64 { return math.Nextafter(math.Abs(x), math.Inf(1)) - math.Abs(x) }
		slope := math.Abs(convert(t, Apple, 1, b, a) - convert(t, Apple, 0, b, a))
		if limit := ulp(w)*slope + ulp(v); math.Abs(back-v) > limit {
			t.Fatalf("%v %s = %v %s = %v %s", v, a, w, b, back, a)
		}
	})
}

func TestValuesThatAreNoneStayWhatTheyAre(t *testing.T) {
	for _, pair := range [][2]string{{"mi", "m"}, {"count/min", "count/s"}, {"fm", "Tm"}, {"degC", "K"}} {
		c, err := Between(must(t, pair[0]), must(t, pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []float64{math.Inf(1), math.Inf(-1), math.NaN()} {
			if got := c.Apply(v); got != v && got == got {
				t.Errorf("%v %s = %v %s", v, pair[0], got, pair[1])
			}
		}
		if got := c.Apply(math.Copysign(0, -1)); c.add == 0 && (got != 0 || !math.Signbit(got)) {
			t.Errorf("-0 %s = %v %s", pair[0], got, pair[1])
		}
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	for _, pair := range [][2]string{{"count/min", "count/s"}, {"degF", "degC"}, {"st/mi^3", "g/L"}} {
		c, err := Exact.Between(must(t, pair[0]), must(t, pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { c.Apply(37.5) }); n != 0 {
			t.Errorf("%s to %s: %v allocations", pair[0], pair[1], n)
		}
	}
}
