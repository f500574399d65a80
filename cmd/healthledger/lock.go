package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type statusCmd struct{}

func (c *statusCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	s, err := o.Owner().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(s)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "Store\t%s\n", s.GetStore())
	fmt.Fprintf(w, "State\t%s\n", stateName(s.GetState()))
	if s.GetDetailed() {
		fmt.Fprintf(w, "Log\t%d segments, %s\n", s.GetLogSegments(), byteSize(s.GetLogBytes()))
		fmt.Fprintf(w, "View\t%d segments, %d samples, %d came again\n", s.GetViewSegments(), s.GetViewSamples(), s.GetViewDuplicates())
		if n := s.GetViewIncomplete(); n > 0 {
			fmt.Fprintf(w, "Incomplete\t%d objects were left out: parts of their payload are missing\n", n)
		}
		fmt.Fprintf(w, "Policy\timplausible values: %s\n", policyName(s.GetPlausibility()))
		if at := s.GetLocksAt(); at != nil {
			fmt.Fprintf(w, "Locks\t%s\n", at.AsTime().Local().Format(time.DateTime))
		}
		for _, warning := range s.GetWarnings() {
			fmt.Fprintf(w, "Warning\t%s\n", printable(warning))
		}
	}
	return w.Flush()
}

func stateName(s pb.LockState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "LOCK_STATE_"))
}

type unlockCmd struct {
	NoWait bool `help:"Return while the view still catches up."`
}

func (c *unlockCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if o.inside != nil {
		return fmt.Errorf("no daemon is running on %s: an unlocked store needs one (\"healthledger serve\")", g.Dir)
	}
	passphrase, err := g.passphrase("Passphrase: ")
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if err := o.unlock(ctx, proof{secret: passphrase}); err != nil {
		return err
	}
	if !c.NoWait {
		bar := g.bar("Catching up", "segments")
		err := o.await(ctx, func(done, total uint64) { bar.set(int64(done), int64(total)) })
		bar.done()
		if err != nil {
			return err
		}
	}
	return g.say("unlocked")
}

type lockCmd struct {
	Now   bool          `help:"At once, cutting open reads."`
	Grace time.Duration `help:"How long reads go on." default:"10m"`
}

func (c *lockCmd) Run(ctx context.Context, g *globals) error {
	if c.Grace < 0 {
		return usagef("--grace: it must not be negative")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Now {
		c.Grace = 0
	}
	resp, err := o.Owner().Lock(ctx, &pb.LockRequest{GraceMs: uint64(c.Grace.Milliseconds())})
	if err != nil {
		return err
	}
	return g.say(stateName(resp.GetState()))
}
