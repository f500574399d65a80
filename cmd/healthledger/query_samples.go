package main

import (
	"context"
	"time"

	"healthledger/projector/export"
	pb "healthledger/proto/healthledger/v1"
)

type querySamplesCmd struct {
	asWhom
	asOf
	span
	zoned
	filter
	receipted
	inCSV
	Match      string   `help:"Which samples belong to the period: those that overlap it, whose start or end lies in it, or both." enum:"overlap,strict-start,strict-end,strict" default:"overlap"`
	Sort       string   `help:"Sort by start, end or value." enum:"start,end,value" default:"start"`
	Order      string   `help:"newest or oldest first; by value: highest or lowest." enum:",newest,oldest,highest,lowest" default:""`
	Limit      uint32   `help:"At most so many (0: all)."`
	Payload    bool     `help:"With --json: print routes, voltages, heartbeats and documents with their samples."`
	Signatures bool     `help:"Check the signature that the measuring device may have put on a sample, and say whose it is."`
	Types      []string `arg:"" name:"type" help:"Health types, like stepCount; several are merged in one order."`
}

func (c *querySamplesCmd) Run(ctx context.Context, g *globals) error {
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
	case c.Payload && !g.JSON:
		return usagef("--payload: it is printed as JSON, with --json")
	case c.Signatures && c.CSV:
		return usagef("--signatures: --csv does not go with it")
	}
	return c.read(ctx, g, &c.asWhom, loc, func(ctx context.Context, r reader) error {
		if c.Signatures {
			return printSigners(ctx, g, r, req)
		}
		if g.JSON {
			return c.printJSON(ctx, g, r, req)
		}
		return c.printTable(ctx, g, r, req, loc)
	})
}

func (c *querySamplesCmd) request(loc *time.Location) (req *pb.QuerySamplesRequest, err error) {
	req = &pb.QuerySamplesRequest{Types: c.Types, Limit: c.Limit, Order: pb.Order_ORDER_DESCENDING, Receipt: c.Receipt}
	if req.From, req.To, err = c.period(loc); err != nil {
		return nil, err
	}
	if req.Predicate, err = c.predicate(); err != nil {
		return nil, err
	}
	req.Match = pb.PeriodMatch(pb.PeriodMatch_value[enumName("PERIOD_MATCH_", c.Match)])
	req.SortBy = pb.SortBy(pb.SortBy_value[enumName("SORT_BY_", c.Sort)])
	byValue := c.Sort == "value"
	switch c.Order {
	case "highest", "newest":
		if byValue != (c.Order == "highest") {
			return nil, usagef("--order %s: samples are sorted by %s", c.Order, c.Sort)
		}
	case "lowest", "oldest":
		if byValue != (c.Order == "lowest") {
			return nil, usagef("--order %s: samples are sorted by %s", c.Order, c.Sort)
		}
		req.Order = pb.Order_ORDER_ASCENDING
	}
	return req, nil
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
	units, err := preferred(ctx, r, c.Types...)
	if err != nil {
		return err
	}
	columns := []string{"start", "end", "value", "unit", "source"}
	full := c.CSV || len(c.Types) > 1
	if full {
		columns = append([]string{"type"}, columns...)
	}
	if c.CSV {
		columns = append(columns, "uuid")
	}
	t := g.newListing(c.CSV, columns...)
	for s, err := range r.QuerySamples(ctx, req) {
		if err != nil {
			return err
		}
		units.convert(s, c.digits())
		row := sampleCells(s, loc)
		if full {
			row = append([]cell{asText(s.GetType())}, row...)
		}
		if c.CSV {
			row = append(row, asText(s.GetUuid()))
		}
		if err := t.row(row...); err != nil {
			return err
		}
	}
	if t.rows == 0 {
		c.nothing(g, "no samples")
	}
	return t.flush()
}

// sampleCells are start, end, value, unit and source of a sample.
func sampleCells(s *pb.Sample, loc *time.Location) []cell {
	short := summary(s)
	return []cell{asMoment(s.GetStart(), loc), asMoment(s.GetEnd(), loc), {short, short}, {s.GetUnit(), s.GetUnit()}, asText(sourceName(s.GetSource()))}
}

func sourceName(s *pb.Source) string {
	if s.GetName() == "" {
		return s.GetApp()
	}
	return s.GetName()
}
