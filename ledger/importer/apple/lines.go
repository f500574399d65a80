package apple

import (
	"iter"
	"maps"
	"slices"
)

// Line is what a report says of an element or a kind of file, or of one type of an
// element.
type Line struct {
	Name string `json:"name"`
	// Type is empty in the line that is about all types of an element.
	Type   string `json:"type,omitempty"`
	File   bool   `json:"file,omitempty"`
	Found  uint64 `json:"found"`
	Mapped uint64 `json:"mapped"`
	Kept   uint64 `json:"keptRaw"`
	Passed uint64 `json:"passedOver"`
	// Why counts the reasons of what is not mapped.
	Why map[string]uint64 `json:"why,omitempty"`
}

// Lines yields the report line by line: elements, then files, by name and type.
func (r *Report) Lines() iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for _, files := range []bool{false, true} {
			m := r.Elements
			if files {
				m = r.Files
			}
			for _, name := range slices.Sorted(maps.Keys(m)) {
				t := m[name]
				if !yield(lineOf(name, "", files, t)) {
					return
				}
				for _, typ := range slices.Sorted(maps.Keys(t.Types)) {
					if !yield(lineOf(name, typ, files, t.Types[typ])) {
						return
					}
				}
			}
		}
	}
}

func lineOf(name, typ string, file bool, t *Tally) Line {
	return Line{name, typ, file, t.Found, t.Mapped, t.Kept, t.Passed, t.Why}
}

// Objects is how many of what was found became objects that are no records, and how many
// pieces, elements and files, are kept raw for themselves or with their object.
func (r *Report) Objects() (objects, raw uint64) {
	for _, name := range []string{"Correlation", "Workout", "WorkoutRoute", "ActivitySummary", "ClinicalRecord", "Audiogram", "VisionPrescription"} {
		if t := r.Elements[name]; t != nil {
			objects += t.Mapped
		}
	}
	for _, class := range []class{ecgFile, cdaFile} {
		if t := r.Files[classNames[class]]; t != nil {
			objects += t.Mapped
		}
	}
	for _, m := range []map[string]*Tally{r.Elements, r.Files} {
		for _, t := range m {
			raw += t.Kept
		}
	}
	return objects, raw
}
