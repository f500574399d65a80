package apple

import (
	"strconv"

	"healthledger/proto/health"
)

// record is the Record element that is being read. All of it but the row lives as
// long as the reader.
type record struct {
	// why it cannot be stored as what it is; empty: it can.
	why string
	// odd says that there is more to it than records have, so that it takes a tree to
	// keep that.
	odd    bool
	kind   *kind
	unit   string
	source *source
	row    health.Row
	// startOffset is the zone's offset that the start was written with, in seconds.
	startOffset int64
	pairs       pairs
	meta        *metadata
	// beats gathers the value of BeatsKey, lists and count count its elements.
	beats        []byte
	lists, count int
}

func (x *record) reset() {
	x.why, x.odd, x.row, x.unit = "", false, health.Row{}, ""
	x.lists, x.count = 0, 0
	x.pairs.reset()
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
	case "sourceName", "source": // the latter up to iOS 8.1
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

// attributes are the raw values of a record's attributes, and which of them there are.
type attributes struct {
	raw [fields][]byte
	has uint
}

// take notes an attribute; it says no to one that records do not have or that is there
// already.
func (a *attributes) take(name, raw []byte) bool {
	f := recordField(name)
	if f == fields || a.has&(1<<f) != 0 {
		return false
	}
	a.raw[f] = raw
	a.has |= 1 << f
	return true
}

func (a *attributes) hasField(f int) bool { return a.has&(1<<f) != 0 }

// startRecord reads the attributes of a record at the top level.
func (r *reader) startRecord() {
	x := &r.record
	x.reset()
	var a attributes
	for i := range r.scan.attributes {
		at := &r.scan.attributes[i]
		if !a.take(at.name, at.raw) {
			x.odd = true
		}
	}
	x.why = r.fill(x, &a)
}

// fill sets what the attributes say, or says why that cannot be stored.
func (r *reader) fill(x *record, a *attributes) (why string) {
	x.kind = nil
	if !a.hasField(typeField) {
		return "no type"
	}
	x.kind = r.kind(a.raw[typeField])
	if x.kind.why != "" {
		return x.kind.why
	}
	var ok bool
	if x.row.Start, x.startOffset, ok = parseDate(a.raw[startField]); !ok {
		return "a start date that cannot be read"
	}
	if x.row.End, _, ok = parseDate(a.raw[endField]); !ok {
		return "an end date that cannot be read"
	}
	if a.hasField(createdField) {
		if x.row.Created, _, ok = parseDate(a.raw[createdField]); !ok {
			return "a creation date that cannot be read"
		}
		x.row.HasCreated = true
	}
	if !a.hasField(valueField) {
		return "no value"
	}
	if why = r.value(x, a.raw[valueField], a.raw[unitField], a.hasField(unitField)); why != "" {
		return why
	}
	x.source = r.in.source(a.raw[nameField], a.raw[versionField], a.raw[deviceField])
	return x.source.why
}

// value sets the value and the unit of the record, or says why it cannot.
func (r *reader) value(x *record, raw, unit []byte, hasUnit bool) (why string) {
	k := x.kind
	if k.Kind.HasUnit() && !hasUnit {
		return "no unit"
	}
	if k.rules == nil && k.unitWhy == "" || string(unit) != k.rawUnit {
		k.setUnit(unit)
	}
	if k.unitWhy != "" {
		return k.unitWhy
	}
	x.unit = k.unit
	if k.Kind.HasUnit() {
		var ok bool
		if x.row.Value, ok = parseNumber(raw); !ok {
			return "a value that is no number"
		}
		return ""
	}
	number, ok := k.ValueBytes(raw)
	if !ok {
		number, ok = parseInteger(raw)
	}
	if !ok {
		return "a value that its type does not have"
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

// child reads the start of an element inside of a record at the top level.
func (r *reader) child() {
	x := &r.record
	switch name := r.scan.name; {
	case r.depth == 3 && string(name) == "MetadataEntry":
		key, value, ok := entryOf(r.scan.attributes)
		if !ok {
			x.odd = true
			return
		}
		x.gather(key, value)
	case r.depth == 3 && string(name) == BeatsKey && len(r.scan.attributes) == 0:
		x.beats = x.beats[:0]
		x.lists++
	case r.depth == 4 && string(name) == beatElement && r.inBeats:
		x.count++
		if !x.beat(r.scan.attributes) {
			x.odd = true
		}
	default:
		x.odd = true
	}
}

// entryOf returns key and value of a MetadataEntry, if it has those and nothing else.
func entryOf(attributes []attribute) (key, value []byte, ok bool) {
	if len(attributes) != 2 {
		return nil, nil, false
	}
	a, b := &attributes[0], &attributes[1]
	switch {
	case string(a.name) == "key" && string(b.name) == "value":
		return a.raw, b.raw, true
	case string(a.name) == "value" && string(b.name) == "key":
		return b.raw, a.raw, true
	}
	return nil, nil, false
}

// gather adds metadata. A record with more than the ledger takes is given up at once, so
// that it cannot fill the memory.
func (x *record) gather(key, value []byte) {
	if x.why != "" {
		return
	}
	x.pairs.add(key, value)
	if x.pairs.count > health.MaxEntries || len(x.pairs.bytes) > maxRaw {
		x.why = whyMetadata
		x.pairs.reset()
	}
}

// maxRaw is more than any metadata that the ledger takes can have in the document,
// where a character has at most maxReference bytes.
const maxRaw = health.MaxMetadata * maxReference

// endRecord adds the record to the batch, or keeps it raw.
func (r *reader) endRecord(raw []byte) error {
	x := &r.record
	entries := uint64(x.pairs.count - x.lists)
	if x.why == "" && !x.odd {
		x.why = r.check(x)
	}
	if x.why != "" || x.odd {
		return r.element(raw)
	}
	x.kind.mapped++
	r.entries += entries
	r.lists += uint64(x.lists)
	r.beats += uint64(x.count)
	r.report.Replaced += x.replaced()
	return r.batch.Add(x.kind.Type, x.unit, x.source.message, &x.row)
}

// replaced is how many characters of a checked record XML does not allow.
func (x *record) replaced() uint64 {
	n := x.source.replaced
	if x.meta != nil {
		n += x.meta.replaced
	}
	return n
}

// check says why the ledger would refuse the record.
func (r *reader) check(x *record) (why string) {
	x.meta = r.in.metadataOf(&x.pairs)
	if x.meta != nil && x.meta.why != "" {
		return x.meta.why
	}
	// Metadata are checked already, but for those that a type needs.
	if x.meta != nil && len(x.kind.Requires) > 0 {
		x.row.Metadata = x.meta.message
	}
	if err := x.kind.rules.Check(x.row); err != nil {
		return "refused for its " + fieldOf(err)
	}
	if x.meta != nil {
		x.row.Metadata = x.meta.message
	}
	return ""
}
