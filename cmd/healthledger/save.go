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

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type saveCmd struct {
	App         string `required:"" help:"Bundle id of the app that saves."`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
	Batch       int    `help:"Lines that are saved together: all of them or none." default:"1000"`
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
	credentials.URL = o.url
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
	saved, err := saveLines(ctx, app, in, c.Batch)
	if err != nil {
		return fmt.Errorf("%w (%d samples were saved before)", err, saved)
	}
	if g.JSON {
		return g.printJSON(map[string]int{"accepted": saved})
	}
	_, err = fmt.Fprintf(g.out, "%d samples saved\n", saved)
	return err
}

// saveLines saves batch after batch and returns how many samples are in the log.
func saveLines(ctx context.Context, app *client.Client, in io.Reader, size int) (saved int, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var batch []*pb.Sample
	var at []int
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		resp, err := app.Save(ctx, &pb.SaveRequest{Samples: batch})
		if err != nil {
			if d := rpc.Detail(err); d.GetReason() == rpc.ReasonInvalidSample && int(d.GetIndex()) < len(at) {
				return fmt.Errorf("line %d: %s: %s (%q)", at[d.GetIndex()], d.GetField(), d.GetWhy(), d.GetValue())
			}
			return err
		}
		saved += int(resp.GetAccepted())
		batch, at = nil, nil
		return nil
	}
	line := 0
	for lines.Scan() {
		line++
		if len(lines.Bytes()) == 0 {
			continue
		}
		s := &pb.Sample{}
		if err := protojson.Unmarshal(lines.Bytes(), s); err != nil {
			return saved, fmt.Errorf("line %d: not a sample: %w", line, err)
		}
		batch, at = append(batch, s), append(at, line)
		if len(batch) == size {
			if err := flush(); err != nil {
				return saved, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return saved, fmt.Errorf("line %d: %w", line+1, err)
	}
	return saved, flush()
}
