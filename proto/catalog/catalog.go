// Package catalog is the vocabulary of health types: their identifiers, codes,
// units, values and rules.
//
// The table is types.csv, one row a type. A type's code stands in the log, in
// the keys of the view and in grants, so codes are forever: a new type gets a
// new code, and the code of a type that goes away is not used again.
//
// Types are found by any of their names:
//
//	t, ok := catalog.Lookup("stepCount") // or StepCount, HKQuantityTypeIdentifierStepCount
//
// Values of category types too, by number or by name:
//
//	n, ok := sleep.Value("HKCategoryValueSleepAnalysisAsleepCore") // or asleepCore
//	label, ok := sleep.Label(3)                                    // "asleepCore"
//
// What other objects name by words, activities of workouts for one, stands in
// vocabularies.csv and is found by [Words]. What HealthKit's own metadata keys hold
// stands in metadata.csv and is found by [LookupMetadata].
//
// Which values of a type are plausible stands in ranges.csv.
//
// The tables follow spec/healthkit.md, sections 3, 4 and appendices A and B.
// Everything here is made once and never changes; all of it may be used from
// several goroutines.
package catalog

import (
	"slices"
	"time"
)

// Kind says what shape an object of a type has.
type Kind uint8

// The kinds of types.
const (
	Quantity Kind = iota + 1
	Category
	Correlation
	Characteristic
	Clinical
	Document
	Workout
	Series
	// Sample is a kind of its own shape: electrocardiogram, audiogram, …
	Sample
	UserAnnotated
	Summary
	Goal
	// Imported is what an importer could not read, kept as it came.
	Imported
)

var kinds = []string{"", "quantity", "category", "correlation", "characteristic", "clinical",
	"document", "workout", "series", "sample", "userAnnotated", "summary", "goal", "imported"}

// HasNumber says whether objects of the kind have a value: quantities and goals with a
// unit, categories without.
func (k Kind) HasNumber() bool { return k == Quantity || k == Category || k == Goal }

// HasDates says whether objects of the kind have dates of their own. Others stand at the epoch.
func (k Kind) HasDates() bool { return k != Characteristic && k != UserAnnotated }

// HasUnit says whether the value has a unit.
func (k Kind) HasUnit() bool { return k == Quantity || k == Goal }

// String returns the kind as it stands in types.csv.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return ""
}

// Aggregation says how the samples of a quantity type add up (spec 3.7). Types
// of other kinds have none.
type Aggregation uint8

// The aggregation styles.
const (
	NoAggregation Aggregation = iota
	// Cumulative values are summed.
	Cumulative
	// DiscreteArithmetic values have a plain mean.
	DiscreteArithmetic
	// DiscreteTemporallyWeighted values have a mean weighted by time.
	DiscreteTemporallyWeighted
	// DiscreteEquivalentContinuousLevel values are sound levels, with LAeq as their mean.
	DiscreteEquivalentContinuousLevel
)

var aggregations = []string{"", "cumulative", "discreteArithmetic", "discreteTemporallyWeighted",
	"discreteEquivalentContinuousLevel"}

// String returns the style as it stands in types.csv.
func (a Aggregation) String() string {
	if int(a) < len(aggregations) {
		return aggregations[a]
	}
	return ""
}

// Type is one row of the table. It is shared and must not be changed.
type Type struct {
	// Code is the number of the type in every format; never 0.
	Code uint32
	// Identifier is the raw identifier that HealthKit stores and exports.
	Identifier string
	Kind       Kind
	// Aggregation of a quantity type.
	Aggregation Aggregation
	// Unit is the canonical unit of a quantity type, in the grammar of package
	// unit; aggregates and statistics use it.
	Unit string
	// Values of a category type, and of the characteristics that have some.
	Vocabulary
	// ReadOnly types are written by the system only; an app may not share them.
	ReadOnly bool
	// PointOnly samples end when they start.
	PointOnly bool
	// PerObject types are granted sample by sample (spec section 1.6).
	PerObject bool
	// MaxDuration is the longest a sample may last; 0 means any.
	MaxDuration time.Duration
	// Plausible is the range of a quantity that nobody needs to wonder about; nil: any.
	Plausible *Range
	// Requires names the metadata without which a sample is refused, without
	// the prefix of either key family. See IsMetadataKey.
	Requires []string
	// Aliases are identifiers that mean this type beside its own.
	Aliases []string

	short string
}

// Range is from Min to Max in Unit, both included.
type Range struct {
	Min, Max float64
	Unit     string
}

// Short returns the name used in commands and answers: "stepCount", "vo2Max".
func (t *Type) Short() string { return t.short }

// String returns the short name.
func (t *Type) String() string { return t.short }

// Lookup returns the type with this name: its identifier, an alias, or one of
// them without its prefix, as in "StepCount" and "stepCount".
func Lookup(name string) (*Type, bool) {
	t, ok := table.byName[name]
	return t, ok
}

// LookupBytes is Lookup for a name in a buffer; it does not allocate.
func LookupBytes(name []byte) (*Type, bool) {
	t, ok := table.byName[string(name)]
	return t, ok
}

// ByCode returns the type with this code.
func ByCode(code uint32) (*Type, bool) {
	t, ok := table.byCode[code]
	return t, ok
}

// Members returns the types of which a correlation may have members, nil for other
// kinds: both blood pressures of a blood pressure, whatever is eaten of a food.
func (t *Type) Members() []*Type {
	if t.Kind != Correlation {
		return nil
	}
	return table.members[t.Code]
}

// GrantedThrough returns the type by whose grants the type is read: doses are read by whoever
// may read their medication (spec section 1.6), all others by their own.
func (t *Type) GrantedThrough() *Type {
	if t.short == "medicationDoseEvent" {
		return table.byName["userAnnotatedMedication"]
	}
	return t
}

// All returns every type, by code.
func All() []*Type { return slices.Clone(table.types) }
