package main

import (
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

// Nothing is said to be kept for good while a policy may be in what the view does not have yet.
func TestKeptIsSaidWhenItIsKnown(t *testing.T) {
	unlocked, unlocking := pb.LockState_LOCK_STATE_UNLOCKED, pb.LockState_LOCK_STATE_UNLOCKING
	twelve := []*pb.Retention{{Months: 12}}
	const unknown = "known when all of the log is in the view"
	for _, c := range []struct {
		status *pb.StatusResponse
		want   string
	}{
		{&pb.StatusResponse{State: unlocked}, "for good"},
		{&pb.StatusResponse{State: unlocked, Retention: twelve}, "12 months"},
		{&pb.StatusResponse{State: unlocking}, unknown},
		{&pb.StatusResponse{State: unlocking, Retention: twelve}, unknown},
		{&pb.StatusResponse{State: unlocking, Stopped: "segment 3 is missing"}, unknown},
	} {
		if got := keptText(c.status); got != c.want {
			t.Errorf("%v: %q, want %q", c.status, got, c.want)
		}
	}
}
