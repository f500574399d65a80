package view

import "encoding/binary"

// Locator is where a row of a sample lies: under a type and a source, at its place. It
// means nothing without a scope: see Snapshot.Find.
type Locator struct {
	Type, Source uint32
	Place
}

// appendKey appends the row's key without its family.
func (l *Locator) appendKey(dst []byte) []byte {
	dst = appendOrdered(appendOrdered(dst, uint64(l.Type)), uint64(l.Source))
	return appendTie(appendPeriod(dst, l.Start, l.End), l.Sequence, l.Event, l.Index)
}

// readLocator reads what appendKey appends.
func readLocator(b []byte) (l Locator, ok bool) {
	if l.Type, b, ok = readOrdered32(b); !ok {
		return l, false
	}
	if l.Source, b, ok = readOrdered32(b); !ok {
		return l, false
	}
	return l, readPlace(b, &l.Place)
}

// objectRow is a row of an object and, of a correlation, when the last member of the type
// ends: what a reader who may not see that must not look up.
type objectRow struct {
	Locator
	memberEnd int64
}

func (o *objectRow) append(dst []byte) []byte {
	dst = appendText(dst, string(o.appendKey(nil)))
	if isPair(o.Type) {
		dst = binary.AppendUvarint(dst, uint64(o.End)-uint64(o.memberEnd))
	}
	return dst
}

func readObjectRows(b []byte) (rows []objectRow, ok bool) {
	for r := (reader{b: b}); len(r.b) > 0; {
		var o objectRow
		if o.Locator, ok = readLocator(r.take(r.count())); !ok {
			return nil, false
		}
		o.memberEnd = o.End
		if isPair(o.Type) {
			o.memberEnd = int64(uint64(o.End) - r.uvarint())
		}
		if r.bad {
			return nil, false
		}
		rows = append(rows, o)
	}
	return rows, len(rows) > 0
}

// reference is what an object keeps of one that belongs to it: where its row lies or, of
// a member that a later version can replace, its identity.
type reference struct {
	named bool
	row   Locator
	name  identityName
}

// The kinds of references.
const (
	referenceRow byte = iota
	referenceIdentity
)

func (f *reference) append(dst []byte) []byte {
	if f.named {
		dst = binary.AppendUvarint(append(dst, referenceIdentity), uint64(f.name.typeCode))
		return append(dst, f.name.hash[:]...)
	}
	var key []byte
	key = f.row.appendKey(key)
	return append(append(append(dst, referenceRow), byte(len(key))), key...)
}

func (r *reader) reference() (f reference) {
	switch r.byte() {
	case referenceRow:
		var ok bool
		f.row, ok = readLocator(r.take(int(r.byte())))
		r.bad = r.bad || !ok
	case referenceIdentity:
		f.named = true
		f.name.typeCode = r.uvarint32()
		copy(f.name.hash[:], r.take(len(f.name.hash)))
	default:
		r.bad = true
	}
	return f
}
