package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// prove shows all erasures. A key that is there again is data that is not erased.
func (c *eraseCmd) prove(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	resp, err := o.Owner().ProveErasures(ctx, &pb.ProveErasuresRequest{})
	if err != nil {
		return err
	}
	if g.JSON {
		err = g.printMessage(resp)
	} else {
		err = printProof(g, resp)
	}
	there := uint64(0)
	for _, e := range resp.GetErasures() {
		there += undestroyed(e)
	}
	if err == nil && there > 0 {
		err = rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition},
			"%s that an erasure has destroyed in the key directory: start the daemon again", counted(there, "key is there", "keys are there"))
	}
	return err
}

func undestroyed(e *pb.Erasure) (there uint64) {
	for _, key := range e.GetKeys() {
		if !key.GetDestroyed() {
			there++
		}
	}
	return there
}

func printProof(g *globals, resp *pb.ProveErasuresResponse) error {
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ERASURE\tTIME\tSAMPLES\tWHAT\tKEYS\tDESTROYED")
	for _, e := range resp.GetErasures() {
		samples, what := "-", "-" // only the owner's session is told
		if order := e.GetOrder(); order != nil {
			samples, what = strconv.FormatUint(order.GetSamples(), 10), orderText(order)
		}
		n := uint64(len(e.GetKeys()))
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\n", e.GetNumber(), e.GetTime().AsTime().In(time.Local).Format(time.RFC3339), samples, what, n, n-undestroyed(e))
	}
	return w.Flush()
}

// orderText says in a few words what was erased.
func orderText(order *pb.ErasureOrdered) string {
	if order.GetByPolicy() != 0 {
		return policyText(order.GetDeletions()) + " (by policy)"
	}
	texts := make([]string, len(order.GetDeletions()))
	for i, d := range order.GetDeletions() {
		texts[i] = deletionText(d)
	}
	return strings.Join(texts, ", ")
}

// policyText counts the types of which the same was erased by policy, which may be many.
func policyText(deletions []*pb.DeletedSamples) string {
	alike := map[int64][]*pb.DeletedSamples{}
	for _, d := range deletions {
		alike[d.GetEndedBefore()] = append(alike[d.GetEndedBefore()], d)
	}
	var texts []string
	for _, before := range slices.Sorted(maps.Keys(alike)) {
		if all := alike[before]; len(all) == 1 {
			texts = append(texts, deletionText(all[0]))
		} else {
			texts = append(texts, fmt.Sprintf("%d types ended before %s", len(all), time.UnixMicro(before).In(time.Local).Format(time.RFC3339)))
		}
	}
	return strings.Join(texts, ", ")
}

func deletionText(d *pb.DeletedSamples) string {
	text := "all types"
	if t, ok := catalog.ByCode(d.GetType()); ok && !d.GetAllTypes() {
		text = t.Short()
	}
	if n := uint64(len(d.GetUuids())); n > 0 {
		text = counted(n, "sample by its UUID", "samples by their UUID")
	}
	if d.GetApp() != 0 {
		text += fmt.Sprintf(" of app %d", d.GetApp())
	}
	for _, bound := range []struct {
		word string
		at   *int64
	}{{"from", d.From}, {"to", d.To}, {"ended before", d.EndedBefore}} {
		if bound.at != nil {
			text += fmt.Sprintf(" %s %s", bound.word, time.UnixMicro(*bound.at).In(time.Local).Format(time.RFC3339))
		}
	}
	return text
}
