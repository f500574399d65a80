package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// acceptLoss goes on with a log that has lost segments, if its owner agrees to what that is.
func (c *unlockCmd) acceptLoss(ctx context.Context, g *globals, o *owner, passphrase []byte) error {
	found, err := o.findLoss(ctx, &pb.AcceptLossRequest{})
	if err != nil {
		return fmt.Errorf("find out what is lost: %w", err)
	}
	if len(found.GetLost()) == 0 && len(found.GetFaults()) == 0 {
		return g.say("nothing is lost")
	}
	if !g.JSON {
		if err := printLoss(g.out, found); err != nil {
			return err
		}
	}
	if len(found.GetFaults()) > 0 || len(found.GetLost()) == 0 {
		return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss},
			"the log is another than the one that was written, and not only for lost segments: that cannot be accepted, put back a backup")
	}
	if err := g.confirmed(c.Yes, "It is lost for good then, also if a backup of it turns up. Go on without it", "nothing was accepted"); err != nil {
		return err
	}
	if _, err := o.findLoss(ctx, &pb.AcceptLossRequest{Lost: found.GetLost()}); err != nil {
		return err
	}
	// The projector that has found the loss ended with it.
	if err := o.unlock(ctx, proof{secret: passphrase}); err != nil {
		return err
	}
	return o.catchUp(ctx)
}

// findLoss asks until it is known what is lost.
func (o *owner) findLoss(ctx context.Context, req *pb.AcceptLossRequest) (*pb.AcceptLossResponse, error) {
	for {
		resp, err := o.Owner().AcceptLoss(ctx, req)
		if err != nil || !resp.GetPending() {
			return resp, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tellLoss says what is lost, and what can be done.
func (o *owner) tellLoss(ctx context.Context, cause error) error {
	found, err := o.findLoss(ctx, &pb.AcceptLossRequest{})
	if err != nil || len(found.GetLost()) == 0 || len(found.GetFaults()) > 0 {
		return cause
	}
	var parts []string
	for _, l := range found.GetLost() {
		parts = append(parts, sequences(l.GetFrom(), l.GetTo()))
	}
	name := "segments"
	if len(parts) == 1 && !strings.Contains(parts[0], "-") {
		name = "segment"
	}
	return fmt.Errorf("%w\nlost: %s %s. Put back a backup of the log, or go on without them: \"healthledger unlock --accept-loss\" shows what they are, and asks",
		cause, name, strings.Join(parts, ", "))
}

func printLoss(out io.Writer, found *pb.AcceptLossResponse) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "LOST\tCOUNT\tWHAT\tWRITTEN AFTER\tAND BEFORE")
	for _, l := range found.GetLost() {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", sequences(l.GetFrom(), l.GetTo()), l.GetTo()-l.GetFrom()+1, lossName(l.GetKind()), timeOr(l.GetBefore()), timeOr(l.GetBehind()))
	}
	for _, f := range found.GetFaults() {
		fmt.Fprintf(w, "%s\t%d\t%s: %s\t\t\n", segments(f), f.GetSegments(), f.GetKind(), printable(f.GetWhy()))
	}
	if more := found.GetMoreFaults(); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	if n := found.GetDecisions(); n > 0 {
		fmt.Fprintf(w, "With them go %s of yours at most. The daemon remembers who may write.\n", counted(n, "decision", "decisions"))
	}
	fmt.Fprintln(w, "If a grant to read, or the end of one, may be among it, no app reads what others wrote until you grant it again; what you deleted there may be back.")
	return w.Flush()
}

func timeOr(at *timestamppb.Timestamp) string {
	if at == nil {
		return "-"
	}
	return at.AsTime().Local().Format(time.DateTime)
}

func lossName(kind pb.LossKind) string {
	if kind == pb.LossKind_LOSS_KIND_SEALED {
		return "their key is lost"
	}
	return "gone or damaged"
}

// acceptedLoss says what the owner goes on without.
func acceptedLoss(l *pb.AcceptedLoss) string {
	return fmt.Sprintf("%s (%s): %s, accepted %s", counted(l.GetTo()-l.GetFrom()+1, "segment", "segments"),
		sequences(l.GetFrom(), l.GetTo()), lossName(l.GetKind()), timeOr(l.GetAccepted()))
}

func sequences(from, to uint64) string {
	return segments(&pb.LogFault{From: from, To: to})
}
