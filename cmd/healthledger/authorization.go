package main

import (
	"context"
	"strings"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type authorizationCmd struct {
	Request        authorizationRequestCmd        `cmd:"" help:"Ask the owner to let the app write and read types."`
	RequestObjects authorizationRequestObjectsCmd `cmd:"" help:"Ask the owner to let the app read single objects: prescriptions, or medications with their doses."`
	Status         authorizationStatusCmd         `cmd:"" help:"Say whether the app may write types."`
	Pending        authorizationPendingCmd        `cmd:"" help:"Say whether a request would ask the owner anything."`
}

// asking is what an app asks for.
type asking struct {
	asApp
	Share []string `help:"Types to write (comma-separated)." placeholder:"TYPE"`
	Read  []string `help:"Types to read (comma-separated)." placeholder:"TYPE"`
}

type authorizationRequestCmd struct{ asking }

func (c *authorizationRequestCmd) Run(ctx context.Context, g *globals) error {
	err := c.call(ctx, g, func(app *client.Client) error { return app.RequestAuthorization(ctx, c.Share, c.Read) })
	if err != nil {
		return err
	}
	return g.say("processed")
}

type authorizationRequestObjectsCmd struct {
	asApp
	span
	zoned
	Limit uint32 `help:"At most so many, the newest (0: all)."`
	Type  string `arg:"" help:"visionPrescription or userAnnotatedMedication."`
}

func (c *authorizationRequestObjectsCmd) Run(ctx context.Context, g *globals) error {
	req := &pb.RequestObjectAuthorizationRequest{Type: c.Type, Limit: c.Limit}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	if req.From, req.To, err = c.period(loc); err != nil {
		return err
	}
	if err := c.call(ctx, g, func(app *client.Client) error { return app.RequestObjectAuthorization(ctx, req) }); err != nil {
		return err
	}
	return g.say("processed")
}

type authorizationStatusCmd struct {
	asApp
	Types []string `arg:"" name:"type" help:"Health types, like stepCount."`
}

func (c *authorizationStatusCmd) Run(ctx context.Context, g *globals) error {
	var resp *pb.GetAuthorizationStatusResponse
	err := c.call(ctx, g, func(app *client.Client) (err error) {
		resp, err = app.Health().GetAuthorizationStatus(ctx, &pb.GetAuthorizationStatusRequest{Types: c.Types})
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return printMessages(g, resp.GetStatuses())
	}
	t := g.newListing(false, "type", "write")
	for _, s := range resp.GetStatuses() {
		if err := t.row(asText(s.GetType()), asText(enumText(s.GetShare().String(), "SHARE_STATUS_"))); err != nil {
			return err
		}
	}
	return t.flush()
}

// enumText is a word of an enum as people read it.
func enumText(word, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(word, prefix), "_", " "))
}

type authorizationPendingCmd struct{ asking }

func (c *authorizationPendingCmd) Run(ctx context.Context, g *globals) error {
	var resp *pb.GetRequestStatusResponse
	err := c.call(ctx, g, func(app *client.Client) (err error) {
		resp, err = app.Health().GetRequestStatus(ctx, &pb.GetRequestStatusRequest{Share: c.Share, Read: c.Read})
		return err
	})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	text := enumText(resp.GetStatus().String(), "REQUEST_STATUS_")
	if resp.GetRequiredNotGranted() {
		text += "; of the required clinical types not all were granted"
	}
	return g.say(text)
}
