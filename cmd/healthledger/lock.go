package main

import (
	"context"
	"fmt"
	"time"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type unlockCmd struct {
	NoWait     bool `help:"Return while the view still catches up." xor:"end"`
	AcceptLoss bool `help:"Go on with a log that has lost segments: show what is lost, and read and write everything else. It cannot be undone." xor:"end"`
	Yes        bool `help:"With --accept-loss: without asking."`
}

func (c *unlockCmd) Run(ctx context.Context, g *globals) error {
	if c.Yes && !c.AcceptLoss {
		return usagef("--yes goes with --accept-loss")
	}
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
	if c.NoWait {
		return g.say("unlocked")
	}
	err = o.catchUp(ctx)
	switch {
	case c.AcceptLoss && (err == nil || rpc.Reason(err) == rpc.ReasonDataLoss):
		err = c.acceptLoss(ctx, g, o, passphrase)
	case rpc.Reason(err) == rpc.ReasonDataLoss:
		return o.tellLoss(ctx, err)
	}
	if err != nil {
		return err
	}
	return g.say("unlocked")
}

// catchUp waits until the view has.
func (o *owner) catchUp(ctx context.Context) error {
	bar := o.globals.bar("Catching up", "segments")
	defer bar.done()
	return o.await(ctx, func(done, total uint64) { bar.set(int64(done), int64(total)) })
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
