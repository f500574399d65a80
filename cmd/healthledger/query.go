package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/projector/export"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

type queryCmd struct {
	Samples    querySamplesCmd    `cmd:"" help:"Samples of a type."`
	Statistics queryStatisticsCmd `cmd:"" help:"Sum, average, minimum, maximum, count and most recent of a quantity type."`
}

// reading is what every query needs: who reads, what, and when.
type reading struct {
	App         string `help:"Read as this app." xor:"who" required:""`
	Owner       bool   `help:"Read as the owner." xor:"who" required:""`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
	From        string `help:"Start of the period (RFC 3339 or 2024-05-01)."`
	To          string `help:"End of the period, not included."`
	TimeZone    string `name:"tz" help:"Time zone of dates, days and hours (IANA name; default: this machine's)."`
	Type        string `arg:"" help:"Health type, like stepCount."`
}

func (r *reading) zone() (*time.Location, error) {
	if r.TimeZone == "" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(r.TimeZone)
	if err != nil {
		return nil, usagef("--tz: %w", err)
	}
	return loc, nil
}

func (r *reading) period(loc *time.Location) (from, to *timestamppb.Timestamp, err error) {
	if from, err = date("--from", r.From, loc); err != nil {
		return nil, nil, err
	}
	to, err = date("--to", r.To, loc)
	return from, to, err
}

func date(flag, text string, loc *time.Location) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	t, err := health.ParseTime(text, loc)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	return timestamppb.New(t), nil
}

// reader is who can answer a query.
type reader interface {
	QuerySamples(ctx context.Context, req *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error]
	QueryPayload(ctx context.Context, typeName, token string) iter.Seq2[*pb.Chunk, error]
	QueryStatistics(ctx context.Context, req *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error)
}

// as connects as the reader that was named and runs the query. A daemon in this
// process is unlocked first, since it serves nobody else.
func (r *reading) as(ctx context.Context, g *globals, query func(reader) error) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if r.Owner {
		return o.with(ctx, func() error { return query(o) })
	}
	app, err := o.app(ctx, r.App, r.Credentials)
	if err != nil {
		return err
	}
	defer app.Close()
	if o.inside != nil {
		if err := o.unlockHere(ctx); err != nil {
			return err
		}
	}
	return query(app)
}

type querySamplesCmd struct {
	reading
	Limit      uint32 `help:"At most so many (0: all)."`
	Order      string `help:"By start: newest or oldest first." enum:"newest,oldest" default:"newest"`
	Payload    bool   `help:"With --json: print routes, voltages, heartbeats and documents with their samples."`
	Signatures bool   `help:"Check the signature that the measuring device may have put on a sample, and say whose it is."`
}

func (c *querySamplesCmd) Run(ctx context.Context, g *globals) error {
	loc, err := c.zone()
	if err != nil {
		return err
	}
	from, to, err := c.period(loc)
	if err != nil {
		return err
	}
	req := &pb.QuerySamplesRequest{Types: []string{c.Type}, From: from, To: to, Limit: c.Limit, Order: pb.Order_ORDER_DESCENDING}
	if c.Order == "oldest" {
		req.Order = pb.Order_ORDER_ASCENDING
	}
	if c.Payload && !g.JSON {
		return usagef("--payload: it is printed as JSON, with --json")
	}
	return c.as(ctx, g, func(r reader) error {
		if c.Signatures {
			return printSigners(ctx, g, r, req)
		}
		if g.JSON {
			return c.printJSON(ctx, g, r, req)
		}
		return c.printTable(ctx, g, r, req, loc)
	})
}

func (c *querySamplesCmd) printJSON(ctx context.Context, g *globals, r reader, req *pb.QuerySamplesRequest) error {
	for s, err := range r.QuerySamples(ctx, req) {
		if err == nil && c.Payload {
			err = addPayloads(ctx, r, s)
		}
		if err == nil {
			err = g.printMessage(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addPayloads puts the payloads of a sample and its members where their tokens were.
func addPayloads(ctx context.Context, r reader, s *pb.Sample) error {
	for _, one := range append([]*pb.Sample{s}, s.GetMembers()...) {
		for chunk, err := range export.Payload(ctx, r, one) {
			if err != nil {
				return err
			}
			one.Payload = append(one.Payload, chunk)
		}
		one.PayloadToken = ""
	}
	return nil
}

func (c *querySamplesCmd) printTable(ctx context.Context, g *globals, r reader, req *pb.QuerySamplesRequest, loc *time.Location) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	rows := 0
	for s, err := range r.QuerySamples(ctx, req) {
		if err != nil {
			return err
		}
		if rows == 0 {
			fmt.Fprintln(w, "START\tEND\tVALUE\tUNIT\tSOURCE")
		}
		rows++
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", stamp(s.GetStart(), loc), stamp(s.GetEnd(), loc), summary(s), s.GetUnit(), sourceName(s.GetSource()))
		if rows%1000 == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	if rows == 0 {
		fmt.Fprintln(g.err, "no samples")
	}
	return w.Flush()
}

func stamp(t *timestamppb.Timestamp, loc *time.Location) string {
	return t.AsTime().In(loc).Format("2006-01-02 15:04:05.999999 -0700")
}

func sourceName(s *pb.Source) string {
	if s.GetName() == "" {
		return s.GetApp()
	}
	return s.GetName()
}

type queryStatisticsCmd struct {
	reading
	Every string `help:"One row for each hour or day." enum:",hour,day" default:""`
	Unit  string `help:"Unit of the answer (default: the type's own)."`
}

func (c *queryStatisticsCmd) Run(ctx context.Context, g *globals) error {
	loc, err := c.zone()
	if err != nil {
		return err
	}
	from, to, err := c.period(loc)
	if err != nil {
		return err
	}
	req := &pb.QueryStatisticsRequest{Type: c.Type, From: from, To: to, Unit: c.Unit, TimeZone: zoneName(c.TimeZone)}
	switch c.Every {
	case "hour":
		req.Interval = &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_HOUR}
	case "day":
		req.Interval = &pb.Interval{Unit: pb.CalendarUnit_CALENDAR_UNIT_DAY}
	}
	return c.as(ctx, g, func(r reader) error {
		resp, err := r.QueryStatistics(ctx, req)
		if err != nil {
			return err
		}
		return g.printStatistics(resp.GetStatistics(), loc)
	})
}

// zoneName names the zone for the service, which may be on another machine.
func zoneName(given string) string {
	if given != "" {
		return given
	}
	if name := time.Local.String(); name != "Local" {
		return name
	}
	return localZoneName()
}

func (g *globals) printStatistics(rows []*pb.Statistics, loc *time.Location) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	if len(rows) == 0 && !g.JSON {
		fmt.Fprintln(g.err, "no samples")
	}
	for i, s := range rows {
		if g.JSON {
			if err := g.printMessage(s); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(w, strings.Join([]string{"START", "END", "COUNT", "SUM", "AVERAGE", "MINIMUM", "MAXIMUM", "MOST RECENT", "UNIT"}, "\t")+"\t")
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", short(s.GetStart(), loc), short(s.GetEnd(), loc), s.GetCount(),
			optional(s.Sum), optional(s.Average), optional(s.Minimum), optional(s.Maximum), optional(s.MostRecent), s.GetUnit())
	}
	return w.Flush()
}

func short(t *timestamppb.Timestamp, loc *time.Location) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().In(loc).Format("2006-01-02 15:04")
}

func optional(v *float64) string {
	if v == nil {
		return "-"
	}
	if math.Abs(*v) < 1 {
		return fmt.Sprintf("%.6g", *v)
	}
	return number(math.Round(*v*1e4) / 1e4)
}
