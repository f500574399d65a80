package health

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// The first and the last microsecond of the years 1 to 9999, which is what a
// Timestamp may hold.
var (
	minMicros = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	maxMicros = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() - 1
)

// DistantFuture is Apple's Date.distantFuture, 4001-01-01T00:00:00Z. A sample that ends
// then has an undetermined duration (spec section 3.1): it goes on, and nobody knows for
// how long. It is an end like any other to everything that compares times, so that the
// sample overlaps whatever comes after its start. Types that are points in time or have
// a longest duration cannot have it: a sum over an unknown time has no meaning.
const DistantFuture int64 = 64_092_211_200_000_000

const (
	whyRange  = "not within the years 1 to 9999"
	whyFine   = "finer than a microsecond"
	whyNanos  = "nanoseconds are not within 0 and 999999999"
	dayLayout = time.DateOnly
)

// ParseTime reads a date as people write it here: RFC 3339 with its own offset
// ("2024-05-01T07:30:00+02:00"), or a day ("2024-05-01"), which is its first
// moment in loc; nil means UTC. Years run from 1 to 9999.
func ParseTime(text string, loc *time.Location) (time.Time, error) {
	if loc == nil {
		loc = time.UTC
	}
	var t time.Time
	var err error
	if len(text) == len(dayLayout) {
		t, err = time.ParseInLocation(dayLayout, text, loc)
	} else if t, err = time.Parse(time.RFC3339, text); err == nil && (text[13] != ':' || strings.Contains(text, ",")) {
		// Package time takes hours of one digit and decimal commas; the RFC does not.
		err = errors.New("not RFC 3339")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a day (2024-05-01) nor RFC 3339 (2024-05-01T07:30:00Z)", shorten(text))
	}
	if micros := t.UnixMicro(); micros < minMicros || micros > maxMicros {
		return time.Time{}, fmt.Errorf("%q is %s", shorten(text), whyRange)
	}
	return t, nil
}

// Micros returns a timestamp in microseconds since the Unix epoch. It refuses
// years outside 1 to 9999 and what is finer than a microsecond.
func Micros(ts *timestamppb.Timestamp) (int64, error) {
	micros, why := micros(ts)
	if why != "" {
		return 0, errors.New(why)
	}
	return micros, nil
}

// Timestamp is the inverse of Micros.
func Timestamp(micros int64) *timestamppb.Timestamp {
	seconds, rest := micros/1e6, micros%1e6
	if rest < 0 {
		seconds, rest = seconds-1, rest+1e6
	}
	return &timestamppb.Timestamp{Seconds: seconds, Nanos: int32(rest * 1000)}
}

func micros(ts *timestamppb.Timestamp) (micros int64, why string) {
	seconds, nanos := ts.GetSeconds(), ts.GetNanos()
	switch {
	case nanos < 0 || nanos > 999_999_999:
		return 0, whyNanos
	case nanos%1000 != 0:
		return 0, whyFine
	case seconds < minMicros/1e6 || seconds > maxMicros/1e6:
		return 0, whyRange
	}
	return seconds*1e6 + int64(nanos/1000), ""
}

// show prints a time for an error, and the bare number if it is no time.
func show(micros int64) string {
	if micros < minMicros || micros > maxMicros {
		return strconv.FormatInt(micros, 10) + "µs"
	}
	return time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
}

// showTimestamp does the same for one off the wire.
func showTimestamp(ts *timestamppb.Timestamp) string {
	seconds, nanos := ts.GetSeconds(), ts.GetNanos()
	if seconds < minMicros/1e6 || seconds > maxMicros/1e6 || nanos < 0 || nanos > 999_999_999 {
		return fmt.Sprintf("%ds %dns", seconds, nanos)
	}
	return time.Unix(seconds, int64(nanos)).UTC().Format(time.RFC3339Nano)
}
