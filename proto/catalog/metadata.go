package catalog

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ValueType says what kind of value a predefined metadata key takes (spec 3.4).
type ValueType uint8

// The types of metadata values.
const (
	Text ValueType = iota + 1
	Number
	Date
	// Boolean is a number, 0 or 1.
	Boolean
	// Enum is the number of one of the key's values.
	Enum
	// Measure is a quantity in a unit compatible with the key's.
	Measure
)

var valueTypes = []string{"", "text", "number", "date", "boolean", "enum", "quantity"}

// String returns the type as it stands in metadata.csv.
func (v ValueType) String() string {
	if int(v) < len(valueTypes) {
		return valueTypes[v]
	}
	return ""
}

// MetadataKey is a key that HealthKit predefines. It is shared and must not be changed.
type MetadataKey struct {
	// Name without the prefix of either family of raw keys.
	Name string
	Type ValueType
	// Unit that a Measure is compatible with; empty: that of the sample.
	Unit string
	// Values of an Enum.
	*Vocabulary
}

//go:embed metadata.csv
var metadataCSV string

// metadataKeys is made from metadata.csv, by name, and only read afterwards.
var metadataKeys = func() map[string]*MetadataKey {
	keys, err := parseMetadata(metadataCSV)
	if err != nil {
		panic("catalog: metadata.csv: " + err.Error()) // a fault of the build, not of a caller
	}
	return keys
}()

func parseMetadata(text string) (map[string]*MetadataKey, error) {
	rows, err := read(text, "name", "type", "unit", "values")
	if err != nil {
		return nil, err
	}
	keys := map[string]*MetadataKey{}
	for _, row := range rows {
		k := &MetadataKey{Name: row[0], Type: ValueType(slices.Index(valueTypes, row[1])), Unit: row[2]}
		if k.Type.String() != row[1] || k.Type == 0 || k.Name == "" || keys[k.Name] != nil {
			return nil, fmt.Errorf("%s: it is there twice, or of an unknown type %q", row[0], row[1])
		}
		if (k.Type == Enum) != (row[3] != "") || k.Unit != "" && k.Type != Measure {
			return nil, fmt.Errorf("%s: values go with an enum, a unit with a quantity", row[0])
		}
		if k.Vocabulary, err = metadataValues(row[3]); err != nil {
			return nil, fmt.Errorf("%s: %w", row[0], err)
		}
		keys[k.Name] = k
	}
	return keys, nil
}

// metadataValues reads "name=number …", or the name of a vocabulary.
func metadataValues(text string) (*Vocabulary, error) {
	if v, ok := vocabularies[text]; ok {
		return v, nil
	}
	v, err := newVocabulary(strings.Fields(text), nil)
	return &v, err
}

// LookupMetadata returns the predefined key with this raw form, of either of the two
// families (spec 3.4): "HKTimeZone" and "HKMetadataKeyTimeZone" are both "TimeZone".
func LookupMetadata(key string) (*MetadataKey, bool) {
	rest, ok := strings.CutPrefix(key, "HK")
	if !ok {
		return nil, false
	}
	k, ok := metadataKeys[strings.TrimPrefix(rest, "MetadataKey")]
	return k, ok
}

// MetadataKeys returns every predefined key, by name.
func MetadataKeys() []*MetadataKey {
	return slices.SortedFunc(maps.Values(metadataKeys), func(a, b *MetadataKey) int { return strings.Compare(a.Name, b.Name) })
}

// IsMetadataKey says whether key is the metadata key with this name in either family.
func IsMetadataKey(key, name string) bool {
	rest, ok := strings.CutPrefix(key, "HK")
	if !ok {
		return false
	}
	return rest == name || strings.TrimPrefix(rest, "MetadataKey") == name
}
