package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
)

// keep sets for how long samples are kept, and erases what is older.
func (c *eraseCmd) keep(ctx context.Context, g *globals) error {
	req := &pb.SetRetentionRequest{Type: c.Type}
	if c.Policy != "off" {
		months, err := strconv.ParseUint(c.Policy, 10, 32)
		if err != nil || months == 0 {
			return usagef("--policy: %q is neither a number of months nor off", c.Policy)
		}
		req.Months = uint32(months)
	}
	if _, err := ledger.Retention(req); err != nil {
		return err
	}
	if months := req.GetMonths(); months > 0 {
		question := fmt.Sprintf("%s ended more than %s ago is erased, now and from now on. It cannot be undone, nor restored from a backup of the log. Erase it",
			what(c.Type), counted(uint64(months), "month", "months"))
		if err := g.confirmed(c.Yes, question, "nothing was changed"); err != nil {
			return err
		}
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	isSet := false
	set := func() error {
		if isSet { // and the passphrase was needed again
			return nil
		}
		_, err := o.Owner().SetRetention(ctx, req)
		isSet = err == nil
		return err
	}
	if req.GetMonths() > 0 {
		err := o.eraseAfter(ctx, set, &pb.EraseRequest{ByPolicy: true})
		if err != nil && isSet {
			return fmt.Errorf("the policy is set, and what is due not erased (\"healthledger erase --due\" goes on): %w", err)
		}
		return err
	}
	var policies *pb.StatusResponse
	err = o.with(ctx, func() (err error) {
		if err := set(); err != nil {
			return err
		}
		policies, err = o.policies(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return g.printPolicies(policies)
}

// what says which samples a policy is about.
func what(typ string) string {
	if typ == "" {
		return "What"
	}
	return "Whatever of " + typ
}

// keptText says for how long samples are kept.
func keptText(s *pb.StatusResponse) string {
	if s.GetState() == pb.LockState_LOCK_STATE_UNLOCKING || s.GetStopped() != "" {
		return "known when all of the log is in the view"
	}
	all := s.GetRetention()
	texts, rest := make([]string, 0, len(all)), "for good"
	for _, r := range all {
		kept := "for good"
		if r.GetMonths() > 0 {
			kept = counted(uint64(r.GetMonths()), "month", "months")
		}
		if r.GetType() == "" {
			rest = kept
			continue
		}
		texts = append(texts, r.GetType()+" "+kept)
	}
	if len(texts) == 0 {
		return rest
	}
	return strings.Join(texts, ", ") + ", all else " + rest
}
