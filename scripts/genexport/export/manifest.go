package export

// Manifest says what an export contains.
type Manifest struct {
	Seed uint64 `json:"seed"`
	// Zone whose midnights separate the days below.
	Zone string `json:"zone"`
	// First and last day with data, "2006-01-02".
	First string `json:"first"`
	Last  string `json:"last"`
	// Bytes of XML.
	Bytes int64 `json:"bytes"`
	// Records is the number of Record elements at the top level.
	Records uint64 `json:"records"`
	// Nested is the number of Record elements inside correlations; each of them also
	// stands at the top level.
	Nested uint64 `json:"nested"`
	// Unusable counts records at the top level that an importer cannot take, by why:
	// "type" (none that exists), "value" (absent or no number), "date" (end before
	// start), "unit" (absent).
	Unusable map[string]uint64 `json:"unusable,omitempty"`
	// Replaced is the number of characters that XML 1.0 does not allow.
	Replaced uint64 `json:"replaced"`
	// OddAttributes is the number of attributes whose name has a space, all of records.
	OddAttributes uint64 `json:"oddAttributes"`
	// Objects counts what is no record by the type it becomes, members apart: "workout",
	// "workoutRoute", "bloodPressure", "conditionRecord", …
	Objects map[string]uint64 `json:"objects"`
	// Points of all routes, Voltages of all electrocardiograms, and Bytes of all clinical
	// resources and documents, where there is an archive.
	Points   uint64 `json:"points"`
	Voltages uint64 `json:"voltages"`
	Payload  uint64 `json:"payload"`
	// Unknown counts elements and files that nobody knows, by name.
	Unknown map[string]uint64 `json:"unknown,omitempty"`
	// Elements counts elements other than Record by name.
	Elements map[string]uint64 `json:"elements"`
	// Types counts usable top-level records by identifier.
	Types map[string]*Type `json:"types"`
	// Sources counts usable top-level records by source name (as an XML parser that
	// replaces forbidden characters with U+FFFD reads it).
	Sources map[string]uint64 `json:"sources"`
}

// Type is what a manifest knows of one type.
type Type struct {
	// Unit of the values; empty for a category.
	Unit    string            `json:"unit,omitempty"`
	Records uint64            `json:"records"`
	Sources map[string]uint64 `json:"sources"`
	// Labels counts the values of a category.
	Labels map[string]uint64 `json:"labels,omitempty"`
	// Days by date of the start in the person's zone. Every sample of a quantity
	// lies within one day.
	Days map[string]Day `json:"days,omitempty"`
}

// Day sums up the quantities of one type on one day, over all sources.
type Day struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

// Usable is the number of samples that a complete importer of records stores.
func (m Manifest) Usable() uint64 {
	n := m.Records
	for _, unusable := range m.Unusable {
		n -= unusable
	}
	return n
}
