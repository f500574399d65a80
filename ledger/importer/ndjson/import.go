// Package ndjson imports lines of JSON: an export of another store, or whatever a
// producer wrote as Samples in the schema's JSON names, one a line.
//
//	{"type":"bodyMass","start":"2025-06-01T07:00:00Z","value":71.3,"unit":"kg"}
//
// Samples keep their UUIDs and the app they came from, so that a line imported before is
// the same object and adds nothing; those without a UUID are recognised by content. A
// large payload is sent ahead in parts, as it is where an export has done so already,
// with lines that are SavePartRequests.
//
// The file is read once, front to back, in little memory. The first line that is refused
// ends the import; what stands before it is saved, so that importing again after the
// line was mended brings the rest.
package ndjson

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// MaxLine is the length of the longest line, in bytes.
const MaxLine = 64 << 20

// Ledger is where samples are saved; the client is one.
type Ledger interface {
	Save(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error)
	SavePart(ctx context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error)
}

// Options of an import. The zero value is good.
type Options struct {
	// Progress is called now and then: bytes read, of how many, and samples saved.
	Progress func(doneBytes, totalBytes int64, samples uint64)
}

// Report says what became of a file.
type Report struct {
	// Lines that were read, empty ones included.
	Lines uint64
	// Imported is the number of samples whose save was acknowledged, wholes counting as one.
	Imported uint64
	// Parts of payloads that went ahead.
	Parts uint64
	// Bytes that were read.
	Bytes int64
	// Warnings of the ledger about values that are not plausible, the first hundred.
	Warnings []string
}

// LineError says what is wrong with a line.
type LineError struct {
	// Line counts from 1.
	Line uint64
	// Field is the JSON name of what was refused; empty: the line as a whole.
	Field string
	// Value is what the field held, shortened; it may be empty.
	Value string
	Why   string
}

// Error names the line, the field, its value and the reason.
func (e *LineError) Error() string {
	text := fmt.Sprintf("line %d", e.Line)
	if e.Field != "" {
		text += ": " + e.Field
	}
	if e.Value != "" {
		text += fmt.Sprintf(" %q", e.Value)
	}
	return text + ": " + e.Why
}

// Import reads the file at path and saves its samples. The report is good also when
// there is an error: a *LineError, an error of saving or of reading.
func Import(ctx context.Context, path string, to Ledger, opts Options) (Report, error) {
	var report Report
	f, err := os.Open(path)
	if err != nil {
		return report, err
	}
	defer f.Close()
	var size int64
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	err = Read(ctx, f, to, &report, func(done int64) {
		if opts.Progress != nil {
			opts.Progress(done, size, report.Imported)
		}
	})
	if err != nil {
		err = fmt.Errorf("import %q: %w (%d samples were imported before; importing again is safe: nothing is stored twice)",
			path, err, report.Imported)
	}
	return report, err
}

// Read imports from a stream; progress is told the bytes read.
func Read(ctx context.Context, in io.Reader, to Ledger, report *Report, progress func(done int64)) error {
	b := batch{to: to, report: report}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), MaxLine)
	lines.Split(wholeLines(&report.Bytes))
	for lines.Scan() {
		report.Lines++
		if err := context.Cause(ctx); err != nil {
			return err
		}
		line := bytes.TrimSpace(lines.Bytes())
		if report.Lines == 1 {
			line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		}
		if len(line) == 0 {
			continue
		}
		saved := report.Imported
		if err := b.line(ctx, line); err != nil {
			return b.end(ctx, err)
		}
		if report.Imported != saved {
			progress(report.Bytes)
		}
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return &LineError{Line: report.Lines + 1, Why: fmt.Sprintf("longer than %d bytes", MaxLine)}
	} else if err != nil {
		return err
	}
	progress(report.Bytes)
	return nil
}

// end returns why the import ends, after what stands before a bad line is saved.
func (b *batch) end(ctx context.Context, err error) error {
	var bad *LineError
	if errors.As(err, &bad) {
		if flushing := b.flush(ctx); flushing != nil {
			return flushing
		}
	}
	return err
}

// wholeLines splits at the ends of lines and counts the bytes.
func wholeLines(read *int64) bufio.SplitFunc {
	return func(data []byte, atEOF bool) (int, []byte, error) {
		advance, line, err := bufio.ScanLines(data, atEOF)
		*read += int64(advance)
		return advance, line, err
	}
}

// line takes a line that is not empty.
func (b *batch) line(ctx context.Context, text []byte) error {
	s := &pb.Sample{}
	err := protojson.Unmarshal(text, s)
	if err == nil {
		return b.add(ctx, s)
	}
	part := &pb.SavePartRequest{}
	if protojson.Unmarshal(text, part) == nil {
		return b.part(ctx, part)
	}
	return &LineError{Line: b.report.Lines, Why: "not a sample: " + plain(err)}
}

// plain is an error of protojson without its prefix and the spaces it varies on purpose.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}

// part sends a part of a payload whose sample comes later, as the current line says.
func (b *batch) part(ctx context.Context, part *pb.SavePartRequest) error {
	if err := b.check(part.GetType(), part.GetChunk()); err != nil {
		return err
	}
	if _, err := b.to.SavePart(ctx, part); err != nil {
		return fmt.Errorf("line %d: save a part: %w", b.report.Lines, err)
	}
	b.report.Parts++
	return nil
}

// size of a sample in a request, about.
func size(s *pb.Sample) int { return proto.Size(s) + 8 }
