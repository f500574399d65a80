package ndjson

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Limits of one save: a request has at most 700 KiB.
const (
	fullSamples = 4000
	fullBytes   = 600 << 10
	// roomForPayload is what a sample may have with its payload in it, well within
	// health.MaxBody; with more the payload goes ahead.
	roomForPayload = 256 << 10
)

// batch gathers samples until they are a request: all of them with UUIDs, or all without.
type batch struct {
	to      Ledger
	report  *Report
	samples []*pb.Sample
	lines   []uint64
	bytes   int
}

// policy: the owner imports what other apps and the system wrote.
var policy = health.Policy{Importer: true}

// add takes the sample of the current line.
func (b *batch) add(ctx context.Context, s *pb.Sample) error {
	if err := b.sendAhead(ctx, s); err != nil {
		return err
	}
	n := size(s)
	full := len(b.samples) >= fullSamples || b.bytes+n > fullBytes
	if len(b.samples) > 0 && (full || (b.samples[0].Uuid == "") != (s.Uuid == "")) {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.samples, b.lines, b.bytes = append(b.samples, s), append(b.lines, b.report.Lines), b.bytes+n
	return nil
}

// sendAhead sends the payloads of a large sample, in one part for each chunk.
func (b *batch) sendAhead(ctx context.Context, s *pb.Sample) error {
	if size(s) <= roomForPayload {
		return nil
	}
	for _, one := range append([]*pb.Sample{s}, s.Members...) {
		if len(one.GetPayload()) == 0 {
			continue
		}
		chunks, err := health.Cut(one.Payload, health.MaxChunk)
		if err != nil {
			return b.refused(err)
		}
		id := nameOf(one.Type, chunks)
		for i, chunk := range chunks {
			part := &pb.SavePartRequest{Type: one.Type, Upload: id, Number: uint32(i), Chunk: chunk}
			if err := b.part(ctx, part); err != nil {
				return err
			}
		}
		one.Upload, one.Payload = &pb.Upload{Id: id, Parts: uint32(len(chunks))}, nil
	}
	return nil
}

// check says on which line a chunk is that the ledger would refuse.
func (b *batch) check(typeName string, chunk *pb.Chunk) error {
	t, ok := catalog.Lookup(typeName)
	if !ok {
		return &LineError{Line: b.report.Lines, Field: "type", Value: typeName, Why: "no such type"}
	}
	if err := health.CheckChunk(t, chunk); err != nil {
		return b.refused(err)
	}
	return nil
}

// refused says that the current line is refused.
func (b *batch) refused(err error) error { return refusedAt(b.report.Lines, err) }

func refusedAt(line uint64, err error) error {
	var refused *health.FieldError
	if !errors.As(err, &refused) {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return &LineError{Line: line, Field: refused.Field, Value: refused.Value, Why: refused.Why}
}

// nameOf names a payload by its content, so that an import that is repeated sends the
// same parts again and not others beside them.
func nameOf(typeName string, chunks []*pb.Chunk) []byte {
	h := sha256.New()
	h.Write([]byte(typeName))
	for _, c := range chunks {
		// A message without texts always has an encoding.
		text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(c)
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write(text)
	}
	return h.Sum(nil)[:16]
}

// flush saves what is gathered. Of samples of which one is refused those before it are
// saved.
func (b *batch) flush(ctx context.Context) error {
	samples, lines := b.samples, b.lines
	b.samples, b.lines, b.bytes = nil, nil, 0
	if len(samples) == 0 {
		return nil
	}
	columns, err := health.Columns(samples, policy)
	var refused *health.FieldError
	if errors.As(err, &refused) {
		at := refused.Index
		if columns, err = health.Columns(samples[:at], policy); at > 0 && err == nil {
			if err := b.save(ctx, columns, lines[:at], samples[0].Uuid == ""); err != nil {
				return err
			}
		}
		return refusedAt(lines[at], refused)
	}
	if err != nil {
		return err
	}
	return b.save(ctx, columns, lines, samples[0].Uuid == "")
}

// save saves columns that were checked. Objects without a UUID can only be recognised by
// their content; with one they are what it says, even if two of them look alike.
func (b *batch) save(ctx context.Context, columns []*pb.SampleColumns, lines []uint64, byContent bool) error {
	response, err := b.to.Save(ctx, &pb.SaveRequest{Columns: columns, ByContent: byContent})
	if err != nil {
		return fmt.Errorf("lines %d to %d: save: %w", lines[0], lines[len(lines)-1], err)
	}
	b.report.Imported += uint64(response.GetAccepted())
	for _, w := range response.GetWarnings() {
		if len(b.report.Warnings) < maxWarnings {
			b.report.Warnings = append(b.report.Warnings, fmt.Sprintf("lines %d to %d: %s %q: %s",
				lines[0], lines[len(lines)-1], w.GetField(), w.GetValue(), w.GetWhy()))
		}
	}
	return nil
}

// maxWarnings bounds what a report repeats.
const maxWarnings = 100
