package applexml

import (
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"time"

	"healthledger/projector/export"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/unit"
)

// files are to be written beside the document, after it.
type files struct {
	all []file
	// names of electrocardiograms: see kept.go.
	person string
	// documents so far.
	documents int
}

type file struct {
	path  string
	write func(io.Writer) error
}

func (f *files) add(path string, write func(io.Writer) error) {
	f.all = append(f.all, file{path, write})
}

func (f *files) write(create func(name string) (io.Writer, error)) error {
	for _, one := range f.all {
		w, err := create(one.path)
		if err == nil {
			err = one.write(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nameOf a file for a sample. It says the day, as the Health app's do, and is the sample's
// own: two routes may begin together.
func nameOf(s *pb.Sample) string {
	return s.GetStart().AsTime().Format(time.DateOnly) + "_" + s.GetUuid()
}

func (e *exporter) payload(s *pb.Sample) iter.Seq2[*pb.Chunk, error] {
	return export.Payload(e.ctx, e.reader, s)
}

// bytesFile adds a file with the bytes of a payload.
func (e *exporter) bytesFile(path string, s *pb.Sample) {
	e.files.add(path, func(w io.Writer) error { return writeBytes(w, e.payload(s)) })
}

// documentFile adds a clinical document. An import dates it by the export.
func (e *exporter) documentFile(s *pb.Sample) {
	path := "export_cda.xml"
	if e.files.documents++; e.files.documents > 1 {
		path = "export_cda_" + nameOf(s) + ".xml"
	}
	e.bytesFile(path, s)
	e.report.Changed["date of a clinical document"]++
	e.leaveObject(s)
}

// attachments adds the files of a prescription, which follow each other in its payload.
// Their names are those by which the prescription refers to them.
func (e *exporter) attachments(s *pb.Sample) {
	list := s.GetVisionPrescription().GetAttachments()
	for i, a := range list {
		if a.Name != "" || a.ContentType != "" {
			e.report.LeftOut["name or type of an attachment"]++
		}
		if s.GetPayloadToken() == "" || a.Size == 0 {
			continue
		}
		if e.files == nil || strings.Trim(strings.ToLower(a.Identifier), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			e.report.LeftOut["attachment"]++
			continue
		}
		e.files.add("attachments/"+a.Identifier, func(w io.Writer) error {
			var before uint64
			for _, other := range list[:i] {
				before += other.Size
			}
			return writeBytes(&window{w, before, a.Size}, e.payload(s))
		})
	}
}

// window passes a part of what is written.
type window struct {
	to         io.Writer
	skip, take uint64
}

func (w *window) Write(b []byte) (int, error) {
	written := len(b)
	skipped := min(w.skip, uint64(len(b)))
	w.skip, b = w.skip-skipped, b[skipped:]
	taken := min(w.take, uint64(len(b)))
	w.take -= taken
	_, err := w.to.Write(b[:taken])
	return written, err
}

func writeBytes(w io.Writer, payload iter.Seq2[*pb.Chunk, error]) error {
	for chunk, err := range payload {
		if err != nil {
			return err
		}
		if _, err := w.Write(chunk.GetData()); err != nil {
			return err
		}
	}
	return nil
}

// place is one of a route; NaN is what is not known.
type place struct {
	time   time.Time
	values [7]float64
}

func places(l *pb.Locations) iter.Seq[place] {
	return func(yield func(place) bool) {
		var at int64
		for i, delta := range l.GetTime() {
			at += delta
			p := place{time: time.UnixMicro(at).UTC()}
			for c, column := range [...][]float64{l.Latitude, l.Longitude, l.Altitude, l.Speed, l.Course, l.HorizontalAccuracy, l.VerticalAccuracy} {
				p.values[c] = math.NaN()
				if len(column) > 0 {
					p.values[c] = column[i]
				}
			}
			if !yield(p) {
				return
			}
		}
	}
}

// writeGPX writes a route as GPX 1.1, to the microsecond.
func writeGPX(w io.Writer, s *pb.Sample, payload iter.Seq2[*pb.Chunk, error]) error {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	_, err := fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gpx version=\"1.1\" creator=\"healthledger\" "+
		"xmlns=\"http://www.topografix.com/GPX/1/1\">\n  <metadata>\n    <time>%s</time>\n  </metadata>\n  <trk>\n"+
		"    <name>Route %[1]s</name>\n    <trkseg>\n", stamp(s.GetStart().AsTime()))
	if err != nil {
		return err
	}
	var b strings.Builder
	for chunk, err := range payload {
		if err != nil {
			return err
		}
		b.Reset()
		for p := range places(chunk.GetLocations()) {
			point(&b, p, stamp(p.time))
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "    </trkseg>\n  </trk>\n</gpx>\n")
	return err
}

func point(b *strings.Builder, p place, stamp string) {
	fmt.Fprintf(b, "      <trkpt lon=\"%s\" lat=\"%s\">", number(p.values[1]), number(p.values[0]))
	child := func(name string, v float64) {
		if !math.IsNaN(v) {
			fmt.Fprintf(b, "<%s>%s</%[1]s>", name, number(v))
		}
	}
	child("ele", p.values[2])
	fmt.Fprintf(b, "<time>%s</time><extensions>", stamp)
	for i, name := range []string{"speed", "course", "hAcc", "vAcc"} {
		child(name, p.values[3+i])
	}
	b.WriteString("</extensions></trkpt>\n")
}

// recording notes the file of an electrocardiogram, which has no element.
func (e *exporter) recording(s *pb.Sample) {
	e.files.add("electrocardiograms/ecg_"+nameOf(s)+".csv", func(w io.Writer) error { return e.writeECG(w, s, e.payload(s)) })
	ecg, source := s.GetElectrocardiogram(), s.GetSource()
	if source.GetName() != "" {
		e.report.LeftOut["name of the source of an electrocardiogram"]++
	}
	if d := source.GetDevice(); d != nil && device(d) != device(&pb.Device{HardwareVersion: d.GetHardwareVersion()}) {
		e.report.LeftOut["device of an electrocardiogram, but for its hardware version"]++
	}
	if ecg.GetAverageHeartRate() != nil {
		e.report.LeftOut["average heart rate of an electrocardiogram"]++
	}
	if s.Created != nil || len(s.Metadata) > 0 {
		e.report.LeftOut["creation date or metadata of an electrocardiogram"]++
	}
	if said := ecg.GetSymptoms(); said == "none" || said == "notSet" {
		e.report.LeftOut["that there were no symptoms, or none told, with an electrocardiogram"]++
	}
	e.countSource(source)
	e.whole(s.Start)
}

// ecgFormat of what an import keeps of such a file.
const ecgFormat = "apple-health-ecg"

// classifications as the Health app prints them in English.
var classifications = map[string]string{
	"sinusRhythm": "Sinus Rhythm", "atrialFibrillation": "Atrial Fibrillation", "inconclusiveLowHeartRate": "Low Heart Rate",
	"inconclusiveHighHeartRate": "High Heart Rate", "inconclusivePoorReading": "Poor Recording", "inconclusiveOther": "Inconclusive",
	"unrecognized": "Unrecognized", "notSet": "",
}

// writeECG writes an electrocardiogram: a head, and one voltage a line.
func (e *exporter) writeECG(w io.Writer, s *pb.Sample, payload iter.Seq2[*pb.Chunk, error]) error {
	ecg, source := s.GetElectrocardiogram(), s.GetSource()
	kept := map[string]string{}
	for _, k := range s.Kept {
		if k.GetFormat() == ecgFormat {
			kept[k.GetName()] = k.GetValue()
		}
	}
	says := func(name, otherwise string) string {
		if kept[name] != "" {
			return kept[name]
		}
		return otherwise
	}
	symptoms := map[string]string{"present": "Present"}[ecg.GetSymptoms()]
	lead := ""
	if ecg.GetLead() == "appleWatchSimilarToLeadI" {
		lead = "Lead I"
	}
	var b strings.Builder
	for _, line := range [][2]string{
		{"Name", e.files.person}, {"Date of Birth", ""}, {"Recorded Date", e.date(s.GetStart().AsTime())},
		{"Classification", says("classification", classifications[ecg.GetClassification()])}, {"Symptoms", says("symptoms", symptoms)},
		{"Software Version", source.GetVersion()}, {"Device", source.GetDevice().GetHardwareVersion()},
		{"Sample Rate", number(ecg.GetSamplingFrequency()) + " hertz"}, {}, {"Lead", says("lead", lead)}, {"Unit", "µV"}, {},
	} {
		if line[0] != "" {
			b.WriteString(line[0] + "," + quoted(line[1]))
		}
		b.WriteByte('\n')
	}
	for chunk, err := range payload {
		if err != nil {
			return err
		}
		for _, v := range chunk.GetMicrovolts() {
			b.WriteString(number(v) + "\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		b.Reset()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func quoted(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if strings.ContainsAny(text, ",;\"") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

// in adds a quantity in a unit that the format fixes.
func (e *exporter) in(x *element, name string, q *pb.Quantity, unitName string) {
	if q == nil {
		return
	}
	value := q.Value
	if q.Unit != unitName {
		from, wrong := unit.Parse(q.Unit)
		to, err := unit.Parse(unitName)
		if wrong == nil && err == nil {
			if converted, err := unit.Convert(value, from, to); err == nil {
				value = converted
			}
		}
		e.report.Changed["unit of a day's figure"]++
	}
	x.set(name, number(value))
}
