package ucum

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"

	"healthledger/proto/unit"
)

// Quantity is a number with a UCUM code, as FHIR's Quantity carries them.
type Quantity struct {
	Value float64
	Code  string
}

// counterpart says how a HealthKit atom is written in UCUM.
type counterpart struct {
	code string // "" for a count, which is written only where nothing else is
	// times is how many of it one of HealthKit's are; 0 stands for 1.
	times int64
	// own is a number of its own kind in HealthKit and just a number in UCUM.
	own bool
}

const count = "{count}"

// counterparts of the atoms of package unit (spec 5.2).
var counterparts = map[string]counterpart{
	"s": {code: "s"}, "min": {code: "min"}, "hr": {code: "h"}, "d": {code: "d"}, "Hz": {code: "Hz"},
	"count": {}, "%": {code: "%", times: 100}, "IU": {code: "[iU]"}, "appleEffortScore": {code: "{score}", own: true},
	"J": {code: "J"}, "cal": {code: "cal"}, "kcal": {code: "kcal"}, "Cal": {code: "[Cal]"}, "W": {code: "W"},
	"m": {code: "m"}, "in": {code: "[in_i]"}, "ft": {code: "[ft_i]"}, "yd": {code: "[yd_i]"}, "mi": {code: "[mi_i]"},
	"L": {code: "L"}, "fl_oz_us": {code: "[foz_us]"}, "fl_oz_imp": {code: "[foz_br]"}, "pt_us": {code: "[pt_us]"},
	"pt_imp": {code: "[pt_br]"}, "cup_us": {code: "[cup_us]"}, "cup_imp": {code: "[foz_br]", times: 10},
	"g": {code: "g"}, "mol": {code: "mol"}, "oz": {code: "[oz_av]"}, "lb": {code: "[lb_av]"}, "st": {code: "[stone_av]"},
	"Pa": {code: "Pa"}, "mmHg": {code: "mm[Hg]"}, "inHg": {code: "[in_i'Hg]"}, "cmAq": {code: "cm[H2O]"}, "atm": {code: "atm"},
	"dBASPL": {code: "dB[SPL]"}, "dBHL": {code: "{dB(HL)}", own: true},
	"K": {code: "K"}, "degC": {code: "Cel"}, "degF": {code: "[degF]"},
	"S": {code: "S"}, "V": {code: "V"}, "lx": {code: "lx"}, "rad": {code: "rad"}, "deg": {code: "deg"},
	"D": {code: "[diop]"}, "pD": {code: "[p'diop]"},
}

// written is a HealthKit unit in UCUM: a value times the factor goes with the code.
type written struct {
	code   string
	factor *big.Rat
	// molarMass of the unit's moles in grams, 0 if it has none.
	molarMass float64
	// strict says that HealthKit tells the unit from others that UCUM takes for the
	// same: only the code itself may be read as it.
	strict bool
}

// write puts the powers below the slash into parentheses if there are several. They
// stand in reverse, mass before time, which is how FHIR's own examples have them.
func write(u unit.Unit) (written, error) {
	if u.IsZero() {
		return written{}, errors.New("there is no unit")
	}
	w := written{factor: big.NewRat(1, 1)}
	var above, below []string
	for _, f := range u.Factors() {
		c := counterparts[f.Atom]
		if f.MolarMass != 0 {
			w.strict = w.strict || w.molarMass != 0 && w.molarMass != f.MolarMass
			w.molarMass = f.MolarMass
		}
		w.strict = w.strict || c.own
		c.multiply(w.factor, f.Power)
		switch {
		case c.code == "":
		case f.Power > 0:
			above = append(above, factor(f, c.code, f.Power))
		default:
			below = append([]string{factor(f, c.code, -f.Power)}, below...)
		}
	}
	w.code = strings.Join(above, ".")
	switch {
	case len(below) == 1:
		w.code += "/" + below[0]
	case len(below) > 1:
		w.code += "/(" + strings.Join(below, ".") + ")"
	case w.code == "":
		w.code = count
	}
	if _, err := Parse(w.code); err != nil {
		return written{}, fmt.Errorf("unit %q cannot be written in UCUM: %w", u, err)
	}
	return w, nil
}

func factor(f unit.Factor, code string, power int) string {
	if f.Prefix == "mc" {
		f.Prefix = "u"
	}
	if code = f.Prefix + code; power != 1 {
		code += strconv.Itoa(power)
	}
	return code
}

// multiply takes times to a power into the factor.
func (c counterpart) multiply(factor *big.Rat, power int) {
	times := big.NewRat(max(c.times, 1), 1)
	if power < 0 {
		times.Inv(times)
	}
	for range max(power, -power) {
		factor.Mul(factor, times)
	}
}

// Of writes v, given in u, in UCUM: in the same unit, whatever that does to the
// number. 0.98 % become 98 %, 70 count/min become 70 /min. Molar masses are left out.
// It fails for values that are not finite and for units that UCUM cannot write: no
// unit, and degrees inside a product.
func Of(v float64, u unit.Unit) (Quantity, error) {
	w, err := write(u)
	if err != nil {
		return Quantity{}, err
	}
	return w.quantity(v)
}

func (w written) quantity(v float64) (Quantity, error) {
	x, err := decimal(v)
	if err != nil {
		return Quantity{}, err
	}
	if v, err = rounded(x.Mul(x, w.factor)); err != nil {
		return Quantity{}, err
	}
	return Quantity{v, w.code}, nil
}

// ErrMolarMass is wrapped by the errors for amounts of substance that should become
// masses, or the reverse, of a substance that nobody named.
var ErrMolarMass = errors.New("the molar mass is not known")

// In expresses the quantity in u: {98, "%"} is 0.98 of HealthKit's %. The molar mass, in
// grams per mole, leads from mmol/L to mg/dL and back; where u has its own, that
// counts, and 0 means none. It fails with a *unit.SyntaxError, unit.ErrIncompatible,
// ErrMolarMass or ErrValue.
func (q Quantity) In(u unit.Unit, molarMass float64) (float64, error) {
	w, err := write(u)
	if err != nil {
		return 0, err
	}
	return q.in(w, molarMass)
}

func (q Quantity) in(w written, molarMass float64) (float64, error) {
	from, err := Parse(q.Code)
	if err != nil {
		return 0, err
	}
	if w.strict && q.Code != w.code {
		return 0, fmt.Errorf("convert %q: %w: only %q will do", q.Code, unit.ErrIncompatible, w.code)
	}
	to, err := Parse(w.code)
	if err != nil {
		return 0, err
	}
	if w.molarMass != 0 {
		molarMass = w.molarMass
	}
	if err := from.weigh(to, molarMass); err != nil {
		return 0, err
	}
	// A value in the code times the factor: that many of HealthKit's unit.
	to.size.Mul(to.size, w.factor)
	return Convert(q.Value, from, to)
}

const (
	mole = "mol"
	gram = "g"
)

// weigh makes moles into grams, or the reverse, where that makes u compatible with v.
func (u *Unit) weigh(v Unit, molarMass float64) error {
	moles := u.bases[mole] - v.bases[mole]
	if moles == 0 {
		return nil
	}
	weighed := maps.Clone(u.bases)
	weighed[mole] -= moles
	weighed[gram] += moles
	maps.DeleteFunc(weighed, isZero)
	if !maps.Equal(weighed, v.bases) {
		return nil
	}
	m, err := decimal(molarMass)
	if err != nil || molarMass <= 0 {
		return fmt.Errorf("convert %q to %q: %w", u, v, ErrMolarMass)
	}
	if moles < 0 {
		m.Inv(m)
	}
	for range max(moles, -moles) {
		u.size.Mul(u.size, m)
	}
	u.bases = weighed
	return nil
}

// Unit expresses the quantity in HealthKit's spelling of its own unit: {150, "[lb_av]"}
// is 150 lb, {72, "/min"} is 72 count/min, {98, "%"} is 0.98 %. Moles get the molar mass
// given, in grams. It fails with a *unit.SyntaxError or ErrValue, with ErrMolarMass, or if
// HealthKit has no such unit; In converts those.
func (q Quantity) Unit(molarMass float64) (float64, unit.Unit, error) {
	from, err := Parse(q.Code)
	if err != nil {
		return 0, unit.Unit{}, err
	}
	text, factor, err := healthKit(from, q.Code, molarMass)
	if err != nil {
		return 0, unit.Unit{}, err
	}
	u, err := unit.Parse(text)
	if err != nil {
		return 0, unit.Unit{}, fmt.Errorf("UCUM code %q has no counterpart in HealthKit: %w", q.Code, err)
	}
	x, err := decimal(q.Value)
	if err != nil {
		return 0, unit.Unit{}, err
	}
	v, err := rounded(x.Mul(x, factor))
	return v, u, err
}

// atomsByCode leads from UCUM's symbols to HealthKit's atoms.
var atomsByCode = func() map[string]string {
	names := map[string]string{}
	for name, c := range counterparts {
		if name != "cup_imp" { // which would be many of another atom
			names[c.code] = name
		}
	}
	names["l"], names["[IU]"] = "L", "IU"
	return names
}()

// healthKit spells a unit for package unit. A value times the factor goes with it.
func healthKit(u Unit, code string, molarMass float64) (text string, factor *big.Rat, err error) {
	if name, ok := atomsByCode[code]; ok && counterparts[name].own {
		return name, big.NewRat(1, 1), nil
	}
	factor = new(big.Rat).Set(u.number)
	var factors []string
	rate := true // nothing above the slash
	for _, p := range u.parts {
		prefix, name := p.prefix, atomsByCode[p.atom.code]
		if whole, ok := atomsByCode[p.prefix+p.atom.code]; ok {
			prefix, name = "", whole
		}
		if name == "" {
			return "", nil, fmt.Errorf("UCUM code %q: HealthKit has no %q", code, p.prefix+p.atom.code)
		}
		if prefix == "u" {
			prefix = "mc"
		}
		if name == "mol" {
			if molarMass <= 0 {
				return "", nil, fmt.Errorf("UCUM code %q: %w", code, ErrMolarMass)
			}
			name += "<" + strconv.FormatFloat(molarMass, 'f', -1, 64) + ">"
		}
		counterparts[name].multiply(factor, -p.power)
		rate = rate && p.power < 0
		factors = append(factors, prefix+name+"^"+strconv.Itoa(p.power))
	}
	if rate {
		factors = append(factors, "count")
	}
	return strings.Join(factors, "."), factor, nil
}
