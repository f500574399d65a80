package query

import (
	"time"
	_ "time/tzdata" // an answer must not depend on what the host has installed

	pb "healthledger/proto/healthledger/v1"
)

// calendar cuts time into buckets, each half-open and each beginning where the one before
// it ends. With no unit there is one bucket, the period.
type calendar struct {
	unit   pb.CalendarUnit
	zone   *time.Location
	period period
}

// containing returns the bucket that holds a time of the period, clipped to the period.
func (c *calendar) containing(t int64) period {
	b := c.period
	switch c.unit {
	case pb.CalendarUnit_CALENDAR_UNIT_HOUR:
		b = hourOf(time.UnixMicro(t).In(c.zone))
	case pb.CalendarUnit_CALENDAR_UNIT_DAY:
		b = dayOf(time.UnixMicro(t).In(c.zone))
	}
	return period{max(b.from, c.period.from), min(b.to, c.period.to)}
}

// dayOf returns the day that holds t; it has 23 or 25 hours where clocks change.
func dayOf(t time.Time) period {
	year, month, day := t.Date()
	// The local date is a day off where clocks went back across midnight.
	start := dayStart(year, month, day, t.Location())
	for start.After(t) {
		day--
		start = dayStart(year, month, day, t.Location())
	}
	end := dayStart(year, month, day+1, t.Location())
	for !end.After(t) {
		day++
		start, end = end, dayStart(year, month, day+1, t.Location())
	}
	return period{start.UnixMicro(), end.UnixMicro()}
}

// dayStart returns the first moment of a day: midnight, the first of two where clocks go
// back to it, or the change itself where they skip it.
func dayStart(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	from, to := t.ZoneBounds()
	if t.Hour() != 0 || t.Minute() != 0 || t.Second() != 0 {
		// There is no midnight, and Date gave a time before or after the gap.
		if t.Hour() >= 12 {
			return to
		}
		return from
	}
	if from.IsZero() {
		return t
	}
	_, now := t.Zone()
	_, before := from.Add(-1).Zone()
	if first := t.Add(-time.Duration(before-now) * time.Second); before > now && first.Before(from) {
		return first
	}
	return t
}

// hourOf returns the hour of the clock that holds t. An hour in which the clock changes
// is cut there, so that a repeated hour is two.
func hourOf(t time.Time) period {
	from, to := t.ZoneBounds()
	start := t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	end := start.Add(time.Hour)
	if !from.IsZero() && start.Before(from) {
		start = from
	}
	if !to.IsZero() && end.After(to) {
		end = to
	}
	return period{start.UnixMicro(), end.UnixMicro()}
}
