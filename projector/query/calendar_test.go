package query

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

func calendarOf(t rapid.TB, zone string, i *pb.Interval) *calendar {
	z, err := parseZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	c := &calendar{zone: z, period: always}
	if err := c.parseInterval(i); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDaysHaveTheHoursTheyHave(t *testing.T) {
	cases := []struct {
		zone, day string
		hours     float64
	}{
		{"Europe/Berlin", "2024-03-31", 23}, {"Europe/Berlin", "2024-10-27", 25}, {"Europe/Berlin", "2024-06-01", 24},
		{"Australia/Lord_Howe", "2024-10-06", 23.5}, {"Australia/Lord_Howe", "2024-04-07", 24.5},
		// Midnight is skipped, and an hour before midnight repeated.
		{"America/Sao_Paulo", "2018-11-04", 23}, {"America/Sao_Paulo", "2018-02-17", 25},
		// Midnight comes twice.
		{"America/Havana", "2024-11-03", 25}, {"Asia/Amman", "2021-10-29", 25},
		// A day before one that is skipped, and the last of a leap year.
		{"Pacific/Apia", "2011-12-29", 24}, {"Europe/Berlin", "2040-12-31", 24}, {"", "2024-03-31", 24},
	}
	for _, c := range cases {
		days := calendarOf(t, c.zone, &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY})
		noon, err := time.ParseInLocation("2006-01-02 15:04", c.day+" 12:00", days.zone)
		if err != nil {
			t.Fatal(err)
		}
		p := days.containing(noon.UnixMicro())
		if hours := float64(p.to-p.from) / microsPerHour; hours != c.hours {
			t.Errorf("%s in %s has %v hours, want %v", c.day, c.zone, hours, c.hours)
		}
		if first := time.UnixMicro(p.from).In(days.zone).Format(time.DateOnly); first != c.day {
			t.Errorf("%s in %s begins on %s", c.day, c.zone, first)
		}
	}
}

func TestIntervalsPartitionTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := rapid.SampledFrom(changing).Draw(r, "zone").zone
		i := &pb.Interval{Unit: pb.CalendarUnit(rapid.Int32Range(1, 6).Draw(r, "unit")), Count: rapid.Uint32Range(0, 40).Draw(r, "count")}
		if rapid.Bool().Draw(r, "anchored") {
			i.Anchor = timestamp("2024-01-31T23:59:59.5Z")
		}
		at := rapid.Int64Range(-100*365*microsPerDay, 100*365*microsPerDay).Draw(r, "time")
		c := calendarOf(r, zone, i)
		p := c.containing(at)
		if at < p.from || at >= p.to {
			r.Fatalf("%d is not within %v", at, p)
		}
		for _, inside := range []int64{p.from, p.to - 1} {
			if q := calendarOf(r, zone, i).containing(inside); q != p {
				r.Fatalf("%v and %v share %d", p, q, inside)
			}
		}
		if next := c.containing(p.to); next.from != p.to {
			r.Fatalf("%v is followed by %v", p, next)
		}
	})
}
