package table

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DateFormats are the ways in which dates are written. Days and months are never guessed.
//
//   - iso: 2025-05-31T07:10:00+02:00, 2025-05-31 07:10, 2025-05-31
//   - dmy: 31.05.2025 07:10, 31/5/2025 7:10:15 PM, 31-05-2025
//   - mdy: 05/31/2025 07:10, 5/31/2025
//   - ymd: 2025/05/31 07:10, 2025.05.31, 20250531
//   - unix, unixms: seconds or milliseconds since 1970-01-01 UTC
var DateFormats = map[string]func() dateFunc{
	"iso":    layouts([]string{"2006-01-02"}, "T", " "),
	"dmy":    layouts([]string{"2.1.2006", "2/1/2006", "2-1-2006"}, " ", ", ", "T"),
	"mdy":    layouts([]string{"1/2/2006", "1.2.2006", "1-2-2006"}, " ", ", ", "T"),
	"ymd":    layouts([]string{"2006/1/2", "2006.1.2", "2006-1-2", "20060102"}, " ", ", ", "T"),
	"unix":   epoch(1_000_000),
	"unixms": epoch(1000),
}

// dateFunc reads a date; the zone is for those without an offset. It is for one goroutine.
type dateFunc func(text string, zone *time.Location) (time.Time, error)

func dateFormatNames() []string { return slices.Sorted(maps.Keys(DateFormats)) }

// clocks are the times of day that may follow a day; fractions of a second may follow.
var clocks = []string{"15:04:05", "15:04", "3:04:05 PM", "3:04 PM", "3:04:05PM", "3:04PM"}

// offsets may follow the time of day.
var offsets = []string{"", "Z07:00", " Z07:00", " -0700", "-0700"}

// layouts reads any of the days, alone or followed by a time of day and an offset.
func layouts(days []string, between ...string) func() dateFunc {
	var all []string
	for _, day := range days {
		all = append(all, day)
		for _, gap := range between {
			for _, clock := range clocks {
				for _, offset := range offsets {
					all = append(all, day+gap+clock+offset)
				}
			}
		}
	}
	return func() dateFunc {
		last := 0 // the dates of a file are alike
		return func(text string, zone *time.Location) (time.Time, error) {
			text = strings.ToUpper(text)
			for i := range len(all) + 1 {
				at := last
				if i > 0 {
					at = i - 1
				}
				t, err := time.ParseInLocation(all[at], text, zone)
				if err == nil {
					last = at
					return exact(t, all[at], text, zone)
				}
			}
			return time.Time{}, fmt.Errorf("not a date of this format, as in %s", example(days[0]+between[0]+clocks[1]))
		}
	}
}

func example(layout string) string {
	return time.Date(2025, 5, 31, 7, 10, 0, 0, time.UTC).Format(layout)
}

// exact refuses times that the clocks of the zone skipped, and what is finer than the
// ledger keeps.
func exact(t time.Time, layout, text string, zone *time.Location) (time.Time, error) {
	if t.Nanosecond()%1000 != 0 {
		return t, fmt.Errorf("finer than a microsecond")
	}
	wall, err := time.Parse(layout, text)
	if err == nil && !strings.Contains(layout, "07") && (wall.Hour() != t.Hour() || wall.Minute() != t.Minute() || wall.Day() != t.Day()) {
		return t, fmt.Errorf("no such time in %s: the clocks were put forward", zone)
	}
	return t, nil
}

// epoch reads decimal numbers since the Unix epoch.
func epoch(micros int64) func() dateFunc {
	return func() dateFunc {
		return func(text string, _ *time.Location) (time.Time, error) {
			v, ok := new(big.Rat).SetString(text)
			if !ok || strings.ContainsAny(text, "/eExXpP_") {
				return time.Time{}, fmt.Errorf("not a number of seconds or milliseconds since 1970")
			}
			v.Mul(v, new(big.Rat).SetInt64(micros))
			if !v.IsInt() {
				return time.Time{}, fmt.Errorf("finer than a microsecond")
			}
			if !v.Num().IsInt64() {
				return time.Time{}, fmt.Errorf("not within the years 1 to 9999")
			}
			return time.UnixMicro(v.Num().Int64()), nil
		}
	}
}

// duration reads seconds, "1h30m" or "1:30:00", in microseconds.
func duration(text string, decimal byte) (time.Duration, error) {
	var d time.Duration
	if parts := strings.Split(text, ":"); len(parts) == 3 {
		var total time.Duration
		for _, part := range parts {
			n, err := strconv.ParseUint(part, 10, 16)
			if err != nil {
				return 0, fmt.Errorf("not hours:minutes:seconds")
			}
			total = total*60 + time.Duration(n)
		}
		d = total * time.Second
	} else if parsed, err := time.ParseDuration(text); err == nil {
		d = parsed
	} else {
		seconds, err := number(text, decimal)
		if err != nil {
			return 0, fmt.Errorf("neither seconds nor like 1h30m or 1:30:00")
		}
		if seconds > maxDuration.Seconds() || seconds < 0 {
			return 0, fmt.Errorf("negative, or more than %s", maxDuration)
		}
		d = time.Duration(seconds*1e6+0.5) * time.Microsecond
	}
	if d < 0 || d > maxDuration {
		return 0, fmt.Errorf("negative, or more than %s", maxDuration)
	}
	return d, nil
}

// maxDuration is more than anything lasts that is measured.
const maxDuration = 20 * 365 * 24 * time.Hour

// number reads a decimal number; there are no signs between thousands.
func number(text string, decimal byte) (float64, error) {
	if decimal == ',' {
		if strings.Contains(text, ".") {
			return 0, fmt.Errorf("a point in a number with a decimal comma")
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	for i := range len(text) {
		if !strings.ContainsRune("0123456789+-.eE", rune(text[i])) {
			return 0, fmt.Errorf("not a number")
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("not a number")
	}
	return v, nil
}
