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
		"µg":                         "mcg",
		"\u03bcg":                    "mcg",
		"ug":                         "mcg",
		"µl":                         "mcL",
		"µV":                         "mcV",
		"\u03bcmol<18.015>/L":        "mcmol<18.015>/L",
		"kcal/hr\u22c5kg":            "kcal/hr·kg",
		"ml/(kg·min)":                "mL/min·kg",
		"kcal/(hr·kg)":               "kcal/hr·kg",
		"fL":                         "fL",
		"appleEffortScore":           "appleEffortScore",
	} {
		if got := must(t, text).String(); got != want {
			t.Errorf("%q prints as %q, want %q", text, got, want)
		}
	}
}

func TestFactorsAreWhatIsPrinted(t *testing.T) {
	u := must(t, "µmol<18.5>/(dL.kg^2)")
	want := []Factor{{"mc", "mol", 18.5, 1}, {"d", "L", 0, -1}, {"k", "g", 0, -2}}
	if got := u.Factors(); !slices.Equal(got, want) {
		t.Errorf("%s is %v, want %v", u, got, want)
	}
	if got := must(t, "mmHg").Factors(); !slices.Equal(got, []Factor{{"", "mmHg", 0, 1}}) {
		t.Errorf("mmHg is %v", got)
	}
	if got := (Unit{}).Factors(); len(got) != 0 {
		t.Errorf("no unit is %v", got)
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
		"ucount":                0,
		"gµ":                    1,
		"µ":                     0,
		"ml/kg/min":             5,
		"count min":             5,
		"count\u00a0":           5,
		"null":                  0,
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
		for c, s := range u.scales {
			if s.num <= 0 || s.den <= 0 || math.IsInf(s.num, 0) || math.IsInf(s.den, 0) {
				t.Fatalf("%q: scale %v of set %d", u, s, c)
			}
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
