// Package apple imports the export of Apple's Health app: export.zip as the phone
// writes it, or the XML file in it, whatever its name.
//
// Import is a producer like any other app: it reads the document once, front to back,
// in little memory, and saves its records in batches with a few requests in flight.
// Duplicates are recognised by content, so importing the same export again, or a
// newer one of the same phone, adds only what is new.
//
// Everything in an export becomes an object: records of quantities, categories and the
// sleep goal, correlations and workouts with their members, routes, activity summaries,
// the facts about the person, audiograms, prescriptions, clinical records,
// electrocardiograms and the clinical document. What is not understood is kept: unknown
// attributes and elements with the object they were found in, and whole elements, records
// that the ledger would refuse and unknown files as objects of type importedElement.
// Nothing is left out but what is about the export itself: its date and its locale.
//
// The identity of an object does not depend on the export: the offset of dates, the address
// in a device string and the names of files are dropped. The records inside of a
// correlation stand at the top level too; that they are the same is recognised where they
// are stored.
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

// Import reads the export at path and saves everything in it. The report is good also
// when there is an error: ErrNotExport, ErrSeveralExports, ErrTooLarge, a
// *SyntaxError, an error of the ledger or of reading. What was saved before an error
// stays, and importing again saves the rest.
func Import(ctx context.Context, path string, ledger Ledger, opts Options) (Report, error) {
	report := newReport()
	doc, err := open(ctx, path, report)
	if err != nil {
		return *report, fmt.Errorf("import %q: %w", path, err)
	}
	err = read(ctx, doc, report, ledger, opts)
	if closing := doc.close(); err == nil {
		err = closing
	}
	if err != nil {
		return *report, fmt.Errorf("import %q: %w (%d samples were saved before; importing again is safe: nothing is stored twice)",
			path, err, report.Saved)
	}
	return *report, nil
}

// read imports an open document.
func read(ctx context.Context, doc *document, report *Report, ledger Ledger, opts Options) error {
	if opts.InFlight <= 0 {
		opts.InFlight = 4
	}
	ahead := newPrefetch(doc)
	defer ahead.close()
	store := newStore(ctx, ledger, opts.InFlight)
	r := newReader(ahead, report, store, doc.files)
	err := r.all(store.sender.Context(), func() {
		if opts.Progress != nil {
			opts.Progress(r.scan.offset(), doc.size, report.Records)
		}
	})
	if err == nil {
		err = r.sidecars(store.sender.Context())
	}
	// What came before a flaw of the document is good.
	flushing := r.batch.Flush()
	if closing := store.sender.Close(); closing != nil {
		err = closing // the cause, not its effect on the reader
	} else if err == nil {
		err = flushing
	}
	report.Saved = store.sender.Saved()
	report.Bytes = r.scan.offset()
	if report.Replaced > 0 {
		report.warn("characters replaced that XML does not allow: %d", report.Replaced)
	}
	if doc.files.missing > 0 {
		report.warn("files that the export refers to and that are not there: %d", doc.files.missing)
	}
	return err
}
