// Package ndjson exports a store as lines of JSON, from which an import makes the same
// store again: export, import into an empty store and export once more, and the two
// files are equal byte for byte.
//
// A line is a Sample in the schema's JSON names, without spaces:
//
//	{"uuid":"6f1c…","type":"bodyMass","start":"2025-06-01T07:00:00Z",…,"source":{"app":"com.example.scale"}}
//
// Its payload is in the line (`payload`). What would make a line long goes ahead in lines
// of its own, each a SavePartRequest with a part of the payload; the sample then names
// them (`upload`), as it would when it is saved.
//
// Correlations and workouts come first, with their members in them. A member is exported
// nowhere else, since saving the whole saves its members; so each object stands in the
// file once. Where the types are chosen and no whole is among them, members stand for
// themselves. The other types follow by code; samples of a type by start, end and UUID.
//
// What the ledger adds for its reader is left out: payload tokens, counts of payloads,
// and who imported a sample.
package ndjson

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"healthledger/projector/export"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// maxInline is how many bytes of payload a line may hold. As JSON they become at most
// four times as many, so that no line comes near the 64 MiB that an import reads.
const maxInline = 4 << 20

// Write exports what the reader may read of a selection.
func Write(ctx context.Context, w io.Writer, r export.Reader, sel export.Selection, report *export.Report) error {
	e := exporter{reader: r, out: bufio.NewWriterSize(w, 1<<20), report: report, nested: map[identity]struct{}{}}
	for _, t := range inOrder(sel.All()) {
		for s, err := range sel.Samples(ctx, r, t) {
			if err == nil {
				err = e.sample(ctx, s)
			}
			if err != nil {
				return err
			}
		}
	}
	return e.out.Flush()
}

// inOrder puts what has members before what can be a member.
func inOrder(types []*catalog.Type) []*catalog.Type {
	whole := func(t *catalog.Type) int {
		if t.Kind == catalog.Correlation || t.Kind == catalog.Workout {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(types, func(a, b *catalog.Type) int { return whole(a) - whole(b) })
	return types
}

// identity of an object: a UUID is an app's own, and apps may use the same.
type identity struct {
	uuid uuid.UUID
	app  string
	typ  string
}

func identityOf(s *pb.Sample) identity {
	id, _ := uuid.Parse(s.GetUuid()) // the ledger gives canonical ones
	return identity{id, s.GetSource().GetApp(), s.GetType()}
}

type exporter struct {
	reader export.Reader
	out    *bufio.Writer
	report *export.Report
	// nested holds the members that were written.
	nested map[identity]struct{}
	line   bytes.Buffer
}

func (e *exporter) sample(ctx context.Context, s *pb.Sample) error {
	if _, written := e.nested[identityOf(s)]; written {
		return nil
	}
	room := maxInline
	for _, m := range s.Members {
		e.nested[identityOf(m)] = struct{}{}
		e.report.Wrote(m.GetType())
		if err := e.payload(ctx, m, &room); err != nil {
			return err
		}
		if proto.Equal(m.GetSource(), s.GetSource()) {
			m.Source = nil // it is that of the whole
		}
	}
	if err := e.payload(ctx, s, &room); err != nil {
		return err
	}
	e.report.Wrote(s.GetType())
	return e.print(s)
}

// payload puts the payload of a sample into it, or into lines ahead where it is more
// than the line has room for.
func (e *exporter) payload(ctx context.Context, s *pb.Sample, room *int) error {
	ahead := pb.SavePartRequest{Type: s.GetType()}
	for chunk, err := range export.Payload(ctx, e.reader, s) {
		if err != nil {
			return err
		}
		s.Payload = append(s.Payload, chunk)
		if *room -= proto.Size(chunk); *room >= 0 && ahead.Upload == nil {
			continue
		}
		id := identityOf(s).uuid
		ahead.Upload = id[:]
		for _, ahead.Chunk = range s.Payload {
			if err := e.print(&ahead); err != nil {
				return err
			}
			*room += proto.Size(ahead.Chunk)
			ahead.Number++
		}
		s.Payload = nil
	}
	if ahead.Upload != nil {
		s.Upload = &pb.Upload{Id: ahead.Upload, Parts: ahead.Number}
	}
	s.PayloadToken = ""
	export.ForgetCounts(s)
	return nil
}

// print writes a message as a line.
func (e *exporter) print(m proto.Message) error {
	e.line.Reset()
	if err := export.AppendJSON(&e.line, m); err != nil {
		return err
	}
	e.line.WriteByte('\n')
	_, err := e.out.Write(e.line.Bytes())
	return err
}
