package apple

import (
	"math"
	"strconv"
)

// dateLength is the length of "2006-01-02 15:04:05 -0700".
const dateLength = len("2006-01-02 15:04:05 -0700")

// parseDate reads a date of the export as microseconds since the epoch, UTC, and
// gives the offset, in seconds east, that it was written with. Exports of iOS 8 write
// "20141001100000-0700", or the same without the seconds.
func parseDate(b []byte) (micros int64, offset int64, ok bool) {
	if len(b) != dateLength || b[4] != '-' || b[7] != '-' || b[10] != ' ' || b[13] != ':' || b[16] != ':' || b[19] != ' ' {
		return parseCompact(b)
	}
	var d digits
	year := d.two(b, 0)*100 + d.two(b, 2)
	seconds := d.clock(year, d.two(b, 5), d.two(b, 8), d.two(b, 11), d.two(b, 14), d.two(b, 17))
	offset = d.offset(b[20], d.two(b, 21), d.two(b, 23))
	return (seconds - offset) * 1_000_000, offset, !d.bad
}

func parseCompact(b []byte) (micros int64, offset int64, ok bool) {
	const withSeconds, without = len("20141001100000-0700"), len("201410011000-0700")
	if len(b) != withSeconds && len(b) != without {
		return 0, 0, false
	}
	var d digits
	second, zone := int64(0), len(b)-len("-0700")
	if len(b) == withSeconds {
		second = d.two(b, 12)
	}
	seconds := d.clock(d.two(b, 0)*100+d.two(b, 2), d.two(b, 4), d.two(b, 6), d.two(b, 8), d.two(b, 10), second)
	offset = d.offset(b[zone], d.two(b, zone+1), d.two(b, zone+3))
	return (seconds - offset) * 1_000_000, offset, !d.bad
}

// parseStamp reads a date of a GPX file, "2019-06-11T22:00:42.5Z", as microseconds. What
// is finer is cut off.
func parseStamp(b []byte) (micros int64, ok bool) {
	const length = len("2019-06-11T22:00:42")
	if len(b) <= length || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	var d digits
	micros = d.clock(d.two(b, 0)*100+d.two(b, 2), d.two(b, 5), d.two(b, 8), d.two(b, 11), d.two(b, 14), d.two(b, 17)) * 1_000_000
	if b = b[length:]; b[0] == '.' {
		i := 1
		for unit := int64(100_000); i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			micros += int64(b[i]-'0') * unit
			unit /= 10
		}
		if i == 1 {
			return 0, false
		}
		b = b[i:]
	}
	switch {
	case d.bad:
	case len(b) == 1 && b[0] == 'Z':
		return micros, true
	case len(b) == len("+02:00") && b[3] == ':':
		micros -= d.offset(b[0], d.two(b, 1), d.two(b, 4)) * 1_000_000
		return micros, !d.bad
	}
	return 0, false
}

// digits reads numbers of two digits, and notes whether one was bad.
type digits struct{ bad bool }

func (d *digits) two(b []byte, i int) int64 {
	high, low := b[i]-'0', b[i+1]-'0'
	d.bad = d.bad || high > 9 || low > 9
	return int64(high)*10 + int64(low)
}

// clock is a date and a time of day in seconds since the epoch.
func (d *digits) clock(year, month, day, hour, minute, second int64) int64 {
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		d.bad = true
		return 0
	}
	return (daysSinceEpoch(year, month, day)*24+hour)*3600 + minute*60 + second
}

// offset of a zone in seconds east.
func (d *digits) offset(sign byte, hours, minutes int64) int64 {
	offset := hours*3600 + minutes*60
	if hours > 15 || minutes > 59 || sign != '+' && sign != '-' {
		d.bad = true
	}
	if sign == '-' {
		return -offset
	}
	return offset
}

func daysIn(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts in years that begin in March, so that the leap day is the
// last of them: 365 days a year, and one more for each leap year gone by.
func daysSinceEpoch(year, month, day int64) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	const toEpoch = 719_469 // days from 1 March of year 0 to 1970, less the first day
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - toEpoch
}

// powers of ten that are exact as float64.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseNumber reads a decimal number, correctly rounded. Infinities, NaN, hexadecimal
// and anything else that is no decimal are not ok.
func parseNumber(b []byte) (v float64, ok bool) {
	i := 0
	if len(b) > 0 && b[0] == '-' {
		i++
	}
	// Up to 15 digits fit a float64, and so does the power of ten: one division, one
	// rounding.
	var mantissa int64
	digits, decimals, point := 0, 0, false
	for ; i < len(b) && digits <= 15; i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9':
			mantissa = mantissa*10 + int64(c-'0')
			digits++
			if point {
				decimals++
			}
		case c == '.' && !point:
			point = true
		default:
			return parseLong(b)
		}
	}
	if digits == 0 || digits > 15 {
		return parseLong(b)
	}
	v = float64(mantissa) / powers[decimals]
	if b[0] == '-' {
		v = -v
	}
	return v, true
}

func parseLong(b []byte) (float64, bool) {
	for _, c := range b {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil && !math.IsInf(v, 0)
}
