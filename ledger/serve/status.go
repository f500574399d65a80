package serve

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Status implements pb.OwnerServiceHandler. Without a session it says the lock state and
// nothing else.
func (s *ownerService) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	state, locksIn, fault := k.State()
	resp := &pb.StatusResponse{Store: k.store.ID().String(), State: state, AwaitsOwner: !k.store.Enrolled()}
	from, _ := rpc.CallerFrom(ctx)
	if _, ok := k.sessions.Check(from.Session); !ok {
		return resp, nil
	}
	resp.Detailed, resp.Plausibility = true, k.store.State().Plausibility()
	if locksIn > 0 {
		resp.LocksAt = timestamppb.New(time.Now().Add(locksIn))
	}
	if fault != "" {
		resp.Stopped = fault
		if surveyed := k.Surveyed(); surveyed != nil {
			resp.Faults, resp.MoreFaults = ledger.ListFaults(surveyed.Faults)
		}
	}
	resp.Losses = k.store.AcceptedLosses()
	if err := k.store.Closed(); err != nil {
		resp.Warnings = append(resp.Warnings, "apps cannot write: "+err.Error())
	}
	k.tellLog(ctx, resp)
	s.daemon.tellDisk(resp)
	clock := s.daemon.steps.warnings(resp.GetLastWrite().AsTime())
	if len(clock) > 0 && slices.ContainsFunc(resp.GetRetention(), func(r *pb.Retention) bool { return r.GetMonths() > 0 }) {
		clock = append(clock, "while the clock is in doubt nothing is erased for its age: start the daemon again when it is right")
	}
	resp.Warnings = append(resp.Warnings, clock...)
	resp.Warnings = append(resp.Warnings, memoryWarnings()...)
	return resp, nil
}

// tellLog says how far log and view are.
func (k *keeper) tellLog(ctx context.Context, resp *pb.StatusResponse) {
	resp.LogSegments, _, _ = k.store.Head()
	if log, err := k.store.LogState(ctx); err == nil {
		resp.LogBytes = log.Bytes
		if !log.Last.IsZero() {
			resp.LastWrite = timestamppb.New(log.Last)
		}
	}
	if size, at := k.store.LastCheckpoint(); size > 0 {
		resp.CheckpointSize, resp.CheckpointTime = size, timestamppb.New(at)
	}
	resp.Verified = k.store.Verified()
	process := k.current()
	if process == nil {
		return
	}
	k.tellRetention(ctx, process, resp)
	if a, err := process.Advance(ctx, &pb.AdvanceRequest{Sequence: resp.LogSegments}); err == nil {
		resp.ViewSegments, resp.ViewSamples = a.GetApplied(), a.GetSamples()
		resp.ViewDuplicates, resp.ViewIncomplete = a.GetDuplicates(), a.GetIncomplete()
	}
}

// tellDisk says how much room there is, and what does not go on for want of it.
func (d *Daemon) tellDisk(resp *pb.StatusResponse) {
	if state, ok := d.space.State(); ok {
		resp.Disk = &pb.Disk{FreeBytes: state.Free, ReserveBytes: state.Reserve, LastBytes: state.Last}
		if state.Lasts > 0 {
			resp.Disk.Lasts = durationpb.New(state.Lasts)
		}
	}
	switch err := d.nats.Writable(); {
	case err != nil:
		resp.Warnings = append(resp.Warnings, fmt.Sprintf("nothing can be written, so nothing is read: %s; it is tried again every second", err))
	case !d.space.Admits(disk.Reserved):
		resp.Warnings = append(resp.Warnings, "nothing can be written, so nothing is read: the disk is full; it all goes on when there is room again")
	case !d.space.Admits(disk.Ordinary):
		resp.Warnings = append(resp.Warnings, "apps cannot write: the disk is nearly full; reading and deciding go on, and writing when there is room again")
	}
}
