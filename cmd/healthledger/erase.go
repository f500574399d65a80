package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type eraseCmd struct {
	span
	zoned
	Sample []string `help:"The samples with these UUIDs." placeholder:"UUID"`
	Type   string   `help:"Of this type only, like stepCount."`
	App    string   `help:"What this app has saved, also one that was removed." placeholder:"ID"`
	All    bool     `help:"Everything."`
	Yes    bool     `help:"Erase without asking."`
	Policy string   `help:"From now on, erase what ended so many months ago, in serve once a month; \"off\" ends that. With --type of this type only, whatever is set for all." placeholder:"MONTHS"`
	Due    bool     `help:"Erase now what the policies say, without waiting for serve to."`
	Prove  bool     `help:"Show what was erased, and whether its keys are destroyed."`
}

// Run erases what was named, or proves what was erased.
func (c *eraseCmd) Run(ctx context.Context, g *globals) error {
	more := c.App != "" || c.From != "" || c.To != "" || c.TimeZone != "" || c.All || len(c.Sample) > 0
	alone := !more && c.Type == "" && !c.Yes && c.Policy == ""
	switch {
	case c.Prove && (!alone || c.Due):
		return usagef("--prove goes with nothing else")
	case c.Prove:
		return c.prove(ctx, g)
	case c.Due && !alone:
		return usagef("--due goes with nothing else")
	case c.Due:
		return c.erase(ctx, g, &pb.EraseRequest{ByPolicy: true})
	case c.Policy != "" && more:
		return usagef("--policy goes with --type only")
	case c.Policy != "":
		return c.keep(ctx, g)
	}
	req := &pb.EraseRequest{Type: c.Type, Uuids: c.Sample, App: c.App, All: c.All}
	loc, err := c.zone()
	if err != nil {
		return err
	}
	if req.From, req.To, err = c.period(loc); err != nil {
		return err
	}
	some := c.Type != "" || c.App != "" || req.From != nil || req.To != nil
	if named := len(c.Sample) > 0; named == (some || c.All) || some == (named || c.All) {
		return usagef("name what to erase: --sample, --all, or any of --type, --app, --from and --to")
	}
	if _, err := ledger.Erasable(req); err != nil {
		return err
	}
	if err := g.confirmed(c.Yes, "It cannot be undone, nor restored from a backup of the log. Erase it", "nothing was erased"); err != nil {
		return err
	}
	return c.erase(ctx, g, req)
}

func (c *eraseCmd) erase(ctx context.Context, g *globals, req *pb.EraseRequest) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.eraseAfter(ctx, func() error { return nil }, req)
}

// eraseAfter has it erased after what needs the owner, too, and prints how far it came.
func (o *owner) eraseAfter(ctx context.Context, first func() error, req *pb.EraseRequest) error {
	var resp *pb.EraseResponse
	err := o.with(ctx, func() (err error) {
		if err := first(); err != nil {
			return err
		}
		resp, err = o.erase(ctx, req)
		return err
	})
	g := o.globals
	if err != nil {
		if phase := resp.GetPhase(); phase != pb.ErasurePhase_ERASURE_PHASE_UNSPECIFIED {
			fmt.Fprintf(g.err, "It is %s, and not erased: erase it again.\n", phaseName(phase))
		}
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	return printErased(g, req, resp)
}

// erase has it erased, and returns how far it came.
func (o *owner) erase(ctx context.Context, req *pb.EraseRequest) (*pb.EraseResponse, error) {
	resp, err := o.beginErase(ctx, req)
	for err == nil && resp.GetRun() != "" {
		phase := resp.GetPhase()
		progress := o.globals.bar(strings.ToUpper(phaseName(phase)[:1])+phaseName(phase)[1:], "steps")
		for err == nil && resp.GetRun() != "" && resp.GetPhase() == phase {
			progress.set(int64(resp.GetDone()), int64(resp.GetTotal()))
			var next *pb.EraseResponse
			if next, err = o.Owner().Erase(ctx, &pb.EraseRequest{Run: resp.GetRun()}); err == nil {
				resp = next
			}
		}
		progress.done()
	}
	return resp, err
}

// beginErase begins an erasure, when the one before has ended.
func (o *owner) beginErase(ctx context.Context, req *pb.EraseRequest) (*pb.EraseResponse, error) {
	for told := false; ; told = true {
		resp, err := o.Owner().Erase(ctx, req)
		if rpc.Reason(err) != rpc.ReasonBusy {
			return resp, err
		}
		if !told {
			fmt.Fprintf(o.globals.err, "Waiting: %s\n", message(err))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func phaseName(phase pb.ErasurePhase) string {
	switch phase {
	case pb.ErasurePhase_ERASURE_PHASE_HIDDEN:
		return "hidden"
	case pb.ErasurePhase_ERASURE_PHASE_DESTROYED:
		return "destroyed in the log, and still in the view"
	case pb.ErasurePhase_ERASURE_PHASE_ERASED:
		return "erased"
	}
	return "hiding"
}

func printErased(g *globals, req *pb.EraseRequest, resp *pb.EraseResponse) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if resp.GetErasure() == 0 {
		why := "there is no such sample in the log"
		if req.GetByPolicy() {
			why = "nothing has become too old, or it was erased this month"
		}
		fmt.Fprintf(w, "Erased\tnothing: %s\n", why)
		return w.Flush()
	}
	fmt.Fprintf(w, "Erased\t%s (%d hidden now, the others before)\n", counted(resp.GetSamples(), "sample", "samples"), resp.GetHidden())
	fmt.Fprintf(w, "Erasure\t%d, keys of %s destroyed\n", resp.GetErasure(), counted(resp.GetEpochs(), "epoch", "epochs"))
	fmt.Fprintf(w, "Backups\tdestroy every copy of the key directory from before %s: with it they could still be read\n",
		resp.GetDestroyed().AsTime().In(time.Local).Format(time.RFC3339))
	return w.Flush()
}
