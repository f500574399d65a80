package apple

import (
	"fmt"
	"strings"
)

// Report says what became of a document.
type Report struct {
	// Records is the number of Record elements, nested ones included. Each of them is
	// either imported or in NotImported, under a kind that begins with "Record".
	Records uint64
	// Imported is the number of samples whose save was acknowledged. After an error it
	// is how many are certainly in the ledger.
	Imported uint64
	// NotImported counts what was left out by kind: "Workout", "Record inside
	// Correlation", "Record of unknown type HKDataTypeSleepDurationGoal", ….
	NotImported map[string]uint64
	// Replaced is the number of characters that XML 1.0 does not allow; each became
	// U+FFFD.
	Replaced uint64
	// Warnings are about the document as a whole, in the order found.
	Warnings []string
	// Bytes of XML that were read.
	Bytes int64

	recordsLeft uint64
}

// maxKinds bounds NotImported, whose keys come out of the document.
const maxKinds = 1000

// kinds that do not depend on the document.
const (
	recordPrefix = "Record"
	otherRecords = "Record of other kinds"
	otherThings  = "elements of other kinds"
)

// leave counts an element under a kind.
func (r *Report) leave(kind string) {
	record := strings.HasPrefix(kind, recordPrefix)
	if record {
		r.recordsLeft++
	}
	if _, known := r.NotImported[kind]; !known && len(r.NotImported) >= maxKinds {
		kind = otherThings
		if record {
			kind = otherRecords
		}
	}
	r.NotImported[kind]++
}

// RecordsNotImported is the number of Record elements in NotImported.
func (r *Report) RecordsNotImported() uint64 { return r.recordsLeft }

// maxWarnings bounds Warnings.
const maxWarnings = 100

func (r *Report) warn(format string, args ...any) {
	if len(r.Warnings) < maxWarnings {
		r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
	}
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
