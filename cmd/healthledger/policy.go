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
	var policies *pb.StatusResponse
	err = o.with(ctx, func() (err error) {
		if policy, some := plausibilities[c.Plausible]; some {
			if _, err := o.Owner().SetPolicy(ctx, &pb.SetPolicyRequest{Plausibility: policy}); err != nil {
				return err
			}
		}
		policies, err = o.policies(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return g.printPolicies(policies)
}

var plausibilities = map[string]pb.Plausibility{"warn": pb.Plausibility_PLAUSIBILITY_WARN, "refuse": pb.Plausibility_PLAUSIBILITY_REFUSE}

// policies asks for what is set; the status has it for a session only.
func (o *owner) policies(ctx context.Context) (*pb.StatusResponse, error) {
	s, err := o.Owner().Status(ctx, &pb.StatusRequest{})
	switch {
	case err != nil:
		return nil, err
	case s.GetDetailed():
		return &pb.StatusResponse{State: s.GetState(), Stopped: s.GetStopped(), Plausibility: s.GetPlausibility(), Retention: s.GetRetention()}, nil
	case s.GetState() == pb.LockState_LOCK_STATE_LOCKED:
		return nil, rpc.StoreLocked()
	}
	return nil, rpc.Unauthenticated()
}

func (g *globals) printPolicies(s *pb.StatusResponse) error {
	if g.JSON {
		return g.printMessage(s)
	}
	_, err := fmt.Fprintf(g.out, "implausible values: %s\nsamples are kept: %s\n", policyName(s.GetPlausibility()), keptText(s))
	return err
}

func policyName(p pb.Plausibility) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PLAUSIBILITY_"))
}
