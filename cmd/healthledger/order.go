package main

import (
	"context"
	"fmt"
	"slices"

	pb "healthledger/proto/healthledger/v1"
)

type orderCmd struct {
	Default bool     `help:"Go back to the order that the ledger has by itself."`
	Type    string   `arg:"" help:"Health type, like stepCount."`
	Sources []string `arg:"" optional:"" sep:"none" name:"source" help:"Sources, the first counts first: the name, or the bundle id of the app, or both (\"com.example.watch/Anna's Watch\"). None: show the order."`
}

// Run shows in which order sources count, or sets it.
func (c *orderCmd) Run(ctx context.Context, g *globals) error {
	if c.Default && len(c.Sources) > 0 {
		return usagef("--default: it takes no sources")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var names []*pb.SourceName
	err = o.with(ctx, func() (err error) {
		if names, err = o.sourceNames(ctx, c.Type); err != nil || len(c.Sources) == 0 && !c.Default {
			return err
		}
		if names, err = named(c.Sources, names); err != nil {
			return err
		}
		if _, err = o.Owner().SetSourceOrder(ctx, &pb.SetSourceOrderRequest{Type: c.Type, Sources: names}); err != nil {
			return err
		}
		names, err = o.sourceNames(ctx, c.Type)
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return printMessages(g, names)
	}
	t := g.newListing(false, "name", "app")
	for _, n := range names {
		if err := t.row(asText(n.GetName()), asText(n.GetApp())); err != nil {
			return err
		}
	}
	if t.rows == 0 {
		fmt.Fprintln(g.err, "no sources")
	}
	return t.flush()
}

// sourceNames are the sources of a type in the order in which they count, each once.
func (o *owner) sourceNames(ctx context.Context, typeName string) (names []*pb.SourceName, err error) {
	resp, err := o.Health().QuerySources(ctx, &pb.QuerySourcesRequest{Type: typeName})
	for _, s := range resp.GetSources() {
		if !slices.ContainsFunc(names, func(n *pb.SourceName) bool { return n.App == s.GetApp() && n.Name == s.GetName() }) {
			names = append(names, &pb.SourceName{App: s.GetApp(), Name: s.GetName()})
		}
	}
	return names, err
}

// named finds the sources that a person means.
func named(meant []string, all []*pb.SourceName) (found []*pb.SourceName, err error) {
	for _, m := range meant {
		var fits []*pb.SourceName
		for _, n := range all {
			if m != "" && (m == n.Name || m == n.App || m == n.App+"/"+n.Name) {
				fits = append(fits, n)
			}
		}
		switch len(fits) {
		case 0:
			return nil, fmt.Errorf("no source %q has measured the type (\"healthledger order TYPE\" shows which have)", m)
		case 1:
			found = append(found, fits[0])
		default:
			return nil, fmt.Errorf("%q are %d sources: name one by app and name, like %q", m, len(fits), fits[0].App+"/"+fits[0].Name)
		}
	}
	return found, nil
}
