package main

import (
	"context"
	"time"

	"healthledger/scripts/bench"
)

type benchCmd struct {
	Duration time.Duration `help:"How long each rate is measured." default:"3s"`
	Records  int           `help:"Records of the export that is imported." default:"3000000"`
}

func (c *benchCmd) Run(ctx context.Context, g *globals) error {
	options, err := g.serveOptions()
	if err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{Launch: options.Launch, Duration: c.Duration, Records: c.Records, Out: g.out})
}
