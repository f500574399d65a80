// Package applexml exports samples as Apple's Health app does: export.xml in the shape of
// its document type 14 (spec/healthkit.md, section 9), alone or in an archive with routes,
// electrocardiograms, clinical records and documents as files beside it.
//
// What reads Apple's exports reads this one, and importing it gives the same samples back
// as far as Apple's format can say them:
//
//   - Records have no UUIDs. An import recognises them by content, and makes new ones.
//   - Dates are to the second. A fraction of one is cut off.
//   - A source is a name, a version and a device. The app, the product type and the version
//     of the operating system are left out.
//   - Metadata are texts. Numbers, dates and quantities become what the Health app prints.
//   - A person's summaries and facts have no sources; an electrocardiogram has no more of it
//     than version and hardware.
//
// The report counts these, and everything else that the format cannot say. Kinds of
// objects for which it has no element are written as an element of our own,
//
//	<HealthledgerSample type="stateOfMind">{"type":"stateOfMind",…}</HealthledgerSample>
//
// which others skip and our importer reads: the sample in the schema's JSON names, with
// its payload unless that is large. What an import kept because it did not understand it comes back where it
// was: attributes and elements of their objects, whole elements at the end.
package applexml

import (
	"archive/zip"
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"healthledger/projector/export"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Options of an export.
type Options struct {
	// Zone of the dates; nil: UTC. The phone's own export has the zone it is in.
	Zone *time.Location
	// Made is when the export is made.
	Made time.Time
}

// folder of all files in an archive.
const folder = "apple_health_export/"

// Write exports the document alone. Routes stand in it point by point; what else would be
// a file beside it is left out, and counted.
func Write(ctx context.Context, w io.Writer, r export.Reader, sel export.Selection, opts Options, report *export.Report) error {
	e := newExporter(ctx, w, r, opts, report)
	return e.document(sel)
}

// WriteArchive exports a ZIP archive of the document and its files.
func WriteArchive(ctx context.Context, w io.Writer, r export.Reader, sel export.Selection, opts Options, report *export.Report) error {
	archive := zip.NewWriter(w)
	create := func(name string) (io.Writer, error) {
		return archive.CreateHeader(&zip.FileHeader{Name: folder + name, Method: zip.Deflate, Modified: opts.Made})
	}
	doc, err := create("export.xml")
	if err != nil {
		return err
	}
	e := newExporter(ctx, doc, r, opts, report)
	e.files = &files{}
	if err := e.document(sel); err != nil {
		return err
	}
	if err := e.files.write(create); err != nil {
		return err
	}
	return archive.Close()
}

type exporter struct {
	ctx    context.Context
	reader export.Reader
	report *export.Report
	opts   Options
	out    *bufio.Writer
	// files beside the document; nil: there are none.
	files *files
	// routes that stand in a workout.
	routes map[string]bool
}

func newExporter(ctx context.Context, w io.Writer, r export.Reader, opts Options, report *export.Report) *exporter {
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	return &exporter{ctx: ctx, reader: r, report: report, opts: opts, out: bufio.NewWriterSize(w, 1<<20), routes: map[string]bool{}}
}

// document writes export.xml.
func (e *exporter) document(sel export.Selection) error {
	root, loose, err := e.imported(sel)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n%s<HealthData", documentType)
	e.attributes(append([]attribute{{"locale", "en_US"}}, root...))
	e.out.WriteString(">\n")
	date := element{name: "ExportDate", attributes: []attribute{{"value", e.date(e.opts.Made)}}}
	if err := e.print(&date, 1); err != nil {
		return err
	}
	if err := e.me(sel); err != nil {
		return err
	}
	for _, t := range sel.All() {
		if t.Kind == catalog.Characteristic || t.Kind == catalog.Imported {
			continue
		}
		for s, err := range sel.Samples(e.ctx, e.reader, t) {
			if err == nil {
				err = e.sample(t, s)
			}
			if err != nil {
				return err
			}
		}
	}
	for _, text := range loose {
		e.out.WriteString(text)
		e.out.WriteByte('\n')
	}
	e.out.WriteString("</HealthData>\n")
	return e.out.Flush()
}

// sample writes what one sample is.
func (e *exporter) sample(t *catalog.Type, s *pb.Sample) error {
	e.report.Wrote(s.GetType())
	var x *element
	switch {
	case t.Kind.HasNumber():
		x = e.record(t, s)
	case t.Kind == catalog.Correlation:
		x = e.correlation(t, s)
	case t.Kind == catalog.Workout:
		x = e.workout(s)
	case t.Kind == catalog.Summary:
		x = e.summary(s)
	case t.Kind == catalog.Clinical:
		x = e.clinical(t, s)
	case t.Kind == catalog.Document && e.files != nil:
		e.documentFile(s)
		return nil
	case s.GetWorkoutRoute() != nil:
		if e.routes[s.GetUuid()] {
			return nil
		}
		x = e.route(s, nil)
	case s.GetElectrocardiogram() != nil && e.files != nil:
		e.recording(s)
		return nil
	case s.GetAudiogram() != nil:
		x = e.audiogram(s)
	case s.GetVisionPrescription() != nil:
		x = e.prescription(s)
	default:
		return e.ownElement(s)
	}
	return e.print(x, 1)
}
