package ucum

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"healthledger/proto/unit"

	"pgregory.net/rapid"
)

func must(t interface {
	Helper()
	Fatal(...any)
}, code string) Unit {
	t.Helper()
	u, err := Parse(code)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestSyntaxErrorsNameThePosition(t *testing.T) {
	for code, pos := range map[string]int{
		"m/":                               2,
		"m//s":                             2,
		"/":                                1,
		".m":                               0,
		"m s":                              1,
		"IU":                               0, // in the Stanford map, like the next four
		"dB(SPL)":                          2,
		"dB(HL)":                           2,
		"in":                               0,
		"kcal/hr/kg":                       5,
		"[smoot]":                          0,
		"[degRe]":                          0,
		"mm[hg]":                           0,
		"µg":                               0,
		"kmin":                             0, // min takes no prefix
		"12h":                              2,
		"0.m":                              0,
		"m100":                             1,
		"m-":                               1,
		"10^^3":                            3,
		"(m":                               2,
		"m)":                               1,
		"()":                               1,
		"(m)2":                             3,
		"[in_i":                            0,
		"{a b}":                            2,
		"{a{b}}":                           2,
		"{a":                               2,
		"{錠}":                              1,
		"{a}m":                             3,
		"Cel2":                             0,
		"/Cel":                             1,
		"Cel/s":                            0,
		"10.Cel":                           0,
		"dB[SPL].m":                        0,
		"[pH]-1":                           0,
		"kg.[pi]99":                        3,
		"(((((((((m)))))))))":              8,
		"\xffm":                            0,
		strings.Repeat("m.", 64) + "m":     128,
		strings.Repeat("m", 256):           255,
		strings.Repeat("10*99.", 13) + "m": 72,
	} {
		_, err := Parse(code)
		var syntax *unit.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%q) = %v", code, err)
		} else if syntax.Pos != pos {
			t.Errorf("Parse(%q) stops at %d, want %d: %v", code, syntax.Pos, pos, err)
		}
	}
}

func TestConversionsFollowUCUMsDefinitions(t *testing.T) {
	for _, c := range []struct {
		v        float64
		from, to string
		want     float64
	}{
		{98.6, "[degF]", "Cel", 37}, {37, "Cel", "[degF]", 98.6}, {36600, "mCel", "K", 309.75}, {0, "K", "Cel", -273.15},
		{0.07, "1", "%", 7}, {98, "%", "1", 0.98}, {5, "%", "[ppth]", 50}, {1, "[ppm]", "[ppb]", 1000},
		{1, "[mi_i]", "m", 1609.344}, {1, "[lb_av]", "kg", .45359237}, {1, "[stone_av]", "[lb_av]", 14}, {1, "[gal_us]", "L", 3.785411784},
		{120, "mm[Hg]", "kPa", 15.99864}, {1, "[in_i'Hg]", "mm[Hg]", 25.4}, {1, "cm[H2O]", "Pa", 98.0665}, {1, "atm", "Pa", 101325},
		{1, "[Cal]", "kcal", 1}, {1, "kcal", "kJ", 4.184}, {1, "cal_IT", "J", 4.1868}, {3.5, "mL/(kg.min)", "[MET]", 1},
		{72, "/min", "Hz", 1.2}, {4, "10*9/L", "10*3/uL", 4}, {4, "10^9/L", "/pL", .004}, {1, "a", "d", 365.25}, {1, "wk", "h", 168},
		{180, "deg", "rad", math.Pi}, {2, "[diop]", "/m", 2}, {20, "dB[SPL]", "B[SPL]", 2}, {1000, "m[iU]", "[IU]", 1},
		{60, "U/L", "ukat/L", 1}, {1, "meq/L", "mmol/L", 1}, {2, "g%", "mg/dL", 2000}, {1, "V.S", "W/V", 1}, {1, "Sv", "REM", 100},
		{6, "umol/2.h", "umol.h", 3}, {6, "umol/(2.h)", "umol/h", 3}, {5, "kg{body_wt}", "{x}.kg", 5},
	} {
		got, err := Convert(c.v, must(t, c.from), must(t, c.to))
		if err != nil || got != c.want {
			t.Errorf("%v %s = %v %s, %v, want %v", c.v, c.from, got, c.to, err, c.want)
		}
	}
}

func TestWhatIsNotTheSameDoesNotConvert(t *testing.T) {
	for _, pair := range [][2]string{{"mmol/L", "mg/dL"}, {"mmol/L", "/L"}, {"[iU]", "[arb'U]"}, {"[iU]", "1"}, {"dB[SPL]", "Pa"}, {"dB[SPL]", "dB"},
		{"Np", "B"}, {"[pH]", "mol/L"}, {"[p'diop]", "deg"}, {"rad", "1"}, {"kg", "m"}, {"Cel", "J"}, {"g", "N"}, {"[CFU]", "[PFU]"}} {
		if _, err := Convert(1, must(t, pair[0]), must(t, pair[1])); !errors.Is(err, unit.ErrIncompatible) {
			t.Errorf("%s to %s: %v", pair[0], pair[1], err)
		}
	}
	if _, err := Convert(1e300, must(t, "Ym"), must(t, "ym")); !errors.Is(err, ErrValue) {
		t.Errorf("out of range: %v", err)
	}
	if _, err := Convert(math.NaN(), must(t, "m"), must(t, "m")); !errors.Is(err, ErrValue) {
		t.Errorf("not a number: %v", err)
	}
}

func TestSymbolsAreUnambiguous(t *testing.T) {
	readings := map[string]string{}
	for code, a := range units() {
		if !a.metric {
			continue
		}
		for _, p := range prefixes {
			symbol := p.code + code
			if other, ok := readings[symbol]; ok {
				t.Errorf("%s is a prefix of %s and of %s", symbol, code, other)
			}
			readings[symbol] = code
		}
	}
}

// codes lists the symbols that may stand in products.
func codes() []string {
	var list []string
	for code, a := range units() {
		if !a.alone {
			list = append(list, code)
		}
		if a.metric && !a.alone {
			list = append(list, "m"+code, "k"+code)
		}
	}
	slices.Sort(list)
	return list
}

func anyCode(t *rapid.T, list []string) string {
	var code strings.Builder
	for i := range rapid.IntRange(1, 4).Draw(t, "factors") {
		if i > 0 {
			code.WriteString(rapid.SampledFrom([]string{".", "/"}).Draw(t, "operator"))
		}
		code.WriteString(rapid.SampledFrom(list).Draw(t, "symbol"))
		code.WriteString(rapid.SampledFrom([]string{"", "", "2", "-1", "+3"}).Draw(t, "power"))
		code.WriteString(rapid.SampledFrom([]string{"", "", "{a}"}).Draw(t, "annotation"))
	}
	return code.String()
}

func same(a, b Unit) bool {
	return a.String() == b.String() && a.Name() == b.Name() && maps.Equal(a.bases, b.bases) && a.size.Cmp(b.size) == 0 &&
		(a.zero == nil) == (b.zero == nil) && (a.zero == nil || a.zero.Cmp(b.zero) == 0)
}

// The laws of units: a code stands for itself, dividing by it leaves a number, and
// the reciprocal of the reciprocal is the unit again.
func TestUnitsAreAGroup(t *testing.T) {
	list := codes()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCode(t, list), anyCode(t, list)
		u := must(t, a)
		if !same(u, must(t, u.String())) {
			t.Fatalf("%q is not what it says", a)
		}
		if one := must(t, a+"/("+a+")"); len(one.bases) != 0 || one.size.Cmp(rat("1")) != 0 {
			t.Fatalf("%q by itself is %v %v", a, one.size, one.bases)
		}
		back := must(t, "/(/("+a+"))")
		ab, ba := must(t, a+"."+b), must(t, b+"."+a)
		if !u.Compatible(back) || u.size.Cmp(back.size) != 0 || !ab.Compatible(ba) || ab.size.Cmp(ba.size) != 0 {
			t.Fatalf("%q, %q: %v %v, %v %v, %v %v", a, b, back.size, back.bases, ab.size, ab.bases, ba.size, ba.bases)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, code := range []string{"", "/min", "mm[Hg]", "kcal/(kg.h)", "10*3/uL", "4.[pi].10*-7.N/A2", "{a}.rad2{b}", "m[H2O]", "Cel",
		"((m/s)/(s.s))/kg", "B[SPL]", "%", "mol/10.h", "[iU]/mL", "1{c}"} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code string) {
		u, err := Parse(code)
		if err != nil {
			var syntax *unit.SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos < 0 || syntax.Pos > len(code) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if again, err := Parse(u.String()); err != nil || !same(u, again) {
			t.Fatalf("%q is written %q, which is %v, %v", code, u, again, err)
		}
		if u.size.Sign() <= 0 || bits(u.size) > maxBits {
			t.Fatalf("%q: size of %d bits", code, bits(u.size))
		}
		if v, err := Convert(1.5, u, u); err != nil || v != 1.5 {
			t.Fatalf("%q: %v, %v", u, v, err)
		}
		if v, hk, err := (Quantity{1.5, code}).Unit(18); err == nil {
			if back, err := Of(v, hk); err == nil && !must(t, back.Code).Compatible(u) {
				t.Fatalf("%q is %v %s, which is %v", code, v, hk, back)
			}
		}
	})
}
