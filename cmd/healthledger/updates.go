package main

import (
	"context"
	"fmt"
	"time"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type updatesCmd struct {
	Set  updatesSetCmd  `cmd:"" help:"Say how often the app wants to be told that a type has changed."`
	Wait updatesWaitCmd `cmd:"" help:"Print the updates that are due, or wait for one."`
	Ack  updatesAckCmd  `cmd:"" help:"Say that updates have been dealt with."`
}

// asApp says which app calls.
type asApp struct {
	App         string `required:"" help:"Bundle id of the app."`
	Credentials string `help:"The app's credentials, if not in the data directory." type:"path"`
}

// call connects as the app, in whatever lock state.
func (a *asApp) call(ctx context.Context, g *globals, act func(*client.Client) error) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	app, err := o.app(ctx, a.App, a.Credentials)
	if err != nil {
		return err
	}
	defer app.Close()
	return act(app)
}

type updatesSetCmd struct {
	asApp
	Type      string `arg:"" help:"Health type, like stepCount."`
	Frequency string `arg:"" help:"At most so often: immediate, hourly, daily, weekly, or never." enum:"immediate,hourly,daily,weekly,never"`
}

func (c *updatesSetCmd) Run(ctx context.Context, g *globals) error {
	frequency := pb.Frequency(pb.Frequency_value[enumName("FREQUENCY_", c.Frequency)])
	err := c.call(ctx, g, func(app *client.Client) error { return app.SetUpdates(ctx, c.Type, frequency) })
	if err != nil {
		return err
	}
	return g.say("set")
}

type updatesWaitCmd struct {
	asApp
	Wait time.Duration `help:"Wait at most so long (0: not at all)." default:"1m"`
}

func (c *updatesWaitCmd) Run(ctx context.Context, g *globals) error {
	if c.Wait < 0 {
		return usagef("--wait: it must not be negative")
	}
	who := asWhom{App: c.App, Credentials: c.Credentials}
	return who.as(ctx, g, func(r reader) error {
		for until := time.Now().Add(c.Wait); ; {
			left := max(time.Until(until), 0)
			resp, err := r.Health().QueryUpdates(ctx, &pb.QueryUpdatesRequest{WaitMs: waitMs(left)})
			if err != nil {
				return err
			}
			if len(resp.GetUpdates()) > 0 || left == 0 {
				return g.printUpdates(resp.GetUpdates())
			}
		}
	})
}

func (g *globals) printUpdates(updates []*pb.Update) error {
	if g.JSON {
		return printMessages(g, updates)
	}
	if len(updates) == 0 {
		fmt.Fprintln(g.err, "no updates")
	}
	t := g.newListing(false, "type", "token")
	for _, u := range updates {
		if err := t.row(asText(u.GetType()), asText(u.GetToken())); err != nil {
			return err
		}
	}
	return t.flush()
}

type updatesAckCmd struct {
	asApp
	Tokens []string `arg:"" name:"token" help:"Tokens of the updates."`
}

func (c *updatesAckCmd) Run(ctx context.Context, g *globals) error {
	updates := make([]*pb.Update, len(c.Tokens))
	for i, token := range c.Tokens {
		updates[i] = &pb.Update{Token: token}
	}
	err := c.call(ctx, g, func(app *client.Client) error { return app.AckUpdates(ctx, updates...) })
	if err != nil {
		return err
	}
	return g.say("acknowledged")
}
