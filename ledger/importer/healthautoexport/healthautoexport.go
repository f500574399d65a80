// Package healthautoexport reads what the iOS app Health Auto Export writes as JSON, to a
// file or to an HTTP endpoint, in all versions that are known:
//
//	{"data": {"metrics": [{"name": "step_count", "units": "count", "data": [{"date": "…", "qty": 8, "source": "…"}]}],
//	          "workouts": […], "symptoms": […], "ecg": […], "stateOfMind": […], "medications": […],
//	          "cycleTracking": […], "heartRateNotifications": […]}}
//
// [Parse] makes samples of it, one document after the other, in little memory. Each element
// of these arrays is one of three things:
//
//   - mapped: it says what a sample says. Fields that have no place in the sample stay with
//     it (Sample.kept).
//   - kept: it is no sample, since it is a sum over an interval that the app does not name
//     (a summarised night), or is not understood. It becomes an importedElement, as it came.
//   - broken JSON: this ends the parsing, with the place. What came before is good.
//
// What the app leaves open is decided like this. A point has a date and no end, though
// it may be the sum of a minute or of a day: it becomes a sample of that moment, so that
// sums over days are right. Minimum and maximum of a heart rate stay with its average. A
// value of several sources has all their names, as the app joins them. Per cent are divided by
// 100. Objects with an id are saved under it, and what is exported again under the same id,
// with more details, adds nothing. All others are the same if their content is the same.
//
// Sources: the app's documentation at help.healthyapps.dev (JSON export format) and the
// reports of its users of where the app differs from it: dates in seconds since the Unix epoch
// inside of electrocardiograms and notifications, words in the language of the phone, "mcV".
package healthautoexport

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"healthledger/ledger/importer/send"
	pb "healthledger/proto/healthledger/v1"
)

// Format names what is kept of such documents.
const Format = "health-auto-export-json"

var (
	// ErrNotExport says that a document is not from Health Auto Export.
	ErrNotExport = errors.New("not an export of Health Auto Export")
	// ErrTooLarge says that an element is larger than any real one.
	ErrTooLarge = errors.New("an element of more than " + strconv.Itoa(maxElement>>20) + " MiB")
)

// maxElement bounds one element: the largest real ones are workouts of a day with a route,
// some 20 MB.
const maxElement = 64 << 20

// Options of Parse. The zero value is good.
type Options struct {
	// Progress is called now and then with the bytes read so far.
	Progress func(bytes int64)
	// limit of an element in bytes, for tests.
	limit int64
}

// Parse reads documents until the end and calls emit with every sample, in order. The
// report is good also when there is an error: ErrNotExport, ErrTooLarge, one of the reader, one
// of emit, or of a document that is broken.
//
// Samples are valid for an importer (health.Policy), but for payloads too large to travel
// inside of them. Nothing of a sample changes after it was emitted.
func Parse(r io.Reader, emit func(*pb.Sample) error, opts Options) (Report, error) {
	in := &bounded{from: bufio.NewReader(r), limit: opts.limit, progress: opts.Progress}
	if in.limit == 0 {
		in.limit = maxElement
	}
	if start, _ := in.from.Peek(3); bytes.Equal(start, []byte("\ufeff")) {
		in.from.Discard(3)
	}
	p := &parser{in: in, dec: json.NewDecoder(in), emit: emit, report: Report{Kinds: map[string]*Count{}}, medications: map[string]string{}}
	p.dec.UseNumber()
	err := p.documents()
	p.report.Bytes = in.total
	var syntax *json.SyntaxError
	switch {
	case in.tooLarge:
		err = fmt.Errorf("%w, from byte %d on", ErrTooLarge, in.mark)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		err = fmt.Errorf("the document breaks off at byte %d", in.total)
	case errors.As(err, &syntax):
		err = fmt.Errorf("no JSON at byte %d: %w", p.dec.InputOffset(), err)
	}
	return p.report, err
}

type parser struct {
	in     *bounded
	dec    *json.Decoder
	emit   func(*pb.Sample) error
	report Report
	// known sections were seen.
	known bool
	// medications that were emitted, by concept.
	medications map[string]string
	checker     send.Checker
}

// bounded reads no more than a limit of bytes beyond a mark.
type bounded struct {
	from        *bufio.Reader
	total, mark int64
	limit       int64
	tooLarge    bool
	progress    func(int64)
	next        int64
}

// progressBytes is how often progress is reported.
const progressBytes = 1 << 20

func (b *bounded) Read(into []byte) (int, error) {
	if b.total-b.mark > b.limit {
		b.tooLarge = true
		return 0, ErrTooLarge
	}
	n, err := b.from.Read(into)
	b.total += int64(n)
	if b.progress != nil && b.total >= b.next {
		b.progress(b.total)
		b.next = b.total + progressBytes
	}
	return n, err
}

// documents reads documents that follow each other.
func (p *parser) documents() error {
	for n := 0; ; n++ {
		t, err := p.dec.Token()
		switch {
		case err == io.EOF && n > 0:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: it is empty", ErrNotExport)
		case err != nil && n == 0 && !p.in.tooLarge:
			return fmt.Errorf("%w: it is no JSON", ErrNotExport)
		case err != nil:
			return err
		case t != json.Delim('{'):
			return fmt.Errorf("%w: it is no JSON object", ErrNotExport)
		}
		if err := p.fields(p.top); err != nil {
			return err
		}
		if !p.known {
			return fmt.Errorf("%w: it has no data.metrics, data.workouts or the like", ErrNotExport)
		}
	}
}

// fields calls fn with the key of each field of an object whose brace was read; fn reads
// the value.
func (p *parser) fields(fn func(key string) error) error {
	for p.dec.More() {
		p.in.mark = p.in.total
		t, err := p.dec.Token()
		if err != nil {
			return err
		}
		if err := fn(t.(string)); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

func (p *parser) top(key string) error {
	if key != "data" {
		return p.section(key)
	}
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	if t == json.Delim('{') {
		return p.fields(p.section)
	}
	return p.other(key, t)
}

// section reads an array of elements.
func (p *parser) section(name string) error {
	read, known := sections[name]
	p.known = p.known || known
	t, err := p.dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		return p.other(name, t)
	}
	for p.dec.More() {
		p.in.mark = p.in.total
		if name == "metrics" {
			err = p.metric()
		} else {
			err = p.sectionElement(name, read)
		}
		if err != nil {
			return err
		}
	}
	_, err = p.dec.Token()
	return err
}

func (p *parser) sectionElement(name string, read mapper) error {
	raw, err := p.value()
	if err != nil {
		return err
	}
	kind := name
	if read == nil {
		kind = p.report.bounded("unknown: " + name)
		read = func(*parser, *object) ([]*pb.Sample, error) { return nil, errUnknownSection }
	}
	return p.element(element{kind: kind, name: name, raw: raw}, read)
}

// value reads a whole value.
func (p *parser) value() ([]byte, error) {
	var raw json.RawMessage
	if err := p.dec.Decode(&raw); err != nil {
		return nil, err
	}
	return clean(raw), nil
}

// clean replaces what is not UTF-8, as the JSON package does in strings.
func clean(raw []byte) []byte {
	if utf8.Valid(raw) {
		return raw
	}
	return bytes.ToValidUTF8(raw, []byte("\uFFFD"))
}

// other keeps a value where an array of elements was expected, of which the first token
// was read. Null says nothing.
func (p *parser) other(name string, first json.Token) error {
	if first == nil {
		return nil
	}
	raw, err := p.remaining(first)
	if err != nil {
		return err
	}
	return p.element(element{kind: p.report.bounded("unknown: " + name), name: name, raw: raw},
		func(*parser, *object) ([]*pb.Sample, error) { return nil, errUnknownSection })
}

// remaining reads the rest of a value of which the first token was read.
func (p *parser) remaining(first json.Token) ([]byte, error) {
	delim, ok := first.(json.Delim)
	if !ok {
		return json.Marshal(first)
	}
	b := []byte{byte(delim)}
	for p.dec.More() {
		if len(b) > 1 {
			b = append(b, ',')
		}
		if delim == '{' {
			key, err := p.dec.Token()
			if err != nil {
				return nil, err
			}
			text, err := json.Marshal(key)
			if err != nil {
				return nil, err
			}
			b = append(append(b, text...), ':')
		}
		raw, err := p.value()
		if err != nil {
			return nil, err
		}
		b = append(b, raw...)
	}
	end, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	return append(b, byte(end.(json.Delim))), nil
}
