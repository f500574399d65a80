package apple

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Limits of the scanner. Real exports stay far below them.
const (
	// windowSize is how much of the document is looked at at once.
	windowSize = 256 << 10
	// maxTag is the longest start tag with all its attributes.
	maxTag = 1 << 20
	// maxName is the longest name of an element.
	maxName = 1 << 10
	// maxAttributes is how many attributes a tag may have.
	maxAttributes = 256
	// maxDepth is how deep elements may be nested.
	maxDepth = 64
	// maxProlog is how far into the document the root element may begin.
	maxProlog = 1 << 20
	// maxElement is the longest element below the root with all that is in it; a day of
	// inline locations has 20 MB.
	maxElement = 32 << 20
)

// A SyntaxError says where a document stops being XML. It never quotes the document.
type SyntaxError struct {
	// Offset in bytes and Line, counted from 1, in the uncompressed document.
	Offset, Line int64
	Why          string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not well-formed XML at byte %d, line %d: %s", e.Offset, e.Line, e.Why)
}

// event is what the scanner finds.
type event uint8

const (
	startElement event = iota + 1
	endElement
	// text that is more than white space, outside of tags.
	text
	// endDocument comes after the end of the root element.
	endDocument
)

// attribute of a start tag. Both slices lie in the scanner's window and are good
// until the next event; the value is as it stands in the document.
type attribute struct {
	name, raw []byte
}

// scanner reads the elements of one XML document as events. It does not copy, does
// not decode attribute values (see appendText), and knows no entities. A document
// type is never looked at: scanning begins at the root element (see findRoot).
type scanner struct {
	r    io.Reader
	root string
	buf  []byte
	// buf[pos:end] is not consumed yet; buf[0] stands at offset base, after lines
	// line ends.
	pos, end    int
	base, lines int64
	// hold is where the bytes begin, by offset, that have to stay in buf; negative: none.
	hold int64
	// at is the offset of the tag that was read last.
	at      int64
	readErr error

	// name of the element, and the attributes of a start tag.
	name       []byte
	attributes []attribute
	// closed says that an end follows at once (an empty-element tag).
	closed bool
	// inText says that text was the last event.
	inText bool
	// word is the text of the last event, where the whole document is in memory.
	word []byte

	// names of the open elements, one after the other, and where each begins.
	names  []byte
	starts []int
}

func newScanner(r io.Reader, root string) *scanner {
	return &scanner{r: r, root: root, buf: make([]byte, windowSize), hold: -1}
}

// scanElement returns a scanner of one whole element in memory. It reads nothing, so
// that what it finds lies in the element itself.
func scanElement(raw []byte) *scanner {
	return &scanner{buf: raw, end: len(raw), hold: -1, readErr: io.EOF}
}

// offset of the next byte.
func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// since returns what stands between an offset that is held and the end of what was read.
func (s *scanner) since(offset int64) []byte { return s.buf[offset-s.base : s.pos] }

// fail makes a SyntaxError for the byte at buf[at].
func (s *scanner) fail(at int, why string) error {
	return &SyntaxError{
		Offset: s.base + int64(at),
		Line:   1 + s.lines + int64(bytes.Count(s.buf[:at], newline)),
		Why:    why,
	}
}

var newline = []byte{'\n'}

// fill reads more behind buf[pos:end], which it may move to the front together with
// what is held. It returns io.EOF when there is no more.
func (s *scanner) fill() error {
	if s.readErr != nil {
		return s.readErr
	}
	from := s.pos
	if s.hold >= 0 {
		from = int(s.hold - s.base)
	}
	if from > 0 {
		s.lines += int64(bytes.Count(s.buf[:from], newline))
		s.base += int64(from)
		s.end = copy(s.buf, s.buf[from:s.end])
		s.pos -= from
	}
	if s.end == len(s.buf) {
		if s.end >= maxElement {
			return s.fail(s.pos, fmt.Sprintf("an element is longer than %d bytes", maxElement))
		}
		grown := make([]byte, 2*len(s.buf))
		copy(grown, s.buf)
		s.buf = grown
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.readErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	s.readErr = io.ErrNoProgress
	return s.readErr
}

// more is fill inside of something that has to go on.
func (s *scanner) more(what string) error {
	err := s.fill()
	if errors.Is(err, io.EOF) {
		return s.fail(s.end, "the document ends inside "+what)
	}
	return err
}

// skipPast consumes everything up to and including the end mark.
func (s *scanner) skipPast(mark, what string) error {
	for {
		if i := bytes.Index(s.buf[s.pos:s.end], []byte(mark)); i >= 0 {
			s.pos += i + len(mark)
			return nil
		}
		s.pos = max(s.pos, s.end-len(mark)+1)
		if err := s.more(what); err != nil {
			return err
		}
	}
}

// has says whether the unconsumed bytes begin with a prefix, reading more if needed.
func (s *scanner) has(prefix string) (bool, error) {
	for s.end-s.pos < len(prefix) {
		if !bytes.HasPrefix([]byte(prefix), s.buf[s.pos:s.end]) {
			return false, nil
		}
		if err := s.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, err
		}
	}
	return string(s.buf[s.pos:s.pos+len(prefix)]) == prefix, nil
}

// findRoot consumes everything before the tag of the root element. The document type
// is not read, since that of iOS 16 is malformed; it is only searched for entity
// declarations, which no real export has and every entity bomb needs.
func (s *scanner) findRoot() error {
	tag := "<" + s.root
	for {
		i := bytes.IndexByte(s.buf[s.pos:s.end], '<')
		if i < 0 {
			s.pos = s.end
		} else {
			s.pos += i
		}
		if s.offset() > maxProlog {
			return fmt.Errorf("%w: no <%s> element in its first %d bytes", ErrNotExport, s.root, maxProlog)
		}
		if i < 0 {
			if err := s.fill(); err != nil {
				if errors.Is(err, io.EOF) {
					return fmt.Errorf("%w: no <%s> element", ErrNotExport, s.root)
				}
				return err
			}
			continue
		}
		comment, err := s.has("<!--")
		if err != nil {
			return err
		}
		if comment {
			if err := s.skipPast("-->", "a comment"); err != nil {
				return err
			}
			continue
		}
		entity, err := s.has("<!ENTITY")
		if err != nil {
			return err
		}
		if entity {
			return fmt.Errorf("%w: it declares entities (byte %d)", ErrNotExport, s.offset())
		}
		for s.end-s.pos <= len(tag) && s.fill() == nil {
		}
		if rest := s.buf[s.pos:s.end]; len(rest) > len(tag) && string(rest[:len(tag)]) == tag && byteClass[rest[len(tag)]]&nameByte == 0 {
			return nil
		}
		s.pos++
	}
}

// next returns the next event. Comments and processing instructions are passed over,
// and text between two tags is one event. After the end of the root element next
// returns endDocument and reads no further.
func (s *scanner) next() (event, error) {
	for {
		e, err := s.step()
		if err != nil || e != text || !s.inText {
			s.inText = e == text
			return e, err
		}
	}
}

func (s *scanner) step() (event, error) {
	if s.closed {
		s.closed = false
		return endElement, s.pop(s.pos, s.name)
	}
	for {
		if s.starts != nil && len(s.starts) == 0 {
			return endDocument, nil
		}
		window := s.buf[s.pos:s.end]
		i := bytes.IndexByte(window, '<')
		if i < 0 {
			i = len(window)
		}
		if i > 0 {
			s.pos += i
			if !blank(window[:i]) {
				s.word = window[:i]
				return text, nil
			}
		}
		if s.pos == s.end {
			if err := s.more("an element that is not closed"); err != nil {
				return 0, err
			}
			continue
		}
		// At a "<": the whole tag has to be in the window.
		if s.end-s.pos < 2 {
			if err := s.more("a tag"); err != nil {
				return 0, err
			}
			continue
		}
		switch s.buf[s.pos+1] {
		case '!', '?':
			what, err := s.declaration()
			if err != nil {
				return 0, err
			}
			if what == text {
				return text, nil
			}
			continue
		}
		length, why := s.tag(s.buf[s.pos:s.end])
		if why != "" {
			return 0, s.fail(s.pos+length, why)
		}
		if length > maxTag || length == 0 && s.end-s.pos > maxTag {
			return 0, s.fail(s.pos, fmt.Sprintf("a tag is longer than %d bytes", maxTag))
		}
		if length == 0 {
			if err := s.more("a tag"); err != nil {
				return 0, err
			}
			continue
		}
		at := s.pos
		s.at = s.base + int64(at)
		s.pos += length
		if s.buf[at+1] == '/' {
			return endElement, s.pop(at, s.name)
		}
		if len(s.starts) == maxDepth {
			return 0, s.fail(at, fmt.Sprintf("elements are nested deeper than %d", maxDepth))
		}
		s.starts = append(s.starts, len(s.names))
		s.names = append(s.names, s.name...)
		return startElement, nil
	}
}

// pop closes the innermost element.
func (s *scanner) pop(at int, name []byte) error {
	if len(s.starts) == 0 {
		return s.fail(at, "an end tag without a start tag")
	}
	from := s.starts[len(s.starts)-1]
	if string(s.names[from:]) != string(name) {
		return s.fail(at, "an end tag does not match its start tag")
	}
	s.names, s.starts = s.names[:from], s.starts[:len(s.starts)-1]
	return nil
}

// declaration passes over what begins with "<!" or "<?" and says whether it was text.
func (s *scanner) declaration() (event, error) {
	if s.buf[s.pos+1] == '?' {
		s.pos += 2
		return 0, s.skipPast("?>", "a processing instruction")
	}
	if comment, err := s.has("<!--"); err != nil {
		return 0, err
	} else if comment {
		s.pos += len("<!--")
		return 0, s.skipPast("-->", "a comment")
	}
	const cdata = "<![CDATA["
	if found, err := s.has(cdata); err != nil {
		return 0, err
	} else if found {
		s.pos += len(cdata)
		from := s.base + int64(s.pos)
		err := s.skipPast("]]>", "a CDATA section")
		if err == nil && from >= s.base {
			s.word = s.buf[from-s.base : s.pos-len("]]>")]
		}
		return text, err
	}
	return 0, s.fail(s.pos, "a declaration inside the root element")
}

// rest reads to the end of the document and says where the first byte stands that is
// not white space, or -1.
func (s *scanner) rest(ctx context.Context) (int64, error) {
	junk := int64(-1)
	for {
		if junk < 0 {
			for i, c := range s.buf[s.pos:s.end] {
				if byteClass[c]&spaceByte == 0 {
					junk = s.offset() + int64(i)
					break
				}
			}
		}
		s.pos = s.end
		if err := ctx.Err(); err != nil {
			return junk, err
		}
		if err := s.fill(); errors.Is(err, io.EOF) {
			return junk, nil
		} else if err != nil {
			return junk, err
		}
	}
}
