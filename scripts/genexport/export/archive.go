package export

import (
	"archive/zip"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/flate"
)

// WriteZip writes export.zip: the export with what stands beside it in a real one.
// With quirks the export has a localised name and macOS has left its decoys.
func WriteZip(w io.Writer, o Options) (Manifest, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Manifest{}, err
	}
	archive := zip.NewWriter(w)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	when := o.End.In(time.UTC).Truncate(2 * time.Second)
	create := func(name string) (io.Writer, error) {
		return archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: when})
	}
	put := func(name, content string) {
		var entry io.Writer
		if err == nil {
			entry, err = create(name)
		}
		if err == nil {
			_, err = io.WriteString(entry, content)
		}
	}
	const folder = "apple_health_export/"
	g := newGenerator(nil, o)
	name, routes, hearts := "export.xml", "workout-routes/", "electrocardiograms/"
	if o.Quirks {
		name, routes, hearts = "導出.xml", "体能训练路线/", "心电图/"
		put("__MACOSX/"+folder+"._"+name, "\x00\x05\x16\x07 <HealthData locale=\"decoy\"/>")
		put("__MACOSX/"+folder+"export.xml", "<HealthData locale=\"decoy\"></HealthData>")
		put(folder+".DS_Store", "\x00\x00\x00\x01Bud1")
	}
	put(folder+"export_cda.xml", string(g.cda()))
	g.m.Objects["cda"]++
	g.m.Payload += uint64(len(g.cda()))
	for i := range languages {
		put(fmt.Sprintf("%s%secg_%s_%d.csv", folder, hearts, g.dates[0], i), string(g.ecg(i)))
		g.m.Objects["electrocardiogram"]++
		g.m.Voltages += voltages
	}
	for _, c := range clinicals {
		put(folder+"clinical-records/"+c.file(), c.json)
		if c.object == "" {
			g.m.Unknown["resource (JSON)"]++
		} else {
			g.m.Payload += uint64(len(c.json))
		}
	}
	if o.DTD == DTD14 || o.DTD == DTDNone {
		put(folder+"attachments/"+attachmentID+".pdf", "%PDF-1.7 glasses")
		g.m.Payload += uint64(len("%PDF-1.7 glasses"))
	}
	for day := range len(g.days) - 1 {
		if o.DTD == DTD8 || !g.hasWorkout(day) {
			continue
		}
		file := g.routeName(day)
		if o.Quirks && day%3 == 0 {
			file = fmt.Sprintf("renamed %d.gpx", day) // found by its content
		}
		put(folder+routes+file, string(g.gpx(day)))
		g.m.Points += uint64(g.points(day))
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("write archive: %w", err)
	}
	entry, err := create(folder + name)
	if err != nil {
		return Manifest{}, fmt.Errorf("write archive: %w", err)
	}
	g.w = entry
	manifest, err := g.document()
	if err != nil {
		return Manifest{}, err
	}
	if err := archive.Close(); err != nil {
		return Manifest{}, fmt.Errorf("write archive: %w", err)
	}
	return manifest, nil
}
