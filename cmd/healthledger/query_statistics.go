package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type queryStatisticsCmd struct {
	asWhom
	asOf
	span
	zoned
	filter
	receipted
	inCSV
	Every        string `help:"One row for each interval of the calendar: minute, hour, day, week, month, year, or a number of them (\"2 weeks\")." placeholder:"INTERVAL"`
	AnchorDate   string `help:"Where an interval begins, so that the others follow (default: the start of one by the calendar)." placeholder:"DATE"`
	Unit         string `help:"Unit of the answer (default: the one that the owner likes)."`
	BySource     bool   `help:"Statistics of each source beside those of all."`
	Explain      bool   `help:"Say which source counted when, where several have samples at once."`
	IncludeEmpty bool   `help:"Also print intervals without samples."`
	Chart        bool   `help:"Draw a bar for each interval: the sum, or the average of what does not add up."`
	Type         string `arg:"" help:"Quantity type, like stepCount."`
}

func (c *queryStatisticsCmd) Run(ctx context.Context, g *globals) error {
	loc, err := c.zone()
	if err != nil {
		return err
	}
	req, err := c.request(loc)
	if err != nil {
		return err
	}
	if err := c.check(g); err != nil {
		return err
	}
	switch {
	case c.Chart && c.Every == "":
		return usagef("--chart: name intervals with --every, each is a bar")
	case c.Chart && (g.JSON || c.CSV || c.BySource || c.Explain):
		return usagef("--chart: --json, --csv, --by-source and --explain do not go with it")
	case c.Explain && c.CSV:
		return usagef("--explain: it is printed as a table or with --json")
	}
	return c.read(ctx, g, &c.asWhom, loc, func(ctx context.Context, r reader) error {
		if req.Unit == "" {
			units, err := preferred(ctx, r, c.Type)
			if err != nil {
				return err
			}
			for _, u := range units {
				req.Unit = u
			}
		}
		resp, err := r.Health().QueryStatistics(ctx, req)
		if err != nil && rpc.Reason(err) != rpc.ReasonNoData {
			return err
		}
		return c.print(g, resp.GetStatistics(), loc)
	})
}

func (c *queryStatisticsCmd) request(loc *time.Location) (req *pb.QueryStatisticsRequest, err error) {
	req = &pb.QueryStatisticsRequest{Type: c.Type, TimeZone: c.zoneName(), Unit: c.Unit, BySource: c.BySource, Explain: c.Explain,
		IncludeEmpty: c.IncludeEmpty || c.Chart, Receipt: c.Receipt}
	if req.From, req.To, err = c.period(loc); err != nil {
		return nil, err
	}
	if req.Predicate, err = c.predicate(); err != nil {
		return nil, err
	}
	if req.Interval, err = interval(c.Every); err != nil {
		return nil, usagef("--every: %w", err)
	}
	anchor, err := date("--anchor-date", c.AnchorDate, loc)
	if err != nil {
		return nil, err
	}
	switch {
	case req.Interval != nil:
		req.Interval.Anchor = anchor
	case anchor != nil:
		return nil, usagef("--anchor-date: it is for intervals, name them with --every")
	case c.IncludeEmpty:
		return nil, usagef("--include-empty: it is for intervals, name them with --every")
	}
	return req, nil
}

// interval reads "day", "2 weeks" or "15 minutes"; empty: none.
func interval(text string) (*pb.Interval, error) {
	parts := strings.Fields(text)
	if len(parts) == 0 {
		return nil, nil
	}
	count := uint64(1)
	if len(parts) == 2 {
		n, err := strconv.ParseUint(parts[0], 10, 32)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a number of intervals", parts[0])
		}
		count, parts = n, parts[1:]
	}
	unit := pb.CalendarUnit_value[enumName("CALENDAR_UNIT_", strings.TrimSuffix(parts[0], "s"))]
	if len(parts) > 1 || unit == 0 {
		return nil, fmt.Errorf("%q is no interval; there are minute, hour, day, week, month and year, and numbers of them (\"2 weeks\")", text)
	}
	return &pb.Interval{Unit: pb.CalendarUnit(unit), Count: uint32(count)}, nil
}

func (c *queryStatisticsCmd) print(g *globals, rows []*pb.Statistics, loc *time.Location) error {
	if len(rows) == 0 {
		c.nothing(g, "no samples")
	}
	switch {
	case g.JSON:
		return printMessages(g, rows)
	case c.Chart:
		return printChart(g, c.Type, rows, loc)
	}
	if err := c.printTable(g, rows, loc); err != nil {
		return err
	}
	if c.Explain {
		return printWon(g, rows, loc)
	}
	return nil
}

// statisticsColumns are the columns of the table, of which those that are empty are not
// printed.
func statisticsColumns(loc *time.Location) []statisticsColumn {
	return []statisticsColumn{
		{"count", func(s *pb.Statistics) cell { return asCount(s.GetCount()) }},
		{"sum", func(s *pb.Statistics) cell { return asFigure(s.Sum) }},
		{"average", func(s *pb.Statistics) cell { return asFigure(s.Average) }},
		{"minimum", func(s *pb.Statistics) cell { return asFigure(s.Minimum) }},
		{"maximum", func(s *pb.Statistics) cell { return asFigure(s.Maximum) }},
		{"most recent", func(s *pb.Statistics) cell { return asFigure(s.MostRecent) }},
		{"most recent end", func(s *pb.Statistics) cell { return asMinute(s.GetMostRecentEnd(), loc) }},
		{"duration", func(s *pb.Statistics) cell { return asSeconds(s.GetDuration()) }},
		{"unit", func(s *pb.Statistics) cell { return asText(s.GetUnit()) }},
	}
}

type statisticsColumn struct {
	name string
	of   func(*pb.Statistics) cell
}

// statisticsRow is one source's part of an interval, or that of all.
type statisticsRow struct {
	source string
	*pb.Statistics
}

func (c *queryStatisticsCmd) printTable(g *globals, all []*pb.Statistics, loc *time.Location) error {
	var rows []statisticsRow
	for _, s := range all {
		rows = append(rows, statisticsRow{"all", s})
		for _, one := range s.GetBySource() {
			rows = append(rows, statisticsRow{sourceName(one.GetSource()), one.GetStatistics()})
		}
	}
	names := []string{"start", "end"}
	if c.BySource {
		names = append(names, "source")
	}
	var columns []statisticsColumn
	for _, column := range statisticsColumns(loc) {
		used := c.CSV
		for _, r := range rows {
			used = used || column.of(r.Statistics).exact != ""
		}
		if used {
			columns, names = append(columns, column), append(names, column.name)
		}
	}
	t := g.newListing(c.CSV, names...).right(g)
	for _, r := range rows {
		cells := []cell{asMinute(r.GetStart(), loc), asMinute(r.GetEnd(), loc)}
		if c.BySource {
			cells = append(cells, asText(r.source))
		}
		for _, column := range columns {
			cells = append(cells, column.of(r.Statistics))
		}
		if err := t.row(cells...); err != nil {
			return err
		}
	}
	return t.flush()
}

// printWon prints which source counted when.
func printWon(g *globals, rows []*pb.Statistics, loc *time.Location) error {
	t := g.newListing(false, "from", "to", "counted", "sum", "unit", "over")
	for _, s := range rows {
		for _, w := range s.GetWon() {
			if t.rows == 0 {
				fmt.Fprintln(g.out)
			}
			var over []string
			for _, o := range w.GetOver() {
				over = append(over, sourceName(o))
			}
			sum := w.GetSum()
			if err := t.row(asMoment(w.GetStart(), loc), asMoment(w.GetEnd(), loc), asText(sourceName(w.GetSource())), asFigure(&sum),
				asText(s.GetUnit()), asText(strings.Join(over, ", "))); err != nil {
				return err
			}
		}
	}
	return t.flush()
}

// printChart draws the sums, or the averages where nothing adds up.
func printChart(g *globals, typeName string, rows []*pb.Statistics, loc *time.Location) error {
	if len(rows) == 0 {
		return nil
	}
	what, layout, unit := "average", time.DateOnly, ""
	for _, s := range rows {
		if s.Sum != nil {
			what = "sum"
		}
		if at := s.GetStart().AsTime().In(loc); at.Hour() != 0 || at.Minute() != 0 {
			layout = "2006-01-02 15:04"
		}
		if s.GetUnit() != "" {
			unit = s.GetUnit()
		}
	}
	bars := make([]chartRow, len(rows))
	for i, s := range rows {
		bars[i] = chartRow{s.GetStart().AsTime().In(loc).Format(layout), s.Average}
		if what == "sum" {
			bars[i].value = s.Sum
		}
	}
	fmt.Fprintf(g.out, "%s, %s in %s\n", typeName, what, unit)
	for _, line := range chart(bars, g.columns()) {
		if _, err := fmt.Fprintln(g.out, line); err != nil {
			return err
		}
	}
	return nil
}

// columns is how wide the terminal is.
func (g *globals) columns() int {
	if f, ok := g.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// enumName is the name of a word in the schema: "strict-end" is PERIOD_MATCH_STRICT_END.
func enumName(prefix, word string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(word, "-", "_"))
}
