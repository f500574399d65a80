package query

import (
	"fmt"
	"strconv"
	"time"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

const (
	// maxIntervals bounds an answer: more than a year of hours, or 27 years of days.
	maxIntervals = 10_000
	// maxCount keeps the edges of intervals within what a number of microseconds holds.
	maxCount = 100_000

	microsPerSecond = 1_000_000
	microsPerMinute = 60 * microsPerSecond
	microsPerHour   = 60 * microsPerMinute
	microsPerDay    = 24 * microsPerHour
)

// calendar cuts time into intervals, each half-open and each beginning where the one before
// it ends. With no unit there is one interval, the period.
//
// Minutes and hours with an anchor or a count are so much time after the anchor. Those
// without are what the clock of the zone shows, cut where the clock changes, so that a
// repeated hour is two. Longer units begin where the anchor's date moved by a number of
// them and its time of day say, counted from the anchor each time, so that months after
// the 31st end with the last day of shorter ones and come back to it. A time that clocks
// skip is the moment in which they do, of one that they repeat it is the first.
type calendar struct {
	unit  pb.CalendarUnit
	count int64
	zone  *time.Location
	// anchor is an edge between intervals, if anchored; else they begin as in 2001, with
	// which a minute, an hour, a day, a Monday, a month and a year began.
	anchor   int64
	anchored bool
	period   period
	// number and found are of the interval found last, before it is clipped.
	number int64
	found  period
}

// defaultAnchor is what the clock shows at the default anchor, as if in UTC.
var defaultAnchor = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// parseInterval sets what the request says of intervals; the period and the zone are there.
func (c *calendar) parseInterval(i *pb.Interval) error {
	c.unit, c.count = i.GetUnit(), max(1, int64(i.GetCount()))
	if c.unit < 0 || c.unit > pb.CalendarUnit_CALENDAR_UNIT_YEAR {
		return refuse("interval.unit", strconv.Itoa(int(c.unit)), "no such unit")
	}
	if c.count > maxCount {
		return refuse("interval.count", strconv.FormatInt(c.count, 10), fmt.Sprintf("at most %d", maxCount))
	}
	c.anchor, c.anchored = c.moment(defaultAnchor), i.GetAnchor() != nil
	if c.anchored {
		var err error
		if c.anchor, err = health.Micros(i.GetAnchor()); err != nil {
			return refuse("interval.anchor", "", err.Error())
		}
	}
	return nil
}

// tooMany refuses more intervals than an answer holds.
func tooMany() error {
	return refuse("interval", "", fmt.Sprintf("there are more than %d of them: ask for longer ones or a shorter period", maxIntervals))
}

// many says whether a bounded stretch of time has more intervals than an answer holds.
func (c *calendar) many(p period) bool {
	if c.unit == pb.CalendarUnit_CALENDAR_UNIT_UNSPECIFIED || p.empty() {
		return false
	}
	return c.index(p.to-1)-c.index(p.from) >= maxIntervals
}

// containing returns the interval that holds a time of the period, clipped to the period.
func (c *calendar) containing(t int64) period {
	if c.unit == pb.CalendarUnit_CALENDAR_UNIT_UNSPECIFIED {
		return c.period
	}
	var p period
	if length := c.length(); length > 0 && !c.anchored && c.count == 1 {
		p = c.onTheClock(t, length)
	} else {
		p = c.numbered(t)
	}
	return period{max(p.from, c.period.from), min(p.to, c.period.to)}
}

// numbered returns the interval that holds t among those counted from the anchor. The one
// after that found last is found fast.
func (c *calendar) numbered(t int64) period {
	if t == c.found.to && c.found.from < c.found.to {
		c.found.from = t
		for c.found.to <= t {
			c.number++
			c.found.to = c.edge(c.number + 1)
		}
		return c.found
	}
	c.number = c.index(t)
	c.found = period{c.edge(c.number), c.edge(c.number + 1)}
	return c.found
}

// length returns how long an interval is, 0 if that depends on the calendar.
func (c *calendar) length() int64 {
	switch c.unit {
	case pb.CalendarUnit_CALENDAR_UNIT_MINUTE:
		return c.count * microsPerMinute
	case pb.CalendarUnit_CALENDAR_UNIT_HOUR:
		return c.count * microsPerHour
	}
	return 0
}

// onTheClock returns the minute or hour of the clock that holds t.
func (c *calendar) onTheClock(t, length int64) period {
	start := t - floorMod(c.wall(t), length)
	return period{c.change(t, start), c.change(t, start+length)}
}

// change returns where the clock changes between t and an hour's bound before or after it,
// or that bound if it does not.
func (c *calendar) change(t, bound int64) int64 {
	offset := c.offset(t)
	same, other := t, bound
	if bound > t {
		other-- // the last that may be within
	}
	if c.offset(other) == offset {
		return bound
	}
	for distance := other - same; distance > 1 || distance < -1; distance = other - same {
		if middle := same + distance/2; c.offset(middle) == offset {
			same = middle
		} else {
			other = middle
		}
	}
	return max(same, other)
}

// index returns the number of the interval that holds t, that after the anchor being 0.
func (c *calendar) index(t int64) int64 {
	if length := c.length(); length > 0 {
		return floorDiv(t-c.anchor, length)
	}
	// Clocks that change make the guess wrong by one or two.
	n := c.guess(t)
	for c.edge(n) > t {
		n--
	}
	for c.edge(n+1) <= t {
		n++
	}
	return n
}

func (c *calendar) guess(t int64) int64 {
	shown, anchor := c.wall(t), c.wall(c.anchor)
	if days := c.days(); days > 0 {
		return floorDiv(shown-anchor, days*microsPerDay)
	}
	a, b := time.UnixMicro(anchor).UTC(), time.UnixMicro(shown).UTC()
	return floorDiv(int64(b.Year()-a.Year())*12+int64(b.Month()-a.Month()), c.months())
}

// edge returns where the interval with this number begins.
func (c *calendar) edge(n int64) int64 {
	if length := c.length(); length > 0 {
		return c.anchor + n*length
	}
	if n == 0 {
		return c.anchor
	}
	anchor := c.wall(c.anchor)
	if !c.anchored {
		anchor = defaultAnchor
	}
	if days := c.days(); days > 0 {
		return c.moment(anchor + n*days*microsPerDay)
	}
	a := time.UnixMicro(anchor).UTC()
	// The month after the one wanted, less a day, is the last day that there is.
	month := time.Date(a.Year(), a.Month()+time.Month(n*c.months()), 1, 0, 0, 0, 0, time.UTC)
	day := min(a.Day(), month.AddDate(0, 1, -1).Day())
	return c.moment(month.AddDate(0, 0, day-1).UnixMicro() + floorMod(anchor, microsPerDay))
}

// days returns how many an interval has, 0 if that varies.
func (c *calendar) days() int64 {
	switch c.unit {
	case pb.CalendarUnit_CALENDAR_UNIT_DAY:
		return c.count
	case pb.CalendarUnit_CALENDAR_UNIT_WEEK:
		return 7 * c.count
	}
	return 0
}

func (c *calendar) months() int64 {
	if c.unit == pb.CalendarUnit_CALENDAR_UNIT_YEAR {
		return 12 * c.count
	}
	return c.count
}

// wall returns what the clock of the zone shows, as the time at which one in UTC does.
func (c *calendar) wall(t int64) int64 { return t + c.offset(t) }

func (c *calendar) offset(t int64) int64 {
	_, offset := time.UnixMicro(t).In(c.zone).Zone()
	return int64(offset) * microsPerSecond
}

// moment returns the first time at which the clock shows wall or later. It never goes back
// when wall goes on, whatever clocks do.
func (c *calendar) moment(wall int64) int64 {
	// No clock is a day and a half ahead of UTC.
	at := wall - 3*microsPerDay/2
	for {
		local := time.UnixMicro(at).In(c.zone)
		t := max(at, wall-c.offset(at))
		_, to := local.ZoneBounds()
		if to.IsZero() {
			return t
		}
		// On the last days of some years ZoneBounds says that the zone has ended already
		// (package time takes all to have 365 days). Clocks do not change then.
		end := to.UnixMicro()
		if end <= at {
			end = at + microsPerDay
		}
		if t < end {
			return t
		}
		at = end
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
