// Package ucum speaks the Unified Code for Units of Measure, the units of FHIR:
// it checks codes, converts between them, and turns HealthKit's quantities into
// UCUM's and back.
//
// Values and units travel together, because some values change with the code:
// HealthKit's 0.98 % is UCUM's 98 %, and its mmol<180.15588000005408>/L is mmol/L,
// where the molar mass has to come from elsewhere. See Of, OfType and Quantity:
//
//	q, err := ucum.OfType(heartRate, 1.2, countPerSecond) // {72, "/min"}
//	v, err := ucum.Quantity{5.5, "mmol/L"}.InType(bloodGlucose, mgPerDL)
//
// Parse takes UCUM's case-sensitive codes as version 2.2 has them, with annotations,
// powers and the prefixes from yocto to yotta. "/" and "." are done from left to
// right, as UCUM says, unlike in HealthKit. What there is less than in UCUM, or
// otherwise:
//
//   - The units are the 181 that health data has, see atoms.csv; the others, such as
//     printers' points, parsecs, bytes and homeopathic potencies, are refused by name.
//   - Units on a logarithm or another curve (Np, B, B[SPL], B[V], B[mV], B[uV], [pH],
//     [p'diop]) take prefixes and annotations, and convert to themselves only: dB[SPL]
//     to B[SPL], never to Pa.
//   - Those and Cel and [degF] stand alone, without powers, numbers and other units
//     beside them.
//   - mol is a base unit. UCUM makes it a number, 6.02214076·10^23, by which 1 mmol/L
//     would be 6.02214076·10^20 things per liter.
//   - An arbitrary unit converts to itself only ([IU] is another way to write [iU]).
//   - A code may have 255 bytes, 64 parts, 8 levels of parentheses, and powers to 99.
//
// The codes and their definitions are UCUM's, see NOTICE. Its mercury is rounded:
// mm[Hg] is 133.322 Pa, where unit.Exact has 133.322387415.
package ucum

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strconv"

	"healthledger/proto/unit"
)

// Unit is a parsed UCUM code. The zero Unit is not valid; the unity is Parse("").
type Unit struct {
	code string
	name string
	// size in base units, and for Cel, [degF] and [degRe] the kelvins at 0.
	size, zero *big.Rat
	// bases holds the power of each base unit, none of them 0.
	bases map[string]int
	// parts are the units as written, numbers apart: number times the parts is the unit.
	parts  []part
	number *big.Rat
}

// part is an atom with its prefix and power.
type part struct {
	prefix string
	atom   *atom
	power  int
}

// String returns the code.
func (u Unit) String() string { return u.code }

// Name returns the unit in words, as UCUM's functional tests want it:
// "(meter ^ 3) * (kilogram ^ -1)".
func (u Unit) Name() string {
	if u.name == "" {
		return "(unity)"
	}
	return u.name
}

// Compatible says whether values convert between the two units.
func (u Unit) Compatible(v Unit) bool { return maps.Equal(u.bases, v.bases) }

// Convert expresses v, given in from, in to. It reads v as the shortest decimal that
// stands for it, computes exactly, and rounds once. It fails with unit.ErrIncompatible,
// or if v or the result is not a finite float64.
func Convert(v float64, from, to Unit) (float64, error) {
	if !from.Compatible(to) {
		return 0, fmt.Errorf("convert %q to %q: %w", from, to, unit.ErrIncompatible)
	}
	x, err := decimal(v)
	if err != nil {
		return 0, err
	}
	x.Mul(x, from.size)
	if from.zero != nil {
		x.Add(x, from.zero)
	}
	if to.zero != nil {
		x.Sub(x, to.zero)
	}
	return rounded(x.Quo(x, to.size))
}

// ErrValue is wrapped by the errors for values that are not finite, or would not be.
var ErrValue = errors.New("the value is not a finite number")

func decimal(v float64) (*big.Rat, error) {
	x, ok := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
	if !ok {
		return nil, ErrValue
	}
	return x, nil
}

func rounded(x *big.Rat) (float64, error) {
	v, _ := x.Float64()
	if v-v != 0 {
		return 0, ErrValue
	}
	return v, nil
}
