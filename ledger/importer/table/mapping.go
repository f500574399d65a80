package table

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mapping says what stands where.
type Mapping struct {
	// Columns by field: the header of the column or, where no header is called so, its
	// number from 1. Fields are Fields and "metadata." with a key.
	Columns map[string]string
	// Constants by field, for what is the same on every line.
	Constants map[string]string
	// Comma divides the columns; 0: a comma.
	Comma rune
	// Decimal is what stands before the decimals of a number, '.' or ','; 0: a point.
	Decimal byte
	// Dates is a key of DateFormats; empty: "iso".
	Dates string
	// Zone of dates without an offset; nil: UTC.
	Zone *time.Location
	// NoHeader says that the first line is data.
	NoHeader bool
}

// Fields of a sample that a column can be mapped to, beside metadata.
//
//   - value: the number of a quantity, or the number or name of a category's value
//   - label: the name of a category's value
//   - duration, instead of end: seconds, "1h30m" or "1:30:00"
//   - unit: in HealthKit's way of writing, or "percent" for numbers from 0 to 100
//   - metadata.HKFoo: text, or a number where it looks like one
var Fields = []string{"type", "start", "end", "duration", "value", "unit", "label", "uuid", "created",
	"source", "source.version", "source.productType", "source.osVersion",
	"device.name", "device.manufacturer", "device.model", "device.hardwareVersion", "device.firmwareVersion", "device.softwareVersion"}

const metadataPrefix = "metadata."

// MappingError says what is wrong with a mapping, for itself or for the file.
type MappingError struct{ Why string }

// Error returns the reason.
func (e *MappingError) Error() string { return e.Why }

func mistake(format string, args ...any) error { return &MappingError{fmt.Sprintf(format, args...)} }

func isField(name string) bool {
	key, ok := strings.CutPrefix(name, metadataPrefix)
	return ok && key != "" || slices.Contains(Fields, name)
}

// fieldStart finds where "field=" begins in a list of columns.
var fieldStart = regexp.MustCompile(`(?:^|,)((?:metadata\.[^,=]+)|[a-zA-Z.]+)=`)

// ParseColumns reads "start=Date,value=Weight, total,metadata.HKFoo=Note". Headers may have
// commas in them, but not a comma and the name of a field with "=".
func ParseColumns(text string) (map[string]string, error) {
	columns := map[string]string{}
	var starts [][]int
	for _, at := range fieldStart.FindAllStringSubmatchIndex(text, -1) {
		if isField(text[at[2]:at[3]]) {
			starts = append(starts, at)
		}
	}
	if len(starts) == 0 || starts[0][0] != 0 {
		name, _, _ := strings.Cut(text, "=")
		return nil, mistake("columns %q: %q is no field; fields are %s and %sKEY", text, name, strings.Join(Fields, ", "), metadataPrefix)
	}
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		field, header := text[at[2]:at[3]], text[at[1]:end]
		if columns[field] != "" || header == "" {
			return nil, mistake("columns %q: %s has two columns, or none", text, field)
		}
		columns[field] = header
	}
	return columns, nil
}

// check finds what is wrong with a mapping whatever the file.
func (m *Mapping) check() error {
	for _, set := range []map[string]string{m.Columns, m.Constants} {
		for _, field := range slices.Sorted(maps.Keys(set)) {
			if !isField(field) {
				return mistake("%q is no field; fields are %s and %sKEY", field, strings.Join(Fields, ", "), metadataPrefix)
			}
			if m.Columns[field] != "" && m.Constants[field] != "" {
				return mistake("%s is a column and a constant", field)
			}
		}
	}
	has := func(field string) bool { return m.Columns[field] != "" || m.Constants[field] != "" }
	switch {
	case !has("type"):
		return mistake("the type is missing: give one, or name its column")
	case m.Columns["start"] == "":
		return mistake("no column has the start")
	case !has("value") && !has("label"):
		return mistake("no column has the value or the label")
	case has("end") && has("duration"):
		return mistake("there is an end and a duration: one of them is enough")
	case m.Decimal != 0 && m.Decimal != '.' && m.Decimal != ',':
		return mistake("decimals follow a point or a comma, not %q", m.Decimal)
	}
	if _, ok := DateFormats[m.dates()]; !ok {
		return mistake("no date format %q: %s", m.Dates, strings.Join(dateFormatNames(), ", "))
	}
	return nil
}

func (m *Mapping) dates() string {
	if m.Dates == "" {
		return "iso"
	}
	return m.Dates
}

// column finds a column by its header, or by its number.
func column(name string, header []string, count int) (int, error) {
	switch at := slices.Index(header, name); {
	case at >= 0 && slices.Contains(header[at+1:], name):
		return 0, mistake("two columns are called %q: give the number of one", name)
	case at >= 0:
		return at, nil
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		if header == nil {
			return 0, mistake("column %q: without a header, columns have numbers", name)
		}
		return 0, mistake("no column is called %q; there are %q", name, header)
	}
	if n < 1 || n > count {
		return 0, mistake("no column %d: there are %d", n, count)
	}
	return n - 1, nil
}
