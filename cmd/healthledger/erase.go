package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

type eraseCmd struct {
	span
	zoned
	Sample []string `help:"The samples with these UUIDs." placeholder:"UUID"`
	Type   string   `help:"Of this type only, like stepCount."`
	App    string   `help:"What this app has saved, also one that was removed." placeholder:"ID"`
	All    bool     `help:"Everything."`
	Yes    bool     `help:"Erase without asking."`
	Prove  bool     `help:"Show what was erased, and whether its keys are destroyed."`
}

// Run erases what was named, or proves what was erased.
func (c *eraseCmd) Run(ctx context.Context, g *globals) error {
	if c.Prove {
		if c.Type != "" || c.App != "" || c.From != "" || c.To != "" || c.All || c.Yes || len(c.Sample) > 0 {
			return usagef("--prove goes with nothing else")
		}
		return c.prove(ctx, g)
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
	var resp *pb.EraseResponse
	err = o.with(ctx, func() (err error) {
		resp, err = o.erase(ctx, req)
		return err
	})
	if err != nil {
		if phase := resp.GetPhase(); phase != pb.ErasurePhase_ERASURE_PHASE_UNSPECIFIED {
			fmt.Fprintf(g.err, "It is %s, and not erased: erase it again.\n", phaseName(phase))
		}
		return err
	}
	if g.JSON {
		return g.printMessage(resp)
	}
	return printErased(g, resp)
}

// erase has it erased, and returns how far it came.
func (o *owner) erase(ctx context.Context, req *pb.EraseRequest) (*pb.EraseResponse, error) {
	resp, err := o.Owner().Erase(ctx, req)
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

func printErased(g *globals, resp *pb.EraseResponse) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	if resp.GetErasure() == 0 {
		fmt.Fprintf(w, "Erased\tnothing: there is no such sample in the log\n")
		return w.Flush()
	}
	fmt.Fprintf(w, "Erased\t%s (%d hidden now, the others before)\n", counted(resp.GetSamples(), "sample", "samples"), resp.GetHidden())
	fmt.Fprintf(w, "Erasure\t%d, keys of %s destroyed\n", resp.GetErasure(), counted(resp.GetEpochs(), "epoch", "epochs"))
	fmt.Fprintf(w, "Backups\tdestroy every copy of the key directory from before %s: with it they could still be read\n",
		resp.GetDestroyed().AsTime().In(time.Local).Format(time.RFC3339))
	return w.Flush()
}
