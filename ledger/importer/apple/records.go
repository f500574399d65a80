package apple

import (
	"bytes"
	"io"
	"strconv"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
)

// rootElement of an export.
const rootElement = "HealthData"

// BeatsKey is the metadata key under which the readings behind a heart rate
// variability are kept: beats per minute and seconds since the start of the sample,
// "66 1.08; 71 1.94; …". The export has the times as clock text without a date, in the
// zone and the language of the exporting phone; one that cannot be read, or that lies
// outside of the sample, is kept as it is.
const BeatsKey = "HeartRateVariabilityMetadataList"

// record is the Record element that is being read. All of it but the row lives as
// long as the reader.
type record struct {
	// open says that its end has not come yet.
	open bool
	// left is the kind under which it is left out; empty: it can be imported.
	left   string
	kind   *kind
	unit   string
	source *source
	row    health.Row
	// startOffset is the zone's offset that the start was written with, in seconds.
	startOffset int64
	pairs       pairs
	// beats gathers the value of BeatsKey.
	beats []byte
}

// kind is what is remembered of a type that occurs in the document.
type kind struct {
	*catalog.Type
	name string
	// left is not empty where no record of this type can be imported.
	left string
	// rules for the unit of the last record; nil: none yet, or unitLeft says why
	// records with it are left out. rawUnit is the unit, unit the same decoded.
	rules                   *health.Rules
	rawUnit, unit, unitLeft string
}

// reader turns events into samples.
type reader struct {
	scan   *scanner
	report *Report
	in     *interner
	batch  *batch
	kinds  map[string]*kind
	// path holds the names of the open elements, so that a record knows where it is.
	path   []string
	record record
	last   *kind
}

func newReader(from io.Reader, report *Report, send *sender) *reader {
	return &reader{
		scan: newScanner(from), report: report, in: newInterner(),
		batch: &batch{builder: health.NewBuilder(), sender: send}, kinds: make(map[string]*kind),
	}
}

// maxKindsKnown bounds the kinds remembered; a real export has some hundred types.
const maxKindsKnown = 4096

// event handles one event; e is not endDocument.
func (r *reader) event(e event) error {
	switch e {
	case text:
		r.report.leave("text")
		return nil
	case endElement:
		r.path = r.path[:len(r.path)-1]
		switch {
		case !r.record.open:
		case len(r.path) == 1:
			return r.endRecord()
		case len(r.path) == 2 && string(r.scan.name) == BeatsKey:
			r.record.pairs.add([]byte(BeatsKey), r.record.beats)
		}
		return nil
	}
	name := elementName(r.scan.name)
	parent := ""
	if len(r.path) > 0 {
		parent = r.path[len(r.path)-1]
	}
	r.path = append(r.path, name)
	switch {
	case len(r.path) == 1:
		return nil
	case name == "Record":
		r.report.Records++
		if len(r.path) == 2 {
			r.startRecord()
		} else {
			r.report.leave("Record inside " + parent)
		}
	case r.record.open && name == "MetadataEntry" && len(r.path) == 3:
		r.entry()
	case r.record.open && name == BeatsKey && len(r.path) == 3:
		r.record.beats = r.record.beats[:0]
	case r.record.open && name == "InstantaneousBeatsPerMinute" && parent == BeatsKey && len(r.path) == 4:
		r.beat()
	case len(r.path) == 2 && name == "ExportDate":
		// About the export, not about the person.
	case len(r.path) == 2 && name == "Me":
		for range r.scan.attributes {
			r.report.leave("Me attribute")
		}
	case name == "MetadataEntry":
		r.report.leave("MetadataEntry inside " + parent)
	default:
		r.report.leave(name)
	}
	return nil
}

// elementName returns the name as a string, without allocating for those we know.
func elementName(b []byte) string {
	switch string(b) {
	case "Record":
		return "Record"
	case "MetadataEntry":
		return "MetadataEntry"
	case "InstantaneousBeatsPerMinute":
		return "InstantaneousBeatsPerMinute"
	case BeatsKey:
		return BeatsKey
	}
	if bytes.HasPrefix(b, []byte(recordPrefix)) {
		return "element " + shorten(string(b)) // keep "Record…" for records
	}
	return shorten(string(b))
}

// startRecord reads the attributes of a record at the top level.
func (r *reader) startRecord() {
	var typ, unit, value, name, version, device, created, start, end []byte
	var has uint
	const hasValue, hasCreated, hasUnit, hasType = 1, 2, 4, 8
	for i := range r.scan.attributes {
		a := &r.scan.attributes[i]
		switch string(a.name) {
		case "type":
			typ = a.raw
			has |= hasType
		case "unit":
			unit = a.raw
			has |= hasUnit
		case "value":
			value = a.raw
			has |= hasValue
		case "sourceName":
			name = a.raw
		case "sourceVersion":
			version = a.raw
		case "device":
			device = a.raw
		case "creationDate":
			created = a.raw
			has |= hasCreated
		case "startDate":
			start = a.raw
		case "endDate":
			end = a.raw
		default:
			// The export has no other; what it means is not known.
			r.report.leave("attribute " + shorten(string(a.name)) + " of a record")
		}
	}
	x := &r.record
	x.open, x.left, x.row, x.unit = true, "", health.Row{}, ""
	x.pairs.reset()
	if has&hasType == 0 {
		x.left = "Record without type"
		return
	}
	x.kind = r.kind(typ)
	if x.kind.left != "" {
		x.left = x.kind.left
		return
	}
	var ok bool
	if x.row.Start, x.startOffset, ok = parseDate(start); !ok {
		x.left = "Record with a start date that cannot be read"
		return
	}
	if x.row.End, _, ok = parseDate(end); !ok {
		x.left = "Record with an end date that cannot be read"
		return
	}
	if has&hasCreated != 0 {
		if x.row.Created, _, ok = parseDate(created); !ok {
			x.left = "Record with a creation date that cannot be read"
			return
		}
		x.row.HasCreated = true
	}
	if has&hasValue == 0 {
		x.left = "Record without value"
		return
	}
	if x.left = r.value(value, unit, has&hasUnit != 0); x.left != "" {
		return
	}
	x.source = r.in.source(name, version, device)
	r.report.Replaced += x.source.replaced
	x.left = x.source.left
}

// kind looks the type up, once for each run of records of one type.
func (r *reader) kind(raw []byte) *kind {
	if r.last != nil && string(raw) == r.last.name {
		return r.last
	}
	found, ok := r.kinds[string(raw)]
	if !ok {
		found = newKind(raw)
		if len(r.kinds) < maxKindsKnown {
			r.kinds[found.name] = found
		}
	}
	r.last = found
	return found
}

func newKind(raw []byte) *kind {
	k := &kind{name: string(raw)}
	typ, ok := catalog.LookupBytes(raw)
	switch {
	case !ok:
		name, _, _ := decode(raw, nil)
		k.left = "Record of unknown type " + shorten(string(name))
	case typ.Kind != catalog.Quantity && typ.Kind != catalog.Category:
		k.left = "Record of a type that is no quantity or category: " + typ.Identifier
	default:
		k.Type = typ
	}
	return k
}

// value sets the value and the unit of the record, or says why it is left out.
func (r *reader) value(raw, unit []byte, hasUnit bool) (left string) {
	x := &r.record
	k := x.kind
	if k.Kind == catalog.Quantity && !hasUnit {
		return "Record without unit"
	}
	if k.rules == nil && k.unitLeft == "" || string(unit) != k.rawUnit {
		k.setUnit(unit)
	}
	if x.left = k.unitLeft; x.left != "" {
		return x.left
	}
	x.unit = k.unit
	if k.Kind == catalog.Quantity {
		var ok bool
		if x.row.Value, ok = parseNumber(raw); !ok {
			return "Record with a value that is no number"
		}
		return ""
	}
	number, ok := k.ValueBytes(raw)
	if !ok {
		number, ok = parseInteger(raw)
	}
	if !ok {
		return "Record with a value that its type does not have"
	}
	x.row.Value = float64(number)
	return ""
}

// setUnit prepares the rules for another unit.
func (k *kind) setUnit(raw []byte) {
	value, _, _ := decode(raw, nil)
	k.rawUnit, k.unit, k.unitLeft = string(raw), string(value), ""
	var err error
	if k.rules, err = health.NewRules(k.Type, k.unit, policy); err != nil {
		k.unitLeft = "Record of " + k.Identifier + " refused for its " + field(err)
	}
}

func parseInteger(raw []byte) (int, bool) {
	if len(raw) > 9 {
		return 0, false
	}
	n, err := strconv.Atoi(string(raw))
	return n, err == nil
}

// entry gathers a MetadataEntry of the open record.
func (r *reader) entry() {
	var key, value []byte
	for i := range r.scan.attributes {
		a := &r.scan.attributes[i]
		switch string(a.name) {
		case "key":
			key = a.raw
		case "value":
			value = a.raw
		default:
			r.report.leave("attribute " + shorten(string(a.name)) + " of metadata")
		}
	}
	r.record.pairs.add(key, value)
}

// beat gathers one reading of a heart rate variability.
func (r *reader) beat() {
	var bpm, clock []byte
	for i := range r.scan.attributes {
		a := &r.scan.attributes[i]
		switch string(a.name) {
		case "bpm":
			bpm = a.raw
		case "time":
			clock = a.raw
		default:
			r.report.leave("attribute " + shorten(string(a.name)) + " of a beat")
		}
	}
	x := &r.record
	if len(x.beats) > 0 {
		x.beats = append(x.beats, "; "...)
	}
	x.beats = append(x.beats, bpm...)
	x.beats = append(x.beats, ' ')
	if micros, ok := sinceStart(clock, x.row.Start, x.row.End, x.startOffset); ok {
		x.beats = appendSeconds(x.beats, micros)
	} else {
		x.beats = append(x.beats, clock...)
	}
}

// endRecord adds the record to the batch, or counts why not.
func (r *reader) endRecord() error {
	x := &r.record
	x.open = false
	if x.left == "" {
		x.left = r.check()
	}
	if x.left != "" {
		r.report.leave(x.left)
		return nil
	}
	return r.batch.add(x.kind.Type, x.unit, x.source.message, &x.row)
}

// check says why the ledger would refuse the record.
func (r *reader) check() (left string) {
	x := &r.record
	meta := r.in.metadataOf(&x.pairs)
	if meta != nil {
		r.report.Replaced += meta.replaced
		if meta.left != "" {
			return meta.left
		}
	}
	// Metadata are checked already, but for those that a type needs.
	if meta != nil && len(x.kind.Requires) > 0 {
		x.row.Metadata = meta.message
	}
	if err := x.kind.rules.Check(x.row); err != nil {
		return "Record of " + x.kind.Identifier + " refused for its " + field(err)
	}
	if meta != nil {
		x.row.Metadata = meta.message
	}
	return ""
}
