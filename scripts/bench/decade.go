package bench

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// point is a sample of the decade. Times are microseconds since the Unix epoch; series
// and source are indexes into those of the decade.
type point struct {
	series, source int
	start, end     int64
	value          float64
}

// series is one type of the decade, and who measures it.
type series struct {
	name, unit string
	sources    []int
	// share of all samples.
	share float64
	// filled is how much of the time between two samples one lasts.
	filled    float64
	low, high int
	// scale divides the whole numbers between low and high.
	scale float64
	typ   *catalog.Type
}

// sources there are; see allSources.
const sources = 3

// The series that are asked for.
const (
	heartRate = iota
	steps
)

// allSeries add up to 1. A year of heart rate every five seconds is 6.3 million samples.
func allSeries() []series {
	all := []series{
		heartRate: {name: "heartRate", unit: "count/min", sources: []int{0}, share: 0.63, low: 48, high: 170, scale: 1},
		steps:     {name: "stepCount", unit: "count", sources: []int{0, 1, 2}, share: 0.12, filled: 0.9, low: 1, high: 160, scale: 1},
		{name: "activeEnergyBurned", unit: "kcal", sources: []int{0}, share: 0.09, filled: 1, low: 1, high: 9000, scale: 1000},
		{name: "basalEnergyBurned", unit: "kcal", sources: []int{0}, share: 0.05, filled: 1, low: 1000, high: 20000, scale: 1000},
		{name: "distanceWalkingRunning", unit: "km", sources: []int{0, 1}, share: 0.05, filled: 0.9, low: 1, high: 900, scale: 1000},
		{name: "respiratoryRate", unit: "count/min", sources: []int{0}, share: 0.02, low: 24, high: 50, scale: 2},
		{name: "oxygenSaturation", unit: "%", sources: []int{0}, share: 0.02, low: 90, high: 101, scale: 1},
		{name: "heartRateVariabilitySDNN", unit: "ms", sources: []int{0}, share: 0.01, filled: 0.1, low: 15000, high: 150000, scale: 1000},
		{name: "sleepAnalysis", sources: []int{0}, share: 0.01, filled: 1, low: 3, high: 6, scale: 1},
	}
	for i := range all {
		all[i].typ, _ = catalog.Lookup(all[i].name)
	}
	return all
}

// allSources in the order in which statistics prefer them.
func allSources() [sources]*pb.Source {
	return [sources]*pb.Source{
		{Name: "Anna's Apple Watch", App: "com.apple.health.9B1F", Version: "11.2", ProductType: "Watch6,6", OsVersion: "11.2.0"},
		{Name: "Anna's iPhone", App: "com.apple.health.5C0E", Version: "18.2", ProductType: "iPhone15,2", OsVersion: "18.2.0"},
		{Name: "Band", App: "com.example.band", Version: "4.1"},
	}
}

const (
	second = int64(1_000_000)
	hour   = 3600 * second
	day    = 24 * hour
	// beat is the time between two heart rates.
	beat = 5 * second
	// longest is how long a sample lasts at most.
	longest = 10 * 60 * second
	// span is how many days the decade has, and lastYear how many its last year.
	span, lastYear = 3653, 366
)

// decade is what ten years leave behind: the same for the same number of samples. It is
// made while it is read, and takes no memory.
type decade struct {
	size   int
	zone   *time.Location
	series []series
	// end of the last day.
	end int64
}

func newDecade(size int) (*decade, error) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return nil, fmt.Errorf("time zone of the decade: %w", err)
	}
	end := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	return &decade{size: size, zone: zone, series: allSeries(), end: end}, nil
}

// points yields about as many samples as the decade's size, day by day.
func (d *decade) points() iter.Seq[point] {
	return func(yield func(point) bool) {
		r := rand.New(rand.NewPCG(1, uint64(d.size)))
		owed := make([][sources]float64, len(d.series))
		for n := range span {
			midnight := d.end - int64(span-n)*day
			for i := range d.series {
				if i == heartRate && !d.beats(r, midnight, yield) || i != heartRate && !d.spread(r, midnight, i, &owed[i], yield) {
					return
				}
			}
		}
	}
}

// beats yields a heart rate every five seconds, so long around noon as the size allows;
// where it allows more than a whole year, for more years.
func (d *decade) beats(r *rand.Rand, midnight int64, yield func(point) bool) bool {
	const perDay = int(day / beat)
	total := int(d.series[heartRate].share * float64(d.size))
	days := max(lastYear, min(span, (total+perDay-1)/perDay))
	if midnight < d.end-int64(days)*day {
		return true
	}
	n := min(perDay, (total+days-1)/days)
	start := midnight + (int64(perDay-n)/2)*beat
	return d.pulse(r, start, n, yield)
}

// pulse yields heart rates that drift from sample to sample, as hearts do.
func (d *decade) pulse(r *rand.Rand, start int64, n int, yield func(point) bool) bool {
	s := &d.series[heartRate]
	value := 70
	for t := start; t < start+int64(n)*beat; t += beat {
		value = min(s.high, max(s.low, value+r.IntN(5)-2))
		if !yield(point{heartRate, s.sources[0], t, t, float64(value)}) {
			return false
		}
	}
	return true
}

// spread yields the samples of a day between six and ten, hour by hour. A source has
// nothing in three of ten hours, so that often several have samples at once but not
// always. What is owed is carried to the next hour.
func (d *decade) spread(r *rand.Rand, midnight int64, at int, owed *[sources]float64, yield func(point) bool) bool {
	const awake, present = 16, 0.7
	s := &d.series[at]
	each := s.share * float64(d.size) / float64(span*awake) / present
	for h := range int64(awake) {
		for _, source := range s.sources {
			if r.Float64() >= present {
				continue
			}
			owed[source] += each / float64(len(s.sources))
			n := int64(owed[source])
			owed[source] -= float64(n)
			for k := range n {
				width := hour / n
				start := midnight + (6+h)*hour + k*width + r.Int64N(max(1, width/10/second))*second
				end := start + min(longest, int64(s.filled*float64(width*9/10)))/second*second
				value := float64(s.low+r.IntN(s.high-s.low)) / s.scale
				if !yield(point{at, source, start, end, value}) {
					return false
				}
			}
		}
	}
	return true
}

// more yields heart rates that came after everything else.
func (d *decade) more(n int) iter.Seq[point] {
	return func(yield func(point) bool) { d.pulse(rand.New(rand.NewPCG(2, 2)), d.end, n, yield) }
}

// days and months are the bounds of the periods that are asked for, in the time zone
// of the decade: of the last year, and of all ten.
func (d *decade) days() []int64   { return d.bounds(0, 1, -lastYear) }
func (d *decade) months() []int64 { return d.bounds(1, 0, -span) }

func (d *decade) bounds(months, days, back int) (bounds []int64) {
	end := time.UnixMicro(d.end).UTC()
	first := end.AddDate(0, 0, back)
	at := func(i int) time.Time {
		return time.Date(first.Year(), first.Month()+time.Month(i*months), first.Day()+i*days, 0, 0, 0, 0, d.zone)
	}
	for i := 0; ; i++ {
		bounds = append(bounds, at(i).UnixMicro())
		if !at(i).Before(time.Date(end.Year(), end.Month(), end.Day(), 0, 0, 0, 0, d.zone)) {
			return bounds
		}
	}
}
