package applexml

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/projector/export"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

type attribute struct{ name, value string }

// element is one to be printed.
type element struct {
	name       string
	attributes []attribute
	children   []*element
	// raw is printed as it stands instead of all that.
	raw string
	// stream prints more children, which are too many to be held.
	stream func() error
}

// set adds an attribute, if there is something to say.
func (x *element) set(name, value string) {
	if value != "" {
		x.attributes = append(x.attributes, attribute{name, value})
	}
}

func (x *element) add(child *element) { x.children = append(x.children, child) }

// print writes an element, each on a line of its own.
func (e *exporter) print(x *element, depth int) error {
	for range depth {
		e.out.WriteByte(' ')
	}
	if x.raw != "" {
		e.out.WriteString(x.raw)
		return e.out.WriteByte('\n')
	}
	e.out.WriteByte('<')
	e.out.WriteString(x.name)
	e.attributes(x.attributes)
	if len(x.children) == 0 && x.stream == nil {
		_, err := e.out.WriteString("/>\n")
		return err
	}
	e.out.WriteString(">\n")
	for _, child := range x.children {
		if err := e.print(child, depth+1); err != nil {
			return err
		}
	}
	if x.stream != nil {
		if err := x.stream(); err != nil {
			return err
		}
	}
	for range depth {
		e.out.WriteByte(' ')
	}
	e.out.WriteString("</")
	e.out.WriteString(x.name)
	_, err := e.out.WriteString(">\n")
	return err
}

func (e *exporter) attributes(all []attribute) {
	for _, a := range all {
		e.out.WriteByte(' ')
		e.out.WriteString(a.name)
		e.out.WriteString(`="`)
		e.escape(a.value)
		e.out.WriteByte('"')
	}
}

// escape writes the value of an attribute so that it is read as it is. Characters that
// XML does not allow become U+FFFD.
func (e *exporter) escape(text string) {
	from := 0
	for i, r := range text {
		replacement := ""
		switch {
		case r == '&':
			replacement = "&amp;"
		case r == '<':
			replacement = "&lt;"
		case r == '>':
			replacement = "&gt;"
		case r == '"':
			replacement = "&quot;"
		case r == '\t' || r == '\n' || r == '\r':
			replacement = "&#" + strconv.Itoa(int(r)) + ";"
		case !allowed(r):
			replacement = "\uFFFD"
			e.report.Changed["character that XML does not allow"]++
		default:
			continue
		}
		e.out.WriteString(text[from:i])
		e.out.WriteString(replacement)
		from = i + utf8.RuneLen(r)
	}
	e.out.WriteString(text[from:])
}

// allowed says whether XML 1.0 allows a character (section 2.2).
func allowed(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// date prints a time as the Health app does. A zone whose offset is no whole minute, as
// those before the clocks were set by law, cannot be printed, nor can a year before 1.
func (e *exporter) date(t time.Time) string {
	in := t.In(e.opts.Zone)
	if _, offset := in.Zone(); offset%60 != 0 || in.Year() < 1 || in.Year() > 9999 {
		in = t.UTC()
	}
	return in.Format("2006-01-02 15:04:05 -0700")
}

// dates are those of a sample, to the second.
func (e *exporter) dates(x *element, s *pb.Sample) {
	if s.Created != nil {
		x.set("creationDate", e.date(s.Created.AsTime()))
	}
	x.set("startDate", e.date(s.Start.AsTime()))
	x.set("endDate", e.date(s.End.AsTime()))
	e.whole(s.Start, s.End, s.Created)
}

// whole counts what has dates with fractions of a second.
func (e *exporter) whole(dates ...*timestamppb.Timestamp) {
	for _, t := range dates {
		if t.GetNanos() != 0 {
			e.report.Changed["fraction of a second"]++
			return
		}
	}
}

// number prints a number so that reading it gives the same one.
func number(v float64) string {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

// quantity adds a number and its unit as two attributes.
func (x *element) quantity(name string, q *pb.Quantity) {
	if q != nil {
		x.set(name, number(q.Value))
		x.set(name+"Unit", q.Unit)
	}
}

// metadata adds the entries of an object.
func (e *exporter) metadata(x *element, entries []*pb.MetadataEntry) {
	for _, entry := range entries {
		if entry.GetKey() == beatsKey && x.name == "Record" {
			continue
		}
		value := entry.GetText()
		switch v := entry.GetValue().(type) {
		case *pb.MetadataEntry_Number:
			value = number(v.Number)
		case *pb.MetadataEntry_Date:
			value = e.date(v.Date.AsTime())
		case *pb.MetadataEntry_Quantity:
			value = number(v.Quantity.GetValue()) + " " + v.Quantity.GetUnit()
		}
		if _, isText := entry.GetValue().(*pb.MetadataEntry_Text); !isText {
			e.report.Changed["metadata that became text"]++
		}
		x.add(entryElement(entry.GetKey(), value))
	}
}

func entryElement(key, value string) *element {
	return &element{name: "MetadataEntry", attributes: []attribute{{"key", key}, {"value", value}}}
}

// micros of a timestamp that the ledger gave.
func micros(ts *timestamppb.Timestamp) int64 {
	t, _ := health.Micros(ts)
	return t
}

// ownElement writes a sample for which the format has no words.
func (e *exporter) ownElement(s *pb.Sample) error {
	if err := e.inline(s); err != nil {
		return err
	}
	s.PayloadToken, s.Uuid = "", ""
	export.ForgetCounts(s)
	for _, m := range s.Members {
		m.PayloadToken, m.Uuid = "", ""
		export.ForgetCounts(m)
	}
	var text bytes.Buffer
	if err := export.AppendJSON(&text, s); err != nil {
		return err
	}
	fmt.Fprintf(e.out, " <%s type=%q>", ownName, s.GetType())
	e.escape(text.String())
	_, err := fmt.Fprintf(e.out, "</%s>\n", ownName)
	return err
}

// ownName of the element of our own.
const ownName = "HealthledgerSample"

// maxInline is how many bytes of payload an element of our own may hold.
const maxInline = 4 << 20

// inline puts the payload of a sample into it, if it is not too large.
func (e *exporter) inline(s *pb.Sample) error {
	size := 0
	for chunk, err := range export.Payload(e.ctx, e.reader, s) {
		if err != nil {
			return err
		}
		if size += proto.Size(chunk); size > maxInline {
			s.Payload = nil
			e.report.LeftOut["large payload of "+s.GetType()]++
			return nil
		}
		s.Payload = append(s.Payload, chunk)
	}
	return nil
}
