package view

import (
	"encoding/binary"
	"math"
)

// Sample is one stored sample without what is derived or looked up.
type Sample struct {
	Place
	// Value is the quantity in its unit, or the number of a category's value.
	Value float64
	// Created is microseconds since the Unix epoch, if HasCreated.
	Created    int64
	HasCreated bool
	// HasUUID says that the producer brought the UUID; others are derived.
	HasUUID bool
	UUID    [16]byte
	// unit is the id of the unit; 0 is the empty one.
	unit uint32
	// metadata is 1 + the number of the metadata within the event; 0: none.
	metadata uint32
}

// The first byte of a sample's value: how the number is written, and what follows.
const (
	formExponent byte = 0x0f // decimal places, or formReal
	formReal     byte = 0x0f // eight bytes of IEEE 754
	formCreated  byte = 0x10
	formMetadata byte = 0x20
	formUUID     byte = 0x40
	formUnknown  byte = 0x80
)

var powers = [formReal]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14}

// exactLimit bounds the integers that a float64 holds exactly.
const exactLimit = 1 << 53

// decimal returns the mantissa that gives v with so many decimal places, if one
// gives it back bit for bit.
func decimal(v float64, exponent uint32) (int64, bool) {
	if exponent >= uint32(formReal) {
		return 0, false
	}
	scaled := math.RoundToEven(v * powers[exponent])
	if !(math.Abs(scaled) < exactLimit) {
		return 0, false
	}
	m := int64(scaled)
	return m, math.Float64bits(float64(m)/powers[exponent]) == math.Float64bits(v)
}

// appendValue encodes a sample. The exponent says with how many decimal places the
// value came; where that does not give it back it is written as it is.
func appendValue(dst []byte, s *Sample, exponent uint32) []byte {
	form := formReal
	m, exact := decimal(s.Value, exponent)
	if exact {
		form = byte(exponent)
	}
	if s.HasCreated {
		form |= formCreated
	}
	if s.metadata != 0 {
		form |= formMetadata
	}
	if s.HasUUID {
		form |= formUUID
	}
	dst = append(dst, form)
	dst = binary.AppendUvarint(dst, uint64(s.unit))
	if exact {
		dst = binary.AppendVarint(dst, m)
	} else {
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(s.Value))
	}
	if s.HasCreated {
		dst = binary.AppendVarint(dst, s.Created-s.End)
	}
	if s.metadata != 0 {
		dst = binary.AppendUvarint(dst, uint64(s.metadata-1))
	}
	if s.HasUUID {
		dst = append(dst, s.UUID[:]...)
	}
	return dst
}

// readValue decodes a value into s, whose Place must be set.
func readValue(b []byte, s *Sample) bool {
	if len(b) < 2 || b[0]&formUnknown != 0 {
		return false
	}
	form := b[0]
	unit, n := binary.Uvarint(b[1:])
	if n <= 0 || unit > math.MaxUint32 {
		return false
	}
	s.unit = uint32(unit)
	b = b[1+n:]
	if e := form & formExponent; e == formReal {
		if len(b) < 8 {
			return false
		}
		s.Value = math.Float64frombits(binary.BigEndian.Uint64(b))
		b = b[8:]
	} else {
		m, n := binary.Varint(b)
		if n <= 0 {
			return false
		}
		s.Value = float64(m) / powers[e]
		b = b[n:]
	}
	s.HasCreated, s.Created = form&formCreated != 0, 0
	if s.HasCreated {
		after, n := binary.Varint(b)
		if n <= 0 {
			return false
		}
		s.Created = s.End + after
		b = b[n:]
	}
	s.metadata = 0
	if form&formMetadata != 0 {
		number, n := binary.Uvarint(b)
		if n <= 0 || number >= math.MaxUint32 {
			return false
		}
		s.metadata = uint32(number) + 1
		b = b[n:]
	}
	s.HasUUID, s.UUID = form&formUUID != 0, [16]byte{}
	if s.HasUUID {
		if len(b) < 16 {
			return false
		}
		b = b[copy(s.UUID[:], b):]
	}
	return len(b) == 0
}
