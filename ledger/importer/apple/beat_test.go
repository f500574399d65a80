package apple

import (
	"fmt"
	"testing"
	"time"
)

func TestBeatsAreCountedFromTheStart(t *testing.T) {
	for _, c := range []struct{ start, clock, want string }{
		{"2017-09-20 09:43:08 -0500", "9:43:09.08 AM", "1.08"},
		{"2017-09-20 21:43:08 -0500", "9:43:09.08 PM", "1.08"},
		{"2017-09-20 21:43:08 -0500", "21:43:09,08", "1.08"},
		{"2017-09-20 21:43:08 -0500", "9:43:09.08 nachm.", "1.08"},
		{"2017-09-20 00:00:59 +0530", "12:01:01.5 AM", "2.5"},
		{"2017-09-20 23:59:59 +0530", "12:00:00.10 AM", "1.1"},
		{"2017-09-20 12:00:01 +0000", "11:59:59.99 AM", "-1.01"},
		{"2017-09-20 12:00:00 +0000", "12.00.03", "3"},
		{"1965-07-31 12:00:00 +0000", "12:00:03", "3"},
		// Not within the sample, or no time that we can read.
		{"2017-09-20 12:00:00 +0000", "12:30:00.00", ""},
		{"2017-09-20 12:00:00 +0000", "下午12:00:03", ""},
		{"2017-09-20 12:00:00 +0000", "12:00", ""},
		{"2017-09-20 12:00:00 +0000", "", ""},
		{"2017-09-20 12:00:00 +0000", "25:00:00", ""},
	} {
		start, offset, ok := parseDate([]byte(c.start))
		if !ok {
			t.Fatal(c.start)
		}
		got := ""
		if micros, ok := sinceStart([]byte(c.clock), start, start+60*micro, offset); ok {
			got = string(appendSeconds(nil, micros))
		}
		if got != c.want {
			t.Errorf("%s, %q: got %q, want %q", c.start, c.clock, got, c.want)
		}
	}
}

func TestBeatsDoNotDependOnTheZoneOfTheExport(t *testing.T) {
	start := time.Date(2024, 3, 1, 7, 59, 50, 0, time.UTC)
	for _, zone := range []int{0, 3600, -8 * 3600, 5*3600 + 45*60, 13 * 3600} {
		for _, layout := range []string{"3:04:05.00 PM", "15:04:05.00"} {
			for _, after := range []time.Duration{0, 1230 * time.Millisecond, 59990 * time.Millisecond} {
				local := start.Add(after).In(time.FixedZone("", zone))
				micros, ok := sinceStart([]byte(local.Format(layout)), start.UnixMicro(), start.UnixMicro()+60*micro, int64(zone))
				if !ok || micros != after.Microseconds() {
					t.Errorf("%s: got %d, %v, want %d", fmt.Sprint(local), micros, ok, after.Microseconds())
				}
			}
		}
	}
}
