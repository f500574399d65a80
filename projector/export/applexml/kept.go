package applexml

import (
	"slices"
	"strings"
	"unicode"

	"healthledger/projector/export"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// format of what an import of such a document keeps.
const format = "apple-health-xml"

// keep gives back what an import kept of an element. An attribute that it kept takes the
// place of ours, which is then no more than a guess ("other" for an activity unknown).
func (e *exporter) keep(x *element, kept []*pb.Kept) {
	for _, k := range kept {
		name, isAttribute := strings.CutPrefix(k.GetName(), "@")
		switch {
		case k.GetFormat() != format:
			e.report.LeftOut["piece of another format"]++
		case isAttribute && isName(name):
			e.keepAttribute(x, name, k.GetValue())
		case k.GetName() == "#text" && isText(k.GetValue()), wellFormed(k.GetValue()):
			x.add(&element{raw: e.clean(k.GetValue())})
		default:
			e.report.LeftOut["piece that would not be XML"]++
		}
	}
}

func (e *exporter) keepAttribute(x *element, name, value string) {
	at := slices.IndexFunc(x.attributes, func(a attribute) bool { return a.name == name })
	if at < 0 {
		x.attributes = append(x.attributes, attribute{name, value})
		return
	}
	x.attributes[at].value = value
}

// clean replaces what XML does not allow in a piece that is printed as it stands.
func (e *exporter) clean(raw string) string {
	return strings.Map(func(r rune) rune {
		if !allowed(r) {
			e.report.Changed["character that XML does not allow"]++
			return '\uFFFD'
		}
		return r
	}, raw)
}

// imported returns what an import kept of a document itself: attributes of the root, and
// whole elements and texts below it.
func (e *exporter) imported(sel export.Selection) (root []attribute, loose []string, err error) {
	t, _ := catalog.Lookup("importedElement")
	if !sel.Has(t) {
		return nil, nil, nil
	}
	for s, err := range sel.Samples(e.ctx, e.reader, t) {
		k := s.GetImportedElement().GetElement()
		if err == nil && e.keptFile(s, k) {
			e.report.Wrote(s.GetType())
			e.leaveObject(s)
			continue
		}
		if err == nil {
			err = e.inline(s)
		}
		if err != nil {
			return nil, nil, err
		}
		text := k.GetValue()
		for _, c := range s.Payload {
			text += string(c.GetData())
		}
		name, isAttribute := strings.CutPrefix(k.GetName(), "@")
		switch {
		case k.GetFormat() != format:
			e.report.LeftOut["element of another format"]++
			continue
		case isAttribute && isName(name):
			root = append(root, attribute{name, text})
		case k.GetName() == "#text" && isText(text), wellFormed(text):
			loose = append(loose, e.clean(text))
		default:
			e.report.LeftOut["element that would not be XML"]++
			continue
		}
		e.report.Wrote(s.GetType())
		e.leaveObject(s)
	}
	return root, loose, nil
}

// fileFormat of whole files that an import kept.
const fileFormat = "apple-health-file"

// keptFile gives back what an import kept of the files beside a document: one of its own,
// or the name in the electrocardiograms.
func (e *exporter) keptFile(s *pb.Sample, k *pb.Kept) bool {
	switch {
	case e.files == nil:
		return false
	case k.GetFormat() == fileFormat:
		e.bytesFile("other-files/"+s.GetUuid(), s)
		return true
	case k.GetFormat() == ecgFormat && k.GetName() == "name" && e.files.person == "":
		e.files.person = k.GetValue()
		return true
	}
	return false
}

// isName says whether text is the name of an attribute. Exports of iOS 8 have some with
// spaces, at which other readers of XML give up.
func isName(text string) bool {
	for i, r := range text {
		if !unicode.IsLetter(r) && r != '_' && (i == 0 || !unicode.IsDigit(r) && r != '-' && r != '.') {
			return false
		}
	}
	return text != ""
}

// isText says whether text holds no markup.
func isText(text string) bool { return text != "" && !strings.ContainsAny(text, "<>") }

// wellFormed says whether raw is one element, closed as it was opened, so that printing it
// cannot change what stands around it. What is in the tags is not looked at.
func wellFormed(raw string) bool {
	var open []string
	for at := 0; at < len(raw); {
		if raw[at] != '<' {
			next := strings.IndexByte(raw[at:], '<')
			if len(open) == 0 || next < 0 {
				return false
			}
			at += next
			continue
		}
		length := tagLength(raw[at:])
		if length == 0 {
			return false
		}
		tag := raw[at : at+length]
		at += length
		name := strings.TrimRight(tag[1:len(tag)-1], " \t\r\n")
		switch end := strings.TrimPrefix(name, "/"); {
		case end != name:
			if len(open) == 0 || open[len(open)-1] != end {
				return false
			}
			open = open[:len(open)-1]
		case !strings.HasSuffix(name, "/"):
			name, _, _ = strings.Cut(name, " ")
			name = strings.TrimSpace(name)
			open = append(open, name)
		}
		if len(open) == 0 {
			return at == len(raw)
		}
	}
	return false
}

// tagLength is the length of the tag that text begins with, 0 if it is none.
func tagLength(text string) int {
	if len(text) < 3 || strings.IndexByte("!?<> \t\r\n", text[1]) >= 0 {
		return 0
	}
	var quote byte
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			return 0
		case c == '>':
			return i + 1
		}
	}
	return 0
}
