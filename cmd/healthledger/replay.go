package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type replayCmd struct {
	Check bool `help:"Compare what the log gives with the view, row for row, and leave everything as it is."`
}

// replayed is what a replay says as JSON.
type replayed struct {
	State             string  `json:"state"`
	Segments          uint64  `json:"segments"`
	Samples           uint64  `json:"samples"`
	Rows              uint64  `json:"rows,omitempty"`
	Seconds           float64 `json:"seconds"`
	SamplesPerSecond  float64 `json:"samplesPerSecond"`
	SegmentsPerSecond float64 `json:"segmentsPerSecond"`
	// Difference is the first row that is not alike.
	Difference *difference `json:"difference,omitempty"`
}

type difference struct {
	Family string `json:"family"`
	Key    string `json:"key"`
	View   string `json:"view"`
	Replay string `json:"replay"`
}

func (c *replayCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var resp *pb.ReplayResponse
	began := time.Now()
	err = o.with(ctx, func() (err error) {
		began = time.Now()
		resp, err = o.replay(ctx, c.Check)
		return err
	})
	if err != nil {
		return err
	}
	r := replayed{State: "replayed", Segments: resp.GetTotal(), Samples: resp.GetSamples(), Rows: resp.GetRows(), Seconds: time.Since(began).Seconds()}
	r.SamplesPerSecond, r.SegmentsPerSecond = float64(r.Samples)/r.Seconds, float64(r.Segments)/r.Seconds
	d := resp.GetDifference()
	switch {
	case d != nil:
		r.State = "different"
		r.Difference = &difference{
			Family: d.GetFamily(), Key: fmt.Sprintf("%x", d.GetKey()), View: valueOf(d.ViewBytes), Replay: valueOf(d.ReplayBytes),
		}
	case c.Check:
		r.State = "the same"
	}
	if err := r.print(g); err != nil {
		return err
	}
	if d != nil {
		return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss}, "the view is not what the log gives: \"healthledger replay\" makes it anew")
	}
	return nil
}

func valueOf(bytes *uint64) string {
	if bytes == nil {
		return "no such row"
	}
	return counted(*bytes, "byte", "bytes")
}

func (r *replayed) print(g *globals) error {
	if g.JSON {
		return g.printJSON(r)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "State\t%s\nSegments\t%d, %.0f/s\nSamples\t%d, %.0f/s\n", r.State, r.Segments, r.SegmentsPerSecond, r.Samples, r.SamplesPerSecond)
	if r.Rows > 0 {
		fmt.Fprintf(w, "Rows\t%d compared\n", r.Rows)
	}
	if d := r.Difference; d != nil {
		fmt.Fprintf(w, "Differs\t%s, key %s\n\tin the view: %s\n\tin the replay: %s\n", d.Family, d.Key, d.View, d.Replay)
	}
	fmt.Fprintf(w, "Time\t%.1f s\n", r.Seconds)
	return w.Flush()
}

// replay has the view made anew, or compared.
func (o *owner) replay(ctx context.Context, check bool) (*pb.ReplayResponse, error) {
	progress := o.globals.bar("Replaying", "segments")
	defer progress.done()
	req := &pb.ReplayRequest{Check: check}
	for {
		resp, err := o.Owner().Replay(ctx, req)
		if err != nil {
			return nil, err
		}
		progress.set(int64(resp.GetDone()), int64(resp.GetTotal()))
		if resp.GetRun() == "" {
			return resp, nil
		}
		req = &pb.ReplayRequest{Run: resp.GetRun()}
	}
}
