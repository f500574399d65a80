package unit

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"healthledger/proto/catalog"

	"pgregory.net/rapid"
)

func must(t interface {
	Helper()
	Fatal(...any)
}, text string) Unit {
	t.Helper()
	u, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPrintForm(t *testing.T) {
	for text, want := range map[string]string{
		"count":                      "count",
		"count/min":                  "count/min",
		"ml":                         "mL",
		"dL":                         "dL",
		"mcg":                        "mcg",
		"Cal":                        "Cal",
		"kcal":                       "kcal",
		"%":                          "%",
		"ml/(kg*min)":                "mL/min·kg",
		"mL/min·kg":                  "mL/min·kg",
		"kcal/(kg*hr)":               "kcal/hr·kg",
		"kcal/hr·kg":                 "kcal/hr·kg",
		"kg/m.s^2":                   "kg/s^2·m",
		"kg/(m.s^2)":                 "kg/s^2·m",
		"kg.m^-1.s^-2":               "kg/s^2·m",
		"(m/s)^2":                    "m^2/s^2",
		"m.m":                        "m^2",
		"s^-1":                       "s^-1",
		"(m.s)^-1":                   "s^-1·m^-1",
		"m/(m/s)":                    "s",
		"mmol<180.15588000005408>/L": "mmol<180.15588000005408>/L",
		"mmol<180.1558800000541>/L":  "mmol<180.1558800000541>/L",
		"mol<18.0>":                  "mol<18>",
		"dBASPL":                     "dBASPL",
		"fl_oz_us":                   "fl_oz_us",
		"mg/dL":                      "mg/dL",
		"das":                        "das",
	} {
		if got := must(t, text).String(); got != want {
			t.Errorf("%q prints as %q, want %q", text, got, want)
		}
	}
}

func TestSyntaxErrorsNameThePosition(t *testing.T) {
	for text, pos := range map[string]int{
		"":                      0,
		"x":                     0,
		"m/x":                   2,
		"m/s/s":                 3,
		"m//s":                  2,
		"/s":                    0,
		"m.":                    2,
		"m s":                   1,
		"(m":                    2,
		"m)":                    1,
		"()":                    1,
		"m^0":                   2,
		"m^10":                  2,
		"m^":                    2,
		"m^-":                   2,
		"m^9.m^9":               0,
		"mmol/L":                4,
		"mmol<>/L":              5,
		"mmol<1e3>/L":           5,
		"mmol<0>/L":             5,
		"mmol<1/L":              5,
		"kin":                   0, // prefixes on SI units only
		"ug":                    0,
		"µg":                    0,
		"kcount":                0,
		"kkg":                   0,
		"Count":                 0,
		"m/m":                   0,
		"(((((m)))))":           4,
		"\xffm":                 0,
		strings.Repeat("m", 65): 64,
		"Tm^9.Tg^9":             0,
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%q) = %v", text, err)
		} else if syntax.Pos != pos {
			t.Errorf("Parse(%q) stops at %d, want %d: %v", text, syntax.Pos, pos, err)
		}
	}
}

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

func TestEveryCanonicalUnitParses(t *testing.T) {
	for _, ty := range catalog.All() {
		if ty.Unit != "" {
			must(t, ty.Unit)
		}
	}
}

func TestWordsAreUnambiguous(t *testing.T) {
	readings := map[string][]string{}
	for _, a := range atoms {
		if !a.si {
			continue
		}
		for _, p := range prefixes {
			readings[p.name+a.name] = append(readings[p.name+a.name], a.name)
		}
	}
	for word, names := range readings {
		if len(names) > 1 {
			t.Errorf("%s: prefix of %v", word, names)
		}
	}
}

// words lists every symbol but the moles, which need a mass.
var words = func() []string {
	var list []string
	for word, s := range symbols {
		if !atoms[s.rank].solute {
			list = append(list, word)
		}
	}
	slices.Sort(list)
	return list
}()

func anyUnit(t *rapid.T, label string) Unit {
	var text strings.Builder
	for i := range rapid.IntRange(1, 4).Draw(t, label+" factors") {
		if i > 0 {
			text.WriteString(rapid.SampledFrom([]string{".", "*", "·"}).Draw(t, "dot"))
		}
		text.WriteString(rapid.SampledFrom(words).Draw(t, "word"))
		text.WriteString(rapid.SampledFrom([]string{"", "", "^2", "^-1", "^-3"}).Draw(t, "power"))
	}
	u, err := Parse(text.String())
	if err != nil {
		t.Skip(err)
	}
	return u
}

func TestParseOfPrintIsTheSameUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := anyUnit(t, "unit")
		if again, err := Parse(u.String()); err != nil || again != u {
			t.Fatalf("%q: %v, %v", u, again, err)
		}
	})
}

func TestConversionsInvert(t *testing.T) {
	byDim := map[dimension][]Unit{}
	for _, word := range words {
		u := must(t, word)
		byDim[u.dim] = append(byDim[u.dim], u)
	}
	var groups [][]Unit
	for _, word := range words { // in a fixed order
		if g := byDim[must(t, word).dim]; len(g) > 1 {
			groups = append(groups, g)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		group := rapid.SampledFrom(groups).Draw(t, "dimension")
		a, b := rapid.SampledFrom(group).Draw(t, "from"), rapid.SampledFrom(group).Draw(t, "to")
		v := rapid.Float64Range(-1e6, 1e6).Draw(t, "value")
		w, err := Convert(v, a, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Convert(w, b, a)
		if err != nil {
			t.Fatal(err)
		}
		tolerance := 4 * 0x1p-53 * math.Abs(v)
		if a.temp.isSet() || b.temp.isSet() { // the offset eats bits of small values
			zero, _ := Convert(0, b, a)
			tolerance += 0x1p-50 * (math.Abs(zero) + 500)
		}
		if math.Abs(back-v) > tolerance+1e-300 {
			t.Fatalf("%v %s = %v %s = %v %s", v, a, w, b, back, a)
		}
	})
}

func TestSameUnitKeepsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, v := anyUnit(t, "unit"), rapid.Float64().Draw(t, "value")
		if got, err := Convert(v, u, u); err != nil || math.Float64bits(got) != math.Float64bits(v) {
			t.Fatalf("%v %s = %v, %v", v, u, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"count/min", "mmol<180.15588000005408>/L", "mL/min·kg", "(m/s)^2", "kg.m^-1.s^-2",
		"m/(m/s)", "%", "fl_oz_us", "((m)^2/(s.s))^-1", "mol<.001>.mol<.002>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos < 0 || syntax.Pos > len(text) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if again, err := Parse(u.String()); err != nil || again != u {
			t.Fatalf("%q prints as %q, which is %v, %v", text, u, again, err)
		}
		if v, err := Convert(1.5, u, u); err != nil || v != 1.5 {
			t.Fatalf("%q: %v, %v", u, v, err)
		}
		if u.scale.num <= 0 || u.scale.den <= 0 || math.IsInf(u.scale.num, 0) || math.IsInf(u.scale.den, 0) {
			t.Fatalf("%q: scale %v", u, u.scale)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"count", "count/min", "mmol<180.1558800000541>/L", "mL/min·kg"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
