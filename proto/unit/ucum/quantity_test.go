package ucum

import (
	"encoding/csv"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"healthledger/proto/catalog"
	"healthledger/proto/unit"

	"pgregory.net/rapid"
)

func mustUnit(t interface {
	Helper()
	Fatal(...any)
}, text string) unit.Unit {
	t.Helper()
	u, err := unit.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Each line holds in both directions.
func TestHealthKitsQuantitiesInUCUM(t *testing.T) {
	const glucose = 180.15588000005408
	for _, c := range []struct {
		v     float64
		unit  string
		value float64
		code  string
	}{
		{72, "count/min", 72, "/min"}, {1.2, "count/s", 1.2, "/s"}, {1.2, "Hz", 1.2, "Hz"}, {8000, "count", 8000, "{count}"},
		{0.98, "%", 98, "%"}, {0.07, "%", 7, "%"}, {0.0008, "%", 0.08, "%"}, {0.1, "%/d", 10, "%/d"},
		{5.5, "mmol<180.15588000005408>/L", 5.5, "mmol/L"}, {99, "mg/dL", 99, "mg/dL"}, {40, "mcmol<180.15588000005408>/L", 40, "umol/L"},
		{120, "mmHg", 120, "mm[Hg]"}, {29.92, "inHg", 29.92, "[in_i'Hg]"}, {10, "cmAq", 10, "cm[H2O]"}, {1, "atm", 1, "atm"}, {101.3, "kPa", 101.3, "kPa"},
		{37, "degC", 37, "Cel"}, {98.6, "degF", 98.6, "[degF]"}, {310.15, "K", 310.15, "K"},
		{80, "kg", 80, "kg"}, {176, "lb", 176, "[lb_av]"}, {5, "oz", 5, "[oz_av]"}, {12, "st", 12, "[stone_av]"}, {50, "mcg", 50, "ug"},
		{1.8, "m", 1.8, "m"}, {70, "in", 70, "[in_i]"}, {6, "ft", 6, "[ft_i]"}, {3, "yd", 3, "[yd_i]"}, {26.2, "mi", 26.2, "[mi_i]"},
		{250, "mL", 250, "mL"}, {8, "fl_oz_us", 8, "[foz_us]"}, {8, "fl_oz_imp", 8, "[foz_br]"}, {1, "pt_us", 1, "[pt_us]"},
		{1, "pt_imp", 1, "[pt_br]"}, {1, "cup_us", 1, "[cup_us]"},
		{2000, "kcal", 2000, "kcal"}, {2000, "Cal", 2000, "[Cal]"}, {9, "cal", 9, "cal"}, {8.4, "kJ", 8.4, "kJ"}, {250, "W", 250, "W"},
		{42, "mL/min·kg", 42, "mL/(kg.min)"}, {4.5, "kcal/hr·kg", 4.5, "kcal/(kg.h)"}, {3, "m/s", 3, "m/s"}, {9.8, "m/s^2", 9.8, "m/s2"},
		{600, "L/min", 600, "L/min"}, {12, "IU", 12, "[iU]"}, {65, "dBASPL", 65, "dB[SPL]"}, {20, "dBHL", 20, "{dB(HL)}"},
		{7, "appleEffortScore", 7, "{score}"}, {3, "mcS", 3, "uS"}, {-500, "mcV", -500, "uV"}, {1000, "lx", 1000, "lx"},
		{-2.25, "D", -2.25, "[diop]"}, {1.5, "pD", 1.5, "[p'diop]"}, {90, "deg", 90, "deg"}, {1, "rad", 1, "rad"}, {7, "d", 7, "d"},
		{4500, "count/mcL", 4500, "/uL"},
	} {
		u := mustUnit(t, c.unit)
		q, err := Of(c.v, u)
		if err != nil || q != (Quantity{c.value, c.code}) {
			t.Errorf("%v %s is %v, %v, want %v %s", c.v, u, q, err, c.value, c.code)
			continue
		}
		if v, err := q.In(u, glucose); err != nil || v != c.v {
			t.Errorf("%v is %v %s, %v", q, v, u, err)
		}
		if v, back, err := q.Unit(glucose); err != nil || v != c.v || back != u {
			t.Errorf("%v is %v %s, %v, want %v %s", q, v, back, err, c.v, u)
		}
	}
}

func TestQuantitiesOfOthersBecomeHealthKits(t *testing.T) {
	for _, c := range []struct {
		value     float64
		code      string
		molarMass float64
		want      float64
		unit      string
	}{
		{5.5, "mmol/L", 180.15588000005408, 99.085734000029744, "mg/dL"}, {180.15588000005408, "mg/dL", 180.15588000005408, 10, "mmol<180.15588000005408>/L"},
		{10, "mmol/L", 18, 10, "mmol<180.15588000005408>/L"},
		{1, "[gal_us]", 0, 3.785411784, "L"}, {10, "[foz_br]", 0, 1, "cup_imp"}, {72, "{beats}/min", 0, 1.2, "count/s"}, {72, "1/min", 0, 72, "count/min"},
		{0.98, "1", 0, 0.98, "%"}, {98, "%", 0, 0.98, "count"}, {4.5, "10*3/uL", 0, 4500, "count/mcL"}, {3.5, "mL/min/kg", 0, 3.5, "mL/min·kg"},
		{98.6, "[degF]", 0, 37, "degC"}, {6.5, "dB[SPL]", 0, 6.5, "dBASPL"}, {2, "/m", 0, 2, "D"}, {1, "m[IU]", 0, .001, "IU"}, {1, "wk", 0, 7, "d"},
	} {
		got, err := Quantity{c.value, c.code}.In(mustUnit(t, c.unit), c.molarMass)
		if err != nil || got != c.want {
			t.Errorf("%v %s is %v %s, %v, want %v", c.value, c.code, got, c.unit, err, c.want)
		}
	}
}

func TestQuantitiesThatCannotBeReadAreRefused(t *testing.T) {
	var syntax *unit.SyntaxError
	for _, c := range []struct {
		code, unit string
		is         error
	}{
		{"mmol/L", "mg/dL", ErrMolarMass}, {"mg/dL", "mmHg", unit.ErrIncompatible}, {"mmol/L", "mg", unit.ErrIncompatible}, {"mmol/L", "count", unit.ErrIncompatible},
		{"1", "appleEffortScore", unit.ErrIncompatible}, {"%", "appleEffortScore", unit.ErrIncompatible}, {"{score}", "dBHL", unit.ErrIncompatible},
		{"[iU]", "count", unit.ErrIncompatible}, {"dB[SPL]", "dBHL", unit.ErrIncompatible}, {"mmol/mmol", "mmol<18>/mol<180>", unit.ErrIncompatible},
	} {
		if v, err := (Quantity{1, c.code}).In(mustUnit(t, c.unit), 0); !errors.Is(err, c.is) {
			t.Errorf("%s in %s: %v, %v", c.code, c.unit, v, err)
		}
	}
	if _, err := (Quantity{1, "bpm"}).In(mustUnit(t, "count/min"), 0); !errors.As(err, &syntax) {
		t.Errorf("bpm: %v", err)
	}
	if _, err := (Quantity{math.Inf(1), "m"}).In(mustUnit(t, "m"), 0); !errors.Is(err, ErrValue) {
		t.Errorf("infinite: %v", err)
	}
	for _, code := range []string{"[gal_us]", "mCel", "kat", "m[Hg]", "Ym", "[psi]", "[degF]2", "mmol/L"} {
		if v, u, err := (Quantity{1, code}).Unit(0); err == nil {
			t.Errorf("%s is %v %s", code, v, u)
		}
	}
	for _, text := range []string{"degC/min", "degF·m", "pD^2", "dBASPL/s"} {
		if q, err := Of(1, mustUnit(t, text)); !errors.As(err, &syntax) {
			t.Errorf("%s is %v, %v", text, q, err)
		}
	}
	if _, err := Of(1, unit.Unit{}); err == nil {
		t.Error("no unit can be written")
	}
	if _, err := Of(math.NaN(), mustUnit(t, "m")); !errors.Is(err, ErrValue) {
		t.Errorf("NaN: %v", err)
	}
}

// atoms of package unit and whether they take prefixes there.
func TestEveryAtomOfHealthKitHasACounterpart(t *testing.T) {
	for name, c := range counterparts {
		text := name
		if name == "mol" {
			text += "<18>"
		}
		f := mustUnit(t, text).Factors()
		if len(f) != 1 || f[0].Atom != name {
			t.Errorf("%s is %v", name, f)
		}
		if _, err := Of(1, mustUnit(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.own == !strings.HasPrefix(c.code, "{") {
			t.Errorf("%s: only annotations are of their own", name)
		}
	}
}

// unit.Exact and UCUM are two sources of the same definitions.
func TestUCUMAgreesWithTheExactConstants(t *testing.T) {
	rounded := map[string]bool{"mmHg": true, "inHg": true} // UCUM's mercury
	for name := range counterparts {
		for other := range counterparts {
			if name == "mol" || other == "mol" || rounded[name] != rounded[other] {
				continue
			}
			from, to := mustUnit(t, name), mustUnit(t, other)
			want, err := unit.Exact.Convert(12.5, from, to)
			if err != nil {
				continue
			}
			q, err := Of(12.5, from)
			if err != nil {
				t.Fatal(err)
			}
			got, err := q.In(to, 0)
			if err != nil || math.Abs(got-want) > 1e-15*math.Abs(want) {
				t.Errorf("12.5 %s are %v %s with the exact constants, in UCUM %v, %v", name, want, other, got, err)
			}
		}
	}
}

// anyUnit draws a unit that UCUM can write.
func anyUnit(t *rapid.T, words []string) unit.Unit {
	var text strings.Builder
	for i := range rapid.IntRange(1, 3).Draw(t, "factors") {
		if i > 0 {
			text.WriteByte('.')
		}
		text.WriteString(rapid.SampledFrom(words).Draw(t, "word"))
		text.WriteString(rapid.SampledFrom([]string{"", "", "^2", "^-1"}).Draw(t, "power"))
	}
	u, err := unit.Parse(text.String())
	if err != nil {
		t.Skip(err)
	}
	return u
}

func words() []string {
	list := []string{"mg", "kg", "mcg", "dL", "mL", "km", "cm", "ms", "kPa", "mcS", "mmol<180.15588000005408>", "mcmol<180.15588000005408>"}
	for name := range counterparts {
		if name != "mol" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Values of up to 15 digits come back as they were: the number in between is the
// decimal, shifted.
func TestOfAndInAreInverse(t *testing.T) {
	list := words()
	rapid.Check(t, func(t *rapid.T) {
		u := anyUnit(t, list)
		v := float64(rapid.Int64Range(-1e15, 1e15).Draw(t, "digits"))
		v /= math.Pow10(rapid.IntRange(0, 18).Draw(t, "decimals"))
		q, err := Of(v, u)
		if err != nil {
			var syntax *unit.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%v %s: %v", v, u, err)
			}
			return // degrees in a product
		}
		back, err := q.In(u, 0)
		if err != nil || back != v {
			t.Fatalf("%v %s is %v, which is %v, %v", v, u, q, back, err)
		}
		if again, found, err := q.Unit(180.15588000005408); err == nil {
			if q2, err := Of(again, found); err != nil || !must(t, q2.Code).Compatible(must(t, q.Code)) {
				t.Fatalf("%v is %v %s, which is %v, %v", q, again, found, q2, err)
			}
		}
	})
}

// The fixture is the UCUM column of spec/types.csv.
func TestEveryTypeIsWrittenInItsUCUMUnit(t *testing.T) {
	f, err := os.Open("testdata/types.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 100 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	// Codes that FHIR has instead (spec 5.2).
	fhir := map[string]string{"heartRate": "/min", "respiratoryRate": "/min", "bodyMassIndex": "kg/m2"}
	for _, row := range rows[1:] {
		typ, ok := catalog.Lookup(row[0])
		if !ok {
			t.Errorf("no type %s", row[0])
			continue
		}
		u := mustUnit(t, typ.Unit)
		plain, err := Of(0.5, u)
		if err != nil || plain.Code != row[1] {
			t.Errorf("%s: %s is written %v, %v, want %s", typ.Short(), u, plain, err, row[1])
		}
		want := row[1]
		if other, ok := fhir[typ.Short()]; ok {
			want = other
		}
		q, err := OfType(typ, 0.5, u)
		if err != nil || q.Code != want {
			t.Errorf("%s is exchanged as %v, %v, want %s", typ.Short(), q, err, want)
		}
		if v, err := q.InType(typ, u); err != nil || v != 0.5 {
			t.Errorf("%s: %v is %v %s, %v", typ.Short(), q, v, u, err)
		}
	}
}

func TestEveryQuantityTypeCanBeExchanged(t *testing.T) {
	for _, typ := range catalog.All() {
		u, err := unit.Parse(typ.Unit)
		if err != nil {
			if _, err := OfType(typ, 1, u); err == nil {
				t.Errorf("%s has no unit, but is exchanged", typ.Short())
			}
			continue
		}
		q, err := OfType(typ, 0.25, u)
		if err != nil {
			t.Errorf("%s: %v", typ.Short(), err)
			continue
		}
		if v, err := q.InType(typ, u); err != nil || v != 0.25 {
			t.Errorf("%s: %v is %v %s, %v", typ.Short(), q, v, u, err)
		}
	}
	for name := range forms {
		if typ, ok := catalog.Lookup(name); !ok || typ.Short() != name {
			t.Errorf("no type %s", name)
		}
	}
}

func TestTypesAreExchangedAsFHIRHasThem(t *testing.T) {
	for _, c := range []struct {
		typ  string
		v    float64
		unit string
		want Quantity
	}{
		{"heartRate", 1.2, "count/s", Quantity{72, "/min"}}, {"heartRate", 71, "count/min", Quantity{71, "/min"}},
		{"respiratoryRate", 0.25, "count/s", Quantity{15, "/min"}}, {"oxygenSaturation", 0.97, "%", Quantity{97, "%"}},
		{"oxygenSaturation", 0.97, "count", Quantity{97, "%"}}, {"bodyMassIndex", 23.4, "count", Quantity{23.4, "kg/m2"}},
		{"bodyMass", 150, "lb", Quantity{68.0388555, "kg"}}, {"bodyTemperature", 98.6, "degF", Quantity{37, "Cel"}},
		{"bloodPressureSystolic", 120, "mmHg", Quantity{120, "mm[Hg]"}}, {"bloodGlucose", 5.5, "mmol<180.15588000005408>/L", Quantity{99.08573400002974, "mg/dL"}},
		{"distanceCycling", 10, "mi", Quantity{16093.44, "m"}}, {"workoutEffortScore", 7, "appleEffortScore", Quantity{7, "{score}"}},
	} {
		typ, _ := catalog.Lookup(c.typ)
		if q, err := OfType(typ, c.v, mustUnit(t, c.unit)); err != nil || q != c.want {
			t.Errorf("%s of %v %s is %v, %v, want %v", c.typ, c.v, c.unit, q, err, c.want)
		}
	}
	for _, c := range []struct {
		typ  string
		q    Quantity
		unit string
		want float64
	}{
		{"bloodGlucose", Quantity{5.5, "mmol/L"}, "mg/dL", 99.085734000029744}, {"bloodGlucose", Quantity{99, "mg/dL"}, "mg/dL", 99},
		{"heartRate", Quantity{72, "{beats}/min"}, "count/min", 72}, {"bodyMassIndex", Quantity{23.4, "kg/m2"}, "count", 23.4},
		{"bodyMassIndex", Quantity{23.4, "kg.m-2"}, "count", 23.4}, {"bodyMassIndex", Quantity{23.4, "1"}, "count", 23.4},
		{"oxygenSaturation", Quantity{97, "%"}, "%", 0.97}, {"bodyMass", Quantity{150, "[lb_av]"}, "lb", 150},
	} {
		typ, _ := catalog.Lookup(c.typ)
		if v, err := c.q.InType(typ, mustUnit(t, c.unit)); err != nil || v != c.want {
			t.Errorf("%s of %v is %v %s, %v, want %v", c.typ, c.q, v, c.unit, err, c.want)
		}
	}
	pressure, _ := catalog.Lookup("bloodPressureSystolic")
	if v, err := (Quantity{120, "kg/m2"}).InType(pressure, mustUnit(t, "mmHg")); !errors.Is(err, unit.ErrIncompatible) {
		t.Errorf("a blood pressure in kg/m2: %v, %v", v, err)
	}
	if q, err := OfType(pressure, 120, mustUnit(t, "kg")); !errors.Is(err, unit.ErrIncompatible) {
		t.Errorf("a blood pressure in kg: %v, %v", q, err)
	}
}
