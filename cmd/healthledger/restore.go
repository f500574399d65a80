package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"healthledger/ledger/backup"
	"healthledger/ledger/serve"
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
		copied, err := serve.OpenCopied(ctx, c.Stream, g.Dir, keys)
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
	check, err := g.verifyBackup(ctx, keys, source, []byte(against))
	if errors.Is(err, backup.ErrKeysTooOld) && c.Stream == "" {
		err = fmt.Errorf("%w (--up-to-keys restores what is no newer than they are)", err)
	}
	if err != nil {
		return damaged(fmt.Errorf("%s: %w", cmp.Or(c.Log, c.Stream), err))
	}
	if err := g.restore(ctx, keys, source, check); err != nil {
		return damaged(err)
	}
	if g.JSON {
		return g.printJSON(map[string]any{"store": keys.Store.String(), "directory": g.Dir, "segments": check.Size(), "lost": check.Lost(), "leftOutBytes": behind, "leftOutSegments": left})
	}
	if behind > 0 {
		fmt.Fprintf(g.out, "%s behind the last checkpoint are of a backup that had broken off, and were left out.\n", byteSize(uint64(behind)))
	}
	if left > 0 {
		fmt.Fprintf(g.out, "%s written since the keys were backed up, and left out.\n", counted(left, "segment was", "segments were"))
	}
	lost := ""
	if n := check.Lost(); n > 0 {
		lost = fmt.Sprintf(" but for %d that are lost", n)
	}
	fmt.Fprintf(g.out, "Store %s in %s: %d segments, as they were written%s\n", keys.Store, g.Dir, check.Size(), lost)
	_, err = fmt.Fprintln(g.out, "It takes no writes until you have unlocked it here once.")
	return err
}

// verifyBackup verifies all of a backup, and returns what has checked it.
func (g *globals) verifyBackup(ctx context.Context, keys *backup.Keys, source backup.Log, against []byte) (check *backup.Check, err error) {
	check, err = backup.NewCheck(keys, against)
	if err != nil {
		return nil, err
	}
	bar := g.bar("Verifying", "segments")
	defer bar.done()
	if err = source.Each(ctx, &shown{check, bar, source.Size()}); err == nil {
		err = check.Finish()
	}
	return check, err
}

// shown is a visitor whose progress is shown.
type shown struct {
	backup.Visitor
	bar  *bar
	size uint64
}

func (s *shown) Segment(sequence uint64, payload []byte) error {
	s.bar.set(int64(sequence), int64(s.size))
	return s.Visitor.Segment(sequence, payload)
}

// restore hands a backup to the daemon.
func (g *globals) restore(ctx context.Context, keys *backup.Keys, source backup.Log, check *backup.Check) error {
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
	if err := source.Each(ctx, &shown{&refilling{r, ctx}, bar, check.Size()}); err != nil {
		return err
	}
	return r.end(ctx, check.Size(), check.Root())
}
