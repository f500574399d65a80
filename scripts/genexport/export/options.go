// Package export writes Apple Health exports that look like real ones: the same
// elements, attributes, value conventions and flaws, for an invented person.
//
// The output is a function of the Options: the same options give the same bytes.
// WriteXML and WriteZip stream, so any size fits in little memory, and return a
// Manifest that says what was written, so that a test can check every answer.
//
//	manifest, err := export.WriteZip(file, export.Options{Seed: 1, Records: 1_000_000})
package export

import (
	"errors"
	"fmt"
	"time"
)

// DTD names a version of the document type that precedes the data.
type DTD int

// The versions differ in what real importers stumble over.
const (
	// DTD14 is what iOS 18 to 26 write. The default.
	DTD14 DTD = 14
	// DTD12 is that of iOS 16, which is malformed: a ">" is missing.
	DTD12 DTD = 12
	// DTD11 is that of iOS 15 and older: workout totals are attributes.
	DTD11 DTD = 11
	// DTD8 is what iOS 8 wrote: dates without separators, "source" instead of
	// "sourceName", heart rate in count/s, and heart rates that stand for several, with
	// a mean instead of a value. Those exports had no document type.
	DTD8 DTD = 8
	// DTDNone leaves the document type away.
	DTDNone DTD = -1
)

// RecordsPerDay is how many records a day has when Options do not say otherwise.
const RecordsPerDay = 1900

// maxPerDay keeps two samples of a type and source from starting in one second.
const maxPerDay = 150_000

// Options say what to write. The zero value is a small export.
type Options struct {
	// Seed of everything random.
	Seed uint64
	// Records at the top level, exactly. Zero: Years at RecordsPerDay.
	Records int
	// Size in bytes of the XML to aim at, used instead of Records.
	Size int64
	// Years of data before End. Zero: as many as Records need at RecordsPerDay.
	Years float64
	// End is the day of the export, the first without data. Zero: 2025-06-01.
	End time.Time
	// Zone is where the person lives; days begin at its midnights. Nil: Europe/Berlin's
	// rules where the system knows them, else UTC.
	Zone *time.Location
	// ExportZone is the zone whose offsets the dates carry, that of the exporting
	// phone. Nil: Zone.
	ExportZone *time.Location
	// Pointers seeds the memory addresses in device strings, which differ in every
	// export of the same data.
	Pointers uint64
	// DTD version. Zero: DTD14.
	DTD DTD
	// Imperial writes mi, Cal, lb and degF, as an American phone does.
	Imperial bool
	// Quirks adds the flaws of real files: characters that XML forbids, repeated
	// keys, odd names, records that say too little, elements and attributes that nobody
	// knows, files under other names.
	Quirks bool
}

// withDefaults fills in what was left out and refuses what cannot be.
func (o Options) withDefaults() (Options, error) {
	if o.Records < 0 || o.Size < 0 || o.Years < 0 {
		return o, errors.New("records, size and years cannot be negative")
	}
	if o.Zone == nil {
		zone, err := time.LoadLocation("Europe/Berlin")
		if err != nil {
			zone = time.UTC
		}
		o.Zone = zone
	}
	if o.ExportZone == nil {
		o.ExportZone = o.Zone
	}
	if o.End.IsZero() {
		o.End = time.Date(2025, 6, 1, 0, 0, 0, 0, o.Zone)
	}
	switch o.DTD {
	case 0:
		o.DTD = DTD14
	case DTD14, DTD12, DTD11, DTD8, DTDNone:
	default:
		return o, fmt.Errorf("no DTD of version %d (8, 11, 12, 14 or -1 for none)", o.DTD)
	}
	if o.Size > 0 {
		if o.Records > 0 {
			return o, errors.New("records and size exclude each other")
		}
		records, err := recordsFor(o)
		if err != nil {
			return o, err
		}
		o.Records, o.Size = records, 0
	}
	if o.Records == 0 {
		if o.Years == 0 {
			o.Years = 30.0 / 365.25
		}
		o.Records = max(1, int(o.Years*365.25*RecordsPerDay))
	}
	if days := o.days(); o.Records/days > maxPerDay {
		return o, fmt.Errorf("%d records in %d days are too many for one person: at most %d a day",
			o.Records, days, maxPerDay)
	}
	return o, nil
}

// days of data, at least one.
func (o Options) days() int {
	if o.Years > 0 {
		return max(1, int(o.Years*365.25+0.5))
	}
	return max(1, (o.Records+RecordsPerDay-1)/RecordsPerDay)
}

// recordsFor finds how many records make an XML of o.Size bytes, from two small
// exports: the size grows linearly with the number of records.
func recordsFor(o Options) (int, error) {
	pilot := o
	pilot.Size = 0
	size := func(records int) (float64, error) {
		pilot.Records = records
		var n counter
		_, err := WriteXML(&n, pilot)
		return float64(n), err
	}
	const few, more = 20_000, 60_000
	small, err := size(few)
	if err != nil {
		return 0, err
	}
	large, err := size(more)
	if err != nil {
		return 0, err
	}
	slope := (large - small) / (more - few)
	return max(1, int((float64(o.Size)-small)/slope)+few), nil
}

// counter is a writer that only counts.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
