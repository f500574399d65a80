package main

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

type accessCmd struct {
	span
	zoned
	inCSV
	App     string   `help:"Only what this app has read; one that was removed, too." xor:"who"`
	Owner   bool     `help:"Only what the owner has read." xor:"who"`
	Type    []string `help:"Only these health types (comma-separated)." placeholder:"TYPE"`
	Summary bool     `help:"Print how often in all, by app, type, operation and purposes." xor:"what"`
	Refused bool     `help:"Print what was refused instead: registrations, updates, and requests that no app may make." xor:"what"`
	Limit   uint32   `help:"At most so many (0: all)."`
}

func (c *accessCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(g); err != nil {
		return err
	}
	switch {
	case c.Summary && c.Limit > 0:
		return usagef("--limit: --summary does not go with it")
	case c.Refused && len(c.Type) > 0:
		return usagef("--type: --refused does not go with it")
	}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	filter := &pb.AccessFilter{App: c.App, Owner: c.Owner, Types: c.Type}
	if filter.From, filter.To, err = c.period(loc); err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Summary {
		return c.summarize(ctx, g, o, filter, loc)
	}
	req := &pb.ListAccessRequest{Filter: filter, Limit: c.Limit, Refused: c.Refused}
	if c.Refused {
		t := g.newListing(c.CSV, "time", "app", "refused", "part", "value", "why")
		return c.list(ctx, g, o, req, t, "nothing was refused", func(page *pb.ListAccessResponse) (int, error) {
			return len(page.GetRefusals()), printEach(g, page.GetRefusals(), func(r *pb.Refusal) error {
				return t.row(asMoment(r.GetTime(), loc), asText(r.GetBundleId()), asText(r.GetOperation()), asText(r.GetField()),
					asText(r.GetValue()), asText(r.GetWhy()))
			})
		})
	}
	t := g.newListing(c.CSV, "minute", "app", "type", "operation", "count", "from", "to", "purposes")
	return c.list(ctx, g, o, req, t, "nobody has read", func(page *pb.ListAccessResponse) (int, error) {
		return len(page.GetAccesses()), printEach(g, page.GetAccesses(), func(a *pb.Access) error {
			return t.row(asMinute(a.GetMinute(), loc), asReader(a.GetBundleId()), asText(a.GetType()), asText(a.GetOperation()),
				asKnown(a), asMoment(a.GetFrom(), loc), asMoment(a.GetTo(), loc), asText(strings.Join(a.GetPurposes(), ", ")))
		})
	})
}

// printEach prints messages as rows, or as they are.
func printEach[M proto.Message](g *globals, all []M, row func(M) error) error {
	if g.JSON {
		return printMessages(g, all)
	}
	for _, m := range all {
		if err := row(m); err != nil {
			return err
		}
	}
	return nil
}

// list prints page after page, and without any entry what that means.
func (c *accessCmd) list(
	ctx context.Context, g *globals, o *owner, req *pb.ListAccessRequest, t *listing, none string, print func(*pb.ListAccessResponse) (int, error),
) error {
	for printed := uint32(0); ; {
		var page *pb.ListAccessResponse
		err := o.with(ctx, func() (err error) {
			page, err = o.Owner().ListAccess(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		n, err := print(page)
		if err != nil {
			return err
		}
		printed += uint32(n)
		req.PageToken = page.GetNextPageToken()
		if req.PageToken == "" || c.Limit > 0 && printed >= c.Limit {
			if printed == 0 {
				c.nothing(g, none)
			}
			return t.flush()
		}
		if c.Limit > 0 {
			req.Limit = c.Limit - printed
		}
	}
}

func (c *accessCmd) summarize(ctx context.Context, g *globals, o *owner, filter *pb.AccessFilter, loc *time.Location) error {
	var resp *pb.SummarizeAccessResponse
	err := o.with(ctx, func() (err error) {
		resp, err = o.Owner().SummarizeAccess(ctx, &pb.SummarizeAccessRequest{Filter: filter})
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return printMessages(g, resp.GetSummaries())
	}
	if len(resp.GetSummaries()) == 0 {
		c.nothing(g, "nobody has read")
	}
	t := g.newListing(c.CSV, "app", "type", "operation", "count", "unknown minutes", "first", "last", "purposes")
	for _, s := range resp.GetSummaries() {
		if err := t.row(asReader(s.GetBundleId()), asText(s.GetType()), asText(s.GetOperation()), asCount(s.GetCount()), asCount(s.GetUnknown()),
			asMinute(s.GetFirst(), loc), asMinute(s.GetLast(), loc), asText(strings.Join(s.GetPurposes(), ", "))); err != nil {
			return err
		}
	}
	return t.flush()
}

// asReader is who has read. No bundle id is the owner's.
func asReader(bundleID string) cell {
	if bundleID == "" {
		return cell{text: "(owner)"}
	}
	return cell{bundleID, bundleID}
}

// asKnown is how often. It is known when the minute is over, unless the count was lost.
func asKnown(a *pb.Access) cell {
	switch {
	case a.Count != nil:
		return asCount(a.GetCount())
	case time.Since(a.GetMinute().AsTime()) < time.Minute:
		return cell{text: "(counting)"}
	}
	return cell{text: "unknown"}
}
