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
	name := "export.xml"
	if o.Quirks {
		name = "導出.xml"
		put("__MACOSX/"+folder+"._"+name, "\x00\x05\x16\x07 <HealthData locale=\"decoy\"/>")
		put("__MACOSX/"+folder+"export.xml", "<HealthData locale=\"decoy\"></HealthData>")
		put(folder+".DS_Store", "\x00\x00\x00\x01Bud1")
	}
	put(folder+"export_cda.xml", "<?xml version=\"1.0\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><title>Health Data Export</title></ClinicalDocument>\n</ClinicalDocument>")
	put(folder+"electrocardiograms/ecg_2024-01-01.csv", "Name,Anna\nSample Rate,512 hertz\n\nLead,Lead I\nUnit,µV\n\n\"-265,868\"\n-260.1\n")
	put(folder+"clinical-records/Condition-1.json", "{\"resourceType\":\"Condition\",\"id\":\"c-1\"}")
	put(folder+"workout-routes/route_2024-06-01_5.30pm.gpx", "<?xml version=\"1.0\"?>\n<gpx version=\"1.1\" creator=\"Apple Health Export\"><trk><trkseg><trkpt lon=\"13.4\" lat=\"52.5\"><ele>34</ele></trkpt></trkseg></trk></gpx>")
	if err != nil {
		return Manifest{}, fmt.Errorf("write archive: %w", err)
	}
	entry, err := create(folder + name)
	if err != nil {
		return Manifest{}, fmt.Errorf("write archive: %w", err)
	}
	manifest, err := WriteXML(entry, o)
	if err != nil {
		return Manifest{}, err
	}
	if err := archive.Close(); err != nil {
		return Manifest{}, fmt.Errorf("write archive: %w", err)
	}
	return manifest, nil
}
