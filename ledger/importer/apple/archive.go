package apple

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

// Limits of archives, generous for real ones: 8 GB of XML that shrink to 300 MB, with
// some ten thousand workout routes.
const (
	maxEntries = 250_000
	maxBytes   = 64 << 30
	// maxRatio is how many bytes of XML one byte of archive may become, once
	// freeBytes of them have been read.
	maxRatio  = 250
	freeBytes = 16 << 20
	// sniffLength is how far into an entry the document type or root may begin.
	sniffLength = 64 << 10
)

// document is the XML of an export, ready to be read, with the files that came with it.
type document struct {
	io.Reader
	// size of the XML as the file says it.
	size  int64
	files *files
	close func() error
}

// open finds the export in a file, which may be XML or an archive.
func open(ctx context.Context, path string, report *Report) (*document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	doc, err := find(ctx, file, report)
	if err != nil {
		file.Close()
		return nil, err
	}
	return doc, nil
}

// find looks into an open file; the document closes it.
func find(ctx context.Context, file *os.File, report *Report) (*document, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%w: it is a folder; give the export.zip, or the XML file in the folder", ErrNotExport)
	}
	head := make([]byte, sniffLength)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	switch {
	case n == 0:
		return nil, fmt.Errorf("%w: the file is empty", ErrNotExport)
	case bytes.HasPrefix(head, []byte("PK")):
		return findEntry(ctx, file, info.Size(), report)
	case !isExport(head):
		return nil, fmt.Errorf("%w: it is neither an archive nor XML of <%s>", ErrNotExport, rootElement)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	folder, err := os.OpenRoot(filepath.Dir(file.Name()))
	if err != nil {
		return nil, err
	}
	beside := &files{beside: folder, report: report}
	return &document{Reader: file, size: info.Size(), files: beside, close: func() error {
		return errors.Join(file.Close(), folder.Close())
	}}, nil
}

// isExport says whether XML begins as an export does.
func isExport(head []byte) bool { return beginsWith(head, rootElement) }

// beginsWith says whether XML begins with a document type or the tag of a root element,
// after nothing but an XML declaration, processing instructions, comments and white space.
func beginsWith(head []byte, root string) bool {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for {
		head = bytes.TrimLeft(head, " \t\r\n")
		var end string
		switch {
		case bytes.HasPrefix(head, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(head, []byte("<!--")):
			end = "-->"
		default:
			for _, start := range []string{"<!DOCTYPE " + root, "<" + root} {
				if rest, ok := bytes.CutPrefix(head, []byte(start)); ok {
					return len(rest) > 0 && byteClass[rest[0]]&nameByte == 0
				}
			}
			return false
		}
		i := bytes.Index(head, []byte(end))
		if i < 0 {
			return false
		}
		head = head[i+len(end):]
	}
}

// findEntry looks for the one entry of an archive that is an export, by content, since
// its name is localised. Nothing is ever written to disk, so names are only names.
func findEntry(ctx context.Context, file *os.File, size int64, report *Report) (*document, error) {
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return nil, fmt.Errorf("the archive is damaged or incomplete: %w", err)
	}
	if len(archive.File) > maxEntries {
		return nil, fmt.Errorf("%w: an archive of %d entries (at most %d)", ErrNotExport, len(archive.File), maxEntries)
	}
	archive.RegisterDecompressor(zip.Deflate, flate.NewReader)
	all := &files{report: report}
	spent := &budget{most: max(freeBytes, min(size, maxBytes)*maxRatio)}
	var found []*entry
	var empty, encrypted, unreadable []string
	for _, one := range archive.File {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if one.FileInfo().IsDir() {
			continue
		}
		e := &entry{name: one.Name, size: int64(min(one.UncompressedSize64, maxBytes)), open: spent.opener(one)}
		switch err := e.look(one); {
		case one.Flags&1 != 0:
			encrypted = append(encrypted, one.Name)
			continue
		case err != nil:
			unreadable = append(unreadable, one.Name)
			continue
		}
		all.entries = append(all.entries, e)
		switch e.class {
		case emptyFile:
			empty = append(empty, one.Name)
		case exportFile:
			found = append(found, e)
		}
	}
	switch {
	case len(found) > 1:
		names := make([]string, len(found))
		for i, e := range found {
			names[i] = e.name
		}
		return nil, fmt.Errorf("%w: %s; import them one by one", ErrSeveralExports, list(names))
	case len(found) == 0 && len(encrypted) > 0:
		return nil, fmt.Errorf("%w: its entries are encrypted: %s", ErrNotExport, list(encrypted))
	case len(found) == 0 && len(unreadable) > 0:
		return nil, fmt.Errorf("%w: entries that cannot be read: %s", ErrNotExport, list(unreadable))
	case len(found) == 0 && len(empty) > 0:
		return nil, fmt.Errorf("%w: none of its entries is one, and these are empty: %s", ErrNotExport, list(empty))
	case len(found) == 0:
		return nil, fmt.Errorf("%w: none of the %d entries of the archive is one", ErrNotExport, len(archive.File))
	}
	if hidden := append(encrypted, unreadable...); len(hidden) > 0 {
		report.warn("%d entries of the archive could not be looked at: %s", len(hidden), list(hidden))
	}
	return openEntry(file, found[0], all)
}

// look tells the class of an entry by its first bytes.
func (e *entry) look(one *zip.File) error {
	switch {
	case one.Flags&1 != 0:
		return nil
	case isDecoy(e.name):
		e.class = decoyFile
		return nil
	case e.size == 0:
		e.class = emptyFile
		return nil
	}
	r, err := e.open()
	if err != nil {
		return err
	}
	defer r.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	if err == nil && bytes.HasPrefix(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n"), []byte("<")) {
		more := make([]byte, sniffLength)
		n, err = io.ReadFull(r, more)
		head = append(head, more[:n]...)
	}
	if e.class = classify(head); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if e.class == exportFile || e.class == routeFile {
		return nil // where it is damaged the reader says
	}
	return err
}

// isDecoy says whether macOS has left an entry, beside or inside of its own folder.
func isDecoy(name string) bool {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	last := ""
	if len(parts) > 0 {
		last = parts[len(parts)-1]
	}
	return slices.Contains(parts, "__MACOSX") || last == ".DS_Store" || strings.HasPrefix(last, "._")
}

// openEntry starts to read the export of an archive.
func openEntry(file *os.File, e *entry, all *files) (*document, error) {
	if e.size >= maxBytes {
		return nil, fmt.Errorf("%w: its XML has %d bytes or more (at most %d)", ErrTooLarge, e.size, int64(maxBytes))
	}
	r, err := e.open()
	if err != nil {
		return nil, fmt.Errorf("open entry %q: %w", shorten(e.name), err)
	}
	return &document{Reader: r, size: e.size, files: all, close: func() error {
		return errors.Join(r.Close(), file.Close())
	}}, nil
}

// budget is how many bytes all entries of an archive may become together.
type budget struct {
	most int64
	read atomic.Int64
}

// opener opens an entry, which may not become more than it can honestly hold.
func (b *budget) opener(one *zip.File) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, err := one.Open()
		if err != nil {
			return nil, err
		}
		most := max(freeBytes, int64(min(one.CompressedSize64, maxBytes))*maxRatio)
		return &limiter{r: r, most: min(most, maxBytes), all: b}, nil
	}
}

// limiter fails where an entry, or all of them together, become too much.
type limiter struct {
	r          io.ReadCloser
	read, most int64
	all        *budget
}

func (l *limiter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.read += int64(n)
	if all := l.all.read.Add(int64(n)); l.read > l.most || all > min(l.all.most, maxBytes) {
		return n, fmt.Errorf("%w: one byte of the archive becomes more than %d", ErrTooLarge, maxRatio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the archive is damaged: %w", err)
	}
	return n, err
}

func (l *limiter) Close() error { return l.r.Close() }

// list prints names, some of them.
func list(names []string) string {
	const most = 5
	var b strings.Builder
	for i, name := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", shorten(name))
	}
	return b.String()
}
