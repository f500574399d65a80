package main

import (
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// cell is a field of a table: as a person reads it, and exactly. What is absent is "-" to
// a person and empty in a file.
type cell struct{ text, exact string }

func asText(s string) cell {
	if s == "" {
		return cell{text: "-"}
	}
	return cell{s, s}
}

func asCount(n uint64) cell { return asText(strconv.FormatUint(n, 10)) }

func asFigure(v *float64) cell {
	if v == nil {
		return cell{text: "-"}
	}
	return cell{optional(v), strconv.FormatFloat(*v, 'g', -1, 64)}
}

// optional prints a figure as a person reads it: to four digits after the point, or six
// in all.
func optional(v *float64) string {
	if v == nil {
		return "-"
	}
	if math.Abs(*v) < 1 {
		return fmt.Sprintf("%.6g", *v)
	}
	return number(math.Round(*v*1e4) / 1e4)
}

// asMoment is a time to the microsecond, asMinute is the edge of an interval.
func asMoment(t *timestamppb.Timestamp, loc *time.Location) cell {
	return timeCell(t, loc, "2006-01-02 15:04:05.999999 -0700")
}

func asMinute(t *timestamppb.Timestamp, loc *time.Location) cell {
	return timeCell(t, loc, "2006-01-02 15:04")
}

func timeCell(t *timestamppb.Timestamp, loc *time.Location, layout string) cell {
	if t == nil {
		return cell{text: "-"}
	}
	at := t.AsTime().In(loc)
	return cell{at.Format(layout), at.Format(time.RFC3339Nano)}
}

// asSeconds is a duration; none is absent.
func asSeconds(s float64) cell {
	if s == 0 {
		return cell{text: "-"}
	}
	shown := number(s) + "s"
	if s < math.MaxInt64/float64(time.Second) {
		shown = time.Duration(s * float64(time.Second)).Round(time.Second).String()
	}
	return cell{shown, strconv.FormatFloat(s, 'g', -1, 64)}
}

// listing prints rows under a header: in aligned columns, or as comma-separated values
// (RFC 4180), where texts stand as they are.
type listing struct {
	aligned *tabwriter.Writer
	csv     *csv.Writer
	columns []string
	rows    int
	// after is what ends each line: a column aligned to the right needs its end.
	after string
}

// newListing begins a table. Its header is printed with its first row, and in a file always.
func (g *globals) newListing(asCSV bool, columns ...string) *listing {
	t := &listing{columns: columns}
	if asCSV {
		t.csv = csv.NewWriter(g.out)
		header := make([]string, len(columns))
		for i, name := range columns {
			header[i] = strings.ReplaceAll(name, " ", "_")
		}
		_ = t.csv.Write(header) // its error comes again at the end
		return t
	}
	t.aligned = tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	return t
}

// right aligns to the right, as figures are.
func (t *listing) right(g *globals) *listing {
	if t.aligned != nil {
		t.aligned.Init(g.out, 0, 4, 2, ' ', tabwriter.AlignRight)
		t.after = "\t"
	}
	return t
}

// row prints a row. A table may be long, so what has come is printed from time to time.
func (t *listing) row(cells ...cell) error {
	if t.rows == 0 && t.aligned != nil {
		fmt.Fprintln(t.aligned, strings.ToUpper(strings.Join(t.columns, "\t"))+t.after)
	}
	t.rows++
	fields := make([]string, len(cells))
	for i, c := range cells {
		if fields[i] = c.exact; t.aligned != nil {
			fields[i] = printable(c.text)
		}
	}
	if t.csv != nil {
		return t.csv.Write(fields)
	}
	fmt.Fprintln(t.aligned, strings.Join(fields, "\t")+t.after)
	if t.rows%1000 == 0 {
		return t.aligned.Flush()
	}
	return nil
}

func (t *listing) flush() error {
	if t.csv != nil {
		t.csv.Flush()
		return t.csv.Error()
	}
	return t.aligned.Flush()
}

// printable keeps what apps and imports bring from steering the terminal, and on its line.
func printable(s string) string { return strings.Map(visible, s) }

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return visible(r)
	}, s)
}

// visible replaces what moves the cursor, ends a line or turns the direction of writing.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
		return unicode.ReplacementChar
	}
	return r
}
