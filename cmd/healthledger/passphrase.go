package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// newPassphraseFlag says where the new passphrase comes from.
type newPassphraseFlag struct {
	File string `name:"new-passphrase-file" help:"File that holds the new passphrase, instead of a terminal." type:"path" placeholder:"FILE"`
}

type passphraseCmd struct {
	New newPassphraseFlag `embed:""`
}

func (c *passphraseCmd) Run(ctx context.Context, g *globals) error {
	old, err := g.passphrase("Passphrase: ")
	if err != nil {
		return err
	}
	defer clear(old)
	return g.changePassphrase(ctx, proof{secret: old}, c.New)
}

type recoverCmd struct {
	WordsFile string            `help:"File that holds the recovery words, instead of a terminal." type:"path" placeholder:"FILE"`
	New       newPassphraseFlag `embed:""`
}

func (c *recoverCmd) Run(ctx context.Context, g *globals) error {
	words, err := c.words()
	if err != nil {
		return err
	}
	defer clear(words)
	return g.changePassphrase(ctx, proof{secret: words, words: true}, c.New)
}

// words reads the recovery words, and finds mistyped ones before they go anywhere.
func (c *recoverCmd) words() ([]byte, error) {
	var text []byte
	var err error
	if c.WordsFile != "" {
		text, err = secretFile(c.WordsFile, "recovery words")
	} else {
		text, err = ask("Recovery words: ")
	}
	if errors.Is(err, errNoPassphrase) {
		return nil, errors.New("no recovery words: use --words-file or a terminal")
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if err := seal.CheckWords(text); err != nil {
		return nil, err
	}
	return bytes.Join(bytes.Fields(text), []byte(" ")), nil
}

// proven unlocks the store with a proof for a run, which is told whether it was open before. One
// that was locked, or was about to be, is locked at the end.
func (g *globals) proven(ctx context.Context, p proof, run func(o *owner, open bool) error) (err error) {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	before, err := o.Owner().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	open := before.GetState() == pb.LockState_LOCK_STATE_UNLOCKED || before.GetState() == pb.LockState_LOCK_STATE_UNLOCKING
	if err := o.unlock(ctx, p); err != nil {
		return err
	}
	if !open {
		defer func() {
			_, locking := o.Owner().Lock(context.WithoutCancel(ctx), &pb.LockRequest{})
			err = errors.Join(err, locking)
		}()
	}
	if err := o.await(ctx, func(uint64, uint64) {}); err != nil {
		return err
	}
	return run(o, open)
}

func (g *globals) changePassphrase(ctx context.Context, p proof, flag newPassphraseFlag) error {
	next, err := g.newPassphrase(flag.File)
	if errors.Is(err, errNoPassphrase) {
		return errors.New("no new passphrase: use --new-passphrase-file or a terminal")
	}
	if err != nil {
		return err
	}
	defer clear(next)
	if err := seal.CheckPassphrase(next); err != nil {
		return fmt.Errorf("the new one: %w", err)
	}
	err = g.proven(ctx, p, func(o *owner, _ bool) error { return o.changePassphrase(ctx, p, next) })
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printJSON(map[string]string{"passphrase": "changed"})
	}
	_, err = fmt.Fprintln(g.out, "the passphrase is changed")
	return err
}

func (o *owner) changePassphrase(ctx context.Context, p proof, next []byte) error {
	return o.offered(func() (string, error) {
		sealed, err := o.seal(ctx, p.secret)
		if err != nil {
			return "", err
		}
		sealedNew, err := o.seal(ctx, next)
		if err != nil {
			return "", err
		}
		resp, err := o.Owner().ChangePassphrase(ctx, &pb.ChangePassphraseRequest{
			SealedPassphrase: sealed, Words: p.words, SealedNew: sealedNew,
		})
		return resp.GetSession(), err
	})
}
