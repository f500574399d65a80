package export

import "time"

// clock prints times as the export does, "2006-01-02 15:04:05 -0700", with the
// zone's offset at that time. It remembers the last day, so printing is cheap.
type clock struct {
	zone *time.Location
	// compact prints as iOS 8 did, "20060102150405-0700".
	compact bool
	// offset holds from low until high (seconds since the epoch).
	low, high int64
	offset    int64
	sign      [5]byte
	// day is the local day number whose date is in date.
	day  int64
	date [10]byte
}

func newClock(zone *time.Location) *clock { return &clock{zone: zone, day: -1 << 62} }

// shift makes offset right for t.
func (c *clock) shift(t int64) {
	at := time.Unix(t, 0).In(c.zone)
	low, high := at.ZoneBounds()
	c.low, c.high = -1<<62, 1<<62
	if !low.IsZero() {
		c.low = low.Unix()
	}
	if !high.IsZero() {
		c.high = high.Unix()
	}
	_, offset := at.Zone()
	c.offset = int64(offset)
	copy(c.sign[:], at.Format("-0700"))
}

// local is the wall clock at t in seconds since the epoch.
func (c *clock) local(t int64) int64 {
	if t < c.low || t >= c.high || c.low == c.high {
		c.shift(t)
	}
	return t + c.offset
}

func (c *clock) append(b []byte, t int64) []byte {
	local := c.local(t)
	day := local / 86400
	if local%86400 < 0 {
		day--
	}
	if day != c.day {
		c.day = day
		time.Unix(day*86400, 0).UTC().AppendFormat(c.date[:0], "2006-01-02")
	}
	second := local - day*86400
	if c.compact {
		b = append(append(append(b, c.date[:4]...), c.date[5:7]...), c.date[8:]...)
		b = appendTwo(appendTwo(appendTwo(b, second/3600), second/60%60), second%60)
		return append(b, c.sign[:]...)
	}
	b = append(b, c.date[:]...)
	b = append(b, ' ')
	b = appendTwo(b, second/3600)
	b = append(b, ':')
	b = appendTwo(b, second/60%60)
	b = append(b, ':')
	b = appendTwo(b, second%60)
	b = append(b, ' ')
	return append(b, c.sign[:]...)
}

func appendTwo(b []byte, n int64) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10))
}
