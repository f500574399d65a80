package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type logCmd struct {
	List       logListCmd       `cmd:"" help:"List the segments: what can be said of them without a key."`
	Checkpoint logCheckpointCmd `cmd:"" help:"Print a signed checkpoint of the log, to be kept elsewhere."`
	Cat        logCatCmd        `cmd:"" help:"Print the events of segments, opened, to the owner."`
	Tail       logTailCmd       `cmd:"" help:"Print events as they come, until it is interrupted."`
	Verify     logVerifyCmd     `cmd:"" help:"Recompute the log, and compare it with a checkpoint."`
	Prove      logProveCmd      `cmd:"" help:"Prove that a segment is in the log, or that the log goes on from a checkpoint."`
}

type logListCmd struct {
	From  uint64 `help:"First sequence." default:"1"`
	Limit uint64 `help:"At most so many (0: all)."`
}

func (c *logListCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if !g.JSON {
		fmt.Fprintln(w, "SEQUENCE\tTIME\tCLASS\tEPOCH\tINDEX\tBYTES\tLEAF")
	}
	left := c.Limit
	for from := max(c.From, 1); from > 0; {
		resp, err := o.Owner().ListLog(ctx, &pb.ListLogRequest{From: from, Limit: uint32(min(left, 1000))})
		if err != nil {
			return err
		}
		for _, s := range resp.GetSegments() {
			switch {
			case g.JSON:
				err = g.printMessage(s)
			case s.GetTime() == nil:
				_, err = fmt.Fprintf(w, "%d\t-\t%s\t-\t-\t-\t-\n", s.GetSequence(), s.GetClass())
			default:
				_, err = fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%d\t%.16s\n", s.GetSequence(), s.GetTime().AsTime().Local().Format(time.DateTime),
					s.GetClass(), s.GetEpoch(), s.GetIndex(), s.GetBytes(), s.GetLeaf())
			}
			if err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		from = resp.GetNext()
		if c.Limit > 0 {
			left -= uint64(len(resp.GetSegments()))
			if left == 0 {
				break
			}
		}
	}
	return nil
}
