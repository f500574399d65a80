package apple

import "strings"

// Numbers in files that are written in the language of the phone: "-265,868", "1.234,5",
// "٢٦٥٫٨".

// localNumber reads a number with a decimal comma or point, perhaps with the other one, a
// space or an apostrophe between groups of digits.
func localNumber(text string) (v float64, ok bool) {
	if len(text) > 64 {
		return 0, false
	}
	var plain [64]byte
	b := plain[:0]
	mark := strings.LastIndexAny(text, ".,٫")
	for i, r := range text {
		switch {
		case r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r >= '٠' && r <= '٩':
			b = append(b, byte('0'+r-'٠'))
		case r >= '۰' && r <= '۹':
			b = append(b, byte('0'+r-'۰'))
		case (r == '-' || r == '\u2212') && len(b) == 0:
			b = append(b, '-')
		case i == mark:
			b = append(b, '.')
		case strings.ContainsRune(".,٬'’ \u00a0\u202f\u200e\u200f\u061c", r):
		case (r == 'e' || r == 'E' || r == '-' || r == '+') && len(b) > 0:
			b = append(b, byte(r))
		default:
			return 0, false
		}
	}
	return parseNumber(b)
}

// leadingNumber reads the number that a text begins with: "512,844 Hertz".
func leadingNumber(text string) (v float64, ok bool) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹.,٫\u200e\u200f", r)
	})
	if end < 0 {
		end = len(text)
	}
	return localNumber(text[:end])
}
