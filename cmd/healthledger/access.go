package main

import (
	"context"
	"strings"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type accessCmd struct {
	span
	zoned
	inCSV
	App     string   `help:"Only what this app has read; one that was removed, too." xor:"who"`
	Owner   bool     `help:"Only what the owner has read." xor:"who"`
	Type    []string `help:"Only these health types (comma-separated)." placeholder:"TYPE"`
	Summary bool     `help:"Print how often in all, by app, type and operation."`
	Limit   uint32   `help:"At most so many (0: all)."`
}

func (c *accessCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(g); err != nil {
		return err
	}
	if c.Summary && c.Limit > 0 {
		return usagef("--limit: --summary does not go with it")
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
	return c.list(ctx, g, o, filter, loc)
}

func (c *accessCmd) list(ctx context.Context, g *globals, o *owner, filter *pb.AccessFilter, loc *time.Location) error {
	t := g.newListing(c.CSV, "minute", "app", "type", "operation", "count", "from", "to", "purposes")
	req := &pb.ListAccessRequest{Filter: filter, Limit: c.Limit}
	for printed := uint32(0); ; {
		var page *pb.ListAccessResponse
		err := o.with(ctx, func() (err error) {
			page, err = o.Owner().ListAccess(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		for _, a := range page.GetAccesses() {
			if g.JSON {
				err = g.printMessage(a)
			} else {
				err = t.row(asMinute(a.GetMinute(), loc), asReader(a.GetBundleId()), asText(a.GetType()), asText(a.GetOperation()),
					asKnown(a), asMoment(a.GetFrom(), loc), asMoment(a.GetTo(), loc), asText(strings.Join(a.GetPurposes(), ", ")))
			}
			if err != nil {
				return err
			}
		}
		printed += uint32(len(page.GetAccesses()))
		req.PageToken = page.GetNextPageToken()
		if req.PageToken == "" || c.Limit > 0 && printed >= c.Limit {
			if printed == 0 {
				c.nothing(g, "nobody has read")
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
