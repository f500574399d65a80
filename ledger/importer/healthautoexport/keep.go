package healthautoexport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// mapper makes samples of an element; the first of them gets what was not taken of it. An
// error says why it is kept as it came; it names no values.
type mapper func(*parser, *object) ([]*pb.Sample, error)

// element is one element of an array of the document.
type element struct {
	kind string
	// name and raw are how it is kept. wrap, if set, puts around it what it does not say
	// itself.
	name string
	raw  []byte
	wrap func(raw []byte) []byte
}

var (
	errUnknownSection = errors.New("an unknown kind of data")
	errNoObject       = errors.New("no JSON object")
	errNoDate         = errors.New("no date, or not one that can be read")
	errNoValue        = errors.New("no value, or not one that can be read")
)

// element maps or keeps one element, and counts it.
func (p *parser) element(e element, read mapper) error {
	count := p.report.count(e.kind)
	count.Found++
	samples, err := p.mapped(e, read)
	if err == nil {
		count.Mapped++
	} else {
		count.Kept++
		count.Why[err.Error()]++
		samples = e.keep(err)
	}
	for _, s := range samples {
		p.report.Samples++
		if err := p.emit(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) mapped(e element, read mapper) ([]*pb.Sample, error) {
	o, ok := newObject(e.raw)
	if !ok {
		return nil, errNoObject
	}
	samples, err := read(p, o)
	if err != nil {
		return nil, err
	}
	samples = append(samples, attach(e.name, samples[0], o.rest())...)
	for _, s := range samples {
		if err := p.check(s); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// maxStay is how much of what is not understood stays with a sample.
const maxStay = 64 << 10

var errMuch = errors.New("too much to stay with the sample it belongs to")

// attach keeps what was not understood of a sample with it. What is too large for that is
// kept beside it.
func attach(name string, s *pb.Sample, kept []*pb.Kept) (beside []*pb.Sample) {
	size := 0
	for _, k := range kept {
		if n := len(k.Name) + len(k.Value); size+n <= maxStay && len(s.Kept) < health.MaxKept {
			size += n
			s.Kept = append(s.Kept, k)
			continue
		}
		for _, piece := range (element{name: name + "." + k.Name, raw: []byte(k.Value)}).keep(errMuch) {
			piece.Start, piece.End, piece.Source = s.Start, s.End, s.Source
			beside = append(beside, piece)
		}
	}
	return beside
}

// check says whether the ledger will take a sample, payload apart: a large one goes ahead.
func (p *parser) check(s *pb.Sample) error {
	light, err := withoutPayload(s)
	if err != nil {
		return err
	}
	return reason(p.checker.Check(light))
}

// reason leaves out the value, which is health data.
func reason(err error) error {
	var refused *health.FieldError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %s", refused.Field, refused.Why)
	}
	return err
}

// withoutPayload checks payloads and replaces them by a reference of the same form that a
// payload has which went ahead.
func withoutPayload(s *pb.Sample) (*pb.Sample, error) {
	heavy := len(s.Payload) > 0
	for _, m := range s.Members {
		heavy = heavy || len(m.Payload) > 0
	}
	if !heavy {
		return s, nil
	}
	s = proto.CloneOf(s)
	for _, one := range append([]*pb.Sample{s}, s.Members...) {
		if len(one.Payload) == 0 {
			continue
		}
		t, ok := catalog.Lookup(one.Type)
		if !ok {
			return nil, fmt.Errorf("no type %s", one.Type)
		}
		for _, chunk := range one.Payload {
			if err := health.CheckChunk(t, chunk); err != nil {
				return nil, reason(err)
			}
		}
		one.Payload, one.Upload = nil, &pb.Upload{Id: make([]byte, 16), Parts: 1}
	}
	return s, nil
}

// maxPiece is how much of an element one imported element holds.
const maxPiece = 200 << 10

// keep makes imported elements: one, or as many as it takes.
func (e element) keep(why error) []*pb.Sample {
	start, end, source := outline(e.raw)
	text := compact(e.raw)
	if e.wrap != nil {
		text = e.wrap(text)
	}
	name := e.name
	if len(name) > maxName || name == "" {
		name = "element"
	}
	pieces := cut(text)
	samples := make([]*pb.Sample, len(pieces))
	for i, piece := range pieces {
		kept := &pb.Kept{Format: Format, Name: name, Value: string(piece)}
		if len(pieces) > 1 {
			kept.Name = fmt.Sprintf("%s (part %d of %d)", name, i+1, len(pieces))
		}
		samples[i] = &pb.Sample{
			Type: "importedElement", Start: timestamp(start), End: timestamp(end), Source: source,
			Object: &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{Element: kept, Why: why.Error()}},
		}
	}
	return samples
}

// compact takes the spaces between tokens away, so that the same element is the same
// however the app laid it out.
func compact(raw []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return raw // not reached for valid JSON
	}
	return b.Bytes()
}

// cut divides a text between characters.
func cut(text []byte) (pieces [][]byte) {
	for len(text) > maxPiece {
		end := maxPiece
		for !utf8.RuneStart(text[end]) {
			end--
		}
		pieces, text = append(pieces, text[:end]), text[end:]
	}
	return append(pieces, text)
}

// outline finds when an element was, and where it came from, as far as it says.
func outline(raw []byte) (start, end time.Time, source *pb.Source) {
	start = epoch
	o, ok := newObject(raw)
	if !ok {
		return start, start, nil
	}
	for _, key := range []string{"start", "startDate", "sleepStart", "inBedStart", "date", "timestamp", "scheduledDate"} {
		if t, ok := o.date(key); ok {
			start = t
			break
		}
	}
	end = start
	for _, key := range []string{"end", "endDate", "sleepEnd", "inBedEnd"} {
		if t, ok := o.date(key); ok && t.After(start) {
			end = t
			break
		}
	}
	if source = o.source(); source != nil && len(source.Name) > health.MaxText {
		source = nil // it stays in the element
	}
	return start, end, source
}
