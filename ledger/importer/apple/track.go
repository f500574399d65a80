package apple

import (
	"math"
	"slices"

	pb "healthledger/proto/healthledger/v1"
)

// The columns of a track beside its times.
const (
	latitude = iota
	longitude
	altitude
	speed
	course
	horizontal
	vertical
	columns // how many there are
)

// maxPoints of one route: three days of one a second.
const maxPoints = 1 << 18

// track is where a workout went.
type track struct {
	// time in microseconds.
	time   []int64
	column [columns][]float64
	has    [columns]bool
}

// place is one point of a track; NaN is what is not known.
type place struct {
	time   int64
	timed  bool
	values [columns]float64
}

func newPlace() (p place) {
	for i := range p.values {
		p.values[i] = math.NaN()
	}
	return p
}

// valid says whether the ledger takes the point.
func (p *place) valid() bool {
	return p.timed && validTime(p.time) && math.Abs(p.values[latitude]) <= 90 && math.Abs(p.values[longitude]) <= 180
}

func (t *track) add(p *place) {
	t.time = append(t.time, p.time)
	for i, v := range p.values {
		t.column[i] = append(t.column[i], v)
		t.has[i] = t.has[i] || !math.IsNaN(v)
	}
}

// inline takes the attributes of a Location, as exports before iOS 13 have them inside of
// the route. It says no where they are not those of a place.
func (t *track) inline(attributes []attribute) bool {
	if len(t.time) >= maxPoints {
		return false
	}
	p := newPlace()
	for i := range attributes {
		a := &attributes[i]
		if string(a.name) == "date" {
			if p.time, _, p.timed = parseDate(a.raw); !p.timed {
				return false
			}
			continue
		}
		column := inlineColumn(a.name)
		if column < 0 {
			return false
		}
		var ok bool
		if p.values[column], ok = parseNumber(a.raw); !ok {
			return false
		}
	}
	if !p.valid() {
		return false
	}
	t.add(&p)
	return true
}

func inlineColumn(name []byte) int {
	switch string(name) {
	case "latitude":
		return latitude
	case "longitude":
		return longitude
	case "altitude":
		return altitude
	case "speed":
		return speed
	case "course":
		return course
	case "horizontalAccuracy":
		return horizontal
	case "verticalAccuracy":
		return vertical
	}
	return -1
}

// pointsPerChunk make chunks of some 130 KB.
const pointsPerChunk = 2048

// chunks cuts the track into a payload.
func (t *track) chunks() []*pb.Chunk {
	if t == nil {
		return nil
	}
	var all []*pb.Chunk
	for from := 0; from < len(t.time); from += pointsPerChunk {
		to := min(from+pointsPerChunk, len(t.time))
		times := slices.Clone(t.time[from:to])
		for i := len(times) - 1; i > 0; i-- {
			times[i] -= times[i-1]
		}
		column := func(i int) []float64 {
			if !t.has[i] {
				return nil
			}
			return t.column[i][from:to:to]
		}
		all = append(all, &pb.Chunk{Locations: &pb.Locations{
			Time: times, Latitude: column(latitude), Longitude: column(longitude), Altitude: column(altitude),
			Speed: column(speed), Course: column(course),
			HorizontalAccuracy: column(horizontal), VerticalAccuracy: column(vertical),
		}})
	}
	return all
}
