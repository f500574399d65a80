package bench

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

func theDecade(t *testing.T, size int) *decade {
	t.Helper()
	d, err := newDecade(size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecadeIsTheSameEveryTimeAndAsLargeAsAsked(t *testing.T) {
	for _, size := range []int{3_000, 100_000, 1_000_000} {
		d := theDecade(t, size)
		points := slices.Collect(d.points())
		if off := math.Abs(float64(len(points)-size)) / float64(size); off > 0.15 {
			t.Errorf("%d samples instead of %d", len(points), size)
		}
		if size < 1_000_000 && !slices.Equal(points, slices.Collect(theDecade(t, size).points())) {
			t.Errorf("%d samples differ when they are made again", size)
		}
		counts := make([]int, len(d.series))
		for _, p := range points {
			counts[p.series]++
		}
		for i, n := range counts {
			share := float64(n) / float64(len(points))
			if want := d.series[i].share; size > 10_000 && math.Abs(share-want) > 0.05*want+0.005 {
				t.Errorf("%s: %.3f of all samples instead of %.3f", d.series[i].name, share, want)
			}
		}
	}
}

func TestSamplesOfOneSourceFollowEachOtherAndThoseOfSeveralOverlap(t *testing.T) {
	d := theDecade(t, 1_000_000)
	last := map[[2]int]int64{}
	var stepping []point
	for p := range d.points() {
		if p.start < d.end-span*day || p.end > d.end || p.end < p.start || p.end-p.start > longest {
			t.Fatalf("%+v is not in the decade", p)
		}
		key := [2]int{p.series, p.source}
		if p.start < last[key] {
			t.Fatalf("%+v starts before the one before ended, at %d", p, last[key])
		}
		last[key] = max(p.end, p.start+1)
		if p.series == steps {
			stepping = append(stepping, p)
		}
	}
	slices.SortStableFunc(stepping, func(a, b point) int { return cmp.Compare(a.start, b.start) })
	overlapping := 0
	var ends [sources]int64
	for _, p := range stepping {
		for source, end := range ends {
			if source != p.source && end > p.start {
				overlapping++
				break
			}
		}
		ends[p.source] = p.end
	}
	if share := float64(overlapping) / float64(len(stepping)); share < 0.3 || share > 0.9 {
		t.Errorf("%.2f of %d samples of steps overlap another source's", share, len(stepping))
	}
}

func TestHeartBeatsEveryFiveSecondsOfTheYear(t *testing.T) {
	// With ten million samples, that is; here the first day of it is enough.
	d := theDecade(t, 10_100_000)
	n, at := 0, d.end-lastYear*day
	for p := range d.points() {
		if p.series != heartRate {
			continue
		}
		if n == 0 {
			at = p.start
		}
		if p.start != at+int64(n)*beat || p.value < 40 || p.value > 200 {
			t.Fatalf("beat %d: %+v", n, p)
		}
		if n++; n == 17_000 {
			return
		}
	}
	t.Errorf("%d beats", n)
}

func TestLedgerTakesTheDecade(t *testing.T) {
	d, from := theDecade(t, 2_000), allSources()
	var samples []*pb.Sample
	for p := range d.points() {
		s := d.series[p.series]
		samples = append(samples, &pb.Sample{
			Type: s.name, Unit: s.unit, Start: stamp(p.start), End: stamp(p.end), Value: &p.value, Source: from[p.source],
		})
	}
	if _, err := health.Columns(samples, health.Policy{Importer: true}); err != nil {
		t.Error(err)
	}
	for i := range samples {
		if at := samples[i].End.AsTime(); at.After(time.Now()) {
			t.Fatalf("a sample of the future: %v", at)
		}
	}
}

func TestPeriodsAreThoseOfTheTimeZone(t *testing.T) {
	d := theDecade(t, 1)
	if days := d.days(); len(days) != 367 || days[91]-days[90] != 23*hour || days[301]-days[300] != 25*hour {
		t.Errorf("%d days; those of the changing clocks have %d and %d hours", len(days)-1, (days[91]-days[90])/hour, (days[301]-days[300])/hour)
	}
	months := d.months()
	first, last := time.UnixMicro(months[0]).In(d.zone), time.UnixMicro(months[len(months)-1]).In(d.zone)
	if len(months) != 121 || first.Format(time.RFC3339) != "2015-01-01T00:00:00+01:00" || last.Format(time.RFC3339) != "2025-01-01T00:00:00+01:00" {
		t.Errorf("%d months from %v to %v", len(months)-1, first, last)
	}
}
