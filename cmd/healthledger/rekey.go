package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type rekeyCmd struct{}

// Help implements kong.HelpProvider.
func (rekeyCmd) Help() string {
	return `For an owner who fears that somebody has the store's private keys: who had the passphrase or the recovery words together
with the keyring, or could look into a projector's memory. (If it is the passphrase that somebody knows, change it first; the
words stay the same, too.)

The store gets a new key to which it is sealed and a new key that signs your decisions. Every key of an epoch is wrapped to the
new one, and then destroyed in its old form, as are the keyring and the key of the view, which is made anew at the next unlock.
The log stays as it is. Apps go on writing meanwhile; at the end the store is locked, and unlocked again if it was. Apps begin
again without the anchors and page tokens that they have. An interruption at any point leaves the old keys or the new ones.

What somebody has copied already, the old keys open for good. Destroy the backups of the key directory that were made before,
and make a new one: the old ones do not open what is written from now on.`
}

func (c *rekeyCmd) Run(ctx context.Context, g *globals) error {
	passphrase, err := g.passphrase("Passphrase: ")
	if err != nil {
		return err
	}
	defer clear(passphrase)
	var resp *pb.RekeyStoreResponse
	p := proof{secret: passphrase}
	err = g.proven(ctx, p, func(o *owner, open bool) (err error) {
		if open {
			// The end locks it.
			defer func() { err = errors.Join(err, o.unlock(context.WithoutCancel(ctx), p)) }()
		}
		resp, err = o.rekey(ctx, p)
		return err
	})
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	if g.JSON {
		return g.printJSON(map[string]any{"keys": "replaced", "epochs": resp.GetTotal(), "destroyBackupsBefore": now})
	}
	_, err = fmt.Fprintf(g.out, `The store has new keys, and %d keys of epochs are wrapped to them; the old ones are destroyed here.
Passphrase and recovery words are the same.

Destroy every backup of the key directory from before %s: with the old keys
it opens all that was written until then. Make a new one now: the old ones do not
open what is written from now on.
`, resp.GetTotal(), now.Format(time.RFC3339))
	return err
}

// rekey gives the store new keys, step by step.
func (o *owner) rekey(ctx context.Context, p proof) (*pb.RekeyStoreResponse, error) {
	// The last call overwrites the old ones, however many there are.
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	progress := o.globals.bar("Wrapping keys", "epochs")
	defer progress.done()
	sealed, err := o.seal(ctx, p.secret)
	if err != nil {
		return nil, err
	}
	req := &pb.RekeyStoreRequest{SealedPassphrase: sealed}
	for {
		resp, err := o.Owner().RekeyStore(ctx, req)
		if err != nil {
			return nil, err
		}
		progress.set(int64(resp.GetDone()), int64(resp.GetTotal()))
		if resp.GetRun() == "" {
			return resp, nil
		}
		req = &pb.RekeyStoreRequest{Run: resp.GetRun()}
	}
}
