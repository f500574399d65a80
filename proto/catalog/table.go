package catalog

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed types.csv
var typesCSV string

// The ranges are those of Health Connect (spec section 7.4), of the types that it has.
//
//go:embed ranges.csv
var rangesCSV string

// table is made from types.csv and ranges.csv, and only read afterwards.
var table = func() index {
	x, err := parse(typesCSV)
	if err == nil {
		err = x.setRanges(rangesCSV)
	}
	if err != nil {
		panic("catalog: " + err.Error()) // a fault of the build, not of a caller
	}
	return x
}()

type index struct {
	types  []*Type
	byCode map[uint32]*Type
	byName map[string]*Type
	// members of correlations.
	members map[uint32][]*Type
}

// header names the columns of types.csv.
//
//   - enum: the prefixes of the raw names of the values, the current one first
//   - values: name=number, the preferred name of a number first
//   - flags: readonly, point, perobject
//   - max_hours: longest duration, empty for any
//   - requires: names of mandatory metadata
var header = []string{"code", "identifier", "kind", "short", "aggregation", "unit", "enum",
	"values", "flags", "max_hours", "requires", "aliases"}

func parse(text string) (index, error) {
	rows, err := read(text, header...)
	if err != nil {
		return index{}, err
	}
	x := index{byCode: map[uint32]*Type{}, byName: map[string]*Type{}}
	for _, row := range rows {
		t, err := parseType(row)
		if err == nil {
			err = x.add(t)
		}
		if err != nil {
			return index{}, fmt.Errorf("%s: %w", row[1], err)
		}
	}
	slices.SortFunc(x.types, func(a, b *Type) int { return int(a.Code) - int(b.Code) })
	x.correlate()
	return x, nil
}

// read returns the rows of a table after its header.
func read(text string, header ...string) ([][]string, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], header) {
		return nil, fmt.Errorf("header is not %v", header)
	}
	return rows[1:], nil
}

// correlate finds the members of correlations, which share the start of their names.
func (x *index) correlate() {
	x.members = map[uint32][]*Type{}
	for name, prefix := range map[string]string{"bloodPressure": "bloodPressure", "food": "dietary"} {
		t := x.byName[name]
		for _, m := range x.types {
			if t != nil && m.Kind == Quantity && strings.HasPrefix(m.short, prefix) {
				x.members[t.Code] = append(x.members[t.Code], m)
			}
		}
	}
}

func (x *index) setRanges(text string) error {
	rows, err := read(text, "type", "min", "max", "unit")
	if err != nil {
		return err
	}
	for _, row := range rows {
		r := &Range{Unit: row[3]}
		var errMin, errMax error
		r.Min, errMin = strconv.ParseFloat(row[1], 64)
		r.Max, errMax = strconv.ParseFloat(row[2], 64)
		if errMin != nil || errMax != nil || !(r.Min < r.Max) {
			return fmt.Errorf("range of %s: %q to %q", row[0], row[1], row[2])
		}
		t := x.byName[row[0]]
		if t == nil || t.Kind != Quantity || t.Plausible != nil {
			return fmt.Errorf("range of %s: no quantity, or there twice", row[0])
		}
		t.Plausible = r
	}
	return nil
}

func (x *index) add(t *Type) error {
	if x.byCode[t.Code] != nil {
		return fmt.Errorf("code %d is taken", t.Code)
	}
	x.byCode[t.Code] = t
	x.types = append(x.types, t)
	names := map[string]bool{t.short: true}
	for _, id := range append([]string{t.Identifier}, t.Aliases...) {
		names[id] = true
		names[bare(id)] = true
		names[lowerCamel(bare(id))] = true
	}
	for name := range names {
		if x.byName[name] != nil {
			return fmt.Errorf("name %q is taken", name)
		}
		x.byName[name] = t
	}
	return nil
}

func parseType(row []string) (*Type, error) {
	code, err := strconv.ParseUint(row[0], 10, 16)
	if err != nil || code == 0 {
		return nil, fmt.Errorf("code %q is not a number from 1 to 65535", row[0])
	}
	t := &Type{
		Code: uint32(code), Identifier: row[1], short: row[3], Unit: row[5],
		Kind:        Kind(slices.Index(kinds, row[2])),
		Aggregation: Aggregation(slices.Index(aggregations, row[4])),
		Requires:    strings.Fields(row[10]), Aliases: strings.Fields(row[11]),
	}
	if t.Kind.String() != row[2] || t.Kind == 0 || t.Aggregation.String() != row[4] {
		return nil, fmt.Errorf("unknown kind %q or aggregation %q", row[2], row[4])
	}
	for _, flag := range strings.Fields(row[8]) {
		switch flag {
		case "readonly":
			t.ReadOnly = true
		case "point":
			t.PointOnly = true
		case "perobject":
			t.PerObject = true
		default:
			return nil, fmt.Errorf("unknown flag %q", flag)
		}
	}
	if row[9] != "" {
		hours, err := strconv.ParseUint(row[9], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("max_hours %q is not a number", row[9])
		}
		t.MaxDuration = time.Duration(hours) * time.Hour
	}
	values, enums := strings.Fields(row[7]), strings.Fields(row[6])
	if (len(values) == 0) != (len(enums) == 0) {
		return nil, fmt.Errorf("values and enum go together")
	}
	t.Vocabulary, err = newVocabulary(values, enums)
	return t, err
}

// bare takes HealthKit's prefixes and suffixes off an identifier.
func bare(id string) string {
	s := strings.TrimPrefix(id, "HK")
	for _, kind := range []string{"Quantity", "Category", "Correlation", "Characteristic",
		"Clinical", "Document", "ScoredAssessment", "Data"} {
		if rest, ok := strings.CutPrefix(s, kind+"TypeIdentifier"); ok {
			return rest
		}
	}
	if rest, ok := strings.CutPrefix(s, "DataType"); ok {
		return rest
	}
	return strings.TrimSuffix(strings.TrimSuffix(s, "Identifier"), "Type")
}

// lowerCamel lowers the first word: StepCount, VO2Max and UVExposure become
// stepCount, vo2Max and uvExposure.
func lowerCamel(s string) string {
	n := 0
	for n < len(s) && 'A' <= s[n] && s[n] <= 'Z' {
		n++
	}
	// The last capital of several begins the next word, unless a digit or
	// nothing follows.
	if n > 1 && n < len(s) && (s[n] < '0' || '9' < s[n]) {
		n--
	}
	return strings.ToLower(s[:n]) + s[n:]
}
