package catalog

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Value is a name of one value. Two names may have the same number; the first one is
// what Label returns.
type Value struct {
	Name   string
	Number int
}

// Vocabulary is a fixed set of values that have names and numbers. The zero Vocabulary
// is empty.
type Vocabulary struct {
	Values []Value

	numbers map[string]int
	labels  map[int]string
	// prefix of the raw names in use.
	prefix string
}

// Value returns the number of the value with this name: "asleepCore",
// "AsleepCore" or "HKCategoryValueSleepAnalysisAsleepCore", in any spelling
// HealthKit has ever exported.
func (v *Vocabulary) Value(name string) (int, bool) {
	n, ok := v.numbers[name]
	return n, ok
}

// ValueBytes is Value for a name in a buffer; it does not allocate.
func (v *Vocabulary) ValueBytes(name []byte) (int, bool) {
	n, ok := v.numbers[string(name)]
	return n, ok
}

// Label returns the name of the value with this number: "asleepCore". It is
// false for numbers that are none of the vocabulary.
func (v *Vocabulary) Label(number int) (string, bool) {
	l, ok := v.labels[number]
	return l, ok
}

// RawName returns the name by which HealthKit exports the value with this number:
// "HKCategoryValueSleepAnalysisAsleepCore". It is false for numbers that are none of the
// vocabulary.
func (v *Vocabulary) RawName(number int) (string, bool) {
	l, ok := v.labels[number]
	if !ok {
		return "", false
	}
	return v.prefix + upperFirst(l), true
}

func upperFirst(name string) string { return string(unicode.ToUpper(rune(name[0]))) + name[1:] }

// Word returns the name of a value in its usual form, given in any spelling or as its
// number: "running" for "HKWorkoutActivityTypeRunning", "Running" and "37".
func (v *Vocabulary) Word(text string) (string, bool) {
	n, ok := v.numbers[text]
	if !ok {
		var err error
		if n, err = strconv.Atoi(text); err != nil || strconv.Itoa(n) != text {
			return "", false
		}
	}
	return v.Label(n)
}

// newVocabulary reads "name=number …"; prefixes are those of the raw names.
func newVocabulary(pairs, prefixes []string) (Vocabulary, error) {
	v := Vocabulary{numbers: map[string]int{}, labels: map[int]string{}}
	if len(prefixes) > 0 {
		v.prefix = prefixes[0]
	}
	for _, pair := range pairs {
		name, digits, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(digits)
		if err != nil || name == "" {
			return v, fmt.Errorf("value %q is not name=number", pair)
		}
		v.Values = append(v.Values, Value{name, n})
		if _, ok := v.labels[n]; !ok {
			v.labels[n] = name
		}
		upper := upperFirst(name)
		v.numbers[name], v.numbers[upper] = n, n
		for _, prefix := range prefixes {
			v.numbers[prefix+upper] = n
		}
	}
	return v, nil
}

//go:embed vocabularies.csv
var vocabulariesCSV string

// vocabularies is made from vocabularies.csv and only read afterwards.
var vocabularies = func() map[string]*Vocabulary {
	all, err := parseVocabularies(vocabulariesCSV)
	if err != nil {
		panic("catalog: vocabularies.csv: " + err.Error()) // a fault of the build, not of a caller
	}
	return all
}()

func parseVocabularies(text string) (map[string]*Vocabulary, error) {
	rows, err := read(text, "vocabulary", "prefix", "values")
	if err != nil {
		return nil, err
	}
	all := map[string]*Vocabulary{}
	for _, row := range rows {
		v, err := newVocabulary(strings.Fields(row[2]), strings.Fields(row[1]))
		if err == nil && all[row[0]] != nil {
			err = fmt.Errorf("it is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row[0], err)
		}
		all[row[0]] = &v
	}
	return all, nil
}

// Words returns the vocabulary with this name: "workoutActivity", "workoutEvent",
// "stateOfMindKind", "stateOfMindLabel", "stateOfMindAssociation", "ecgClassification",
// "ecgSymptoms", "ecgLead", "ear", "assessmentAnswer", "gad7Risk", "phq9Risk",
// "visionPrescription", "doseStatus" or "doseSchedule". It panics for any other: the
// names are constants of the program.
func Words(name string) *Vocabulary {
	v, ok := vocabularies[name]
	if !ok {
		panic("catalog: no vocabulary " + name)
	}
	return v
}

// Vocabularies returns the names that Words takes, in order.
func Vocabularies() []string { return slices.Sorted(maps.Keys(vocabularies)) }
