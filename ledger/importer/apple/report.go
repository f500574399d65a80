package apple

import (
	"fmt"
	"strings"
)

// Report says what became of a document and of the files that came with it.
type Report struct {
	// Records is the number of Record elements, nested ones included, and Imported how
	// many of them became samples, of their own or as members of an object. The others
	// are kept raw.
	Records, Imported uint64
	// Saved is the number of samples of all kinds whose save was acknowledged. After an
	// error it is how many are certainly in the ledger.
	Saved uint64
	// Elements by name, and files by their kind: what was found and what became of it.
	Elements, Files map[string]*Tally
	// Attributes that are kept with their object, as "Record@mood".
	Attributes map[string]uint64
	// Replaced is the number of characters that XML 1.0 does not allow; each became
	// U+FFFD.
	Replaced uint64
	// Warnings are about the document as a whole, in the order found.
	Warnings []string
	// Bytes of XML that were read.
	Bytes int64

	// total number of elements whose start was read.
	total uint64
}

// Tally says how many there were of something, and what became of them.
type Tally struct {
	// Found is the sum of the others: Mapped ones stand in an object, Kept ones are kept
	// raw, Passed ones are about the export and not about the person.
	Found, Mapped, Kept, Passed uint64
	// Why counts the reasons of what is not mapped.
	Why map[string]uint64
	// Types has the same by type, for elements that have one.
	Types map[string]*Tally
}

func newReport() *Report {
	return &Report{Elements: map[string]*Tally{}, Files: map[string]*Tally{}, Attributes: map[string]uint64{}}
}

// fate of an element or file.
type fate uint8

const (
	mapped fate = iota
	kept
	passed
)

// aboutExport is why something is passed over.
const aboutExport = "about the export"

// maxKinds bounds every map of the report, whose keys come out of the document.
const maxKinds = 1000

// others takes the place of keys that are too many.
const others = "(others)"

func (t *Tally) add(f fate, n uint64, why string) {
	t.Found += n
	switch f {
	case mapped:
		t.Mapped += n
	case kept:
		t.Kept += n
	default:
		t.Passed += n
	}
	if why != "" {
		if t.Why == nil {
			t.Why = map[string]uint64{}
		}
		t.Why[bounded(t.Why, why)] += n
	}
}

func bounded[V any](m map[string]V, key string) string {
	if key = shorten(key); len(m) >= maxKinds {
		if _, known := m[key]; !known {
			return others
		}
	}
	return key
}

func tallyOf(m map[string]*Tally, key string) *Tally {
	key = bounded(m, key)
	t := m[key]
	if t == nil {
		t = &Tally{}
		m[key] = t
	}
	return t
}

// tally counts one element.
func (r *Report) tally(element, typ string, f fate, why string) { r.count(element, typ, f, 1, why) }

// add counts elements that were counted before.
func (r *Report) add(element, typ string, f fate, n uint64) {
	if n > 0 {
		r.count(element, typ, f, n, "")
	}
}

func (r *Report) count(element, typ string, f fate, n uint64, why string) {
	t := tallyOf(r.Elements, element)
	t.add(f, n, why)
	if element == "Record" && f == mapped {
		r.Imported += n
	}
	if typ == "" {
		return
	}
	if t.Types == nil {
		t.Types = map[string]*Tally{}
	}
	tallyOf(t.Types, typ).add(f, n, why)
}

// pass counts what is about the export.
func (r *Report) pass(element, why string) { r.tally(element, "", passed, why) }

// tree counts an element that became an object, with everything in it.
func (r *Report) tree(n *node) {
	if n.name == "ExportDate" {
		return // it is counted already
	}
	r.walk(n, true, "unknown element")
}

// keepTree counts an element that is kept as a whole.
func (r *Report) keepTree(n *node, why string) {
	n.why = why
	r.walk(n, true, insideKept)
}

// insideKept is why something is kept that would be understood elsewhere.
const insideKept = "inside of an element that is kept"

// keepRaw counts an element that is kept without having been understood at all.
func (r *Report) keepRaw(raw []byte, why string) {
	s := scanElement(raw)
	for top := true; ; {
		e, err := s.step()
		if err != nil || e == endDocument {
			return
		}
		if e != startElement {
			continue
		}
		if string(s.name) == "Record" && !top {
			r.Records++
		}
		r.tally(string(s.name), "", kept, why)
		why, top = insideKept, false
	}
}

// walk counts a node and what is in it. Records at the top level were counted as found
// when they began.
func (r *Report) walk(n *node, top bool, why string) {
	if n.name == "Record" && !top {
		r.Records++
	}
	f, reason := mapped, ""
	if !n.mapped {
		f, reason = kept, n.why
		if reason == "" {
			reason = why
		}
		why = insideKept
	}
	r.count(n.name, string(n.typ()), f, 1, reason)
	if n.track != nil {
		r.countLocations(n, f)
	}
	for _, c := range n.children {
		r.walk(c, false, why)
	}
}

func (r *Report) countLocations(n *node, f fate) {
	if points := uint64(len(n.track.time)); points > 0 {
		r.count("Location", "", f, points, "")
	}
}

// typ is what an element calls its type.
func (n *node) typ() []byte {
	switch n.name {
	case "Record", "Correlation", "WorkoutEvent", "WorkoutStatistics", "ClinicalRecord":
		return n.peek("type")
	case "Workout":
		return n.peek("workoutActivityType")
	}
	return nil
}

// keepAttribute counts an attribute that is kept with its object.
func (r *Report) keepAttribute(element, name string) {
	r.Attributes[bounded(r.Attributes, element+"@"+strings.TrimPrefix(name, "@"))]++
}

// file counts a file.
func (r *Report) file(e *entry, f fate, why string) {
	tallyOf(r.Files, classNames[e.class]).add(f, 1, why)
}

// maxWarnings bounds Warnings.
const maxWarnings = 100

func (r *Report) warn(format string, args ...any) {
	if len(r.Warnings) < maxWarnings {
		r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
	}
}

// Unexplained is how many elements were read and are neither in an object, nor kept raw,
// nor passed over for a reason. There are none.
func (r *Report) Unexplained() uint64 {
	n := r.total
	for _, t := range r.Elements {
		n -= t.Found
	}
	return n
}

// shorten makes a name out of a document fit for a report: printable and short.
func shorten(name string) string {
	const most = 80
	clean := strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return clean
}
