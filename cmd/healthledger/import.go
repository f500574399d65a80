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
)

type importCmd struct {
	App         string `help:"Bundle id of the app to import as; it needs share grants." default:"healthledger.importer"`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
	File        string `arg:"" help:"export.zip or export.xml, under any name." type:"existingfile"`
}

func (c *importCmd) Run(ctx context.Context, g *globals) error {
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
	return c.run(ctx, g, app)
}

func (c *importCmd) run(ctx context.Context, g *globals, app *client.Client) error {
	started := time.Now()
	bar := g.bar("Importing", "bytes")
	report, err := apple.Import(ctx, c.File, app.Save, apple.Options{
		Progress: func(done, total int64, _ uint64) { bar.set(done, total) },
	})
	bar.done()
	if printed := c.print(g, report, time.Since(started)); printed != nil && err == nil {
		err = printed
	}
	return err
}

// print says what became of every record, also after an error.
func (c *importCmd) print(g *globals, r apple.Report, took time.Duration) error {
	if g.JSON {
		return g.printJSON(map[string]any{
			"records": r.Records, "imported": r.Imported, "notImported": r.NotImported, "replacedCharacters": r.Replaced,
			"warnings": r.Warnings, "bytes": r.Bytes, "seconds": took.Seconds(),
		})
	}
	seconds := max(took.Seconds(), 1e-9)
	fmt.Fprintf(g.out, "%d of %d records imported in %.1f s (%.0f records/s, %.0f MB/s)\n",
		r.Imported, r.Records, seconds, float64(r.Imported)/seconds, float64(r.Bytes)/1e6/seconds)
	if len(r.NotImported) > 0 {
		fmt.Fprintln(g.out, "\nNot imported:")
		w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
		for _, kind := range slices.Sorted(maps.Keys(r.NotImported)) {
			fmt.Fprintf(w, "  %s\t%d\n", kind, r.NotImported[kind])
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(g.out, "Warning: %s\n", warning)
	}
	return nil
}
