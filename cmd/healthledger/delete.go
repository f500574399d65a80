package main

import (
	"context"
	"fmt"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type deleteCmd struct {
	asWhom
	span
	zoned
	UUID []string `name:"uuid" help:"The samples with these UUIDs." placeholder:"UUID"`
	Type string   `arg:"" help:"Health type, like stepCount."`
}

// Run deletes what an app has saved, which it may in every lock state, or, for the owner,
// whatever anybody has.
func (c *deleteCmd) Run(ctx context.Context, g *globals) error {
	loc, err := c.zone()
	if err != nil {
		return err
	}
	d := &pb.Deletion{Type: c.Type, Uuids: c.UUID}
	if d.From, d.To, err = c.period(loc); err != nil {
		return err
	}
	if (len(c.UUID) > 0) == (d.From != nil || d.To != nil) {
		return usagef("name what to delete: --uuid, or a period with --from, --to or both")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Owner {
		return c.asOwner(ctx, o, d)
	}
	app, err := o.app(ctx, c.App, c.Credentials)
	if err != nil {
		return err
	}
	defer app.Close()
	return c.asApp(ctx, g, app, d)
}

func (c *deleteCmd) asOwner(ctx context.Context, o *owner, d *pb.Deletion) error {
	var resp *pb.DeleteSamplesResponse
	err := o.with(ctx, func() (err error) {
		resp, err = o.Owner().DeleteSamples(ctx, &pb.DeleteSamplesRequest{Deletions: []*pb.Deletion{d}})
		return err
	})
	if err != nil {
		return err
	}
	if o.globals.JSON {
		return o.globals.printMessage(resp)
	}
	_, err = fmt.Fprintf(o.globals.out, "%s deleted\n", counted(resp.GetDeleted(), "sample", "samples"))
	return err
}

// asApp asks for the deletion. What there was to delete is decided when somebody may read.
func (c *deleteCmd) asApp(ctx context.Context, g *globals, app *client.Client, d *pb.Deletion) error {
	resp, err := app.Delete(ctx, &pb.DeleteRequest{Deletions: []*pb.Deletion{d}})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	_, err = fmt.Fprintf(g.out, "Receipt  %s\n", resp.GetReceipt())
	return err
}
