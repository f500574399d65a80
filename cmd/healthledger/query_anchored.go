package main

import (
	"context"
	"fmt"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type queryAnchoredCmd struct {
	asWhom
	asOf
	zoned
	filter
	receipted
	inCSV
	Anchor  string        `help:"What an answer before ended with; without: everything there is now."`
	FromNow bool          `help:"Without an anchor: nothing that is there now, only an anchor for what comes."`
	Limit   uint32        `help:"At most so many samples and deletions (0: all)."`
	Wait    time.Duration `help:"Where there is nothing, wait so long for something."`
	Follow  bool          `help:"Go on with what changes, until interrupted."`
	Type    string        `arg:"" help:"Health type, like stepCount."`
}

// longestWait is how long one call may wait.
const longestWait = time.Minute

func waitMs(wait time.Duration) uint32 { return uint32(min(wait, longestWait).Milliseconds()) }

func (c *queryAnchoredCmd) Run(ctx context.Context, g *globals) error {
	loc, err := c.zone()
	if err != nil {
		return err
	}
	where, err := c.predicate()
	if err != nil {
		return err
	}
	if err := c.check(g); err != nil {
		return err
	}
	switch {
	case c.FromNow && c.Anchor != "":
		return usagef("--from-now: it is for a beginning, --anchor for going on")
	case c.Follow && c.Limit > 0:
		return usagef("--follow: --limit does not go with it")
	case c.Wait < 0:
		return usagef("--wait: it must not be negative")
	case c.AsOf != "" && (c.Follow || c.Wait > 0):
		return usagef("--as-of: nothing happens in the past any more, so --follow and --wait do not go with it")
	}
	req := &pb.QueryChangesRequest{Type: c.Type, Anchor: c.Anchor, FromNow: c.FromNow, Limit: c.Limit, Predicate: where, Receipt: c.Receipt}
	return c.read(ctx, g, &c.asWhom, loc, func(ctx context.Context, r reader) error {
		to, err := c.printer(ctx, g, r, loc)
		if err != nil {
			return err
		}
		return c.run(ctx, r, req, to)
	})
}

// run asks until there is no more. What was printed before an error is good, and so is
// the anchor that stands behind it.
func (c *queryAnchoredCmd) run(ctx context.Context, r reader, req *pb.QueryChangesRequest, to *changesPrinter) error {
	until := time.Now().Add(c.Wait)
	for {
		wait := max(time.Until(until), 0)
		if c.Follow {
			wait = longestWait
		}
		// The first anchor comes at once, so that an interruption does not take it.
		if req.WaitMs = waitMs(wait); req.Anchor == "" {
			req.WaitMs = 0
		}
		resp, err := r.Health().QueryChanges(ctx, req)
		if err != nil {
			if c.Follow && ctx.Err() != nil {
				err = nil
			}
			return to.end(err)
		}
		found := len(resp.GetSamples())+len(resp.GetDeleted()) > 0
		waiting := !found && !resp.GetMore() && (c.Follow || wait > 0)
		if !waiting || to.anchor == "" {
			if err := to.print(resp); err != nil {
				return err
			}
		}
		req.Anchor, req.FromNow, req.Receipt = resp.GetAnchor(), false, ""
		if !waiting && !c.Follow && (c.Limit > 0 || !resp.GetMore()) {
			return to.end(nil)
		}
	}
}

// changesPrinter prints pages of changes. In JSON each is an object, with its anchor; else
// they are rows of a table, and the anchor comes at the end.
type changesPrinter struct {
	g      *globals
	table  *listing
	as     inCSV
	units  preferredUnits
	loc    *time.Location
	anchor string
}

func (c *queryAnchoredCmd) printer(ctx context.Context, g *globals, r reader, loc *time.Location) (*changesPrinter, error) {
	p := &changesPrinter{g: g, as: c.inCSV, loc: loc}
	if g.JSON {
		return p, nil
	}
	var err error
	p.units, err = preferred(ctx, r, c.Type)
	p.table = g.newListing(c.CSV, "change", "uuid", "start", "end", "value", "unit", "source")
	return p, err
}

func (p *changesPrinter) print(resp *pb.QueryChangesResponse) error {
	p.anchor = resp.GetAnchor()
	if p.table == nil {
		return p.g.printMessage(resp)
	}
	for _, s := range resp.GetSamples() {
		p.units.convert(s, p.as.digits())
		if err := p.table.row(append([]cell{asText("added"), asText(s.GetUuid())}, sampleCells(s, p.loc)...)...); err != nil {
			return err
		}
	}
	for _, d := range resp.GetDeleted() {
		if err := p.table.row(asText("deleted"), asText(d.GetUuid()), asText(""), asText(""), asText(""), asText(""), asText("")); err != nil {
			return err
		}
	}
	return p.table.flush()
}

// end prints the anchor, beside the table where that is a file, and returns the error.
func (p *changesPrinter) end(err error) error {
	if p.table == nil || p.anchor == "" {
		return err
	}
	out := p.g.out
	if p.as.CSV {
		out = p.g.err
	}
	if _, printErr := fmt.Fprintf(out, "Anchor  %s\n", p.anchor); err == nil {
		err = printErr
	}
	return err
}
