package export

import (
	"fmt"
	"math"
	"time"
)

// route writes where a workout went: a reference to a file, or up to iOS 12 the locations
// themselves.
func (g *generator) route(day int, x sample) {
	g.buf = fmt.Appendf(g.buf, "  <WorkoutRoute %s=\"%s", g.sourceAttribute(), escape(g.sources[watch].name))
	g.dates3(x)
	g.buf = append(g.buf, "\">\n"...)
	if g.o.DTD == DTD8 {
		for i := range g.points(day) {
			p := pointAt(day, i)
			g.buf = append(g.buf, "   <Location date=\""...)
			g.buf = g.clock.append(g.buf, x.start+int64(i))
			g.buf = fmt.Appendf(g.buf, "\" latitude=\"%.4f\" longitude=\"%.4f\" altitude=\"%.3f\" horizontalAccuracy=\"%.2f\" verticalAccuracy=\"1.5\" course=\"-1\" speed=\"%.3f\"/>\n", p.latitude, p.longitude, p.altitude, p.accuracy, p.speed)
			g.m.Elements["Location"]++
			g.m.Points++
		}
	} else {
		g.buf = fmt.Appendf(g.buf, "   <FileReference path=\"/workout-routes/%s\"/>\n", g.routeName(day))
		g.m.Elements["FileReference"]++
	}
	g.buf = append(g.buf, "  </WorkoutRoute>\n"...)
	g.count("WorkoutRoute", "workoutRoute")
}

// routeName has the local time of the phone that exports.
func (g *generator) routeName(day int) string {
	return time.Unix(g.workoutStart(day), 0).In(g.o.ExportZone).Format("route_2006-01-02_3.04pm.gpx")
}

// points is how many places the route of a day has.
func (g *generator) points(day int) int { return 20 + (day*37+int(g.o.Seed%50))%180 }

type location struct{ latitude, longitude, altitude, speed, course, accuracy float64 }

// pointAt goes around in circles.
func pointAt(day, i int) location {
	angle := float64(i) / 40
	return location{
		52.5 + 0.01*math.Sin(angle) + float64(day%100)/1000, 13.4 + 0.01*math.Cos(angle), 34 + 3*math.Sin(angle/3),
		2.5 + math.Sin(angle), math.Mod(angle*57, 360), 4 + math.Mod(float64(i), 3),
	}
}

// gpx returns the file of a route. The time in its head is that of the export.
func (g *generator) gpx(day int) []byte {
	b := fmt.Appendf(nil, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gpx version=\"1.1\" creator=\"Apple Health Export\" xmlns=\"http://www.topografix.com/GPX/1/1\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://www.topografix.com/GPX/1/1 http://www.topografix.com/GPX/1/1/gpx.xsd\">\n  <metadata>\n    <time>%s</time>\n  </metadata>\n  <trk>\n    <name>Route %s</name>\n    <trkseg>\n",
		g.o.End.UTC().Format(time.RFC3339), g.dates[day])
	for i := range g.points(day) {
		p := pointAt(day, i)
		at := time.Unix(g.workoutStart(day)+int64(i), 0).UTC().Format(time.RFC3339)
		b = fmt.Appendf(b, "      <trkpt lon=\"%.6f\" lat=\"%.6f\"><ele>%.6f</ele><time>%s</time><extensions><speed>%.6f</speed><course>%.6f</course><hAcc>%.6f</hAcc><vAcc>1.5</vAcc></extensions></trkpt>\n",
			p.longitude, p.latitude, p.altitude, at, p.speed, p.course, p.accuracy)
	}
	return append(b, "    </trkseg>\n  </trk>\n</gpx>\n"...)
}
