package apple

import (
	"bytes"
	"io"
	"unicode/utf8"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// What is kept raw takes part in the identity of its object, so it must be the same in
// every export of the same phone: dates are written with offset zero, and the addresses
// of devices and the names of files are left out, since they belong to the export.

// keep returns the text of a whole element in its stable form.
func (r *reader) keep(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+len(raw)/32)
	from := 0
	s := scanElement(raw)
	for {
		e, err := s.step()
		if err != nil || e == endDocument {
			break // the element was scanned before
		}
		if e != startElement {
			continue
		}
		for _, a := range s.attributes {
			stable, changed := stableValue(string(a.name), a.raw)
			if !changed {
				continue
			}
			at := cap(raw) - cap(a.raw)
			out = append(r.appendClean(out, raw[from:at]), stable...)
			from = at + len(a.raw)
		}
	}
	return r.appendClean(out, raw[from:])
}

// stable is the decoded text of an attribute in its stable form.
func (r *reader) stable(name string, raw []byte) string {
	if value, changed := stableValue(name, raw); changed {
		raw = value
	}
	return r.text(raw)
}

// stableValue returns the raw value of an attribute in its stable form, where that is
// another.
func stableValue(name string, raw []byte) (stable []byte, changed bool) {
	if name == "path" || name == "resourceFilePath" {
		return nil, len(raw) > 0
	}
	if name == "device" {
		rest, cut := withoutAddress(raw)
		if !cut {
			return raw, false
		}
		return append([]byte(addressStart+"0"), rest...), true
	}
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' {
		return raw, false
	}
	micros, _, ok := parseDate(raw)
	if !ok || !validTime(micros) {
		return raw, false
	}
	return health.Timestamp(micros).AsTime().AppendFormat(nil, dateLayout), true
}

// dateLayout is how an export prints dates.
const dateLayout = "2006-01-02 15:04:05 -0700"

// clean makes text of a piece of the document: what XML does not allow becomes U+FFFD, as
// do references to it. Other references stay as they are.
func (r *reader) clean(raw []byte) []byte { return r.appendClean(nil, raw) }

func (r *reader) appendClean(out, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if plainBytes[c] {
			n := i + 1
			for n < len(raw) && plainBytes[raw[n]] {
				n++
			}
			out = append(out, raw[i:n]...)
			i = n
			continue
		}
		size, bad := 1, false
		switch {
		case c == '&':
			if ref, length := reference(raw[i:]); length > 0 {
				size, bad = length, !allowed(ref)
			}
		case c == '\r':
		case c < 0x20:
			bad = true
		default:
			var ch rune
			ch, size = utf8.DecodeRune(raw[i:])
			bad = ch == utf8.RuneError && size == 1 || !allowed(ch)
		}
		if bad {
			out = utf8.AppendRune(out, utf8.RuneError)
			r.replaced++
		} else {
			out = append(out, raw[i:i+size]...)
		}
		i += size
	}
	return out
}

// saveRaw saves something that is kept whole. Text that is too long for an object goes
// ahead as its payload.
func (r *reader) saveRaw(name string, text []byte, why string, start, end int64) error {
	if len(name) > health.MaxText {
		name, text = "long name", append([]byte(name+"="), text...)
	}
	s := &pb.Sample{Type: "importedElement", Start: health.Timestamp(start), End: health.Timestamp(end)}
	element := &pb.Kept{Format: format, Name: name}
	if len(text) <= lightBytes/2 {
		element.Value = string(text)
	} else {
		t, _ := catalog.Lookup(s.Type)
		var err error
		if s.Upload, err = r.store.ahead(t, func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(text)), nil
		}); err != nil {
			return err
		}
	}
	s.Object = &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{Element: element, Why: why}}
	return r.save(s)
}

// chunkBytes is the size of a chunk of bytes.
const chunkBytes = 192 << 10

func chunksOf(data []byte) []*pb.Chunk {
	var chunks []*pb.Chunk
	for len(data) > 0 {
		n := min(len(data), chunkBytes)
		chunks = append(chunks, &pb.Chunk{Data: data[:n:n]})
		data = data[n:]
	}
	return chunks
}

// keepWhole saves an element as it stands.
func (r *reader) keepWhole(n *node, raw []byte, why string) error {
	r.replaced = 0
	name := cleanName(elementOf(raw))
	var start, end int64
	if n != nil {
		start, end = n.dates()
	}
	err := r.saveRaw(name, r.keep(raw), why, start, end)
	r.report.Replaced += r.replaced
	r.replaced = 0
	return err
}

// dates of a node as far as they can be read, in order; the epoch stands for none.
func (n *node) dates() (start, end int64) {
	read := func(names ...string) (int64, bool) {
		for _, name := range names {
			if micros, _, ok := parseDate(n.peek(name)); ok && validTime(micros) {
				return micros, true
			}
		}
		return 0, false
	}
	start, ok := read("startDate", "date", "dateIssued", "receivedDate")
	if !ok {
		return 0, 0
	}
	if end, ok = read("endDate"); !ok || end < start {
		end = start
	}
	return start, end
}

// validTime says whether a sample may have this time.
func validTime(micros int64) bool {
	_, err := health.Micros(health.Timestamp(micros))
	return err == nil
}

// elementOf is the name of a raw element.
func elementOf(raw []byte) string {
	end := 1
	for end < len(raw) && byteClass[raw[end]]&nameByte != 0 {
		end++
	}
	return string(bytes.TrimSpace(raw[1:end]))
}
