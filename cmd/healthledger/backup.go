package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"connectrpc.com/connect"

	"healthledger/ledger/backup"
	"healthledger/ledger/log"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type backupCmd struct {
	Log  string `help:"File of the log, which is gone on with. It is sealed and may lie anywhere. Without it only the keys are backed up: to go with a log that is copied otherwise." type:"path" placeholder:"FILE"`
	Keys string `help:"File of the key directory, which is replaced. Keep it where the log is not." required:"" type:"path" placeholder:"FILE"`
}

// backedUp is what a backup tells of itself.
type backedUp struct {
	Store    string `json:"store"`
	Segments uint64 `json:"segments,omitempty"`
	New      uint64 `json:"new"`
	NewBytes int64  `json:"newBytes"`
	Gone     uint64 `json:"gone,omitempty"`
	CutBytes int64  `json:"cutBytes,omitempty"`
	Keys     int    `json:"keys"`
	Replaced bool   `json:"keysReplaced"`
}

func (c *backupCmd) Run(ctx context.Context, g *globals) error {
	if c.Log == c.Keys {
		return usagef("--log and --keys are one file: they belong in different places")
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	status, err := o.Owner().Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	if status.GetAwaitsOwner() {
		return errors.New("another daemon was the last to write this log: unlock the store here once, then back it up")
	}
	directory, err := log.OpenKeyDirectory(filepath.Join(g.Dir, "stores", o.store.String()))
	if err != nil {
		return err
	}
	keys, err := backup.CopyKeys(directory, o.store, func() ([]byte, error) {
		resp, err := o.Owner().SignCheckpoint(ctx, &pb.SignCheckpointRequest{})
		return []byte(resp.GetCheckpoint()), err
	})
	if err != nil {
		return err
	}
	done := backedUp{Store: o.store.String(), Keys: len(keys.Files)}
	if c.Log != "" {
		if err := o.backUpLog(ctx, c.Log, keys, &done); err != nil {
			return damaged(err)
		}
	}
	if done.Replaced, err = backup.WriteKeys(c.Keys, keys); err != nil {
		return err
	}
	return c.print(g, done)
}

// backUpLog brings the file up to the checkpoint that the keys go with.
func (o *owner) backUpLog(ctx context.Context, path string, keys *backup.Keys, done *backedUp) (err error) {
	bar := o.globals.bar("Verifying", "bytes")
	file, err := backup.OpenLog(path, o.store, bar.set)
	bar.done()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	checkpoint, err := tree.ReadCheckpoint(keys.Checkpoint)
	if err != nil {
		return err
	}
	if file.Size() > checkpoint.Size {
		return fmt.Errorf("%s: %w: it has %d segments, the log %d", path, backup.ErrOtherLog, file.Size(), checkpoint.Size)
	}
	bar = o.globals.bar("Backing up", "segments")
	defer bar.done()
	before := file.Size()
	for file.Size() < checkpoint.Size {
		resp, err := o.Owner().ReadSegments(ctx, &pb.ReadSegmentsRequest{From: file.Size() + 1, To: checkpoint.Size})
		if err != nil {
			return err
		}
		if to := resp.GetGone(); to > 0 {
			done.Gone += to - file.Size()
			if err := file.Gone(to, resp.GetDecisions()); err != nil {
				return err
			}
		}
		for _, payload := range resp.GetSegments() {
			if err := file.Append(payload); err != nil {
				return err
			}
			done.NewBytes += int64(len(payload))
		}
		bar.set(int64(file.Size()-before), int64(checkpoint.Size-before))
	}
	done.Segments, done.New, done.CutBytes = file.Size(), file.Size()-before, file.Cut
	if err := file.Commit(checkpoint, keys.Checkpoint); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (c *backupCmd) print(g *globals, done backedUp) error {
	if g.JSON {
		return g.printJSON(done)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if done.CutBytes > 0 {
		fmt.Fprintf(w, "Cut off\t%s at the end of the log file, of a backup that had broken off\n", byteSize(uint64(done.CutBytes)))
	}
	if c.Log != "" {
		fmt.Fprintf(w, "Log\t%s: %d segments, %d of them new (%s)\n", c.Log, done.Segments, done.New, byteSize(uint64(done.NewBytes)))
	}
	if done.Gone > 0 {
		fmt.Fprintf(w, "\t%d of the new ones are lost, as you have accepted\n", done.Gone)
	}
	fmt.Fprintf(w, "Keys\t%s: %d files\n", c.Keys, done.Keys)
	if done.Replaced {
		fmt.Fprintln(w, "\tThe file before is overwritten. Destroy other copies of it: what was erased since, they still open.")
	}
	return w.Flush()
}

// damaged gives what says that files are not what was written the code of data loss.
func damaged(err error) error {
	for _, target := range []error{
		backup.ErrDamaged, log.ErrLoss, backup.ErrOtherLog, backup.ErrForeign, backup.ErrTooOld, backup.ErrKeysTooOld, backup.ErrGone,
	} {
		if errors.Is(err, target) {
			return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss}, "%s", err)
		}
	}
	return err
}
