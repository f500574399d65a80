package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"connectrpc.com/connect"

	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type logCheckpointCmd struct {
	Key bool `help:"Print the verifier keys that check this store's checkpoints instead: the daemon's and the owner's."`
}

func (c *logCheckpointCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	resp, err := o.Owner().SignCheckpoint(ctx, &pb.SignCheckpointRequest{})
	if err != nil {
		return err
	}
	switch {
	case g.JSON:
		return g.printMessage(resp)
	case c.Key:
		_, err = fmt.Fprintf(g.out, "%s\n%s\n", resp.GetKey(), resp.GetOwnerKey())
	default:
		_, err = fmt.Fprint(g.out, resp.GetCheckpoint())
	}
	return err
}

// checkpoint reads a checkpoint that was kept, "" for no file.
func (g *globals) checkpoint(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read checkpoint: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, tree.MaxCheckpoint+1))
	if err != nil {
		return "", fmt.Errorf("read checkpoint: %w", err)
	}
	if len(content) == 0 || len(content) > tree.MaxCheckpoint {
		return "", fmt.Errorf("%s holds no checkpoint", path)
	}
	return string(content), nil
}

type logVerifyCmd struct {
	Against string `help:"File with a checkpoint that was kept elsewhere." placeholder:"FILE"`
}

func (c *logVerifyCmd) Run(ctx context.Context, g *globals) error {
	checkpoint, err := g.checkpoint(c.Against)
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	resp, err := o.verify(ctx, checkpoint)
	if err != nil {
		return err
	}
	if g.JSON {
		err = g.printMessage(resp)
	} else {
		err = printVerified(g.out, resp)
	}
	if faults := uint64(len(resp.GetFaults())) + resp.GetMoreFaults(); err == nil && faults > 0 {
		err = rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss}, "the log is not what was written: %s", counted(faults, "fault", "faults"))
	}
	return err
}

// verify has the whole log verified.
func (o *owner) verify(ctx context.Context, checkpoint string) (*pb.VerifyLogResponse, error) {
	progress := o.globals.bar("Verifying", "segments")
	defer progress.done()
	req := &pb.VerifyLogRequest{Checkpoint: checkpoint}
	for {
		resp, err := o.Owner().VerifyLog(ctx, req)
		if err != nil {
			return nil, err
		}
		progress.set(int64(resp.GetDone()), int64(resp.GetTotal()))
		if resp.GetRun() == "" {
			return resp, nil
		}
		req = &pb.VerifyLogRequest{Run: resp.GetRun()}
	}
}

func printVerified(out io.Writer, v *pb.VerifyLogResponse) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, l := range v.GetLosses() {
		fmt.Fprintf(w, "Lost\t%s\n", acceptedLoss(l))
	}
	sound := len(v.GetFaults()) == 0
	if sound {
		but := ""
		if len(v.GetLosses()) > 0 {
			but = " but for those that are lost"
		}
		fmt.Fprintf(w, "Segments\t%d, as they were written%s\nDecisions\t%d, each after the one before\nRoot\t%s\n",
			v.GetTotal(), but, v.GetDecisions(), v.GetRoot())
		if n := v.GetOpened(); n > 0 {
			fmt.Fprintf(w, "Opened\t%d sealed segments, each event of a known kind\n", n)
		}
		if n := v.GetCheckpoints(); n > 0 {
			fmt.Fprintf(w, "Checkpoints\t%d in the log, each of what is before it\n", n)
		}
		if n := v.GetUntold(); n > 0 {
			fmt.Fprintf(w, "Keys\tof %s are missing: whether you have erased them shows once you have unlocked the store here\n", counted(n, "segment", "segments"))
		}
		if at := v.GetTimeBack(); at > 0 {
			fmt.Fprintf(w, "Clock\twas set back before segment %d: the times around it are not in order\n", at)
		}
		if v.GetCheckpointSize() > 0 {
			fmt.Fprintf(w, "Checkpoint\tof %d segments, from which the log goes on\n", v.GetCheckpointSize())
		}
		return w.Flush()
	}
	fmt.Fprintln(w, "SEGMENTS\tCOUNT\tFAULT\tWHAT")
	for _, f := range v.GetFaults() {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", segments(f), f.GetSegments(), f.GetKind(), printable(f.GetWhy()))
	}
	if more := v.GetMoreFaults(); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return w.Flush()
}

// segments are those of a fault, which may be of none.
func segments(f *pb.LogFault) string {
	switch {
	case f.GetFrom() == 0:
		return "-"
	case f.GetFrom() == f.GetTo():
		return strconv.FormatUint(f.GetFrom(), 10)
	}
	return fmt.Sprintf("%d-%d", f.GetFrom(), f.GetTo())
}

// placeOf is segments in a sentence.
func placeOf(f *pb.LogFault) string {
	if f.GetFrom() == 0 {
		return "no segment"
	}
	return counted(f.GetSegments(), "segment", "segments") + " (" + segments(f) + ")"
}

type logProveCmd struct {
	Sequence    uint64 `arg:"" optional:"" help:"Segment that is to be in the log."`
	Consistency string `help:"File with a checkpoint that the log is to go on from." placeholder:"FILE"`
}

func (c *logProveCmd) Run(ctx context.Context, g *globals) error {
	if (c.Sequence == 0) == (c.Consistency == "") {
		return usagef("name a segment (they are counted from 1), or a checkpoint with --consistency")
	}
	checkpoint, err := g.checkpoint(c.Consistency)
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	resp, err := o.Owner().ProveLog(ctx, &pb.ProveLogRequest{Sequence: c.Sequence, Checkpoint: checkpoint})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	_, err = io.WriteString(g.out, proofText(resp))
	return err
}

// proofText is C2SP tlog-proof for a segment, and for a checkpoint what C2SP tlog-witness
// sends to a witness.
func proofText(p *pb.ProveLogResponse) string {
	var b strings.Builder
	if p.GetOldSize() > 0 {
		fmt.Fprintf(&b, "old %d\n", p.GetOldSize())
	} else {
		fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nindex %d\n", p.GetIndex())
	}
	for _, hash := range p.GetHashes() {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(hash))
	}
	fmt.Fprintf(&b, "\n%s", p.GetCheckpoint())
	return b.String()
}
