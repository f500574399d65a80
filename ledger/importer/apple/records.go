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
			r.gather([]byte(BeatsKey), r.record.beats)
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

// The attributes of a record.
const (
	typeField = iota
	unitField
	valueField
	nameField
	versionField
	deviceField
	createdField
	startField
	endField
	fields // how many there are
)

func recordField(name []byte) int {
	switch string(name) {
	case "type":
		return typeField
	case "unit":
		return unitField
	case "value":
		return valueField
	case "sourceName":
		return nameField
	case "sourceVersion":
		return versionField
	case "device":
		return deviceField
	case "creationDate":
		return createdField
	case "startDate":
		return startField
	case "endDate":
		return endField
	}
	return fields
}

// startRecord reads the attributes of a record at the top level.
func (r *reader) startRecord() {
	var raw [fields][]byte
	var has uint
	for i := range r.scan.attributes {
		a := &r.scan.attributes[i]
		field := recordField(a.name)
		switch bit := uint(1) << field; {
		case field == fields:
			// The export has no other; what it means is not known.
			r.report.leave("attribute " + shorten(string(a.name)) + " of a record")
		case has&bit != 0:
			r.report.leave("repeated attribute " + shorten(string(a.name)) + " of a record")
		default:
			raw[field] = a.raw
			has |= bit
		}
	}
	x := &r.record
	x.open, x.left, x.row, x.unit = true, "", health.Row{}, ""
	x.pairs.reset()
	if has&(1<<typeField) == 0 {
		x.left = "Record without type"
		return
	}
	x.kind = r.kind(raw[typeField])
	if x.kind.left != "" {
		x.left = x.kind.left
		return
	}
	var ok bool
	if x.row.Start, x.startOffset, ok = parseDate(raw[startField]); !ok {
		x.left = "Record with a start date that cannot be read"
		return
	}
	if x.row.End, _, ok = parseDate(raw[endField]); !ok {
		x.left = "Record with an end date that cannot be read"
		return
	}
	if has&(1<<createdField) != 0 {
		if x.row.Created, _, ok = parseDate(raw[createdField]); !ok {
			x.left = "Record with a creation date that cannot be read"
			return
		}
		x.row.HasCreated = true
	}
	if has&(1<<valueField) == 0 {
		x.left = "Record without value"
		return
	}
	if x.left = r.value(raw[valueField], raw[unitField], has&(1<<unitField) != 0); x.left != "" {
		return
	}
	x.source = r.in.source(raw[nameField], raw[versionField], raw[deviceField])
	r.report.Replaced += x.source.replaced
	x.left = x.source.left
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
	r.gather(key, value)
}

// gather adds metadata to the open record. A record with more than the ledger takes
// is left out at once, so that it cannot fill the memory.
func (r *reader) gather(key, value []byte) {
	x := &r.record
	if x.left != "" {
		return
	}
	x.pairs.add(key, value)
	if x.pairs.count > health.MaxEntries || len(x.pairs.bytes) > maxRaw {
		x.left = leftForMetadata
		x.pairs.reset()
	}
}

// maxRaw is more than any metadata that the ledger takes can have in the document,
// where a character has at most maxReference bytes.
const maxRaw = health.MaxMetadata * maxReference

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
