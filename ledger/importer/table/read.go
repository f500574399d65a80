package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	pb "healthledger/proto/healthledger/v1"
)

// maxRow bounds a line, and what a quote that is never closed can swallow.
const maxRow = 1 << 20

// maxColumns bounds the columns of a line.
const maxColumns = 4096

// reader reads lines.
type reader struct {
	csv   *csv.Reader
	limit *limit
	// header has the names of the columns, nil without; first is a line that was read ahead.
	header, first []string
	columns       int
}

// limit ends a line that is too long.
type limit struct {
	from        *bufio.Reader
	total, mark int64
	tooLong     bool
	progress    func(int64)
	next        int64
}

// progressBytes is how often progress is reported.
const progressBytes = 1 << 20

func (l *limit) Read(into []byte) (int, error) {
	if l.total-l.mark > maxRow {
		l.tooLong = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := l.from.Read(into)
	l.total += int64(n)
	if l.progress != nil && l.total >= l.next {
		l.progress(l.total)
		l.next = l.total + progressBytes
	}
	return n, err
}

// newReader reads up to the data.
func newReader(r io.Reader, m Mapping, progress func(int64)) (*reader, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	in := &reader{limit: &limit{from: bufio.NewReader(r), progress: progress}}
	start, _ := in.limit.from.Peek(3)
	if bytes.Equal(start, []byte("\ufeff")) {
		in.limit.from.Discard(3)
	} else if len(start) >= 2 && (start[0] == 0xff && start[1] == 0xfe || start[0] == 0xfe && start[1] == 0xff) {
		return nil, errors.New("the file is UTF-16: save it as UTF-8")
	}
	in.csv = csv.NewReader(in.limit)
	in.csv.FieldsPerRecord = -1
	if m.Comma != 0 {
		in.csv.Comma = m.Comma
	}
	first, _, err := in.line()
	if err == io.EOF {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, err
	}
	in.columns = len(first)
	if m.NoHeader {
		in.first = first
	} else {
		in.header = first
	}
	return in, nil
}

// line reads one line that is not empty, and its number.
func (in *reader) line() (cells []string, line int, err error) {
	in.limit.mark = in.limit.total
	cells, err = in.csv.Read()
	var broken *csv.ParseError
	switch {
	case in.limit.tooLong:
		return nil, 0, fmt.Errorf("a line of more than %d MiB, or a quote that is never closed, before byte %d", maxRow>>20, in.limit.total)
	case errors.As(err, &broken):
		return nil, 0, &LineError{Line: broken.Line, Why: broken.Err.Error()}
	case err != nil && errors.Is(err, csv.ErrFieldCount):
		return nil, 0, err // not reached: any count is read
	case err != nil:
		return nil, 0, err
	}
	line, _ = in.csv.FieldPos(0)
	if len(cells) > maxColumns {
		return nil, 0, &LineError{Line: line, Why: "more than " + strconv.Itoa(maxColumns) + " columns"}
	}
	return cells, line, nil
}

// next reads the sample of the next line.
func (in *reader) next(rows *rows) (*pb.Sample, error) {
	for {
		cells, line := in.first, 1
		if in.first = nil; cells == nil {
			var err error
			if cells, line, err = in.line(); err != nil {
				return nil, err
			}
		}
		if !slices.ContainsFunc(cells, func(cell string) bool { return cell != "" }) {
			continue
		}
		if len(cells) != in.columns {
			return nil, &LineError{Line: line, Why: fmt.Sprintf("%d columns instead of %d", len(cells), in.columns)}
		}
		s, err := rows.sample(cells)
		var flaw *LineError
		if errors.As(err, &flaw) {
			flaw.Line = line
		}
		return s, err
	}
}
