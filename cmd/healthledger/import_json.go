package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"healthledger/ledger/importer/healthautoexport"
	"healthledger/ledger/importer/ndjson"
	"healthledger/proto/client"
)

// open opens the file, with a bar for what is read of it.
func (c *importCmd) open(g *globals, times int64) (f *os.File, progress func(int64), done func(), err error) {
	if f, err = os.Open(c.File); err != nil {
		return nil, nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, nil, err
	}
	bar := g.bar("Importing", "bytes")
	total := info.Size() * times
	return f, func(n int64) { bar.set(n, total) }, func() {
		bar.done()
		f.Close()
	}, nil
}

// rate prints how long it took.
func rate(samples uint64, bytes int64, took time.Duration) string {
	seconds := max(took.Seconds(), 1e-9)
	return fmt.Sprintf("in %.1f s (%.0f samples/s, %.0f MB/s)", seconds, float64(samples)/seconds, float64(bytes)/1e6/seconds)
}

func (c *importCmd) runHealthAutoExport(ctx context.Context, g *globals, app *client.Client) error {
	f, progress, done, err := c.open(g, 1)
	if err != nil {
		return err
	}
	started := time.Now()
	report, err := healthautoexport.Import(ctx, f, app.Save, healthautoexport.Options{Progress: progress})
	done()
	if printed := c.printHealthAutoExport(g, &report, time.Since(started)); printed != nil && err == nil {
		err = printed
	}
	return err
}

// printHealthAutoExport says what became of every element, also after an error.
func (c *importCmd) printHealthAutoExport(g *globals, r *healthautoexport.Report, took time.Duration) error {
	total := r.Total()
	if g.JSON {
		return g.printJSON(map[string]any{"format": "health-auto-export", "elements": total.Found, "mapped": total.Mapped, "kept": total.Kept,
			"kinds": r.Kinds, "saved": r.Saved, "bytes": r.Bytes, "seconds": took.Seconds()})
	}
	fmt.Fprintf(g.out, "%d samples imported %s\n%d elements: %d became samples, %d were kept as they came\n",
		r.Saved, rate(r.Saved, r.Bytes, took), total.Found, total.Mapped, total.Kept)
	if total.Kept == 0 && !c.Report {
		return nil
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nELEMENT\tFOUND\tMAPPED\tKEPT AS IT CAME\tWHY")
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		one := r.Kinds[kind]
		if one.Kept == 0 && !c.Report {
			continue
		}
		var why []string
		for _, text := range slices.Sorted(maps.Keys(one.Why)) {
			why = append(why, fmt.Sprintf("%s (%d)", text, one.Why[text]))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", printable(kind), one.Found, one.Mapped, one.Kept, printable(strings.Join(why, "; ")))
	}
	return w.Flush()
}

func (c *importCmd) runNDJSON(ctx context.Context, g *globals, app *client.Client) error {
	started := time.Now()
	bar := g.bar("Importing", "bytes")
	report, err := ndjson.Import(ctx, c.File, importing{app}, ndjson.Options{
		Progress: func(done, total int64, _ uint64) { bar.set(done, total) },
	})
	bar.done()
	if printed := printNDJSON(g, &report, time.Since(started)); printed != nil && err == nil {
		err = printed
	}
	return err
}

func printNDJSON(g *globals, r *ndjson.Report, took time.Duration) error {
	if g.JSON {
		return g.printJSON(map[string]any{"format": "ndjson", "lines": r.Lines, "saved": r.Imported, "parts": r.Parts,
			"warnings": append([]string{}, r.Warnings...), "bytes": r.Bytes, "seconds": took.Seconds()})
	}
	fmt.Fprintf(g.out, "%d samples imported %s\n%d lines\n", r.Imported, rate(r.Imported, r.Bytes, took), r.Lines)
	for _, warning := range r.Warnings {
		fmt.Fprintf(g.out, "Warning: %s\n", printable(warning))
	}
	return nil
}
