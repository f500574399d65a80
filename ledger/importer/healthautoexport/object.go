package healthautoexport

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	pb "healthledger/proto/healthledger/v1"
)

// object is a JSON object. Whoever understands a field takes it; what nobody took is
// kept with the sample.
type object struct{ fields []field }

type field struct {
	key   string
	value []byte
	taken bool
}

// newObject reads valid JSON; ok is false if it is no object. Values share memory with it.
func newObject(raw []byte) (o *object, ok bool) {
	s := scanner{raw, 0}
	if s.space(); s.at >= len(raw) || raw[s.at] != '{' {
		return nil, false
	}
	s.at++
	o = &object{}
	for s.space(); raw[s.at] != '}'; s.space() {
		if raw[s.at] == ',' {
			s.at++
			s.space()
		}
		key := s.value()
		s.space()
		s.at++ // the colon
		s.space()
		o.fields = append(o.fields, field{key: unquote(key), value: s.value()})
	}
	return o, true
}

// elements calls fn with each element of a JSON array until it returns false; ok is
// false if it is no array.
func elements(raw []byte, fn func(element []byte) bool) (ok bool) {
	s := scanner{raw, 0}
	if s.space(); s.at >= len(raw) || raw[s.at] != '[' {
		return false
	}
	s.at++
	for s.space(); raw[s.at] != ']'; s.space() {
		if raw[s.at] == ',' {
			s.at++
			s.space()
		}
		if !fn(s.value()) {
			return true
		}
	}
	return true
}

// scanner steps over JSON that is known to be valid.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// value steps over the value that begins here and returns it.
func (s *scanner) value() []byte {
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			s.quoted()
			if depth == 0 {
				return s.text[start:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.text[start:s.at]
			}
			if depth--; depth == 0 {
				s.at++
				return s.text[start:s.at]
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.text[start:s.at]
			}
		}
		s.at++
	}
	return s.text[start:s.at]
}

func (s *scanner) quoted() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

// unquote reads a valid JSON string.
func unquote(raw []byte) string {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return string(raw) // not reached for valid JSON
	}
	return text
}

// find returns the first field with this key that has a value and was not taken.
func (o *object) find(key string) *field {
	for i := range o.fields {
		if f := &o.fields[i]; !f.taken && f.key == key {
			return f
		}
	}
	return nil
}

// text takes a string that is not empty.
func (o *object) text(key string) string {
	f := o.find(key)
	if f == nil || f.value[0] != '"' {
		return ""
	}
	f.taken = true
	return unquote(f.value)
}

// number takes a finite number.
func (o *object) number(key string) (v float64, ok bool) {
	f := o.find(key)
	if f == nil {
		return 0, false
	}
	if v, ok = parseNumber(f.value); ok {
		f.taken = true
	}
	return v, ok
}

func parseNumber(raw []byte) (float64, bool) {
	v, err := strconv.ParseFloat(string(raw), 64)
	return v, err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
}

// truth takes a boolean.
func (o *object) truth(key string) (v, ok bool) {
	f := o.find(key)
	if f == nil || f.value[0] != 't' && f.value[0] != 'f' {
		return false, false
	}
	f.taken = true
	return f.value[0] == 't', true
}

// whole says whether everything was taken.
func (o *object) whole() bool {
	for _, f := range o.fields {
		if !f.taken {
			return false
		}
	}
	return true
}

// rest returns what was not taken, as it came: attributes and elements.
func (o *object) rest() (kept []*pb.Kept) {
	for _, f := range o.fields {
		if f.taken {
			continue
		}
		name := f.key
		if f.value[0] != '{' && f.value[0] != '[' {
			name = "@" + name
		}
		kept = append(kept, &pb.Kept{Format: Format, Name: name, Value: string(f.value)})
	}
	return kept
}
