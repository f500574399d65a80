package apple

import (
	"context"
	"io"

	"healthledger/ledger/importer/send"
)

// rootElement of an export.
const rootElement = "HealthData"

// reader turns the events of the document into samples. Records as the phone writes them
// by the million are read on their way; everything else is read again as a whole, once
// its end has come (see element).
type reader struct {
	scan   *scanner
	report *Report
	in     *interner
	batch  *send.Batch
	store  *store
	files  *files
	kinds  map[string]*kind
	last   *kind

	// depth of the open element; the root has 1.
	depth int
	// isRecord says that the open element below the root is a record, and inBeats that
	// a list of beats is open in it.
	isRecord, inBeats bool
	// loose says that there is text between the elements below the root.
	loose  bool
	record record
	// nested is a record that is read from a tree.
	nested record
	// entries, lists and beats count elements of records without a detour.
	entries, lists, beats uint64
	// replaced characters of the element that is read.
	replaced uint64
	// exported is when the export was made, in microseconds; 0: it does not say.
	exported int64
}

func newReader(from io.Reader, report *Report, store *store, files *files) *reader {
	return &reader{
		scan: newScanner(from, rootElement), report: report, in: newInterner(),
		batch: send.NewBatch(store.sender), store: store, files: files, kinds: make(map[string]*kind),
	}
}

// all reads the whole document.
func (r *reader) all(ctx context.Context, progress func()) error {
	if err := r.scan.findRoot(); err != nil {
		return err
	}
	defer r.count()
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
	r.scan.hold = -1
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

// event handles one event; e is not endDocument.
func (r *reader) event(e event) error {
	switch e {
	case text:
		if r.depth == 1 {
			r.loose = true
		}
		r.record.odd = true
		return nil
	case endElement:
		r.depth--
		switch {
		case r.depth == 0:
			return r.between()
		case r.depth == 1:
			return r.end()
		case r.depth == 2 && r.inBeats:
			r.inBeats = false
			r.record.gather([]byte(BeatsKey), r.record.beats)
		}
		return nil
	}
	r.depth++
	r.report.total++
	switch {
	case r.depth == 1:
		err := r.root()
		r.scan.hold = r.scan.offset()
		return err
	case r.depth == 2:
		if err := r.between(); err != nil {
			return err
		}
		r.scan.hold = r.scan.at
		if r.isRecord = string(r.scan.name) == "Record"; r.isRecord {
			r.report.Records++
			r.startRecord()
		}
	case r.isRecord:
		r.child()
		r.inBeats = r.depth == 3 && string(r.scan.name) == BeatsKey || r.inBeats && r.depth > 3
	}
	return nil
}

// end handles an element below the root.
func (r *reader) end() error {
	raw := r.scan.since(r.scan.hold)
	var err error
	if r.isRecord {
		err = r.endRecord(raw)
	} else {
		err = r.element(raw)
	}
	r.scan.hold = r.scan.offset()
	return err
}

// between keeps text between the elements below the root.
func (r *reader) between() error {
	if !r.loose {
		return nil
	}
	r.loose = false
	raw := r.scan.buf[r.scan.hold-r.scan.base : r.scan.at-r.scan.base]
	return r.loosePiece("#text", r.clean(raw), "text between elements")
}

// root keeps the attributes of the root, but for the locale, which is about the export.
func (r *reader) root() error {
	r.report.pass(rootElement, aboutExport)
	for _, a := range r.scan.attributes {
		if string(a.name) == "locale" {
			continue
		}
		name := r.text(a.name)
		if err := r.loosePiece("@"+name, []byte(r.stable(name, a.raw)), "unknown attribute of the export"); err != nil {
			return err
		}
	}
	return nil
}

// loosePiece keeps what belongs to no element.
func (r *reader) loosePiece(name string, value []byte, why string) error {
	r.report.keepAttribute(rootElement, name)
	r.report.Replaced += r.replaced
	r.replaced = 0
	return r.saveRaw(name, value, why, 0, 0)
}

// count adds what was counted on the way to the report.
func (r *reader) count() {
	for _, k := range r.kinds {
		r.report.add("Record", k.name, mapped, k.mapped)
	}
	r.report.add("MetadataEntry", "", mapped, r.entries)
	r.report.add(BeatsKey, "", mapped, r.lists)
	r.report.add(beatElement, "", mapped, r.beats)
}
