package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type saveCmd struct {
	App         string `required:"" help:"Bundle id of the app that saves."`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
	Batch       int    `help:"Lines that are saved together, all of them or none; fewer where they are long." default:"1000"`
	File        string `arg:"" optional:"" help:"File of JSON lines; standard input if absent." type:"path"`
}

// app connects as an app, with the credentials that this machine keeps. It fails
// alike whether the app was never registered or its credentials are elsewhere.
func (o *owner) app(ctx context.Context, bundleID, path string) (*client.Client, error) {
	if path == "" {
		path = o.globals.credentialsPath(o.store, bundleID)
	}
	credentials, err := client.ReadCredentials(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no credentials of %s in %s: name their file with --credentials", bundleID, path)
	}
	if err != nil {
		return nil, err
	}
	credentials.URL, credentials.Trust = o.address.URL, o.address.Trust
	app, err := client.Dial(ctx, credentials)
	if err != nil {
		// The apps of a store that cannot be served are turned away; say why.
		if _, broken := o.Owner().Status(ctx, &pb.StatusRequest{}); broken != nil {
			return nil, broken
		}
	}
	return app, err
}

func (c *saveCmd) Run(ctx context.Context, g *globals) error {
	in := g.in
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	if c.Batch < 1 {
		return usagef("--batch: it must be at least 1")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	app, err := o.app(ctx, c.App, c.Credentials)
	if err != nil {
		return err
	}
	defer app.Close()
	l := lineSaver{app: app, size: c.Batch, warn: func(text string) { fmt.Fprintln(g.err, "healthledger: warning:", printable(text)) }}
	if err := l.save(ctx, in); err != nil {
		return fmt.Errorf("%w (%d samples were saved before)", err, l.saved)
	}
	if g.JSON {
		return g.printJSON(map[string]any{"accepted": l.saved, "receipt": l.receipt})
	}
	fmt.Fprintf(g.out, "%d samples saved\n", l.saved)
	if l.receipt != "" {
		_, err = fmt.Fprintf(g.out, "Receipt  %s\n", l.receipt)
	}
	return err
}

// Limits of the lines, in bytes.
const (
	// maxLine is the longest line, its payload included.
	maxLine = 64 << 20
	// fullBatch is when a batch is saved though it could have more lines. A sample
	// that is larger travels alone.
	fullBatch = 512 << 10
)

// lineSaver saves samples batch after batch.
type lineSaver struct {
	app  *client.Client
	size int
	warn func(text string)

	// saved is how many samples are in the log.
	saved int
	// receipt is that of the last batch.
	receipt string
	batch   []*pb.Sample
	// lines of the batch, and how large it is.
	lines []int
	bytes int
}

func (l *lineSaver) save(ctx context.Context, in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	line := 0
	for scanner.Scan() {
		line++
		if len(scanner.Bytes()) == 0 {
			continue
		}
		s := &pb.Sample{}
		if err := protojson.Unmarshal(scanner.Bytes(), s); err != nil {
			return fmt.Errorf("line %d: not a sample: %w", line, err)
		}
		if err := l.add(ctx, s, line); err != nil {
			return err
		}
	}
	err := scanner.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("longer than %s", byteSize(maxLine))
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", line+1, err)
	}
	return l.flush(ctx)
}

func (l *lineSaver) add(ctx context.Context, s *pb.Sample, line int) error {
	size := proto.Size(s)
	if len(l.batch) == l.size || l.bytes+size > fullBatch {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	l.batch, l.lines, l.bytes = append(l.batch, s), append(l.lines, line), l.bytes+size
	return nil
}

func (l *lineSaver) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	resp, err := l.app.Save(ctx, &pb.SaveRequest{Samples: l.batch})
	if d := rpc.Detail(err); d.GetReason() == rpc.ReasonInvalidSample && int(d.GetIndex()) < len(l.lines) {
		return fmt.Errorf("line %d: %s: %s (%q)", l.lines[d.GetIndex()], d.GetField(), d.GetWhy(), d.GetValue())
	}
	if err != nil {
		return err
	}
	for _, w := range resp.GetWarnings() {
		if int(w.GetIndex()) < len(l.lines) {
			l.warn(fmt.Sprintf("line %d: %s: %s (%q)", l.lines[w.GetIndex()], w.GetField(), w.GetWhy(), w.GetValue()))
		}
	}
	l.saved += int(resp.GetAccepted())
	l.receipt = resp.GetReceipt()
	l.batch, l.lines, l.bytes = nil, nil, 0
	return nil
}
