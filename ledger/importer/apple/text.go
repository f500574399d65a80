package apple

import (
	"bytes"
	"unicode/utf8"
)

// plainBytes are those that need no decoding in an attribute value: ASCII but control
// characters (other than tab and line feed) and "&".
var plainBytes = func() (table [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		table[c] = c != '&'
	}
	table['\t'], table['\n'] = true, true
	return table
}()

// decode returns an attribute value as text: references resolved, line ends made "\n",
// and every character that XML 1.0 does not allow replaced by U+FFFD, be it a byte
// that is not UTF-8, a control character or a reference to one. A reference to
// anything but the five predefined entities stays as it is. The result is raw itself
// where nothing had to change, else it lies in scratch, which decode may grow.
func decode(raw, scratch []byte) (value, grown []byte, replaced uint64) {
	i := 0
	for i < len(raw) && plainBytes[raw[i]] {
		i++
	}
	if i == len(raw) {
		return raw, scratch, 0
	}
	b := append(scratch[:0], raw[:i]...)
	for i < len(raw) {
		switch c := raw[i]; {
		case plainBytes[c]:
			b = append(b, c)
			i++
		case c == '&':
			r, length := reference(raw[i:])
			if length == 0 {
				b = append(b, '&')
				i++
				continue
			}
			if !allowed(r) {
				r = utf8.RuneError
				replaced++
			}
			b = utf8.AppendRune(b, r)
			i += length
		case c == '\r':
			b = append(b, '\n')
			if i++; i < len(raw) && raw[i] == '\n' {
				i++
			}
		case c < 0x20:
			b = utf8.AppendRune(b, utf8.RuneError)
			replaced++
			i++
		default:
			r, size := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && size <= 1 || !allowed(r) {
				r = utf8.RuneError
				replaced++
			}
			b = utf8.AppendRune(b, r)
			i += size
		}
	}
	return b, b, replaced
}

// allowed says whether XML 1.0 allows a character (section 2.2).
func allowed(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// maxReference is the longest reference that can mean something.
const maxReference = 16

// reference reads the reference at the start of b and its length; 0: it is none that
// we resolve. A number too large for a character comes back as -1.
func reference(b []byte) (r rune, length int) {
	end := bytes.IndexByte(b[:min(len(b), maxReference)], ';')
	if end < 2 {
		return 0, 0
	}
	switch string(b[1:end]) {
	case "amp":
		return '&', end + 1
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	}
	if b[1] != '#' {
		return 0, 0
	}
	digits, base := b[2:end], rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	if len(digits) == 0 {
		return 0, 0
	}
	for _, c := range digits {
		var d rune
		switch {
		case c >= '0' && c <= '9':
			d = rune(c - '0')
		case base == 16 && c >= 'a' && c <= 'f':
			d = rune(c-'a') + 10
		case base == 16 && c >= 'A' && c <= 'F':
			d = rune(c-'A') + 10
		default:
			return 0, 0
		}
		if r >= 0 {
			r = r*base + d
		}
		if r > utf8.MaxRune {
			r = -1
		}
	}
	return r, end + 1
}
