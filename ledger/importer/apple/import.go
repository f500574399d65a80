// Package apple imports the export of Apple's Health app: export.zip as the phone
// writes it, or the XML file in it, whatever its name.
//
// Import is a producer like any other app: it reads the document once, front to back,
// in little memory, and saves its records in batches with a few requests in flight.
// Duplicates are recognised by content, so importing the same export again, or a
// newer one of the same phone, adds only what is new.
//
// Records of quantity and category types become samples with unit, value, dates,
// source, device and metadata as given. The offset of the dates and the address in a
// device string depend on the export, not on the sample, and are dropped. Everything
// else in the document (workouts, correlations, activity summaries, …) is counted and
// reported, never passed over in silence. The records inside of a correlation stand
// at the top level too and are imported from there.
//
// Real exports are not always XML: the document type of iOS 16 is malformed, names
// hold control characters. So the scanner starts at the root element, never looks at
// a document type, knows no entities but the predefined ones, and replaces what XML
// does not allow by U+FFFD. A document that breaks off is imported up to there, and
// the error says where.
package apple

import (
	"context"
	"errors"
	"fmt"
)

// Errors of Import, beside those of the file system and of saving.
var (
	// ErrNotExport says that a file is no Apple Health export, or an archive without one.
	ErrNotExport = errors.New("not an Apple Health export")
	// ErrSeveralExports says that an archive holds more than one export: which of them
	// is meant is for the owner to say.
	ErrSeveralExports = errors.New("the archive holds several Apple Health exports")
	// ErrTooLarge says that an archive would become more XML than any real one.
	ErrTooLarge = errors.New("the archive is too large to be an export")
)

// Options of an import. The zero value is good.
type Options struct {
	// Progress is called now and then, from one goroutine: bytes of XML read, of how
	// many (0: not known), and records seen.
	Progress func(doneBytes, totalBytes int64, records uint64)
	// InFlight is how many saves run at the same time. Zero: 4.
	InFlight int
}

// progressBytes is how often Progress is called.
const progressBytes = 1 << 20

// Import reads the export at path and saves its samples. The report is good also
// when there is an error: ErrNotExport, ErrSeveralExports, ErrTooLarge, a
// *SyntaxError, an error of save or of reading. What was saved before an error stays,
// and importing again saves the rest.
func Import(ctx context.Context, path string, save SaveFunc, opts Options) (Report, error) {
	report := Report{NotImported: make(map[string]uint64)}
	doc, err := open(ctx, path, &report)
	if err != nil {
		return report, fmt.Errorf("import %q: %w", path, err)
	}
	err = read(ctx, doc, &report, save, opts)
	if closing := doc.close(); err == nil {
		err = closing
	}
	if err != nil {
		return report, fmt.Errorf("import %q: %w (%d of %d records were imported before; importing again is safe: nothing is stored twice)",
			path, err, report.Imported, report.Records)
	}
	return report, nil
}

// read imports an open document.
func read(ctx context.Context, doc *document, report *Report, save SaveFunc, opts Options) error {
	if opts.InFlight <= 0 {
		opts.InFlight = 4
	}
	ahead := newPrefetch(doc)
	defer ahead.close()
	send := newSender(ctx, save, opts.InFlight)
	r := newReader(ahead, report, send)
	err := r.all(send.ctx, func() {
		if opts.Progress != nil {
			opts.Progress(r.scan.offset(), doc.size, report.Records)
		}
	})
	// What came before a flaw of the document is good.
	flushing := r.batch.flush()
	if closing := send.close(); closing != nil {
		err = closing // the cause, not its effect on the reader
	} else if err == nil {
		err = flushing
	}
	report.Imported = send.saved.Load()
	report.Bytes = r.scan.offset()
	if r.scan.odd > 0 {
		report.warn("attributes skipped because their names contain spaces: %d", r.scan.odd)
	}
	if report.Replaced > 0 {
		report.warn("characters replaced that XML does not allow: %d", report.Replaced)
	}
	return err
}

// all reads the whole document.
func (r *reader) all(ctx context.Context, progress func()) error {
	if err := r.scan.findRoot(); err != nil {
		return err
	}
	next := int64(0)
	for {
		if r.scan.offset() >= next {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			progress()
			next = r.scan.offset() + progressBytes
		}
		e, err := r.scan.next()
		if err != nil {
			return err
		}
		if e == endDocument {
			break
		}
		if err := r.event(e); err != nil {
			return err
		}
	}
	junk, err := r.scan.rest(ctx)
	if err != nil {
		return err
	}
	if junk >= 0 {
		r.report.warn("what follows the end of the export, from byte %d on, was ignored", junk)
	}
	progress()
	return nil
}
