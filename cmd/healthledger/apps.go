package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"healthledger/authz"
	"healthledger/proto/catalog"
	"healthledger/proto/client"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

type appCmd struct {
	Add    appAddCmd    `cmd:"" help:"Register an app and print its token, once."`
	List   appListCmd   `cmd:"" help:"List apps."`
	Show   appShowCmd   `cmd:"" help:"Show an app's grants."`
	Remove appRemoveCmd `cmd:"" help:"Remove an app; what it wrote stays."`
}

type appAddCmd struct {
	ID          string `arg:"" name:"bundle-id" help:"Bundle id, like com.example.dashboard."`
	Name        string `help:"Name to show."`
	Credentials string `help:"Write the app's credentials to this file instead of the data directory." type:"path"`
}

func (c *appAddCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.AddAppResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().AddApp(ctx, &pb.AddAppRequest{BundleId: c.ID, Name: c.Name})
		return err
	})
	if err != nil {
		return err
	}
	credentials := client.Credentials{URL: o.url, Store: o.store.String(), Key: resp.GetKey(), Token: resp.GetToken()}
	path := c.Credentials
	if path == "" {
		path, err = g.keepCredentials(o.store, c.ID, credentials)
	} else {
		err = client.WriteCredentials(path, credentials)
	}
	if err != nil {
		return fmt.Errorf("the app is registered, but its credentials could not be kept: %w", err)
	}
	if g.JSON {
		return g.printJSON(map[string]any{
			"bundleId": c.ID, "key": resp.GetKey(), "token": resp.GetToken(), "bearer": credentials.Bearer(), "credentials": path,
		})
	}
	fmt.Fprintf(g.out, "App    %s\nKey    %s\nToken  %s (not shown again)\nHTTP   Authorization: Bearer %s\nThis machine's copy: %s\n",
		c.ID, resp.GetKey(), resp.GetToken(), credentials.Bearer(), path)
	return nil
}

// apps lists the apps, as the owner.
func (o *owner) apps(ctx context.Context) (apps []*pb.App, err error) {
	err = o.with(ctx, func() error {
		resp, err := o.Owner().ListApps(ctx, &pb.ListAppsRequest{})
		apps = resp.GetApps()
		return err
	})
	return apps, err
}

type appListCmd struct{}

func (c *appListCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	apps, err := o.apps(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if !g.JSON {
		fmt.Fprintln(w, "BUNDLE ID\tNAME\tWRITES\tREADS\tREGISTERED")
	}
	for _, a := range apps {
		if g.JSON {
			if err := g.printMessage(a); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%d types\t%d types\t%s\n", a.GetBundleId(), a.GetName(), len(a.GetShare()), len(a.GetRead()),
			a.GetRegistered().AsTime().Local().Format(time.DateTime))
	}
	return w.Flush()
}

type appShowCmd struct {
	ID string `arg:"" name:"bundle-id" help:"Bundle id."`
}

func (c *appShowCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	apps, err := o.apps(ctx)
	if err != nil {
		return err
	}
	for _, a := range apps {
		if a.GetBundleId() != c.ID {
			continue
		}
		if g.JSON {
			return g.printMessage(a)
		}
		fmt.Fprintf(g.out, "App     %s (%s)\nWrites  %s\n", a.GetBundleId(), a.GetName(), listOr(a.GetShare(), "nothing"))
		var reads []string
		for _, r := range a.GetRead() {
			text := r.GetType()
			if r.GetSince() != nil {
				text += " since " + r.GetSince().AsTime().Format(time.RFC3339)
			}
			reads = append(reads, text)
		}
		fmt.Fprintf(g.out, "Reads   its own samples; of others: %s\n", listOr(reads, "nothing"))
		return nil
	}
	return fmt.Errorf("no app %s is registered", c.ID)
}

func listOr(items []string, none string) string {
	if len(items) == 0 {
		return none
	}
	return strings.Join(items, ", ")
}

type appRemoveCmd struct {
	ID string `arg:"" name:"bundle-id" help:"Bundle id."`
}

func (c *appRemoveCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	err = o.with(ctx, func() error {
		_, err := o.Owner().RemoveApp(ctx, &pb.RemoveAppRequest{BundleId: c.ID})
		return err
	})
	if err != nil {
		return err
	}
	return g.say("removed")
}

// grants are the types of a grant or of its revocation.
type grants struct {
	ID    string   `arg:"" name:"bundle-id" help:"Bundle id."`
	Share []string `help:"Types to write (comma-separated, or \"all\")." placeholder:"TYPE"`
	Read  []string `help:"Types to read (comma-separated, or \"all\")." placeholder:"TYPE"`
}

func (c *grants) decide(ctx context.Context, g *globals, allowed bool, read *pb.ReadGrant, done string) error {
	req := &pb.DecideRequest{BundleId: c.ID}
	share, err := typeCodes(c.Share, func(t *catalog.Type) string { return authz.WhyNoShare(t, false) })
	if err != nil {
		return err
	}
	reads, err := typeCodes(c.Read, authz.WhyNoRead)
	if err != nil {
		return err
	}
	for _, code := range share {
		req.Shares = append(req.Shares, &pb.ShareGrant{Type: code, Allowed: allowed})
	}
	for _, code := range reads {
		req.Reads = append(req.Reads, &pb.ReadGrant{Type: code, Extent: read.GetExtent(), Since: read.GetSince()})
	}
	if len(req.Shares)+len(req.Reads) == 0 {
		return usagef("name types with --share or --read")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	err = o.with(ctx, func() error {
		_, err := o.Owner().Decide(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	return g.say(done)
}

// typeCodes resolves names; "all" stands for every type against which there is nothing.
func typeCodes(names []string, against func(*catalog.Type) string) ([]uint32, error) {
	var codes []uint32
	for _, name := range names {
		if name == "all" {
			for _, t := range catalog.All() {
				if against(t) == "" {
					codes = append(codes, t.Code)
				}
			}
			continue
		}
		t, ok := catalog.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("unknown type %q (\"healthledger types\" lists them)", name)
		}
		codes = append(codes, t.Code)
	}
	return codes, nil
}

type grantCmd struct {
	grants
	Since string `help:"Read only samples that end at or after this date."`
}

func (c *grantCmd) Run(ctx context.Context, g *globals) error {
	read := &pb.ReadGrant{Extent: pb.ReadExtent_READ_EXTENT_ALL}
	if c.Since != "" {
		if len(c.Read) == 0 {
			return usagef("--since limits what is read: name types with --read")
		}
		at, err := health.ParseTime(c.Since, time.Local)
		if err != nil {
			return usagef("--since: %w", err)
		}
		read.Extent, read.Since = pb.ReadExtent_READ_EXTENT_SINCE, at.UnixMicro()
	}
	return c.decide(ctx, g, true, read, "granted")
}

type revokeCmd struct{ grants }

func (c *revokeCmd) Run(ctx context.Context, g *globals) error {
	return c.decide(ctx, g, false, &pb.ReadGrant{Extent: pb.ReadExtent_READ_EXTENT_NONE}, "revoked")
}
