package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// credentialFlags say with what an app shall prove itself, and where that is kept.
type credentialFlags struct {
	Nkey        string `help:"The app proves itself with this public nkey (\"U…\"), not with a token; then it has NATS only." placeholder:"KEY"`
	SeedFile    string `help:"Where the app keeps the seed of its nkey (default: beside the credentials)." type:"path" placeholder:"FILE"`
	Credentials string `help:"Write the app's credentials to this file instead of the data directory." type:"path"`
}

func (f *credentialFlags) check() error {
	if f.SeedFile != "" && f.Nkey == "" {
		return usagef("--seed-file goes with --nkey")
	}
	return canWrite("--credentials", f.Credentials) // before the old credential ends
}

// keep writes the credentials and prints what is to be told of them.
func (f *credentialFlags) keep(g *globals, o *owner, bundleID, key, token string) error {
	c := o.address.Remote.Credentials(o.store.String(), key, token)
	c.SeedFile = f.SeedFile
	path := f.Credentials
	if path == "" {
		path = g.credentialsPath(o.store, bundleID)
	}
	if f.Nkey != "" && c.SeedFile == "" {
		c.SeedFile = strings.TrimSuffix(path, filepath.Ext(path)) + ".seed"
	}
	err := error(nil)
	if f.Credentials == "" {
		_, err = g.keepCredentials(o.store, bundleID, c)
	} else {
		err = client.WriteCredentials(path, c)
	}
	if err != nil {
		return fmt.Errorf("the app has its new credential, but it could not be kept (\"app rotate\" gives it another): %w", err)
	}
	if g.JSON {
		line := map[string]any{"bundleId": bundleID, "key": key, "credentials": path}
		if token != "" {
			line["token"], line["bearer"] = token, c.Bearer()
		} else {
			line["nkey"], line["seedFile"] = f.Nkey, c.SeedFile
		}
		return g.printJSON(line)
	}
	fmt.Fprintf(g.out, "App    %s\nKey    %s\n", bundleID, key)
	if token != "" {
		fmt.Fprintf(g.out, "Token  %s (not shown again)\nHTTP   Authorization: Bearer %s\n", token, c.Bearer())
	} else {
		fmt.Fprintf(g.out, "Nkey   %s\nSeed   is to be in %s\nHTTP   not with an nkey\n", f.Nkey, c.SeedFile)
	}
	fmt.Fprintf(g.out, "This machine's copy: %s\n", path)
	return nil
}

type appAddCmd struct {
	Manifest string `required:"" help:"The app's manifest, in YAML or JSON." type:"existingfile" placeholder:"FILE"`
	credentialFlags
}

func (c *appAddCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(); err != nil {
		return err
	}
	manifest, err := readManifest(c.Manifest)
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.AddAppResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().AddApp(ctx, &pb.AddAppRequest{Manifest: manifest, Nkey: c.Nkey})
		return err
	})
	if err != nil {
		return err
	}
	return c.keep(g, o, manifest.GetBundleId(), resp.GetKey(), resp.GetToken())
}

type appRotateCmd struct {
	ID string `arg:"" name:"bundle-id" help:"Bundle id."`
	credentialFlags
}

// Run replaces a credential. What the app may, and what it wrote, stays.
func (c *appRotateCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(); err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.ReplaceCredentialResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.Owner().ReplaceCredential(ctx, &pb.ReplaceCredentialRequest{BundleId: c.ID, Nkey: c.Nkey})
		return err
	})
	if err != nil {
		return err
	}
	return c.keep(g, o, c.ID, resp.GetKey(), resp.GetToken())
}

type appNkeyCmd struct {
	SeedFile string `arg:"" help:"File for the seed, which must not be there yet." type:"path"`
}

func (c *appNkeyCmd) Run(g *globals) error {
	public, err := client.NewSeed(c.SeedFile)
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printJSON(map[string]any{"nkey": public, "seedFile": c.SeedFile})
	}
	return g.say(public)
}
