package healthautoexport

import (
	"errors"
	"math"
	"time"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// chunkLocations is how many locations a chunk of a route has.
const chunkLocations = 2048

var errLocation = errors.New("a route with a location that cannot be read")

// columns of a location, in the app's words of version 2 and of version 1. The first two
// every location has.
var columns = []struct {
	keys   []string
	column func(*pb.Locations) *[]float64
}{
	{[]string{"latitude", "lat"}, func(l *pb.Locations) *[]float64 { return &l.Latitude }},
	{[]string{"longitude", "lon"}, func(l *pb.Locations) *[]float64 { return &l.Longitude }},
	{[]string{"altitude"}, func(l *pb.Locations) *[]float64 { return &l.Altitude }},
	{[]string{"speed"}, func(l *pb.Locations) *[]float64 { return &l.Speed }},
	{[]string{"course"}, func(l *pb.Locations) *[]float64 { return &l.Course }},
	{[]string{"horizontalAccuracy"}, func(l *pb.Locations) *[]float64 { return &l.HorizontalAccuracy }},
	{[]string{"verticalAccuracy"}, func(l *pb.Locations) *[]float64 { return &l.VerticalAccuracy }},
}

// accuracies have no column of ours; they are kept as they came.
var accuracies = [...]string{"courseAccuracy", "speedAccuracy"}

// path gathers the locations of a route.
type path struct {
	chunks         []*pb.Chunk
	previous       int64 // in the chunk
	earliest, last int64
	accuracies     [len(accuracies)][]byte
	accurate       [len(accuracies)]bool
}

// route takes the locations as a member of the workout.
func (o *object) route(into *members) error {
	f := o.find("route")
	if f == nil || f.value[0] != '[' {
		return nil
	}
	f.taken = true
	p := path{earliest: math.MaxInt64, last: math.MinInt64}
	good := true
	elements(f.value, func(element []byte) bool {
		good = p.add(element)
		return good
	})
	switch {
	case !good:
		return errLocation
	case len(p.chunks) == 0:
		return nil
	}
	s := &pb.Sample{Type: "workoutRoute", Start: health.Timestamp(p.earliest), Payload: p.chunks,
		Object: &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}}}
	if p.last != p.earliest {
		s.End = health.Timestamp(p.last)
	}
	p.trim()
	beside := attach("workouts.route", s, p.keep())
	into.add(s)
	into.beyond = append(into.beyond, beside...)
	return nil
}

// add reads one location.
func (p *path) add(raw []byte) bool {
	o, ok := newObject(raw)
	if !ok {
		return false
	}
	t, ok := o.date("timestamp")
	if !ok {
		return false
	}
	l := p.chunk()
	at := t.UnixMicro()
	l.Time = append(l.Time, at-p.previous)
	p.previous = at
	p.earliest, p.last = min(p.earliest, at), max(p.last, at)
	for i, c := range columns {
		v, ok := 0.0, false
		for _, key := range c.keys {
			if v, ok = o.number(key); ok {
				break
			}
		}
		if !ok && i < 2 {
			return false
		}
		if !ok {
			v = math.NaN()
		}
		column := c.column(l)
		*column = append(*column, v)
	}
	p.accuracy(o)
	return o.whole()
}

// chunk returns the chunk that has room for one more location.
func (p *path) chunk() *pb.Locations {
	if n := len(p.chunks); n > 0 && len(p.chunks[n-1].Locations.Time) < chunkLocations {
		return p.chunks[n-1].Locations
	}
	p.previous = 0
	p.chunks = append(p.chunks, &pb.Chunk{Locations: &pb.Locations{}})
	return p.chunks[len(p.chunks)-1].Locations
}

func (p *path) accuracy(o *object) {
	for i, key := range accuracies {
		text := []byte("null")
		if f := o.find(key); f != nil {
			if _, ok := parseNumber(f.value); ok {
				f.taken, p.accurate[i] = true, true
				text = f.value
			}
		}
		p.accuracies[i] = append(append(p.accuracies[i], ','), text...)
	}
}

// trim takes away columns in which nothing is.
func (p *path) trim() {
	for _, chunk := range p.chunks {
		for _, c := range columns[2:] {
			column := c.column(chunk.Locations)
			empty := true
			for _, v := range *column {
				empty = empty && math.IsNaN(v)
			}
			if empty {
				*column = nil
			}
		}
	}
}

// keep returns the accuracies, one for each location.
func (p *path) keep() (kept []*pb.Kept) {
	for i, key := range accuracies {
		if p.accurate[i] {
			p.accuracies[i][0] = '['
			kept = append(kept, &pb.Kept{Format: Format, Name: key, Value: string(append(p.accuracies[i], ']'))})
		}
	}
	return kept
}

// epoch is the date of what has none.
var epoch = time.Unix(0, 0)
