package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"healthledger/projector/export"
	"healthledger/projector/export/applexml"
	"healthledger/projector/export/csv"
	"healthledger/projector/export/ndjson"
	"healthledger/proto/catalog"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type exportCmd struct {
	exporting
	App         string `help:"Export what this app may read." xor:"who"`
	Owner       bool   `help:"Export what the owner may read: everything (the default). It needs the passphrase again after five minutes." xor:"who"`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
}

// exporting is what is exported, and how.
type exporting struct {
	span
	zoned
	Format string   `help:"ndjson: lines of JSON, without loss. csv: a table for each type. apple: as Apple's Health app exports." enum:"ndjson,csv,apple" default:"ndjson"`
	Type   []string `help:"Only these types (may be repeated)."`
	Output string   `short:"o" help:"File to write; standard output if absent. For Apple, and for tables of several types, FILE.zip is an archive." type:"path"`
}

func (c *exportCmd) Run(ctx context.Context, g *globals) error {
	loc, err := c.zone()
	if err != nil {
		return err
	}
	sel, err := c.selection(loc)
	if err != nil {
		return err
	}
	write, err := c.writer(sel, loc)
	if err != nil {
		return err
	}
	if c.App != "" {
		r := asWhom{App: c.App, Credentials: c.Credentials}
		return r.as(ctx, g, func(from reader) error { return c.write(ctx, g, from, write, 0) })
	}
	return g.openExport(ctx, &pb.OpenExportRequest{}, func(o *owner, from *client.Export) error {
		return c.write(ctx, g, from, write, c.expected(ctx, o))
	})
}

// openExport runs an export of the owner's, and says to the daemon how it ended.
func (g *globals) openExport(ctx context.Context, req *pb.OpenExportRequest, write func(*owner, *client.Export) error) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var from *client.Export
	err = o.with(ctx, func() (err error) {
		from, err = o.OpenExport(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	failed := write(o, from)
	ended := from.Close(context.WithoutCancel(ctx), failed == nil)
	if failed != nil {
		return failed
	}
	return ended
}

// write writes the file.
func (c *exporting) write(ctx context.Context, g *globals, from export.Reader, write writeFunc, total int64) error {
	started := time.Now()
	bar := g.bar("Exporting", "samples")
	report := export.NewReport(func(samples uint64) { bar.set(int64(samples), max(total, int64(samples))) })
	err := g.writeTo(c.Output, func(w io.Writer) error { return write(ctx, w, from, report) })
	bar.done()
	if err != nil {
		return err
	}
	return c.print(g, report, time.Since(started))
}

// expected is how many samples there are, as far as that can be told; 0: it cannot.
func (c *exporting) expected(ctx context.Context, o *owner) int64 {
	if len(c.Type) > 0 || c.From != "" || c.To != "" {
		return 0
	}
	status, err := o.Owner().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return 0
	}
	return int64(status.GetViewSamples())
}

func (c *exporting) selection(loc *time.Location) (sel export.Selection, err error) {
	for _, name := range c.Type {
		t, ok := catalog.Lookup(name)
		if !ok {
			return sel, usagef("--type: there is no type %q (see \"healthledger types\")", name)
		}
		if !slices.Contains(sel.Types, t) {
			sel.Types = append(sel.Types, t)
		}
	}
	sel.From, sel.To, err = c.period(loc)
	return sel, err
}

// writeFunc writes an export.
type writeFunc func(ctx context.Context, w io.Writer, r export.Reader, report *export.Report) error

func (c *exporting) writer(sel export.Selection, loc *time.Location) (writeFunc, error) {
	if err := canWrite("--output", c.Output); err != nil {
		return nil, err
	}
	archive := filepath.Ext(c.Output) == ".zip"
	switch {
	case c.Format == "apple":
		opts := applexml.Options{Zone: loc, Made: time.Now()}
		write := applexml.Write
		if archive {
			write = applexml.WriteArchive
		}
		return func(ctx context.Context, w io.Writer, r export.Reader, report *export.Report) error {
			return write(ctx, w, r, sel, opts, report)
		}, nil
	case c.Format == "csv" && archive:
		return func(ctx context.Context, w io.Writer, r export.Reader, report *export.Report) error {
			return csv.WriteArchive(ctx, w, r, sel, report)
		}, nil
	case c.Format == "csv" && len(sel.Types) != 1:
		return nil, usagef("--format csv: name one --type, or an archive for all tables (-o FILE.zip)")
	case c.Format == "csv":
		return func(ctx context.Context, w io.Writer, r export.Reader, report *export.Report) error {
			return csv.Write(ctx, w, r, sel, sel.Types[0], report)
		}, nil
	}
	return func(ctx context.Context, w io.Writer, r export.Reader, report *export.Report) error {
		return ndjson.Write(ctx, w, r, sel, report)
	}, nil
}

// writeTo writes a file that only its owner may read, all of it or nothing; an empty path
// is standard output.
func (g *globals) writeTo(path string, write func(io.Writer) error) (err error) {
	if path == "" {
		return write(g.out)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	out := bufio.NewWriterSize(f, 1<<20)
	if err := write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// canWrite says whether writeTo could write a file, before anything is recorded or replaced
// for its sake. An empty path is not written.
func canWrite(flag, path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usagef("%s: %s is a directory", flag, path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".healthledger.*")
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err // and not a name that nobody has given
	}
	if err != nil {
		return fmt.Errorf("%s: cannot write %s: %w", flag, path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// print says what was exported. Standard output may be the export itself, so that what
// is not in it goes to standard error then.
func (c *exporting) print(g *globals, r *export.Report, took time.Duration) error {
	out := g.out
	if c.Output == "" {
		out = g.err
	}
	if g.JSON {
		if c.Output == "" {
			return nil
		}
		return g.printJSON(map[string]any{
			"samples": r.Total(), "types": r.Samples, "leftOut": r.LeftOut, "changed": r.Changed, "seconds": took.Seconds(),
		})
	}
	fmt.Fprintf(out, "%d samples of %d types exported in %.1f s\n", r.Total(), len(r.Samples), took.Seconds())
	for _, part := range []struct {
		title  string
		counts map[string]uint64
	}{{"Left out, since the format cannot say it:", r.LeftOut}, {"Said in part, since the format cannot say more:", r.Changed}} {
		if len(part.counts) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s\n", part.title)
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		for _, what := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(w, "  %s\t%d\n", printable(what), part.counts[what])
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}
