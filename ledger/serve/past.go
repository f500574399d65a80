package serve

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// maxPasts is how many sessions of the past a store has; the projector keeps fewer views.
const maxPasts = 1024

// pasts are the sessions with which the owner reads views of the past, and nothing else.
// Which view one is of, the projector knows. Whatever ends the owner's sessions ends them.
type pasts struct {
	mu   sync.Mutex
	open map[[32]byte]bool
}

// Add takes up a session.
func (p *pasts) Add(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil || len(p.open) == maxPasts {
		p.open = map[[32]byte]bool{}
	}
	p.open[sha256.Sum256([]byte(session))] = true
}

// Has tells whether it is one.
func (p *pasts) Has(session string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[sha256.Sum256([]byte(session))]
}

// Clear ends all of them.
func (p *pasts) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.open)
}

// OpenPast implements pb.OwnerServiceHandler.
func (s *ownerService) OpenPast(ctx context.Context, req *pb.OpenPastRequest) (*pb.OpenPastResponse, error) {
	if req.GetRun() == "" && req.GetAsOf() == nil {
		return nil, rpc.InvalidArgument("as_of", "missing: a segment or a time")
	}
	answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_OpenPast{OpenPast: req}})
	if err != nil {
		return nil, err
	}
	opened, err := decoded[pb.OpenPastResponse](answer)
	if err != nil || opened.GetSession() == "" {
		return opened, err
	}
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	k.pasts.Add(opened.GetSession())
	// What ended the sessions meanwhile may have been before this one was there.
	if _, _, err := s.session(ctx, false); err != nil {
		k.pasts.Clear()
		return nil, err
	}
	return opened, nil
}

// Replay implements pb.OwnerServiceHandler.
func (s *ownerService) Replay(ctx context.Context, req *pb.ReplayRequest) (*pb.ReplayResponse, error) {
	answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_Replay{Replay: req}})
	if err != nil {
		return nil, err
	}
	return rpc.Encoded(&pb.ReplayResponse{}, answer.GetAnswer()), nil
}

// ReadLog implements pb.OwnerServiceHandler. Whose samples are in the answer is recorded
// before it leaves.
func (s *ownerService) ReadLog(ctx context.Context, req *pb.ReadLogRequest) (*pb.ReadLogResponse, error) {
	if wait := time.Duration(req.GetWaitMs()) * time.Millisecond; wait > maxWait {
		return nil, rpc.InvalidValue("wait_ms", "", "at most 60000")
	}
	k, _, err := s.session(ctx, false)
	if err != nil {
		return nil, err
	}
	sequence, _, _ := k.store.Head()
	owner := caller{store: k.store, keeper: k, life: context.Background()}
	resp := &pb.ReadLogResponse{}
	err = s.daemon.await(ctx, owner, func(ctx context.Context, process Projector) error {
		answer, err := process.Read(ctx, &pb.ReadRequest{
			Reader: &pb.Reader{}, Sequence: sequence, Query: &pb.ReadRequest_ReadLog{ReadLog: req},
		})
		if err == nil {
			resp, err = decoded[pb.ReadLogResponse](answer)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.daemon.recorderOf(k).Record(ctx, 0, "log", resp.GetTypes(), periodOf(nil, nil)); err != nil {
		return nil, errUnrecorded(err)
	}
	return resp, nil
}
