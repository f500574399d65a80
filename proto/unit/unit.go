// Package unit parses, prints and converts HealthKit's units.
//
// The grammar is Apple's (spec/healthkit.md, section 5.1):
//
//	unit    = product [ "/" product ]                  one slash, it binds last
//	product = factor { ("·" | "." | "*") factor }
//	factor  = ( atom | "(" unit ")" ) [ "^" ["-"] digit ]
//	atom    = [ prefix ] ( "g" | "m" | "L" | "mol<180.15588>" | … ) | "count" | "mi" | …
//
// kg/m.s^2 is therefore kg/(m·s^2). Prefixes, from femto to tera, go with SI units
// only. A mole needs its molar mass in grams, which makes it a mass. Kinds of numbers
// that nothing converts between are dimensions of their own: counts, IU, dBASPL, dBHL,
// effort scores, angles, dioptres. No unit at all, "", is an error and compatible with
// nothing.
//
// Parse takes more than HealthKit does. Apple's own API refuses every micro but "mc",
// while its ECG files and other apps' exports have U+00B5, U+03BC or u: µg and ug are
// read, and printed mcg. The multiplication sign may also be U+22C5. Spaces, plain or
// no-break, are not taken: no export has them inside a unit.
//
// Factors are Apple's, so that a value converted here is the value HealthKit would
// give, or the exact ones, as the caller wants: see Constants. Package ucum turns
// quantities into UCUM's and back.
//
// Percent follows HealthKit's convention: the number that goes with "%" is a
// fraction, 0.98 for ninety-eight percent, so that 0.98 % equals 0.98 count.
package unit

import "strings"

// Unit is a parsed unit. Units are values and may be compared: two are equal
// if they print alike, whatever the order and spelling they were parsed from.
// The zero Unit is no unit and compatible with nothing, not even with itself.
type Unit struct {
	text   string
	dim    dimension
	scales [sets]scale
	temp   temperature
}

// String returns the print form: factors in a fixed order, a middle dot
// between them, one slash: "mL/min·kg". Parse gives the same Unit back.
func (u Unit) String() string { return u.text }

// IsZero says whether u is no unit at all.
func (u Unit) IsZero() bool { return u.text == "" }

// Compatible says whether values convert between the two units.
func (u Unit) Compatible(v Unit) bool {
	return u.text != "" && v.text != "" && u.dim == v.dim
}

// Factor is one part of a unit: an atom with its prefix, to a power.
type Factor struct {
	// Prefix is "" or one that String prints, such as "k" or "mc".
	Prefix, Atom string
	// MolarMass of a mole in grams, 0 for other atoms.
	MolarMass float64
	// Power is not 0.
	Power int
}

// Factors returns the parts that String prints, in their order; for no unit none.
func (u Unit) Factors() []Factor {
	factors := u.factors()
	parts := make([]Factor, len(factors))
	for i, f := range factors {
		name := atoms[f.rank].name
		parts[i] = Factor{strings.TrimSuffix(f.text, name), name, f.molar, f.power}
	}
	return parts
}

// factors reads the unit's own text again, rather than make units uncomparable
// by keeping them.
func (u Unit) factors() []factor {
	if u.text == "" {
		return nil
	}
	p := parser{text: u.text}
	factors, err := p.unit(0)
	if err != nil {
		panic("unit: a unit's own text does not parse: " + err.Error())
	}
	return factors
}
