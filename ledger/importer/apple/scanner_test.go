package apple

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// trace prints the events of a document, values decoded.
func trace(r io.Reader) ([]string, error) {
	s := newScanner(r, rootElement)
	if err := s.findRoot(); err != nil {
		return nil, err
	}
	var events []string
	for {
		e, err := s.next()
		if err != nil {
			return events, err
		}
		switch e {
		case startElement:
			line := "<" + string(s.name)
			for _, a := range s.attributes {
				value, _, _ := decode(a.raw, nil)
				line += fmt.Sprintf(" %s=%q", a.name, value)
			}
			events = append(events, line)
		case endElement:
			events = append(events, "/"+string(s.name))
		case text:
			events = append(events, "text")
		case endDocument:
			return events, nil
		}
	}
}

// traceStandard does the same with encoding/xml.
func traceStandard(document string) ([]string, error) {
	d := xml.NewDecoder(strings.NewReader(document))
	var events []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			line := "<" + name(token.Name)
			for _, a := range token.Attr {
				line += fmt.Sprintf(" %s=%q", name(a.Name), a.Value)
			}
			events = append(events, line)
		case xml.EndElement:
			events = append(events, "/"+name(token.Name))
		case xml.CharData:
			// A CDATA section counts even if it is blank; the generated ones are not.
			if len(events) > 0 && strings.TrimSpace(string(token)) != "" && events[len(events)-1] != "text" {
				events = append(events, "text")
			}
		}
	}
}

func name(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// documents draws well-formed documents with everything that exports have, and more.
func documents(t *rapid.T) string {
	element := rapid.SampledFrom([]string{"Record", "MetadataEntry", "Workout", "a", "x-y.z_1", "é"})
	attribute := rapid.SampledFrom([]string{"type", "value", "unit", "sourceName", "device", "B", "ns:c"})
	space := rapid.SampledFrom([]string{" ", "\n", "\t ", "  \r\n"})
	maybe := rapid.SampledFrom([]string{"", "", "", " ", "\n"})
	piece := rapid.SampledFrom([]string{"a", "0.5", ">", "/>", "=", " ", "]]>", "-->", "é", "\u00a0", "’", "😀",
		"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#10;", "&#x41;", "&#128512;", "\n", "\t", "it's"})
	between := rapid.SampledFrom([]string{"", "\n ", "<!-- a > b ' -- c -->", "<?pi x='>'?>", "text", "<![CDATA[<a b=\">]]>", "a &amp; b"})
	var b strings.Builder
	var write func(name string, depth int)
	write = func(name string, depth int) {
		b.WriteString("<" + name)
		used := map[string]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "attributes") {
			a := attribute.Draw(t, "attribute")
			if used[a] {
				continue
			}
			used[a] = true
			quote := rapid.SampledFrom([]string{`"`, `'`}).Draw(t, "quote")
			b.WriteString(space.Draw(t, "space") + a + maybe.Draw(t, "maybe") + "=" + maybe.Draw(t, "maybe") + quote)
			for range rapid.IntRange(0, 5).Draw(t, "pieces") {
				b.WriteString(strings.ReplaceAll(piece.Draw(t, "piece"), quote, ""))
			}
			b.WriteString(quote)
		}
		b.WriteString(maybe.Draw(t, "maybe"))
		if name != rootElement && rapid.Bool().Draw(t, "empty") {
			b.WriteString("/>")
			return
		}
		b.WriteString(">")
		for range rapid.IntRange(0, 4).Draw(t, "children") {
			b.WriteString(strings.ReplaceAll(between.Draw(t, "between"), "-- c", "c"))
			if depth < 5 {
				write(element.Draw(t, "element"), depth+1)
			}
		}
		b.WriteString(between.Draw(t, "between"))
		b.WriteString("</" + name + maybe.Draw(t, "maybe") + ">")
	}
	write(rootElement, 0)
	return strings.ReplaceAll(b.String(), "-- c", "c")
}

func TestScannerAgreesWithEncodingXML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := documents(t)
		want, err := traceStandard(document)
		if err != nil {
			t.Fatalf("encoding/xml: %v\n%s", err, document)
		}
		for _, r := range []io.Reader{
			strings.NewReader(document),
			iotest.OneByteReader(strings.NewReader(document)),
			iotest.DataErrReader(strings.NewReader("<?xml version='1.0'?><!DOCTYPE HealthData [ <!-- <HealthData> --> <!ATTLIST broken]>" + document)),
		} {
			got, err := trace(r)
			if err != nil {
				t.Fatalf("%v\n%s", err, document)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("events differ (-encoding/xml +scanner):\n%s\n%s", diff, document)
			}
		}
	})
}

func TestScannerSaysWhereXMLBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		// offset and line of the error, why part of it
		offset, line int64
		why          string
	}{
		"ends in a tag":            {"<HealthData>\n<Record a=\"1", 25, 2, "ends inside a tag"},
		"ends in an element":       {"<HealthData>\n<Record a=\"1\"/>\n", 29, 3, "not closed"},
		"ends in a comment":        {"<HealthData><!-- ", 17, 1, "a comment"},
		"ends in CDATA":            {"<HealthData><![CDATA[ ]", 23, 1, "a CDATA section"},
		"raw less-than in a value": {"<HealthData>\n\n<R a=\"x<y\"/></HealthData>", 21, 3, "a < inside"},
		"value without quotes":     {"<HealthData><R a=1/></HealthData>", 17, 1, "without quotes"},
		"attribute without value":  {"<HealthData><R a/></HealthData>", 16, 1, "without a value"},
		"wrong end tag":            {"<HealthData><R></S></HealthData>", 15, 1, "does not match"},
		"crossed end tags":         {"<HealthData><R></HealthData></R>", 15, 1, "does not match"},
		"tag without a name":       {"<HealthData>< R/></HealthData>", 13, 1, "without a name"},
		"name of digits":           {"<HealthData><1/></HealthData>", 13, 1, "without a name"},
		"slash inside a tag":       {"<HealthData><R / a=\"\"/></HealthData>", 15, 1, "slash"},
		"end tag with attributes":  {"<HealthData><R></R a=\"\"></HealthData>", 19, 1, "more than a name"},
		"document type inside":     {"<HealthData><!DOCTYPE a></HealthData>", 12, 1, "a declaration"},
		"nested too deep":          {"<HealthData>" + strings.Repeat("<a>", 100), 12 + 63*3, 1, "nested deeper"},
		"too many attributes":      {"<HealthData><a " + strings.Repeat(`b="" `, 300) + "/></HealthData>", 12 + 3 + 256*5, 1, "more than 256 attributes"},
		"name too long":            {"<HealthData><" + strings.Repeat("a", 2000) + "/></HealthData>", 13, 1, "a name is longer"},
		"tag too long":             {"<HealthData><a b=\"" + strings.Repeat("x", maxTag+windowSize) + "\"/></HealthData>", 12, 1, "a tag is longer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trace(strings.NewReader(c.document))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a SyntaxError", err)
			}
			if syntax.Offset != c.offset || syntax.Line != c.line || !strings.Contains(syntax.Why, c.why) {
				t.Errorf("got byte %d, line %d: %s; want byte %d, line %d: …%s…",
					syntax.Offset, syntax.Line, syntax.Why, c.offset, c.line, c.why)
			}
		})
	}
}

func TestScannerTakesAttributeNamesWithSpaces(t *testing.T) {
	s := newScanner(strings.NewReader(`<HealthData><R a="1" heart rate="2" b = "3" x y z="4"/></HealthData>`), rootElement)
	if err := s.findRoot(); err != nil {
		t.Fatal(err)
	}
	s.next()
	if _, err := s.next(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s", s.attributes); got != "[{a 1} {heart rate 2} {b 3} {x y z 4}]" {
		t.Errorf("got %s", got)
	}
}

func TestScannerFindsTheRootOnly(t *testing.T) {
	for document, want := range map[string]string{
		"<HealthDataX/><HealthData/>":                                      "",
		"<!DOCTYPE HealthData [ <!ELEMENT HealthData ANY> ]><HealthData/>": "",
		"<!-- <HealthData> --><HealthData/>":                               "",
		"<!DOCTYPE HealthData [<!ENTITY a \"b\">]><HealthData/>":           "declares entities",
		"<healthdata/>": "no <HealthData> element",
		"<HealthData":   "no <HealthData> element",
		strings.Repeat(" ", maxProlog+10) + "<HealthData/>": "in its first",
	} {
		events, err := trace(strings.NewReader(document))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrNotExport)):
			t.Errorf("%.40q: got %v, want %q", document, err, want)
		case want == "" && len(events) != 2:
			t.Errorf("%.40q: got %v", document, events)
		}
	}
}

func TestScannerWorksAcrossWindows(t *testing.T) {
	// Tags of odd lengths drift over the borders of the window.
	var b bytes.Buffer
	b.WriteString("<HealthData>")
	count := 0
	for b.Len() < 5*windowSize {
		fmt.Fprintf(&b, "<R v=\"%s\"/><!-- %s -->\n", strings.Repeat("x", count%3001), strings.Repeat("-", count%2))
		count++
	}
	lines := bytes.Count(b.Bytes(), newline)
	end := b.Len()
	b.WriteString("<a b></HealthData>")
	events, err := trace(bytes.NewReader(b.Bytes()))
	if len(events) != 1+2*count {
		t.Errorf("got %d events, want %d", len(events), 1+2*count)
	}
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != int64(lines)+1 || syntax.Offset != int64(end)+4 {
		t.Errorf("got %v, want line %d, byte %d", err, lines+1, end+4)
	}
}

func TestScannerReportsJunkAfterTheRoot(t *testing.T) {
	for document, want := range map[string]int64{
		"<HealthData/>\n \n":                                    -1,
		"<HealthData/>\nx":                                      14,
		"<HealthData></HealthData><!-- a -->":                   25,
		"<HealthData/>" + strings.Repeat(" ", windowSize) + "<": int64(13 + windowSize),
	} {
		s := newScanner(strings.NewReader(document), rootElement)
		if err := s.findRoot(); err != nil {
			t.Fatal(err)
		}
		for e := event(0); e != endDocument; {
			var err error
			if e, err = s.next(); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.rest(context.Background()); got != want || err != nil {
			t.Errorf("%.40q: got %d, %v, want %d", document, got, err, want)
		}
	}
}

func TestScannerPassesOnErrorsOfItsReader(t *testing.T) {
	broken := errors.New("the disk is on fire")
	for _, document := range []string{"", "<HealthData>", "<HealthData><a", "<HealthData><!-- ", "<HealthData/> "} {
		s := newScanner(io.MultiReader(strings.NewReader(document), iotest.ErrReader(broken)), rootElement)
		err := s.findRoot()
		for e := event(0); err == nil && e != endDocument; {
			e, err = s.next()
		}
		if err == nil {
			_, err = s.rest(context.Background())
		}
		if !errors.Is(err, broken) {
			t.Errorf("%q: got %v", document, err)
		}
	}
}
