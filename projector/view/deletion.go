package view

import (
	"encoding/binary"
	"math"
)

// appendDeletionKey makes the key of what is left of a row that a segment deleted.
func appendDeletionKey(dst []byte, row *Locator, sequence uint64) []byte {
	dst = appendMonth(appendEntryKey(dst, familyDeletion, row.Type, row.Source), monthOf(row.End))
	dst = appendPeriod(appendOrdered(dst, sequence), row.Start, row.End)
	return appendTie(dst, row.Sequence, row.Event, row.Index)
}

// appendDeletion encodes what gives the UUID and the sync identifier of a deleted sample.
func appendDeletion(dst []byte, row *Locator, s *Sample, memberEnd int64) []byte {
	var form byte
	if s.metadata != 0 {
		form |= formMetadata
	}
	if s.HasUUID {
		form |= formUUID
	}
	dst = append(dst, form)
	if s.metadata != 0 {
		dst = binary.AppendUvarint(dst, uint64(s.metadata-1))
	}
	if s.HasUUID {
		dst = append(dst, s.UUID[:]...)
	}
	if isPair(row.Type) {
		dst = binary.AppendUvarint(dst, uint64(row.End)-uint64(memberEnd))
	}
	return dst
}

// readDeletion decodes what follows the month in the key of a deletion, and its value.
func readDeletion(typeCode uint32, key, value []byte) (sequence uint64, s Sample, memberEnd int64, ok bool) {
	sequence, n := readOrdered(key, 0)
	if n == 0 || !readPlace(key[n:], &s.Place) {
		return 0, s, 0, false
	}
	r := reader{b: value}
	form := r.byte()
	if form&formMetadata != 0 {
		number := r.uvarint()
		r.bad = r.bad || number >= math.MaxUint32
		s.metadata = uint32(number) + 1
	}
	if s.HasUUID = form&formUUID != 0; s.HasUUID {
		copy(s.UUID[:], r.take(16))
	}
	memberEnd = s.End
	if isPair(typeCode) {
		memberEnd = int64(uint64(s.End) - r.uvarint())
	}
	return sequence, s, memberEnd, r.done() && form&^(formMetadata|formUUID) == 0
}
