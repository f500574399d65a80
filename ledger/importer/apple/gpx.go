package apple

import (
	"errors"
	"fmt"
	"io"
)

// errNotRoute says that a file is no route of this export: it is kept as it is.
var errNotRoute = errors.New("not a route that can be read")

// route is what a GPX file holds.
type route struct {
	track
	// more says that the file holds something that a track does not: it is kept as well.
	more bool
}

// parseGPX reads a route as the phone writes it: points with latitude, longitude, ele and
// time, and among the extensions speed, course, hAcc and vAcc. The name of the route and
// the time of the export say nothing about it. With first it stops after one point.
func parseGPX(from io.Reader, first bool) (*route, error) {
	g := &gpx{scan: newScanner(from, "gpx"), column: noColumn}
	if err := g.scan.findRoot(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRoute, err)
	}
	for {
		e, err := g.scan.next()
		var flaw *SyntaxError
		if errors.As(err, &flaw) {
			return nil, fmt.Errorf("%w: %w", errNotRoute, err)
		}
		if err != nil {
			return nil, err
		}
		if e == endDocument || first && len(g.route.time) > 0 {
			return &g.route, nil
		}
		if err := g.event(e); err != nil {
			return nil, err
		}
	}
}

// gpx reads the elements of a route.
type gpx struct {
	scan  *scanner
	route route
	depth int
	// point is open where inPoint is its depth.
	point   place
	inPoint int
	// column of the open child of a point, and where its text begins.
	column   int
	textFrom int64
	segments int
}

// Columns of children that are not values of a point.
const (
	noColumn   = -1
	timeColumn = -2
)

func (g *gpx) event(e event) error {
	switch e {
	case startElement:
		g.depth++
		return g.start()
	case endElement:
		g.depth--
		if g.inPoint > 0 && g.depth == g.inPoint-1 {
			g.inPoint = 0
			g.scan.hold = -1
			if !g.point.valid() {
				return fmt.Errorf("%w: a point without a place or a time", errNotRoute)
			}
			if len(g.route.time) == maxPoints {
				return fmt.Errorf("%w: more than %d points", errNotRoute, maxPoints)
			}
			g.route.add(&g.point)
			return nil
		}
		if g.column != noColumn {
			return g.value()
		}
	case text:
		g.route.more = g.route.more || g.inPoint > 0 && g.column == noColumn
	}
	return nil
}

func (g *gpx) start() error {
	name := string(g.scan.name)
	if g.inPoint > 0 {
		g.column = childColumn(name)
		g.textFrom = g.scan.offset()
		g.route.more = g.route.more || g.column == noColumn && name != "extensions" || len(g.scan.attributes) > 0
		return nil
	}
	switch name {
	case "gpx", "metadata", "trk", "name", "time":
	case "trkseg":
		g.segments++
		g.route.more = g.route.more || g.segments > 1
	case "trkpt":
		g.inPoint, g.scan.hold = g.depth, g.scan.at
		return g.place()
	default:
		g.route.more = true
	}
	return nil
}

// place reads the attributes of a point.
func (g *gpx) place() error {
	g.point = newPlace()
	for i := range g.scan.attributes {
		a := &g.scan.attributes[i]
		v, ok := parseNumber(a.raw)
		switch string(a.name) {
		case "lat":
			g.point.values[latitude] = v
		case "lon":
			g.point.values[longitude] = v
		default:
			g.route.more, ok = true, true
		}
		if !ok {
			return fmt.Errorf("%w: a place that is no number", errNotRoute)
		}
	}
	return nil
}

func childColumn(name string) int {
	switch name {
	case "ele":
		return altitude
	case "speed":
		return speed
	case "course":
		return course
	case "hAcc":
		return horizontal
	case "vAcc":
		return vertical
	case "time":
		return timeColumn
	}
	return noColumn
}

// value reads the text of a child of a point.
func (g *gpx) value() error {
	column := g.column
	g.column = noColumn
	var raw []byte
	if g.scan.at > g.textFrom {
		raw = trimBlanks(g.scan.buf[g.textFrom-g.scan.base : g.scan.at-g.scan.base])
	}
	var ok bool
	if column == timeColumn {
		g.point.time, g.point.timed = parseStamp(raw)
		ok = g.point.timed
	} else {
		g.point.values[column], ok = parseNumber(raw)
	}
	if !ok {
		return fmt.Errorf("%w: a point with a value that cannot be read", errNotRoute)
	}
	return nil
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && byteClass[b[0]]&spaceByte != 0 {
		b = b[1:]
	}
	for len(b) > 0 && byteClass[b[len(b)-1]]&spaceByte != 0 {
		b = b[:len(b)-1]
	}
	return b
}
