// Package bench measures the ledger next to its limits, in one run on one machine,
// so that what counts are the ratios.
package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"healthledger/ledger/serve"
)

// Options of a run.
type Options struct {
	// Launch starts projectors.
	Launch serve.Launch
	// Duration of each rate that is measured.
	Duration time.Duration
	// Records of the export that is imported.
	Records int
	Out     io.Writer
}

// Row is one line of the result.
type Row struct {
	Work   string
	Result float64
	Unit   string
	// Limit was measured in the same run; 0: there is none.
	Limit float64
	// Target of the design; Less means that smaller is better.
	Target float64
	Less   bool
}

// Run measures everything and prints the table.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "healthledger-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	var rows []Row
	for _, measure := range []func(context.Context, Options, string, *slog.Logger) ([]Row, error){saves, imports} {
		sub, err := os.MkdirTemp(dir, "")
		if err != nil {
			return err
		}
		got, err := measure(ctx, o, sub, logger)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	return print(o.Out, rows)
}

func print(out io.Writer, rows []Row) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WORK\tRESULT\tLIMIT HERE\tOF LIMIT\tTARGET\tOF TARGET")
	for _, r := range rows {
		limit, ofLimit, target, ofTarget := "-", "-", "-", "-"
		if r.Limit > 0 {
			limit, ofLimit = amount(r.Limit, r.Unit), fmt.Sprintf("%.2f×", r.Result/r.Limit)
		}
		if r.Target > 0 {
			relation := "≥ "
			if r.Less {
				relation = "≤ "
			}
			target, ofTarget = relation+amount(r.Target, r.Unit), fmt.Sprintf("%.2f×", r.Result/r.Target)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Work, amount(r.Result, r.Unit), limit, ofLimit, target, ofTarget)
	}
	return w.Flush()
}

func amount(v float64, unit string) string {
	switch {
	case v >= 10e6:
		return fmt.Sprintf("%.1fM %s", v/1e6, unit)
	case v >= 10e3:
		return fmt.Sprintf("%.1fk %s", v/1e3, unit)
	default:
		return fmt.Sprintf("%.4g %s", v, unit)
	}
}

// sizeOf adds up the files below a folder.
func sizeOf(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size, err
}
