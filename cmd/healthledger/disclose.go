package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type discloseCmd struct {
	Grant   discloseGrantCmd   `cmd:"" help:"Show what a third party would get and what for, and grant it."`
	List    discloseListCmd    `cmd:"" help:"List the grants, with those that have ended."`
	Revoke  discloseRevokeCmd  `cmd:"" help:"End a grant, at once."`
	Export  discloseExportCmd  `cmd:"" help:"Write what a grant allows to a file for its recipient. That it was done is recorded first."`
	Account discloseAccountCmd `cmd:"" help:"Show what was handed to whom, when and what for, in the last six years."`
}

type discloseListCmd struct{}

func (c *discloseListCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.ListDisclosuresResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().ListDisclosures(ctx, &pb.ListDisclosuresRequest{})
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return printMessages(g, resp.GetGrants())
	}
	t := g.newListing(false, "number", "app", "recipient", "types", "period", "purpose", "statement", "expires", "standing")
	for _, d := range resp.GetGrants() {
		standing := "stands"
		if d.GetEnded() != nil {
			standing = d.GetWhyEnded() + " " + d.GetEnded().AsTime().Local().Format(time.DateTime)
		}
		err := t.row(asCount(d.GetNumber()), asText(d.GetBundleId()), asText(d.GetRecipient().GetName()), asText(strings.Join(d.GetTypes(), ", ")),
			asText(periodText(d.GetFrom(), d.GetTo(), whileGranted)), asText(d.GetPurpose()), asText(d.GetStatement()), asMinute(d.GetExpires(), time.Local), asText(standing))
		if err != nil {
			return err
		}
	}
	if t.rows == 0 {
		fmt.Fprintln(g.err, "nothing was ever granted")
	}
	return t.flush()
}

type discloseRevokeCmd struct {
	Number uint64 `arg:"" help:"Number of the grant."`
}

func (c *discloseRevokeCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	err = o.with(ctx, func() error {
		_, err := o.Owner().RevokeDisclosure(ctx, &pb.RevokeDisclosureRequest{Number: c.Number})
		return err
	})
	if err != nil {
		return err
	}
	return g.say("revoked")
}

type discloseExportCmd struct {
	exporting
	Number uint64 `arg:"" help:"Number of the grant."`
}

func (c *discloseExportCmd) Run(ctx context.Context, g *globals) error {
	if c.Number == 0 {
		return usagef("grants are numbered from 1: see \"healthledger disclose list\"")
	}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	sel, err := c.selection(loc)
	if err != nil {
		return err
	}
	// What is wrong with the command line is said before anything is recorded.
	if _, err := c.writer(sel, loc); err != nil {
		return err
	}
	req := &pb.OpenExportRequest{Disclosure: c.Number, From: sel.From, To: sel.To}
	for _, t := range sel.Types {
		req.Types = append(req.Types, t.Short())
	}
	return g.openExport(ctx, req, func(_ *owner, from *client.Export) error {
		c.Type = from.Types
		if sel, err = c.selection(loc); err != nil {
			return err
		}
		write, err := c.writer(sel, loc)
		if err != nil {
			return err
		}
		return c.write(ctx, g, from, write, 0)
	})
}
