package apple

import (
	"math"
	"strconv"
)

// dateLength is the length of "2006-01-02 15:04:05 -0700".
const dateLength = len("2006-01-02 15:04:05 -0700")

// parseDate reads a date of the export as microseconds since the epoch, UTC, and
// gives the offset, in seconds east, that it was written with.
func parseDate(b []byte) (micros int64, offset int64, ok bool) {
	if len(b) != dateLength || b[4] != '-' || b[7] != '-' || b[10] != ' ' || b[13] != ':' || b[16] != ':' || b[19] != ' ' {
		return 0, 0, false
	}
	century, ok1 := two(b, 0)
	years, ok2 := two(b, 2)
	month, ok3 := two(b, 5)
	day, ok4 := two(b, 8)
	hour, ok5 := two(b, 11)
	minute, ok6 := two(b, 14)
	second, ok7 := two(b, 17)
	east, ok8 := two(b, 21)
	minutes, ok9 := two(b, 23)
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 && ok8 && ok9) {
		return 0, 0, false
	}
	year := century*100 + years
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 || east > 15 || minutes > 59 {
		return 0, 0, false
	}
	offset = east*3600 + minutes*60
	switch b[20] {
	case '+':
	case '-':
		offset = -offset
	default:
		return 0, 0, false
	}
	return ((daysSinceEpoch(year, month, day)*24+hour)*3600 + minute*60 + second - offset) * 1_000_000, offset, true
}

func two(b []byte, i int) (int64, bool) {
	high, low := b[i]-'0', b[i+1]-'0'
	return int64(high)*10 + int64(low), high <= 9 && low <= 9
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
