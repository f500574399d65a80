package apple

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// class of a file, told by its content, since names are localised and change.
type class uint8

const (
	otherFile class = iota
	exportFile
	routeFile
	ecgFile
	jsonFile
	cdaFile
	emptyFile
	decoyFile
)

var classNames = [...]string{"other file", "export", "route (GPX)", "electrocardiogram (CSV)", "resource (JSON)",
	"clinical document (CDA)", "empty file", "file of macOS"}

// entry is a file that came with the document.
type entry struct {
	name  string
	class class
	size  int64
	// open is limited to what an honest file holds.
	open func() (io.ReadCloser, error)
	// used says that an object has its content; keep why it is kept as it is nevertheless.
	used bool
	keep string
	// first is the time of the first point of a route, if timed; looked says that it was
	// looked for.
	first  int64
	looked bool
	timed  bool
	// identifier of a FHIR resource, if looked.
	identifier string
}

// files are those that came with the document: the entries of an archive, or what lies
// beside an XML file and is referred to.
type files struct {
	entries []*entry
	// beside is the folder of an XML file, nil for an archive.
	beside *os.Root
	report *Report
	// taken are the files that the open element has taken.
	taken []*entry
	// missing counts references to files that are not there.
	missing uint64
}

// take notes that the content of a file is in an object.
func (f *files) take(e *entry) {
	e.used = true
	f.taken = append(f.taken, e)
}

// release gives back what was taken since, because the object cannot be stored.
func (f *files) release(since int) {
	for _, e := range f.taken[since:] {
		e.used, e.keep = false, "the element that refers to it is kept raw"
	}
	f.taken = f.taken[:since]
}

// classify tells what a file is by its first bytes.
func classify(head []byte) class {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(head) == 0:
		return emptyFile
	case isExport(head):
		return exportFile
	case beginsWith(head, "gpx"):
		return routeFile
	case beginsWith(head, "ClinicalDocument"):
		return cdaFile
	case len(text) > 0 && text[0] == '{':
		return jsonFile
	case looksLikeECG(head):
		return ecgFile
	}
	return otherFile
}

// looksLikeECG says whether a text begins like an electrocardiogram: some lines of key and
// value, of which one is a date and the fifth after it begins with a number.
func looksLikeECG(head []byte) bool {
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
		head = head[:i]
	}
	lines, _ := ecgHead(head)
	for i, l := range lines {
		if _, _, ok := parseDate([]byte(l.value)); ok && i+rateLine < len(lines) {
			rate, ok := leadingNumber(lines[i+rateLine].value)
			return ok && rate > 0
		}
	}
	return false
}

// find returns the file that the document refers to: by its path, by the last part of the
// path, or else by content, since both may have been renamed.
func (f *files) find(reference string, of class, fits func(*entry) bool) *entry {
	if reference != "" {
		whole := path.Clean("/" + strings.ReplaceAll(reference, `\`, "/"))
		for _, tail := range []string{whole, "/" + path.Base(whole)} {
			if e := f.named(tail, of, fits); e != nil {
				return e
			}
		}
	}
	for _, e := range f.entries {
		if e.class == of && !e.used && fits(e) {
			return e
		}
	}
	return f.lyingBeside(reference, of)
}

// named returns the file whose path ends so. Where there are several, since two routes of
// one minute have one name, content decides.
func (f *files) named(tail string, of class, fits func(*entry) bool) *entry {
	var found []*entry
	for _, e := range f.entries {
		if e.class == of && strings.HasSuffix("/"+strings.ReplaceAll(e.name, `\`, "/"), tail) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	for _, e := range found {
		if !e.used && fits(e) {
			return e
		}
	}
	return found[0]
}

// lyingBeside opens what is referred to beside an XML file, if it is there. The folder
// cannot be left.
func (f *files) lyingBeside(reference string, of class) *entry {
	name := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(reference, `\`, "/")), "/")
	if f.beside == nil || name == "" {
		return nil
	}
	info, err := f.beside.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	e := &entry{name: name, size: info.Size(), open: func() (io.ReadCloser, error) { return f.beside.Open(name) }}
	if head, err := e.head(); err != nil || classify(head) != of {
		return nil
	}
	e.class = of
	f.entries = append(f.entries, e)
	return e
}

// head reads the first bytes of a file.
func (e *entry) head() ([]byte, error) {
	r, err := e.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head := make([]byte, sniffLength)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// content reads a whole file that may not be larger than a limit; nil says that it is.
func (e *entry) content(limit int64) ([]byte, error) {
	r, err := e.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil || int64(len(content)) > limit {
		return nil, err
	}
	return content, nil
}

// route reads the route that a workout refers to; nil if its file is not there or is none.
// What is in the file and not in the route is kept with the file.
func (f *files) route(reference string, s *pb.Sample) (*track, error) {
	start, _ := health.Micros(s.Start)
	end, _ := health.Micros(s.End)
	const slack = 60 * micro
	e := f.find(reference, routeFile, func(e *entry) bool {
		at, ok := e.firstPoint()
		return ok && at >= start-slack && at <= end+slack
	})
	if e == nil {
		f.missing++
		return nil, nil
	}
	points, err := e.readRoute()
	if points != nil {
		f.take(e)
	}
	return points, err
}

// readRoute reads a route and says whether its file has to be kept as well.
func (e *entry) readRoute() (*track, error) {
	r, err := e.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	found, err := parseGPX(r, false)
	switch {
	case errors.Is(err, errNotRoute):
		e.keep = err.Error()
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%q: %w", shorten(e.name), err)
	case found.more:
		e.keep = "it holds more than a route"
	}
	return &found.track, nil
}

// firstPoint is the time of the first point of a route.
func (e *entry) firstPoint() (int64, bool) {
	if e.looked {
		return e.first, e.timed
	}
	e.looked = true
	r, err := e.open()
	if err != nil {
		return 0, false
	}
	defer r.Close()
	found, err := parseGPX(r, true)
	if err != nil || len(found.time) == 0 {
		return 0, false
	}
	e.first, e.timed = found.time[0], true
	return e.first, true
}

// resource reads the FHIR resource that a record refers to; no content: it is not there.
func (f *files) resource(reference, identifier string) (content []byte, found resource, err error) {
	e := f.find(reference, jsonFile, func(e *entry) bool { return identifier != "" && e.resourceID() == identifier })
	if e == nil {
		f.missing++
		return nil, resource{}, nil
	}
	if content, err = e.content(maxResource); err != nil {
		return nil, resource{}, err
	}
	found, ok := parseResource(content)
	if !ok {
		e.keep = "not a FHIR resource that can be read"
		return nil, resource{}, nil
	}
	f.take(e)
	return content, found, nil
}

func (e *entry) resourceID() string {
	if !e.looked {
		e.looked = true
		if content, err := e.content(maxResource); err == nil {
			found, _ := parseResource(content)
			e.identifier = found.ID
		}
	}
	return e.identifier
}

// left returns the files whose content no object has yet.
func (f *files) left() []*entry {
	if f.beside != nil {
		return nil // what nothing refers to is none of ours
	}
	return slices.Clone(f.entries)
}
