package unit

import "math"

// dimension counts the exponents of the base quantities.
type dimension [14]int8

const (
	length = iota
	mass
	duration
	temperatureDim
	current
	counting
	angle
	illuminance
	international
	soundPressure
	hearing
	effort
	dioptre
	prism
)

// atom is a unit without a prefix.
type atom struct {
	name   string
	dim    dimension
	apple  scale // den 0 stands for 1
	exact  scale // num 0 stands for Apple's, which is exact then
	temp   temperature
	si     bool // takes prefixes
	solute bool // needs a molar mass
}

// scale returns the size of the atom with a set of constants.
func (a *atom) scale(c Constants) scale {
	s := a.apple
	if c == Exact && a.exact.num != 0 {
		s = a.exact
	}
	s.den = max(s.den, 1)
	return s
}

func dim(pairs ...int8) (d dimension) {
	for i := 0; i < len(pairs); i += 2 {
		d[pairs[i]] = pairs[i+1]
	}
	return d
}

var (
	volume   = dim(length, 3)
	pressure = dim(mass, 1, length, -1, duration, -2)
	energy   = dim(mass, 1, length, 2, duration, -2)
	power    = dim(mass, 1, length, 2, duration, -3)
)

// atoms in the order in which they are printed inside a product: time before
// mass, as in HealthKit's "kcal/hr·kg" and "mL/min·kg". Sizes are in m, kg, s, K,
// A: Apple's constants (spec 5.2), and beside the rounded ones the exact. A degree
// is exact as far as the float64 next to π is.
var atoms = []atom{
	{name: "s", dim: dim(duration, 1), apple: scale{num: 1}, si: true},
	{name: "min", dim: dim(duration, 1), apple: scale{num: 60}},
	{name: "hr", dim: dim(duration, 1), apple: scale{num: 3600}},
	{name: "d", dim: dim(duration, 1), apple: scale{num: 86400}},
	{name: "Hz", dim: dim(duration, -1), apple: scale{num: 1}, si: true},

	{name: "count", dim: dim(counting, 1), apple: scale{num: 1}},
	{name: "%", dim: dim(counting, 1), apple: scale{num: 1}}, // a fraction, see the package comment
	{name: "IU", dim: dim(international, 1), apple: scale{num: 1}},
	{name: "appleEffortScore", dim: dim(effort, 1), apple: scale{num: 1}},

	{name: "J", dim: energy, apple: scale{num: 1}, si: true},
	{name: "cal", dim: energy, apple: scale{num: 4184, exponent: -3}},
	{name: "kcal", dim: energy, apple: scale{num: 4184}},
	{name: "Cal", dim: energy, apple: scale{num: 4184}},
	{name: "W", dim: power, apple: scale{num: 1}, si: true},

	{name: "m", dim: dim(length, 1), apple: scale{num: 1}, si: true},
	{name: "in", dim: dim(length, 1), apple: scale{num: 254, exponent: -4}},
	{name: "ft", dim: dim(length, 1), apple: scale{num: 3048, exponent: -4}},
	{name: "yd", dim: dim(length, 1), apple: scale{num: 9144, exponent: -4}},
	{name: "mi", dim: dim(length, 1), apple: scale{num: 160934, exponent: -2}, exact: scale{num: 1609344, exponent: -3}},

	{name: "L", dim: volume, apple: scale{num: 1, exponent: -3}, si: true},
	{name: "fl_oz_us", dim: volume, apple: scale{num: 295735295625, exponent: -16}},
	{name: "fl_oz_imp", dim: volume, apple: scale{num: 284130625, exponent: -13}},
	{name: "pt_us", dim: volume, apple: scale{num: 473176473, exponent: -12}},
	{name: "pt_imp", dim: volume, apple: scale{num: 56826125, exponent: -11}},
	{name: "cup_us", dim: volume, apple: scale{num: 2365882365, exponent: -13}},
	{name: "cup_imp", dim: volume, apple: scale{num: 284130625, exponent: -12}},

	{name: "g", dim: dim(mass, 1), apple: scale{num: 1, exponent: -3}, si: true},
	{name: "mol", dim: dim(mass, 1), apple: scale{num: 1, exponent: -3}, si: true, solute: true},
	{name: "oz", dim: dim(mass, 1), apple: scale{num: 283495, exponent: -7}, exact: scale{num: 28349523125, exponent: -12}},
	{name: "lb", dim: dim(mass, 1), apple: scale{num: 453592, exponent: -6}, exact: scale{num: 45359237, exponent: -8}},
	{name: "st", dim: dim(mass, 1), apple: scale{num: 635, exponent: -2}, exact: scale{num: 635029318, exponent: -8}},

	{name: "Pa", dim: pressure, apple: scale{num: 1}, si: true},
	{name: "mmHg", dim: pressure, apple: scale{num: 1333224, exponent: -4}, exact: scale{num: 133322387415, exponent: -9}},
	{name: "inHg", dim: pressure, apple: scale{num: 338638, exponent: -2}, exact: scale{num: 3386388640341, exponent: -9}},
	{name: "cmAq", dim: pressure, apple: scale{num: 980665, exponent: -4}},
	{name: "atm", dim: pressure, apple: scale{num: 101325}},
	{name: "dBASPL", dim: dim(soundPressure, 1), apple: scale{num: 1}},
	{name: "dBHL", dim: dim(hearing, 1), apple: scale{num: 1}},

	{name: "K", dim: dim(temperatureDim, 1), apple: scale{num: 1}, si: true},
	{name: "degC", dim: dim(temperatureDim, 1), apple: scale{num: 1}, temp: temperature{100, 27315}},
	{name: "degF", dim: dim(temperatureDim, 1), apple: scale{num: 5, den: 9}, temp: temperature{180, 45967}},

	{name: "S", dim: dim(mass, -1, length, -2, duration, 3, current, 2), apple: scale{num: 1}, si: true},
	{name: "V", dim: dim(mass, 1, length, 2, duration, -3, current, -1), apple: scale{num: 1}, si: true},
	{name: "lx", dim: dim(illuminance, 1), apple: scale{num: 1}, si: true},
	{name: "rad", dim: dim(angle, 1), apple: scale{num: 1}, si: true},
	{name: "deg", dim: dim(angle, 1), apple: scale{num: math.Pi, den: 180}},
	{name: "D", dim: dim(dioptre, 1), apple: scale{num: 1}},
	{name: "pD", dim: dim(prism, 1), apple: scale{num: 1}},
}

// spellings that mean an atom of another name.
var spellings = map[string]string{"l": "L"}

// prefixes, how they are printed, and their powers of ten. Micro is also read as
// U+00B5, which Apple's own ECG files have, as the letter U+03BC that keyboards and
// Unicode's normal forms make of it, and as u.
var prefixes = []struct {
	name, text string
	power      int
}{{"f", "f", -15}, {"p", "p", -12}, {"n", "n", -9}, {"mc", "mc", -6}, {"µ", "mc", -6}, {"μ", "mc", -6}, {"u", "mc", -6},
	{"m", "m", -3}, {"c", "c", -2}, {"d", "d", -1}, {"da", "da", 1},
	{"h", "h", 2}, {"k", "k", 3}, {"M", "M", 6}, {"G", "G", 9}, {"T", "T", 12}}

// symbol is an atom with its prefix, as a word stands for it.
type symbol struct {
	rank  int // position in atoms
	power int
	text  string
}

// symbols holds every word that is an atom, with every prefix it takes. A word
// that reads both ways ("min", "cd", "pD") is the atom without a prefix.
var symbols = func() map[string]symbol {
	words := map[string]symbol{}
	for rank, a := range atoms {
		words[a.name] = symbol{rank, 0, a.name}
	}
	alone := func(word string) bool { _, ok := words[word]; return ok }
	for rank, a := range atoms {
		if !a.si {
			continue
		}
		for _, p := range prefixes {
			if word := p.name + a.name; !alone(word) {
				words[word] = symbol{rank, p.power, p.text + a.name}
			}
		}
	}
	for other, name := range spellings {
		words[other] = words[name]
		for _, p := range prefixes {
			words[p.name+other] = words[p.name+name]
		}
	}
	return words
}()
