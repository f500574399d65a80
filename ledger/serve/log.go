package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"healthledger/ledger"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// ListLog implements pb.OwnerServiceHandler.
func (s *ownerService) ListLog(ctx context.Context, req *pb.ListLogRequest) (*pb.ListLogResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := k.store.ListLog(ctx, req.GetFrom(), req.GetLimit())
	if err != nil {
		return nil, refuse(err)
	}
	return resp, nil
}

// SignCheckpoint implements pb.OwnerServiceHandler.
func (s *ownerService) SignCheckpoint(ctx context.Context, _ *pb.SignCheckpointRequest) (*pb.SignCheckpointResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	return k.sign(ctx)
}

// ProveLog implements pb.OwnerServiceHandler.
func (s *ownerService) ProveLog(ctx context.Context, req *pb.ProveLogRequest) (*pb.ProveLogResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	prove := func() (*pb.ProveLogResponse, error) { return k.store.ProveSegment(ctx, req.GetSequence()) }
	if req.GetCheckpoint() != "" {
		prove = func() (*pb.ProveLogResponse, error) {
			return k.store.ProveConsistency(ctx, []byte(req.GetCheckpoint()))
		}
	}
	resp, err := prove()
	if err != nil {
		return nil, refuseProof(err)
	}
	return resp, nil
}

// ReadSegments implements pb.OwnerServiceHandler.
func (s *ownerService) ReadSegments(ctx context.Context, req *pb.ReadSegmentsRequest) (*pb.ReadSegmentsResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	if to, by := k.store.Gone(req.GetFrom()); to > 0 && req.GetFrom() <= req.GetTo() {
		return &pb.ReadSegmentsResponse{Gone: min(to, req.GetTo()), Decisions: by}, nil
	}
	payloads, err := k.store.Segments(ctx, req.GetFrom(), req.GetTo())
	if err != nil {
		return nil, refuseProof(err)
	}
	return &pb.ReadSegmentsResponse{Segments: payloads}, nil
}

func refuseProof(err error) error {
	switch {
	case errors.Is(err, tree.ErrCheckpoint):
		return rpc.InvalidValue("checkpoint", "", err.Error())
	case errors.Is(err, ledger.ErrNoSegment):
		return rpc.InvalidValue("sequence", "", err.Error())
	}
	return refuse(err)
}

const (
	// runStep is how long a call verifies.
	runStep = time.Second
	// runIdle is how long a verification waits for the next call.
	runIdle = time.Minute
)

// runs are the verifications under way, each between two calls.
type runs struct {
	mu   sync.Mutex
	open map[string]*run
}

type run struct {
	*ledger.Verification
	store seal.StoreID
	used  time.Time
	// finished: what takes no key is verified.
	finished bool
	// audit: the owner was there at the beginning, so every segment is opened, too, the next
	// from here on.
	audit bool
	next  uint64
}

// take returns a run of a store, which nobody else has then; nil: there is none.
func (r *runs) take(name string, store seal.StoreID) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.open[name]
	if v == nil || v.store != store {
		return nil
	}
	delete(r.open, name)
	return v
}

// keep keeps a run for the next call, under a new name, and forgets those that nobody
// goes on with.
func (r *runs) keep(v *run) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.used = time.Now()
	for name, other := range r.open {
		if v.used.Sub(other.used) > runIdle {
			delete(r.open, name)
		}
	}
	if r.open == nil {
		r.open = map[string]*run{}
	}
	name := rand.Text()
	r.open[name] = v
	return name
}

// VerifyLog implements pb.OwnerServiceHandler.
func (s *ownerService) VerifyLog(ctx context.Context, req *pb.VerifyLogRequest) (*pb.VerifyLogResponse, error) {
	id, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.run(ctx, id, req)
	if err != nil {
		return nil, err
	}
	if !v.finished {
		if v.finished, err = v.Step(ctx, runStep); err != nil {
			return nil, refuse(err)
		}
	} else if err := s.audit(ctx, v); err != nil {
		return nil, err
	}
	done, total := v.Progress()
	if v.finished && (!v.audit || v.next > total) {
		resp := v.Result()
		if err := v.Remember(resp); err != nil {
			s.daemon.options.Logger.Error("verification was not remembered", "store", id.String(), "error", err)
		}
		return resp, nil
	}
	if v.audit {
		done, total = done+v.next-1, 2*total
	}
	return &pb.VerifyLogResponse{Run: s.runs.keep(v), Done: done, Total: total}, nil
}

// audit has the projector open the next segments.
func (s *ownerService) audit(ctx context.Context, v *run) error {
	k, process, err := s.session(ctx, false)
	if err != nil {
		return err
	}
	_, total := v.Progress()
	resp, err := process.AuditLog(ctx, &pb.AuditLogRequest{From: v.next, To: total})
	if err != nil {
		return k.cut(err)
	}
	v.next = resp.GetNext()
	v.Audited(resp)
	return nil
}

// run begins a verification, or goes on with one.
func (s *ownerService) run(ctx context.Context, id seal.StoreID, req *pb.VerifyLogRequest) (*run, error) {
	if req.GetRun() != "" {
		if v := s.runs.take(req.GetRun(), id); v != nil {
			return v, nil
		}
		return nil, rpc.InvalidValue("run", "", "no such verification is under way: begin again")
	}
	v, err := s.daemon.ledger.Verify(ctx, id, []byte(req.GetCheckpoint()))
	if err != nil {
		return nil, refuseProof(err)
	}
	_, _, locked := s.session(ctx, false)
	return &run{Verification: v, store: id, audit: locked == nil, next: 1}, nil
}
