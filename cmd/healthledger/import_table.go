package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"healthledger/ledger/importer/table"
	"healthledger/proto/client"
)

// tableFlags say what the columns of a CSV file are.
type tableFlags struct {
	Column     []string          `help:"CSV: which column, by header or number, has what: start=Date,value=Weight. Fields: type, start, end, duration, value, unit, label, uuid, created, source, device.name, metadata.KEY, …" sep:"none" placeholder:"FIELD=COLUMN,…"`
	Type       string            `help:"CSV: type of all lines." placeholder:"TYPE"`
	Unit       string            `help:"CSV: unit of all lines; percent for numbers from 0 to 100." placeholder:"UNIT"`
	Set        map[string]string `help:"CSV: what else is the same on all lines." placeholder:"FIELD=VALUE"`
	DateFormat string            `help:"CSV: how dates are written: iso (2025-05-31T07:10, with offset or not), dmy, mdy, ymd, unix (seconds), unixms." enum:"iso,dmy,mdy,ymd,unix,unixms" default:"iso"`
	TZ         string            `name:"tz" help:"CSV: time zone of dates without an offset, like Europe/Berlin; this machine's if absent."`
	Delimiter  string            `help:"CSV: what divides columns; 'tab' for a tabulator." default:","`
	Decimal    string            `help:"CSV: what stands before decimals, a point or a comma." default:"."`
	NoHeader   bool              `help:"CSV: the first line is data; columns have numbers."`
	SkipBad    bool              `help:"CSV: leave bad lines out and report them, instead of importing nothing."`
}

// table says whether the flags are about one.
func (f *tableFlags) table() bool {
	return len(f.Column) > 0 || f.Type != "" || f.Unit != "" || len(f.Set) > 0 || f.TZ != "" || f.NoHeader || f.SkipBad
}

// mapping makes the mapping of the flags.
func (f *tableFlags) mapping() (table.Mapping, error) {
	m := table.Mapping{Columns: map[string]string{}, Constants: maps.Clone(f.Set), Dates: f.DateFormat, Zone: time.Local, NoHeader: f.NoHeader}
	if m.Constants == nil {
		m.Constants = map[string]string{}
	}
	for field, value := range map[string]string{"type": f.Type, "unit": f.Unit} {
		if value != "" {
			m.Constants[field] = value
		}
	}
	for _, text := range f.Column {
		columns, err := table.ParseColumns(text)
		if err != nil {
			return m, usagef("--column: %w", err)
		}
		for field, name := range columns {
			if m.Columns[field] != "" {
				return m, usagef("--column: %s has two columns", field)
			}
			m.Columns[field] = name
		}
	}
	if f.TZ != "" {
		zone, err := time.LoadLocation(f.TZ)
		if err != nil {
			return m, usagef("--tz: no time zone %q", f.TZ)
		}
		m.Zone = zone
	}
	delimiter := f.Delimiter
	if delimiter == "tab" || delimiter == `\t` {
		delimiter = "\t"
	}
	comma, size := utf8.DecodeRuneInString(delimiter)
	if size != len(delimiter) || size == 0 || strings.ContainsRune("\"\r\n\ufffd", comma) {
		return m, usagef("--delimiter: one character, not %q", f.Delimiter)
	}
	if f.Decimal != "." && f.Decimal != "," {
		return m, usagef("--decimal: a point or a comma, not %q", f.Decimal)
	}
	m.Comma, m.Decimal = comma, f.Decimal[0]
	return m, nil
}

func (c *importCmd) runTable(ctx context.Context, g *globals, app *client.Client) error {
	m, err := c.mapping()
	if err != nil {
		return err
	}
	times := int64(2) // it is read once to check it
	if c.SkipBad {
		times = 1
	}
	f, progress, done, err := c.open(g, times)
	if err != nil {
		return err
	}
	started := time.Now()
	report, err := table.Import(ctx, f, app.Save, m, table.Options{SkipBad: c.SkipBad, Progress: progress})
	done()
	var bad *table.MappingError
	if errors.As(err, &bad) {
		return usagef("%w", err)
	}
	if err != nil && report.Saved == 0 {
		return err
	}
	if printed := printTable(g, &report, time.Since(started)); printed != nil && err == nil {
		err = printed
	}
	return err
}

// printTable says what became of the lines, also after an error.
func printTable(g *globals, r *table.Report, took time.Duration) error {
	if g.JSON {
		flaws := make([]string, len(r.Flaws))
		for i, flaw := range r.Flaws {
			flaws[i] = flaw.Error()
		}
		return g.printJSON(map[string]any{"format": "csv", "lines": r.Lines, "saved": r.Saved, "bad": r.Bad, "flaws": flaws,
			"ignoredColumns": r.Ignored, "bytes": r.Bytes, "seconds": took.Seconds()})
	}
	fmt.Fprintf(g.out, "%d samples imported %s\n", r.Saved, rate(r.Saved, r.Bytes, took))
	if len(r.Ignored) > 0 {
		fmt.Fprintf(g.out, "Columns that were not imported: %s\n", printable(strings.Join(r.Ignored, ", ")))
	}
	if r.Bad > 0 && len(r.Flaws) > 0 {
		fmt.Fprintf(g.out, "\nBad lines that were left out: %d\n", r.Bad)
		for _, flaw := range r.Flaws {
			fmt.Fprintf(g.out, "  %s\n", printable(flaw.Error()))
		}
		if n := r.Bad - uint64(len(r.Flaws)); n > 0 {
			fmt.Fprintf(g.out, "  and %d more\n", n)
		}
	}
	return nil
}
