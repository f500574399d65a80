package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"healthledger/scripts/bench"
)

type benchCmd struct {
	Limits benchLimitsCmd `cmd:"" default:"withargs" help:"Saves, imports and catching up, next to what this machine can do at most."`
	Query  benchQueryCmd  `cmd:"" help:"Queries, next to SQLite with SQLCipher."`
	Timing benchTimingCmd `cmd:"" help:"Whether the time of answers tells an app what it may not know."`
	Replay benchReplayCmd `cmd:"" help:"A replay and a verification of the log, next to hashing it and to a plain Pebble."`
	Calls  benchCallsCmd  `cmd:"" help:"Reads and writes in the process, without and with authorization and its record, and over NATS and HTTP."`
}

type benchReplayCmd struct {
	Samples size `help:"Samples in the log." default:"10M"`
}

func (c *benchReplayCmd) Run(ctx context.Context, g *globals) error {
	return bench.Replay(ctx, bench.ReplayOptions{
		Samples: int(c.Samples), Out: g.out, Tell: func(what string) { fmt.Fprintln(g.err, what) },
	})
}

type benchLimitsCmd struct {
	Duration time.Duration `help:"How long each rate is measured." default:"3s"`
	Records  int           `help:"Records of the export that is imported." default:"3000000"`
}

func (c *benchLimitsCmd) Run(ctx context.Context, g *globals) error {
	options, err := g.serveOptions(logging{})
	if err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{Launch: options.Launch, Duration: c.Duration, Records: c.Records, Out: g.out})
}

type benchQueryCmd struct {
	Samples  []size        `help:"Samples in the store; several for several tables." default:"1M,10M"`
	Duration time.Duration `help:"How long each query is repeated." default:"3s"`
	NoPeer   bool          `help:"Do not measure SQLCipher, whose first build takes a minute."`
}

func (c *benchQueryCmd) Run(ctx context.Context, g *globals) error {
	o := bench.QueryOptions{NoPeer: c.NoPeer, Duration: c.Duration, JSON: g.JSON, Out: g.out}
	for _, s := range c.Samples {
		o.Samples = append(o.Samples, int(s))
	}
	o.Tell = func(what string) { fmt.Fprintln(g.err, what) }
	return bench.Queries(ctx, o)
}

type benchTimingCmd struct {
	Samples  size `help:"Samples that one of the stores hides." default:"10M"`
	Rounds   int  `help:"Questions of each kind with warm caches; fewer than 50 are not judged." default:"500"`
	Restarts int  `help:"Questions of each kind with cold caches, each after a restart; fewer than 50 are not judged." default:"60"`
}

func (c *benchTimingCmd) Run(ctx context.Context, g *globals) error {
	if c.Rounds < 1 || c.Restarts < 1 {
		return usagef("--rounds, --restarts: at least 1")
	}
	o := bench.TrialOptions{Samples: int(c.Samples), Rounds: c.Rounds, Restarts: c.Restarts, JSON: g.JSON, Out: g.out}
	o.Tell = func(what string) { fmt.Fprintln(g.err, what) }
	return bench.Trial(ctx, o)
}

type benchCallsCmd struct {
	Samples  size          `help:"Samples in the store." default:"1M"`
	Rounds   int           `help:"How often each way of each call is measured, in turn." default:"40"`
	Duration time.Duration `help:"How long at a time." default:"100ms"`
}

func (c *benchCallsCmd) Run(ctx context.Context, g *globals) error {
	if c.Rounds < 1 {
		return usagef("--rounds: at least 1")
	}
	if c.Duration <= 0 {
		return usagef("--duration: %s is no time to measure in", c.Duration)
	}
	o := bench.CallOptions{Samples: int(c.Samples), Rounds: c.Rounds, Duration: c.Duration, JSON: g.JSON, Out: g.out}
	o.Tell = func(what string) { fmt.Fprintln(g.err, what) }
	return bench.Calls(ctx, o)
}

// size is a number like 50k or 10M.
type size int

const maxSize = 100_000_000

// UnmarshalText reads a positive number.
func (s *size) UnmarshalText(text []byte) error {
	digits, factor := string(text), 1
	if cut, ok := strings.CutSuffix(digits, "k"); ok {
		digits, factor = cut, 1000
	} else if cut, ok := strings.CutSuffix(digits, "M"); ok {
		digits, factor = cut, 1_000_000
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > maxSize/factor {
		return fmt.Errorf("%q is no number of samples up to 100M: write it like 50k or 10M", text)
	}
	*s = size(n * factor)
	return nil
}
