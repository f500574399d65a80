package disk

import "time"

// A trend remembers what was left at the beginning of each hour of the last day, as far as
// anybody looked.
type trend struct {
	hours [24]struct {
		hour int64 // since the Unix epoch
		at   time.Time
		left uint64
	}
}

const hourSeconds = 60 * 60

func (t *trend) add(at time.Time, left uint64) {
	hour := at.Unix() / hourSeconds
	if slot := &t.hours[uint64(hour)%uint64(len(t.hours))]; slot.hour != hour {
		slot.hour, slot.at, slot.left = hour, at, left
	}
}

// pace returns how many bytes go a second, since the earliest look of the last day that
// is an hour ago or more; 0: none is, or nothing goes.
func (t *trend) pace(now time.Time, left uint64) float64 {
	var passed time.Duration
	var gone float64
	for _, slot := range t.hours {
		// Without the monotonic clock, which stands still in suspend.
		since := now.Round(0).Sub(slot.at.Round(0))
		if slot.hour != 0 && since >= time.Hour && since <= 24*time.Hour && since > passed {
			passed, gone = since, float64(slot.left)-float64(left)
		}
	}
	if gone <= 0 {
		return 0
	}
	return gone / passed.Seconds()
}
