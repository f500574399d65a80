// Package table imports CSV files of any layout, by a mapping of their columns.
//
//	Date;Weight;Device
//	31.05.2025 07:10;71,3;Scale
//
// becomes samples with
//
//	m := table.Mapping{Comma: ';', Decimal: ',', Dates: "dmy", Zone: berlin,
//		Constants: map[string]string{"type": "bodyMass", "unit": "kg"},
//		Columns:   map[string]string{"start": "Date", "value": "Weight", "source": "Device"}}
//	report, err := table.Import(ctx, file, app.Save, m, table.Options{})
//
// Every line is checked before anything is stored: a bad one refuses the file, with line,
// column, value and reason, unless bad lines are to be left out. Importing again adds nothing,
// since samples are recognised by content. Columns that the mapping does not name are not
// imported, and reported: they may say what a reader of the type must not see.
package table

import (
	"context"
	"errors"
	"fmt"
	"io"

	"healthledger/ledger/importer/send"
	pb "healthledger/proto/healthledger/v1"
)

// Options of an import. The zero value is good.
type Options struct {
	// SkipBad leaves bad lines out and reports them.
	SkipBad bool
	// Progress is called now and then with the bytes read, of twice the file unless bad lines
	// are left out: it is read once to check it.
	Progress func(bytes int64)
}

// Report says what became of the lines.
type Report struct {
	// Lines of data: neither the header nor empty ones. Each is a sample or bad.
	Lines, Samples, Bad uint64
	// Saved is how many samples the ledger has acknowledged.
	Saved uint64
	// Flaws of bad lines, the first hundred.
	Flaws []*LineError
	// Ignored columns, by their headers.
	Ignored []string
	// Bytes that were read.
	Bytes int64
}

// maxFlaws bounds Flaws.
const maxFlaws = 100

// LineError says what is wrong with a line.
type LineError struct {
	// Line counts from 1, the header included.
	Line int
	// Column is the header or, without one, "#" and the number; empty: the whole line.
	Column string
	// Value is what stands there, shortened.
	Value string
	Why   string
}

// Error names the line, the column, its value and the reason.
func (e *LineError) Error() string {
	switch {
	case e.Column == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Why)
	case e.Value == "":
		return fmt.Sprintf("line %d, column %s: %s", e.Line, e.Column, e.Why)
	}
	return fmt.Sprintf("line %d, column %s: %q: %s", e.Line, e.Column, e.Value, e.Why)
}

// inFlight is how many saves run at the same time.
const inFlight = 4

// Import reads a file and saves its samples. The report is good also when there is an
// error: a *MappingError, a *LineError, one of the reader or of saving.
func Import(ctx context.Context, file io.ReadSeeker, save send.Func, m Mapping, opts Options) (Report, error) {
	if !opts.SkipBad {
		start, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return Report{}, err
		}
		if report, err := Parse(file, m, func(*pb.Sample) error { return context.Cause(ctx) }, opts); err != nil {
			return report, fmt.Errorf("%w (nothing was stored)", err)
		}
		if _, err := file.Seek(start, io.SeekStart); err != nil {
			return Report{}, err
		}
	}
	sender := send.New(ctx, save, inFlight)
	batch := send.NewBatch(sender)
	report, err := Parse(file, m, batch.AddSample, opts)
	if err == nil {
		err = batch.Flush()
	}
	if closing := sender.Close(); closing != nil {
		err = closing // the cause, not its effect on the reader
	}
	report.Saved = sender.Saved()
	if err != nil {
		return report, fmt.Errorf("%w (%d samples were saved before; importing again is safe: nothing is stored twice)", err, report.Saved)
	}
	return report, nil
}

// Parse reads a file and calls emit with the sample of every line, in order. The report is
// good also when there is an error: a *MappingError, a *LineError, one of the reader or of emit.
func Parse(r io.Reader, m Mapping, emit func(*pb.Sample) error, opts Options) (Report, error) {
	in, err := newReader(r, m, opts.Progress)
	if err != nil {
		return Report{}, err
	}
	report := Report{}
	rows, err := in.bind(m)
	if err != nil {
		return report, err
	}
	report.Ignored = rows.ignored()
	for {
		s, err := in.next(rows)
		var flaw *LineError
		switch {
		case err == io.EOF:
			report.Bytes = in.limit.total
			return report, nil
		case errors.As(err, &flaw):
			report.Lines++
			report.Bad++
			if !opts.SkipBad {
				return report, flaw
			}
			if len(report.Flaws) < maxFlaws {
				report.Flaws = append(report.Flaws, flaw)
			}
			continue
		case err != nil:
			return report, err
		}
		report.Lines++
		report.Samples++
		if err := emit(s); err != nil {
			return report, err
		}
	}
}
