package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"healthledger/ledger/importer/apple"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type importCmd struct {
	App         string `help:"Bundle id of the app to import as; it needs share grants." default:"healthledger.importer"`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
	Format      string `help:"What the file is: ${enum}. Told from what is in it, but for CSV." enum:"auto,apple,health-auto-export,ndjson,csv" default:"auto"`
	Report      bool   `help:"Say what became of everything, by element and type."`
	File        string `arg:"" help:"An export of Apple's Health app (ZIP or XML) or of Health Auto Export (JSON), samples as lines of JSON, or CSV; under any name." type:"existingfile"`

	tableFlags
}

func (c *importCmd) Run(ctx context.Context, g *globals) error {
	format, err := c.choose()
	if err != nil {
		return err
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
	return format.run(c, ctx, g, app)
}

// importing is the client as an import sees it.
type importing struct{ *client.Client }

func (i importing) SavePart(ctx context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	return i.Health().SavePart(ctx, req)
}

func (c *importCmd) run(ctx context.Context, g *globals, app *client.Client) error {
	started := time.Now()
	bar := g.bar("Importing", "bytes")
	report, err := apple.Import(ctx, c.File, importing{app}, apple.Options{
		Progress: func(done, total int64, _ uint64) { bar.set(done, total) },
	})
	bar.done()
	if printed := c.print(g, report, time.Since(started)); printed != nil && err == nil {
		err = printed
	}
	return err
}

// print says what became of every element, also after an error.
func (c *importCmd) print(g *globals, r apple.Report, took time.Duration) error {
	if g.JSON {
		return c.printLines(g, r, took)
	}
	seconds := max(took.Seconds(), 1e-9)
	fmt.Fprintf(g.out, "%d of %d records imported in %.1f s (%.0f records/s, %.0f MB/s)\n",
		r.Imported, r.Records, seconds, float64(r.Imported)/seconds, float64(r.Bytes)/1e6/seconds)
	if objects, raw := r.Objects(); objects > 0 || raw > 0 {
		fmt.Fprintf(g.out, "%d other objects imported, %d elements and files kept as they are\n", objects, raw)
	}
	if c.Report {
		if err := c.printTable(g, r); err != nil {
			return err
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(g.out, "Warning: %s\n", printable(warning))
	}
	return nil
}

// printTable prints what was found and what became of it, one line for each element and type.
func (c *importCmd) printTable(g *globals, r apple.Report) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nELEMENT\tTYPE\tFOUND\tMAPPED\tKEPT RAW\tPASSED OVER\tWHY")
	for line := range r.Lines() {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t", printable(line.Name), printable(line.Type), line.Found, line.Mapped, line.Kept, line.Passed)
		for i, why := range slices.Sorted(maps.Keys(line.Why)) {
			if i > 0 {
				fmt.Fprint(w, "; ")
			}
			fmt.Fprintf(w, "%s (%d)", printable(why), line.Why[why])
		}
		fmt.Fprintln(w)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Attributes)) {
		fmt.Fprintf(w, "%s\t\t%d\t0\t%d\t0\tunknown attribute\n", printable(name), r.Attributes[name], r.Attributes[name])
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// printLines prints the same as JSON: one object that sums up, and with --report one more
// for each line of the table.
func (c *importCmd) printLines(g *globals, r apple.Report, took time.Duration) error {
	objects, raw := r.Objects()
	if err := g.printJSON(map[string]any{
		"records": r.Records, "imported": r.Imported, "objects": objects, "keptRaw": raw, "saved": r.Saved,
		"unexplained": r.Unexplained(), "replacedCharacters": r.Replaced, "attributes": r.Attributes,
		"warnings": append([]string{}, r.Warnings...), "bytes": r.Bytes, "seconds": took.Seconds(),
	}); err != nil || !c.Report {
		return err
	}
	for line := range r.Lines() {
		if err := g.printJSON(line); err != nil {
			return err
		}
	}
	return nil
}
