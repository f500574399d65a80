package apple

import "strconv"

// BeatsKey is the metadata key under which the readings behind a heart rate
// variability are kept: beats per minute and seconds since the start of the sample,
// "66 1.08; 71 1.94; …". The export has the times as clock text without a date, in the
// zone and the language of the exporting phone; one that cannot be read, or that lies
// outside of the sample, is kept as it is.
const BeatsKey = "HeartRateVariabilityMetadataList"

const (
	micro   = int64(1_000_000)
	halfDay = 12 * 3600 * micro
)

// sinceStart makes of a clock text ("9:43:09.08 AM", "21:43:09,08") the microseconds
// since the start of a sample. The text has no date and its marks for morning and
// evening depend on the language, so only the time within half a day counts; it has
// to lie within the sample, give or take some minutes, else it is not ok.
func sinceStart(clock []byte, start, end, offset int64) (micros int64, ok bool) {
	at, ok := parseClock(clock)
	if !ok {
		return 0, false
	}
	const before, after = 60 * micro, 600 * micro
	micros = (at - (start + offset*micro)) % halfDay
	if micros < -before {
		micros += halfDay
	}
	if micros >= halfDay-before {
		micros -= halfDay
	}
	return micros, micros >= -before && micros <= end-start+after
}

// parseClock reads hour, minute, second and fraction, and ignores what follows.
func parseClock(b []byte) (micros int64, ok bool) {
	var parts [3]int64
	for i := range parts {
		digits := 0
		for len(b) > 0 && b[0] >= '0' && b[0] <= '9' && digits < 3 {
			parts[i] = parts[i]*10 + int64(b[0]-'0')
			b = b[1:]
			digits++
		}
		if digits == 0 || digits > 2 {
			return 0, false
		}
		if i < 2 {
			if len(b) == 0 || b[0] != ':' && b[0] != '.' {
				return 0, false
			}
			b = b[1:]
		}
	}
	if parts[0] > 23 || parts[1] > 59 || parts[2] > 59 {
		return 0, false
	}
	micros = ((parts[0]*60+parts[1])*60 + parts[2]) * micro
	if len(b) > 1 && (b[0] == '.' || b[0] == ',') {
		for unit := micro / 10; unit > 0 && len(b) > 1 && b[1] >= '0' && b[1] <= '9'; unit /= 10 {
			micros += int64(b[1]-'0') * unit
			b = b[1:]
		}
	}
	return micros, true
}

// appendSeconds prints microseconds as seconds with as many decimals as needed.
func appendSeconds(b []byte, micros int64) []byte {
	if micros < 0 {
		b = append(b, '-')
		micros = -micros
	}
	b = strconv.AppendInt(b, micros/micro, 10)
	if rest := micros % micro; rest > 0 {
		b = append(b, '.')
		for unit := micro / 10; rest > 0; unit /= 10 {
			b = append(b, byte('0'+rest/unit))
			rest %= unit
		}
	}
	return b
}

// beatElement is one reading in a list of them.
const beatElement = "InstantaneousBeatsPerMinute"

// beat gathers one reading of a heart rate variability; it says no to one with more than
// that.
func (x *record) beat(attributes []attribute) bool {
	var bpm, clock []byte
	for i := range attributes {
		a := &attributes[i]
		switch string(a.name) {
		case "bpm":
			bpm = a.raw
		case "time":
			clock = a.raw
		default:
			return false
		}
	}
	if len(x.beats) > maxRaw {
		x.why = whyMetadata
	}
	if x.why != "" {
		return true
	}
	if len(x.beats) > 0 {
		x.beats = append(x.beats, "; "...)
	}
	x.beats = append(x.beats, bpm...)
	x.beats = append(x.beats, ' ')
	if micros, ok := sinceStart(clock, x.row.Start, x.row.End, x.startOffset); ok {
		x.beats = appendSeconds(x.beats, micros)
	} else {
		x.beats = append(x.beats, clock...)
	}
	return true
}
