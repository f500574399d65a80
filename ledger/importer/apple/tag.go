package apple

import (
	"bytes"
	"fmt"
)

// Classes of bytes in tags.
const (
	nameByte = 1 << iota
	spaceByte
)

var byteClass = func() (table [256]uint8) {
	for c := range table {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '_', c == ':', c == '-', c == '.', c >= 0x80:
			table[c] = nameByte
		case c == ' ', c == '\t', c == '\n', c == '\r':
			table[c] = spaceByte
		}
	}
	return table
}()

func blank(b []byte) bool {
	for _, c := range b {
		if byteClass[c]&spaceByte == 0 {
			return false
		}
	}
	return true
}

// tag reads the tag at the start of b into name, attributes and closed, and returns
// its length; 0 says that b ends inside it. Where the tag is wrong, why is not empty
// and the length says where.
func (s *scanner) tag(b []byte) (length int, why string) {
	i := 1
	end := b[1] == '/'
	if end {
		i++
	}
	from := i
	for i < len(b) && byteClass[b[i]]&nameByte != 0 {
		i++
	}
	if i == len(b) {
		return 0, ""
	}
	if i == from || b[from] >= '0' && b[from] <= '9' || b[from] == '-' || b[from] == '.' {
		return from, "a tag without a name"
	}
	if i-from > maxName {
		return from, fmt.Sprintf("a name is longer than %d bytes", maxName)
	}
	s.name = b[from:i]
	s.attributes = s.attributes[:0]
	for {
		for i < len(b) && byteClass[b[i]]&spaceByte != 0 {
			i++
		}
		if i == len(b) {
			return 0, ""
		}
		switch {
		case b[i] == '>':
			return i + 1, ""
		case end:
			return i, "an end tag with more than a name"
		case b[i] == '/':
			if i+1 == len(b) {
				return 0, ""
			}
			if b[i+1] != '>' {
				return i, "a slash in the middle of a tag"
			}
			s.closed = true
			return i + 2, ""
		}
		next, why := s.attribute(b, i)
		if next == 0 || why != "" {
			return next, why
		}
		i = next
	}
}

// attribute reads the attribute at b[i] and returns where it ends, or as tag does.
func (s *scanner) attribute(b []byte, i int) (next int, why string) {
	from := i
	for i < len(b) && byteClass[b[i]]&nameByte != 0 {
		i++
	}
	to := i
	for i < len(b) && b[i] != '=' {
		// A space before the "=" is allowed, one inside the name is not, but exports of
		// 2015 have it: there it is a part of the name.
		switch {
		case byteClass[b[i]]&spaceByte != 0:
		case byteClass[b[i]]&nameByte != 0 && to > from:
			to = i + 1
		default:
			return i, "an attribute without a value"
		}
		i++
	}
	for i++; i < len(b) && byteClass[b[i]]&spaceByte != 0; i++ {
	}
	if i >= len(b) {
		return 0, ""
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return i, "an attribute value without quotes"
	}
	if to == from {
		return from, "an attribute without a name"
	}
	i++
	n := bytes.IndexByte(b[i:], quote)
	if n < 0 {
		return 0, ""
	}
	raw := b[i : i+n]
	if bad := bytes.IndexByte(raw, '<'); bad >= 0 {
		return i + bad, "a < inside an attribute value"
	}
	if len(s.attributes) == maxAttributes {
		return from, fmt.Sprintf("a tag with more than %d attributes", maxAttributes)
	}
	s.attributes = append(s.attributes, attribute{b[from:to], raw})
	return i + n + 1, ""
}
