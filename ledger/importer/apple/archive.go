package apple

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

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

// document is the XML of an export, ready to be read.
type document struct {
	io.Reader
	// size of the XML as the file says it.
	size  int64
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
	return &document{Reader: file, size: info.Size(), close: file.Close}, nil
}

// isExport says whether XML begins as an export does: with the document type or the
// root element, after nothing but an XML declaration, comments and white space.
func isExport(head []byte) bool {
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
			for _, start := range []string{"<!DOCTYPE " + rootElement, "<" + rootElement} {
				if rest, ok := bytes.CutPrefix(head, []byte(start)); ok {
					return len(rest) > 0 && class[rest[0]]&nameByte == 0
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
	var found []*zip.File
	var empty, encrypted, unreadable []string
	for _, entry := range archive.File {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if entry.FileInfo().IsDir() || isDecoy(entry.Name) {
			continue
		}
		switch head, err := sniff(entry); {
		case entry.Flags&1 != 0:
			encrypted = append(encrypted, entry.Name)
		case entry.UncompressedSize64 == 0:
			empty = append(empty, entry.Name)
		case isExport(head):
			found = append(found, entry)
		case err != nil:
			unreadable = append(unreadable, entry.Name)
		}
	}
	switch {
	case len(found) > 1:
		names := make([]string, len(found))
		for i, entry := range found {
			names[i] = entry.Name
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
	return openEntry(file, found[0])
}

func isDecoy(name string) bool {
	return slices.Contains(strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }), "__MACOSX")
}

// sniff reads the start of an entry, as much of it as can be read.
func sniff(entry *zip.File) ([]byte, error) {
	if entry.Flags&1 != 0 || entry.UncompressedSize64 == 0 {
		return nil, nil
	}
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(r, head)
	if head = bytes.TrimLeft(head[:n], "\xef\xbb\xbf \t\r\n"); len(head) > 0 && head[0] != '<' {
		return nil, nil
	}
	if err == nil {
		more := make([]byte, sniffLength)
		n, err = io.ReadFull(r, more)
		head = append(head, more[:n]...)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head, err
}

// openEntry starts to read the entry.
func openEntry(file *os.File, entry *zip.File) (*document, error) {
	if entry.UncompressedSize64 > maxBytes {
		return nil, fmt.Errorf("%w: its XML has %d bytes (at most %d)", ErrTooLarge, entry.UncompressedSize64, int64(maxBytes))
	}
	r, err := entry.Open()
	if err != nil {
		return nil, fmt.Errorf("open entry %q: %w", shorten(entry.Name), err)
	}
	limit := &limiter{r: r, most: max(freeBytes, int64(min(entry.CompressedSize64, maxBytes))*maxRatio)}
	return &document{Reader: limit, size: int64(entry.UncompressedSize64), close: func() error {
		err := r.Close()
		if closing := file.Close(); err == nil {
			err = closing
		}
		return err
	}}, nil
}

// limiter fails where an entry becomes more than it can honestly hold.
type limiter struct {
	r          io.Reader
	read, most int64
}

func (l *limiter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.read += int64(n)
	if l.read > min(l.most, maxBytes) {
		return n, fmt.Errorf("%w: one byte of the archive becomes more than %d", ErrTooLarge, maxRatio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the archive is damaged: %w", err)
	}
	return n, err
}

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
