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
