package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"healthledger/authz"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

type appCmd struct {
	Add    appAddCmd    `cmd:"" help:"Register an app and print its token, once."`
	Rotate appRotateCmd `cmd:"" help:"End an app's token or nkey at once, and give it another."`
	Nkey   appNkeyCmd   `cmd:"" help:"Make an nkey for an app: keep the seed in a file, print the public key."`
	Update appUpdateCmd `cmd:"" help:"Give an app another manifest; another policy or other purposes ask again."`
	List   appListCmd   `cmd:"" help:"List apps."`
	Show   appShowCmd   `cmd:"" help:"Show an app's grants."`
	Remove appRemoveCmd `cmd:"" help:"Remove an app; what it wrote stays."`

	Manifest   appManifestCmd   `cmd:"" help:"Print a manifest to begin with."`
	Policy     appPolicyCmd     `cmd:"" help:"Print a privacy policy after one of the models, filled in from a manifest."`
	PolicyHash appPolicyHashCmd `cmd:"" help:"Print the hash of a policy's text, for the manifest."`
}

type appUpdateCmd struct {
	Manifest string `required:"" help:"The app's manifest, in YAML or JSON." type:"existingfile" placeholder:"FILE"`
}

func (c *appUpdateCmd) Run(ctx context.Context, g *globals) error {
	manifest, err := readManifest(c.Manifest)
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.UpdateAppResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().UpdateApp(ctx, &pb.UpdateAppRequest{Manifest: manifest})
		return err
	})
	switch {
	case err != nil:
		return err
	case g.JSON:
		return g.printMessage(resp)
	case resp.GetAsksAgain():
		return g.say("updated; its policy or its purposes are others, so that it asks again: see \"decide " + manifest.GetBundleId() + "\"")
	}
	return g.say("updated")
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

// registered finds an app by its bundle id, as the owner.
func (o *owner) registered(ctx context.Context, bundleID string) (*pb.App, error) {
	apps, err := o.apps(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		if a.GetManifest().GetBundleId() == bundleID {
			return a, nil
		}
	}
	return nil, fmt.Errorf("no app %s is registered", bundleID)
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
	t := g.newListing(false, "bundle id", "name", "writes", "reads", "registered")
	for _, a := range apps {
		if g.JSON {
			err = g.printMessage(a)
		} else {
			err = t.row(asText(a.GetManifest().GetBundleId()), asText(a.GetManifest().GetName()),
				asText(fmt.Sprintf("%d types", len(a.GetShare()))), asText(fmt.Sprintf("%d types", len(a.GetRead()))),
				asText(a.GetRegistered().AsTime().Local().Format(time.DateTime)))
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
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
	a, err := o.registered(ctx, c.ID)
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(a)
	}
	printManifest(g.out, a.GetManifest())
	credential := "a token"
	if a.GetNkey() != "" {
		credential = "the nkey " + a.GetNkey() + " (NATS only)"
	}
	fmt.Fprintf(g.out, "Holds     %s, since %s\n", credential, a.GetCredentialSince().AsTime().Local().Format(time.DateTime))
	fmt.Fprintf(g.out, "Writes    %s\n", listOr(a.GetShare(), "nothing"))
	var reads []string
	for _, r := range a.GetRead() {
		text := r.GetType()
		if r.GetSince() != nil {
			text += " since " + r.GetSince().AsTime().Format(time.RFC3339)
		}
		reads = append(reads, text)
	}
	for _, o := range a.GetObjects() {
		text := counted(uint64(o.GetGranted()), "object", "objects") + " of " + o.GetType()
		if o.GetOwnHidden() {
			text += " (and none of its own beside)"
		}
		reads = append(reads, text)
	}
	fmt.Fprintf(g.out, "Reads     its own samples; of others: %s\n", listOr(reads, "nothing"))
	return nil
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
	if len(c.Share)+len(c.Read) == 0 {
		return usagef("name types with --share or --read")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	app, err := o.registered(ctx, c.ID)
	if err != nil {
		return err
	}
	req := &pb.DecideRequest{BundleId: c.ID}
	share, err := typeCodes(c.Share, shareable(app))
	if err != nil {
		return err
	}
	reads, err := typeCodes(c.Read, readable(app))
	if err != nil {
		return err
	}
	for _, code := range share {
		req.Shares = append(req.Shares, &pb.ShareGrant{Type: code, Allowed: allowed})
	}
	for _, code := range reads {
		req.Reads = append(req.Reads, &pb.ReadGrant{Type: code, Extent: read.GetExtent(), Since: read.GetSince()})
	}
	err = o.with(ctx, func() error {
		_, err := o.Owner().Decide(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	return g.say(done)
}

// shareable says whether an owner can let the app write a type.
func shareable(app *pb.App) func(*catalog.Type) bool {
	explained := authz.Explains(app.GetManifest())
	return func(t *catalog.Type) bool {
		return authz.WhyNoShare(t, app.GetImporter()) == "" && authz.UnexplainedShare(explained) == ""
	}
}

// readable says whether an owner can let the app read a type.
func readable(app *pb.App) func(*catalog.Type) bool {
	explained := authz.Explains(app.GetManifest())
	return func(t *catalog.Type) bool {
		return authz.WhyNoRead(t) == "" && authz.UnexplainedRead(t, explained) == ""
	}
}

// typeCodes resolves names; "all" stands for every type that can be granted.
func typeCodes(names []string, grantable func(*catalog.Type) bool) ([]uint32, error) {
	var codes []uint32
	for _, name := range names {
		if name == "all" {
			for _, t := range catalog.All() {
				if grantable(t) {
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
