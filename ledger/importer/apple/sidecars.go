package apple

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// sidecars saves what lies in the archive beside the document and is not a part of an
// object yet.
func (r *reader) sidecars(ctx context.Context) error {
	for _, e := range r.files.left() {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := r.sidecar(e); err != nil {
			return fmt.Errorf("%q: %w", shorten(e.name), err)
		}
	}
	for _, e := range r.files.entries {
		if r.files.beside != nil {
			r.report.file(e, mapped, "")
		}
	}
	return nil
}

func (r *reader) sidecar(e *entry) error {
	fate, why := mapped, ""
	var err error
	switch {
	case e.class == exportFile:
		return nil
	case e.class == decoyFile:
		fate, why = passed, "about the archive"
	case e.class == emptyFile:
		fate, why = passed, "nothing in it"
	case e.class == cdaFile && e.size > maxDocument:
		fate, why = passed, "a document of more than 64 MiB, which says the export over again"
	case e.used && e.keep == "":
	case e.class == ecgFile:
		why, err = r.electrocardiogram(e)
	case e.class == cdaFile:
		why, err = r.document(e)
	case e.class == routeFile && !e.used && e.keep == "":
		why, err = r.lostRoute(e)
	case e.class == jsonFile && e.keep == "":
		why = "no record refers to it"
	case e.keep != "":
		why = e.keep
	default:
		why = "unknown kind of file"
	}
	if err != nil {
		return err
	}
	if why != "" && fate != passed {
		fate = kept
		if err := r.keepFile(e, why); err != nil {
			return err
		}
	}
	r.report.file(e, fate, why)
	return nil
}

// electrocardiogram saves a recording.
func (r *reader) electrocardiogram(e *entry) (why string, err error) {
	content, err := e.content(maxECG)
	if err != nil {
		return "", err
	}
	found, err := parseECG(content)
	if err != nil {
		return err.Error(), nil
	}
	if why, err = r.add(found.sample); why != "" || err != nil || found.name == "" {
		return why, err
	}
	// The name of the person is no part of any object.
	return r.add(&pb.Sample{
		Type: "importedElement", Start: health.Timestamp(0), End: health.Timestamp(0),
		Object: &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{
			Element: &pb.Kept{Format: ecgFormat, Name: "name", Value: found.name}, Why: "about the person",
		}},
	})
}

// lostRoute saves a route that no workout refers to.
func (r *reader) lostRoute(e *entry) (why string, err error) {
	points, err := e.readRoute()
	if err != nil || points == nil || len(points.time) == 0 {
		return e.keep + ifEmpty(e.keep, "no points"), err
	}
	start, end := points.time[0], points.time[0]
	for _, at := range points.time {
		start, end = min(start, at), max(end, at)
	}
	why, err = r.add(&pb.Sample{
		Type: "workoutRoute", Start: health.Timestamp(start), End: health.Timestamp(end), Payload: points.chunks(),
		Object: &pb.Sample_WorkoutRoute{WorkoutRoute: &pb.WorkoutRoute{}},
	})
	return why + ifEmpty(why, e.keep), err
}

func ifEmpty(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return ""
}

// fileFormat of files that are kept as they are.
const fileFormat = "apple-health-file"

// keepFile saves a file as it is. Its name belongs to the export and is not kept.
func (r *reader) keepFile(e *entry, why string) error {
	return r.stream(e, func(part, of int) *pb.Sample {
		element := &pb.Kept{Format: fileFormat, Name: classNames[e.class] + partOf(part, of)}
		return &pb.Sample{
			Type: "importedElement", Start: health.Timestamp(0), End: health.Timestamp(0),
			Object: &pb.Sample_ImportedElement{ImportedElement: &pb.ImportedElement{Element: element, Why: why}},
		}
	})
}

func partOf(part, of int) string {
	if of == 1 {
		return ""
	}
	return fmt.Sprintf(", part %d of %d", part+1, of)
}

// maxStreamed is the most that one object may have of a file.
const maxStreamed = health.MaxParts * chunkBytes

// stream saves a file as the payload of an object, or of several if it is too large for
// one. A large file is never in memory as a whole.
func (r *reader) stream(e *entry, object func(part, of int) *pb.Sample) error {
	if e.size <= lightBytes {
		content, err := e.content(lightBytes)
		if err != nil {
			return err
		}
		s := object(0, 1)
		s.Payload = chunksOf(content)
		return r.save(s)
	}
	of := int((e.size + maxStreamed - 1) / maxStreamed)
	for part := range of {
		s := object(part, of)
		t, _ := catalog.Lookup(s.Type)
		var err error
		if s.Upload, err = r.store.ahead(t, e.section(part)); err != nil {
			return err
		}
		if err := r.save(s); err != nil {
			return err
		}
	}
	return nil
}

// section opens one of the sections of a file that objects may have.
func (e *entry) section(part int) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		from, err := e.open()
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, from, int64(part)*maxStreamed); err != nil {
			return nil, errors.Join(err, from.Close())
		}
		return section{io.LimitReader(from, maxStreamed), from}, nil
	}
}

// section is a part of a file that is open.
type section struct {
	io.Reader
	io.Closer
}

// maxDocument is the largest clinical document that is stored. Those of real exports can
// be as large as the rest of the export, which they restate, and every import would put
// all of it into the log once more (spec section 9.4 says to ignore them).
const maxDocument = 64 << 20

// document saves the clinical document of an export, whatever follows its end. Every
// export has a new one, so a later one replaces the one before: it has a sync identifier,
// with the time of the export as version.
func (r *reader) document(e *entry) (why string, err error) {
	head, err := e.head()
	if err != nil {
		return "", err
	}
	d, at := describeCDA(head)
	if r.exported != 0 || at == 0 {
		at = r.exported
	}
	return "", r.stream(e, func(part, of int) *pb.Sample {
		one := &pb.Document{Title: d.Title + partOf(part, of), Patient: d.Patient, Custodian: d.Custodian, Author: d.Author}
		text := func(key, value string) *pb.MetadataEntry {
			return &pb.MetadataEntry{Key: key, Value: &pb.MetadataEntry_Text{Text: value}}
		}
		return &pb.Sample{
			Type: "cda", Start: health.Timestamp(at), End: health.Timestamp(at),
			Object: &pb.Sample_Document{Document: one},
			Metadata: []*pb.MetadataEntry{
				text("HKMetadataKeySyncIdentifier", "apple-health-export-cda"+partOf(part, of)),
				text("HKMetadataKeySyncVersion", strconv.FormatInt(at/micro, 10)),
			},
		}
	})
}

// describeCDA reads title, names and time from the head of a clinical document, as far as
// they are there.
func describeCDA(head []byte) (d *pb.Document, at int64) {
	d = &pb.Document{}
	decoder := xml.NewDecoder(bytes.NewReader(head))
	decoder.Strict = false
	var path []string
	within := func(name string) bool { return len(path) > 1 && path[1] == name }
	for {
		token, err := decoder.Token()
		if err != nil {
			return d, at
		}
		switch token := token.(type) {
		case xml.StartElement:
			if path = append(path, token.Name.Local); len(path) > maxDepth {
				return d, at
			}
			if len(path) == 2 && token.Name.Local == "effectiveTime" && at == 0 {
				at = effectiveTime(token)
			}
		case xml.EndElement:
			if path = path[:max(0, len(path)-1)]; len(path) == 0 {
				return d, at
			}
		case xml.CharData:
			text := strings.TrimSpace(string(token))
			if text == "" || len(path) == 0 {
				continue
			}
			switch leaf := path[len(path)-1]; {
			case len(path) == 2 && leaf == "title":
				addWord(&d.Title, text)
			case within("recordTarget") && (leaf == "given" || leaf == "family" || leaf == "name"):
				addWord(&d.Patient, text)
			case within("custodian") && leaf == "name":
				addWord(&d.Custodian, text)
			case within("author") && (leaf == "given" || leaf == "family" || leaf == "name"):
				addWord(&d.Author, text)
			}
		}
	}
}

func addWord(to *string, word string) {
	if *to != "" {
		word = *to + " " + word
	}
	if len(word) <= health.MaxText/2 {
		*to = word
	}
}

// effectiveTime reads "20240601081005+0200".
func effectiveTime(e xml.StartElement) int64 {
	for _, a := range e.Attr {
		if a.Name.Local != "value" {
			continue
		}
		for _, layout := range []string{"20060102150405-0700", "200601021504-0700", "20060102150405", "20060102"} {
			if at, err := time.Parse(layout, a.Value); err == nil && validTime(at.UnixMicro()) {
				return at.UnixMicro()
			}
		}
	}
	return 0
}

// attachment gives a prescription a file that belongs to it, found by its identifier.
func (r *reader) attachment(s *pb.Sample, v *pb.VisionPrescription, n *node) error {
	identifier := r.text(n.peek("identifier"))
	if identifier == "" || len(identifier) > health.MaxText {
		return nil
	}
	n.take("identifier")
	a := &pb.Attachment{Identifier: identifier}
	v.Attachments = append(v.Attachments, a)
	n.mapped = n.done()
	for _, e := range r.files.entries {
		if e.used || e.class == decoyFile || !strings.Contains(e.name, identifier) {
			continue
		}
		content, err := e.content(maxResource)
		if err != nil {
			return err
		}
		if content != nil {
			a.Size = uint64(len(content))
			r.files.take(e)
			s.Payload = append(s.Payload, chunksOf(content)...)
		}
		return nil
	}
	r.files.missing++
	return nil
}
