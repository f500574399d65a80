package view

import (
	"encoding/binary"
	"math"
)

// appendDeletion encodes what gives the UUID and the sync identifier of a sample that a
// segment deleted. Its key is that of the sample, in another family.
func appendDeletion(dst []byte, row *Locator, s *Sample, e *ends, sequence uint64) []byte {
	var form byte
	if s.metadata != 0 {
		form |= formMetadata
	}
	if s.HasUUID {
		form |= formUUID
	}
	dst = append(binary.AppendUvarint(dst, sequence), form)
	if s.metadata != 0 {
		dst = binary.AppendUvarint(dst, uint64(s.metadata-1))
	}
	if s.HasUUID {
		dst = append(dst, s.UUID[:]...)
	}
	if isPair(row.Type) {
		dst = appendEnds(dst, row.End, e)
	}
	return dst
}

// readDeletion decodes a deletion into a sample whose place is known.
func readDeletion(value []byte, typeCode uint32, s *Sample) (sequence uint64, e ends, ok bool) {
	*s = Sample{Place: s.Place}
	r := reader{b: value}
	sequence = r.uvarint()
	form := r.byte()
	if form&formMetadata != 0 {
		number := r.uvarint()
		r.bad = r.bad || number >= math.MaxUint32
		s.metadata = uint32(number) + 1
	}
	if s.HasUUID = form&formUUID != 0; s.HasUUID {
		copy(s.UUID[:], r.take(16))
	}
	e.member = s.End
	if isPair(typeCode) {
		e = r.ends(s.End)
	}
	return sequence, e, r.done() && form&^(formMetadata|formUUID) == 0
}
