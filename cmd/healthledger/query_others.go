package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

type querySourcesCmd struct {
	asWhom
	asOf
	receipted
	inCSV
	Type string `arg:"" help:"Health type, like stepCount."`
}

func (c *querySourcesCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(g); err != nil {
		return err
	}
	return c.read(ctx, g, &c.asWhom, time.Local, func(ctx context.Context, r reader) error {
		resp, err := r.Health().QuerySources(ctx, &pb.QuerySourcesRequest{Type: c.Type, Receipt: c.Receipt})
		if err != nil {
			return err
		}
		if len(resp.GetSources()) == 0 {
			c.nothing(g, "no sources")
		}
		if g.JSON {
			return printMessages(g, resp.GetSources())
		}
		t := g.newListing(c.CSV, "name", "app", "importer", "version", "product", "os", "device")
		for _, s := range resp.GetSources() {
			if err := t.row(asText(s.GetName()), asText(s.GetApp()), asText(s.GetImporter()), asText(s.GetVersion()),
				asText(s.GetProductType()), asText(s.GetOsVersion()), asText(deviceName(s.GetDevice()))); err != nil {
				return err
			}
		}
		return t.flush()
	})
}

func deviceName(d *pb.Device) string {
	return words(d.GetManufacturer(), d.GetName(), d.GetModel(), d.GetHardwareVersion(), d.GetFirmwareVersion(), d.GetSoftwareVersion(),
		d.GetLocalIdentifier(), d.GetUdiDeviceIdentifier())
}

func printMessages[M proto.Message](g *globals, all []M) error {
	for _, m := range all {
		if err := g.printMessage(m); err != nil {
			return err
		}
	}
	return nil
}

type queryUnitsCmd struct {
	asWhom
	inCSV
	Types []string `arg:"" optional:"" name:"type" help:"Quantity types; none: all."`
}

func (c *queryUnitsCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(g); err != nil {
		return err
	}
	if len(c.Types) == 0 {
		for _, t := range catalog.All() {
			if t.Kind == catalog.Quantity {
				c.Types = append(c.Types, t.Short())
			}
		}
	}
	return c.as(ctx, g, func(r reader) error {
		resp, err := r.Health().QueryPreferredUnits(ctx, &pb.QueryPreferredUnitsRequest{Types: c.Types})
		if err != nil {
			return err
		}
		if g.JSON {
			return printMessages(g, resp.GetUnits())
		}
		t := g.newListing(c.CSV, "type", "unit")
		for _, u := range resp.GetUnits() {
			if err := t.row(asText(u.GetType()), asText(u.GetUnit())); err != nil {
				return err
			}
		}
		return t.flush()
	})
}

type queryOutcomeCmd struct {
	asWhom
	Receipt string `arg:"" help:"What the save or the delete printed."`
}

func (c *queryOutcomeCmd) Run(ctx context.Context, g *globals) error {
	return c.as(ctx, g, func(r reader) error {
		resp, err := r.Health().QueryOutcome(ctx, &pb.QueryOutcomeRequest{Receipt: c.Receipt})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printMessage(resp)
		}
		if resp.GetLost() {
			return g.say("the ledger has lost it: save or delete again what is to be")
		}
		return g.printFacts([]fact{
			{"stored", asCount(resp.GetStored()).text}, {"duplicates", asCount(resp.GetDuplicates()).text},
			{"incomplete", asCount(resp.GetIncomplete()).text}, {"deleted", asCount(resp.GetDeleted()).text},
		})
	})
}
