package main

import (
	"context"
	"fmt"
	"strings"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

type policyCmd struct {
	Plausible string `help:"What becomes of values that no living person has: \"warn\" stores them, \"refuse\" does not. Imports only warn." enum:",warn,refuse" default:""`
}

func (c *policyCmd) Run(ctx context.Context, g *globals) error {
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	policy := pb.Plausibility_PLAUSIBILITY_WARN
	switch c.Plausible {
	case "":
		if policy, err = o.policy(ctx); err != nil {
			return err
		}
		return g.printPolicy(policy)
	case "refuse":
		policy = pb.Plausibility_PLAUSIBILITY_REFUSE
	}
	err = o.with(ctx, func() error {
		_, err := o.Owner().SetPolicy(ctx, &pb.SetPolicyRequest{Plausibility: policy})
		return err
	})
	if err != nil {
		return err
	}
	return g.printPolicy(policy)
}

// policy asks for what is set; the status has it for a session only.
func (o *owner) policy(ctx context.Context) (policy pb.Plausibility, err error) {
	err = o.with(ctx, func() error {
		s, err := o.Owner().Status(ctx, &pb.StatusRequest{})
		switch {
		case err != nil:
			return err
		case s.GetDetailed():
			policy = s.GetPlausibility()
			return nil
		case s.GetState() == pb.LockState_LOCK_STATE_LOCKED:
			return rpc.StoreLocked()
		}
		return rpc.Unauthenticated()
	})
	return policy, err
}

func (g *globals) printPolicy(p pb.Plausibility) error {
	if g.JSON {
		return g.printMessage(&pb.SetPolicyRequest{Plausibility: p})
	}
	_, err := fmt.Fprintf(g.out, "implausible values: %s\n", policyName(p))
	return err
}

func policyName(p pb.Plausibility) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PLAUSIBILITY_"))
}
