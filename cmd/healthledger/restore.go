package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"healthledger/ledger/backup"
	"healthledger/ledger/serve"
	"healthledger/ledger/tree"
)

type restoreCmd struct {
	Log      string `help:"File of the log." type:"path" placeholder:"FILE" xor:"log" required:""`
	Stream   string `help:"Instead of it, a copy of the folder jetstream of a data directory, made while nothing had it open." type:"path" placeholder:"DIR" xor:"log,stream" required:""`
	Keys     string `help:"File of the key directory." required:"" type:"path" placeholder:"FILE"`
	UpToKeys bool   `help:"Leave out what the file of the log has since the keys were backed up. For where a backup broke off between its two files, or the keys of the last one are lost." xor:"stream"`
	Against  string `help:"File with a checkpoint that was kept elsewhere." placeholder:"FILE"`
}

func (c *restoreCmd) Run(ctx context.Context, g *globals) error {
	against, err := g.checkpoint(c.Against)
	if err != nil {
		return err
	}
	keys, err := backup.ReadKeys(c.Keys)
	if err != nil {
		return damaged(err)
	}
	var source backup.Log
	var behind int64
	var left uint64
	if c.Stream != "" {
		copied, err := serve.OpenCopied(ctx, c.Stream, g.Dir, keys.Store)
		if err != nil {
			return err
		}
		defer copied.Close()
		source = copied
	} else {
		file, err := backup.OpenSource(c.Log)
		if err != nil {
			return damaged(err)
		}
		if source, behind = file, file.Behind; c.UpToKeys {
			left = file.Until(keys.Size)
		}
	}
	size, root, err := g.verifyBackup(ctx, keys, source, []byte(against))
	if errors.Is(err, backup.ErrKeysTooOld) && c.Stream == "" {
		err = fmt.Errorf("%w (--up-to-keys restores what is no newer than they are)", err)
	}
	if err != nil {
		return damaged(fmt.Errorf("%s: %w", cmp.Or(c.Log, c.Stream), err))
	}
	if err := g.restore(ctx, keys, source, size, root); err != nil {
		return damaged(err)
	}
	if g.JSON {
		return g.printJSON(map[string]any{"store": keys.Store.String(), "directory": g.Dir, "segments": size, "leftOutBytes": behind, "leftOutSegments": left})
	}
	if behind > 0 {
		fmt.Fprintf(g.out, "%s behind the last checkpoint are of a backup that had broken off, and were left out.\n", byteSize(uint64(behind)))
	}
	if left > 0 {
		fmt.Fprintf(g.out, "%s written since the keys were backed up, and left out.\n", counted(left, "segment was", "segments were"))
	}
	fmt.Fprintf(g.out, "Store %s in %s: %d segments, as they were written\n", keys.Store, g.Dir, size)
	_, err = fmt.Fprintln(g.out, "It takes no writes until you have unlocked it here once.")
	return err
}

// verifyBackup verifies all of a backup, and returns what it is of.
func (g *globals) verifyBackup(ctx context.Context, keys *backup.Keys, source backup.Log, against []byte) (size uint64, root tree.Hash, err error) {
	check, err := backup.NewCheck(keys, against)
	if err != nil {
		return 0, root, err
	}
	bar := g.bar("Verifying", "segments")
	defer bar.done()
	err = source.Each(ctx, func(sequence uint64, payload []byte) error {
		bar.set(int64(sequence), int64(source.Size()))
		return check.Segment(sequence, payload)
	}, check.Checkpoint)
	if err == nil {
		err = check.Finish()
	}
	return check.Size(), check.Root(), err
}

// restore hands a backup to the daemon.
func (g *globals) restore(ctx context.Context, keys *backup.Keys, source backup.Log, size uint64, root tree.Hash) error {
	address, inside, err := g.daemon(ctx)
	if err != nil {
		return err
	}
	if inside != nil {
		defer inside.Close()
	}
	r, err := beginRestore(ctx, address, keys.Store)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range keys.Files {
		if err := r.key(ctx, f); err != nil {
			return err
		}
	}
	bar := g.bar("Restoring", "segments")
	defer bar.done()
	err = source.Each(ctx, func(sequence uint64, payload []byte) error {
		bar.set(int64(sequence), int64(size))
		return r.segment(ctx, payload)
	}, func([]byte) error { return nil })
	if err != nil {
		return err
	}
	return r.end(ctx, size, root)
}
