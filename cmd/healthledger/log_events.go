package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

type logCatCmd struct {
	Range string `arg:"" optional:"" help:"Segments: 12, 12..20, 12.. or ..20; without it all that there are." placeholder:"FROM[..TO]"`
}

func (c *logCatCmd) Run(ctx context.Context, g *globals) error {
	from, to, err := segmentRange(c.Range)
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.with(ctx, func() error {
		for e, err := range o.ReadLog(ctx, from, to, false) {
			if err == nil {
				err = g.printEvent(e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// segmentRange reads FROM[..TO]; 0: from the first, to the last.
func segmentRange(text string) (from, to uint64, err error) {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		last = first
	}
	number := func(text string) (uint64, error) {
		if text == "" {
			return 0, nil
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return 0, usagef("%q is no segment: they are numbered from 1", text)
		}
		return n, nil
	}
	if from, err = number(first); err != nil {
		return 0, 0, err
	}
	if to, err = number(last); err != nil {
		return 0, 0, err
	}
	if to != 0 && to < from {
		return 0, 0, usagef("%s: it ends before it begins", text)
	}
	return from, to, nil
}

type logTailCmd struct {
	Segments uint64 `short:"n" help:"Begin with so many segments that are there already." default:"10"`
}

func (c *logTailCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.with(ctx, func() error {
		status, err := o.Owner().Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		from := status.GetLogSegments() + 1
		for e, err := range o.ReadLog(ctx, from-min(c.Segments, from-1), 0, true) {
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = g.printEvent(e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// printEvent prints an event as a line: its segment, when it was accepted, its class, what it
// is, and what is in it, shortened.
func (g *globals) printEvent(e *pb.LogEvent) error {
	if g.JSON {
		return g.printMessage(e)
	}
	if e.GetEvent().GetBody() == nil && e.GetClass() == "lost" {
		_, err := fmt.Fprintf(g.out, "%d  lost\n", e.GetSequence())
		return err
	}
	at := time.UnixMicro(e.GetEvent().GetTime()).Local().Format(time.DateTime)
	_, err := fmt.Fprintf(g.out, "%d  %s  %-10s  %s  %s\n", e.GetSequence(), at, e.GetClass(), kindOf(e), printable(shortened(contentOf(e))))
	return err
}

// bodyOf is the field of a message's only oneof that is set, with its name.
func bodyOf(m proto.Message) (name string, body proto.Message) {
	r := m.ProtoReflect()
	field := r.WhichOneof(r.Descriptor().Oneofs().ByName("body"))
	if field == nil {
		return "", nil
	}
	if field.Message() != nil {
		body = r.Get(field).Message().Interface()
	}
	return string(field.Name()), body
}

func kindOf(e *pb.LogEvent) string {
	kind, _ := bodyOf(e.GetEvent())
	made := ""
	switch {
	case e.GetDecision() != nil:
		kind = fmt.Sprint("decision ", e.GetDecision().GetNumber())
		made, _ = bodyOf(e.GetDecision())
	case e.GetDecisionDetail() != nil:
		kind = fmt.Sprint("detail of decision ", e.GetDecisionDetail().GetNumber())
		made, _ = bodyOf(e.GetDecisionDetail())
	}
	if made == "" {
		return kind
	}
	return kind + ": " + made
}

func contentOf(e *pb.LogEvent) string {
	_, body := bodyOf(e.GetEvent())
	switch {
	case e.GetDecision() != nil:
		_, body = bodyOf(e.GetDecision())
	case e.GetDecisionDetail() != nil:
		_, body = bodyOf(e.GetDecisionDetail())
	}
	switch body := body.(type) {
	case nil:
		return ""
	case *pb.SamplesSaved:
		return fmt.Sprintf("app %d: %s", body.GetApp(), samplesOf(body))
	case *pb.PartSaved:
		return fmt.Sprintf("app %d: part %d of a payload, %s", body.GetApp(), body.GetNumber(), byteSize(uint64(proto.Size(body.GetChunk()))))
	}
	text, err := protojson.Marshal(body)
	var line bytes.Buffer
	if err != nil || json.Compact(&line, text) != nil {
		return ""
	}
	return line.String()
}

// samplesOf counts the samples of an event by type.
func samplesOf(s *pb.SamplesSaved) string {
	counts := map[string]int{}
	for _, c := range s.GetColumns() {
		name := fmt.Sprintf("type %d", c.GetType())
		if t, ok := catalog.ByCode(c.GetType()); ok {
			name = t.Short()
		}
		counts[name] += len(c.GetStart())
	}
	var parts []string
	for name, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, name))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// maxEventText is how much of an event's content a line has, in characters.
const maxEventText = 160

func shortened(text string) string {
	if runes := []rune(text); len(runes) > maxEventText {
		return string(runes[:maxEventText]) + "…"
	}
	return text
}
