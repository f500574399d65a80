package main

import (
	"context"

	pb "healthledger/proto/healthledger/v1"
)

type unitsSetCmd struct {
	Type string `arg:"" help:"Quantity type, like bodyMass."`
	Unit string `arg:"" optional:"" help:"Unit, like lb; none: the type's own."`
}

func (c *unitsSetCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	err = o.with(ctx, func() error {
		_, err := o.Owner().SetPreferredUnits(ctx, &pb.SetPreferredUnitsRequest{Units: []*pb.PreferredUnit{{Type: c.Type, Unit: c.Unit}}})
		return err
	})
	if err != nil {
		return err
	}
	return g.say("set")
}
