package view

import (
	"encoding/binary"
	"math"
)

// Sample is one stored sample without what is derived or looked up.
type Sample struct {
	Place
	// Value is the quantity in its unit, or the number of a category's value, if HasValue.
	Value    float64
	HasValue bool
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
	// body is 1 + the number of the body within the event; 0: none.
	body uint32
	// member says that the sample came as a part of another object.
	member bool
}

// HasBody says whether Details.Object has more about the sample.
func (s *Sample) HasBody() bool { return s.body != 0 }

// The first byte of a sample's value: how the number is written, and what follows.
const (
	formExponent byte = 0x0f // decimal places, or one of the next two
	formNone     byte = 0x0e // no number
	formReal     byte = 0x0f // eight bytes of IEEE 754
	formCreated  byte = 0x10
	formMetadata byte = 0x20
	formUUID     byte = 0x40
	formBody     byte = 0x80 // a body, or that it came as a member
)

var powers = [formNone]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13}

// exactLimit bounds the integers that a float64 holds exactly.
const exactLimit = 1 << 53

// decimal returns the mantissa that gives v with so many decimal places, if one
// gives it back bit for bit.
func decimal(v float64, exponent uint32) (int64, bool) {
	if exponent >= uint32(len(powers)) {
		return 0, false
	}
	scaled := math.RoundToEven(v * powers[exponent])
	if !(math.Abs(scaled) < exactLimit) {
		return 0, false
	}
	m := int64(scaled)
	return m, math.Float64bits(float64(m)/powers[exponent]) == math.Float64bits(v)
}

// places returns the fewest decimal places that give v back, for what comes without them.
func places(v float64) uint32 {
	for exponent := range uint32(len(powers)) {
		if _, exact := decimal(v, exponent); exact {
			return exponent
		}
	}
	return uint32(formReal)
}

// appendValue encodes a sample. The exponent says with how many decimal places the
// value came; where that does not give it back it is written as it is.
func appendValue(dst []byte, s *Sample, exponent uint32) []byte {
	form, m, exact := formNone, int64(0), false
	if s.HasValue {
		form = formReal
		if m, exact = decimal(s.Value, exponent); exact {
			form = byte(exponent)
		}
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
	beyond := uint64(s.body) << 1
	if s.member {
		beyond |= 1
	}
	if beyond != 0 {
		form |= formBody
	}
	dst = append(dst, form)
	dst = binary.AppendUvarint(dst, uint64(s.unit))
	if exact {
		dst = binary.AppendVarint(dst, m)
	} else if s.HasValue {
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
	if beyond != 0 {
		dst = binary.AppendUvarint(dst, beyond)
	}
	return dst
}

// readValue decodes a value into s, whose Place must be set.
func readValue(b []byte, s *Sample) bool {
	if len(b) < 2 {
		return false
	}
	form := b[0]
	unit, n := binary.Uvarint(b[1:])
	if n <= 0 || unit > math.MaxUint32 {
		return false
	}
	s.unit = uint32(unit)
	b = b[1+n:]
	switch e := form & formExponent; e {
	case formNone:
		s.Value = 0
	case formReal:
		if len(b) < 8 {
			return false
		}
		s.Value = math.Float64frombits(binary.BigEndian.Uint64(b))
		b = b[8:]
	default:
		m, n := binary.Varint(b)
		if n <= 0 {
			return false
		}
		s.Value = float64(m) / powers[e]
		b = b[n:]
	}
	s.HasValue = form&formExponent != formNone
	return readBeside(b, s, form)
}

// readBeside decodes what stands beside the number.
func readBeside(b []byte, s *Sample, form byte) bool {
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
	s.body, s.member = 0, false
	if form&formBody != 0 {
		beyond, n := binary.Uvarint(b)
		if n <= 0 || beyond == 0 || beyond>>1 > math.MaxUint32 {
			return false
		}
		s.body, s.member = uint32(beyond>>1), beyond&1 != 0
		b = b[n:]
	}
	return len(b) == 0
}

// appendRow encodes a sample as a row under a type. In the rows of a correlation the key
// ends where the last of its members of the type does, if that is later than its own end:
// see correlation.go.
func appendRow(dst []byte, typeCode uint32, s *Sample, keyEnd int64, e *ends, exponent uint32) []byte {
	if isPair(typeCode) {
		dst = binary.AppendUvarint(dst, uint64(keyEnd)-uint64(s.End))
		dst = appendEnds(dst, keyEnd, e)
	}
	return appendValue(dst, s, exponent)
}

// readRow decodes a row under a type into s, whose Place must be that of the key.
func readRow(b []byte, typeCode uint32, s *Sample) (e ends, ok bool) {
	if !isPair(typeCode) {
		return ends{member: s.End}, readValue(b, s)
	}
	r := reader{b: b}
	back := r.uvarint()
	if e = r.ends(s.End); r.bad || back > uint64(s.End)-uint64(s.Start) {
		return e, false
	}
	s.End = int64(uint64(s.End) - back)
	return e, readValue(r.b, s)
}
