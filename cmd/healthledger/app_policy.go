package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"healthledger/authz"
)

type appManifestCmd struct{}

// Run prints a manifest to begin with.
func (c *appManifestCmd) Run(g *globals) error {
	text := authz.ManifestTemplate()
	if g.JSON {
		return g.printJSON(map[string]string{"manifest": text})
	}
	_, err := fmt.Fprint(g.out, text)
	return err
}

type appPolicyCmd struct {
	Model    string `arg:"" help:"phr: of an app that HIPAA does not cover. hipaa: of a provider that it does." enum:"phr,hipaa"`
	Manifest string `required:"" help:"The app's manifest, in YAML or JSON. It needs no hash yet." type:"existingfile" placeholder:"FILE"`
}

// Run prints a policy with blanks for what a manifest does not say.
func (c *appPolicyCmd) Run(g *globals) error {
	manifest, err := readManifest(c.Manifest)
	if err != nil {
		return err
	}
	text, err := authz.PolicyTemplate(c.Model, manifest)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Manifest, err)
	}
	if g.JSON {
		return g.printJSON(map[string]string{"policy": text})
	}
	_, err = fmt.Fprint(g.out, text)
	return err
}

type appPolicyHashCmd struct {
	Policy string `arg:"" help:"The text, as it is published." type:"existingfile" name:"file"`
}

// Run prints what the manifest has as the policy's sha256.
func (c *appPolicyHashCmd) Run(g *globals) error {
	f, err := os.Open(c.Policy)
	if err != nil {
		return err
	}
	// One byte more than there may be, so that it is seen to be too much.
	text, err := io.ReadAll(io.LimitReader(f, authz.MaxPolicy+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	hash, err := authz.PolicyHash(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Policy, err)
	}
	if g.JSON {
		return g.printJSON(map[string]string{"sha256": hash})
	}
	_, err = fmt.Fprintln(g.out, hash)
	return err
}
