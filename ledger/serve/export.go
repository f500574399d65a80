package serve

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// exportIdle is how long an export may pause.
const exportIdle = 10 * time.Minute

// exports are those of one store that are under way. Each was begun with a fresh session,
// and has a session of its own, with which samples and payloads can be read and nothing else.
// Whatever ends all sessions cuts all exports after that.
type exports struct {
	store interface {
		Record(ctx context.Context, app uint64, events ...*pb.Event) (uint64, error)
	}
	clock  clock
	logger *slog.Logger

	mu sync.Mutex
	// By the hash of their session.
	open map[[32]byte]*export
}

// export is one of them.
type export struct {
	// begun is what the log has of a disclosure; nil: the owner's own copy.
	begun *pb.DisclosureBegun

	mu     sync.Mutex
	used   time.Duration
	counts map[uint32]uint64
	// over: how much it was has been recorded, so that nothing may leave any more.
	over bool
}

// operation is what the access log calls its reads.
func (e *export) operation() string {
	if e.begun != nil {
		return "disclosure"
	}
	return "export"
}

// count adds what is about to be handed over. It may not be when the export has ended.
func (e *export) count(counts []*pb.DisclosureCount) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return errExportEnded()
	}
	for _, c := range counts {
		e.counts[c.GetType()] += c.GetCount()
	}
	return nil
}

func errExportEnded() error {
	return rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNotFound, Field: "session"}, "there is no such export: it was ended, perhaps by the lock")
}

// end ends a disclosure, and returns what the log has of it.
func (e *export) end(complete bool) *pb.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	ended := &pb.DisclosureEnded{Id: e.begun.GetId(), Time: e.begun.GetTime(), Complete: complete}
	for _, code := range slices.Sorted(maps.Keys(e.counts)) {
		ended.Counts = append(ended.Counts, &pb.DisclosureCount{Type: code, Count: e.counts[code]})
	}
	return &pb.Event{Body: &pb.Event_DisclosureEnded{DisclosureEnded: ended}}
}

// Open begins an export and returns its session. A disclosure is in the log before that.
func (x *exports) Open(ctx context.Context, begun *pb.DisclosureBegun) (string, error) {
	x.cut(func(e *export) bool { return x.clock.boot()-e.used > exportIdle })
	if begun != nil {
		begun.Id, begun.Time = make([]byte, 16), time.Now().UnixMicro()
		_, _ = rand.Read(begun.Id) // it never fails
		event := &pb.Event{Body: &pb.Event_DisclosureBegun{DisclosureBegun: begun}}
		if _, err := x.store.Record(ctx, 0, event); err != nil {
			return "", err
		}
	}
	session := rand.Text() + rand.Text()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open[sha256.Sum256([]byte(session))] = &export{begun: begun, used: x.clock.boot(), counts: map[uint32]uint64{}}
	return session, nil
}

// Use returns the export with a session, if it is under way.
func (x *exports) Use(session string) (*export, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.open[sha256.Sum256([]byte(session))]
	if !ok {
		return nil, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := x.clock.boot()
	if now-e.used > exportIdle {
		return nil, false
	}
	e.used = now
	return e, true
}

// Close ends an export, and records how much a disclosure was. There may be none.
func (x *exports) Close(ctx context.Context, session string, complete bool) (found bool, err error) {
	key := sha256.Sum256([]byte(session))
	x.mu.Lock()
	e, found := x.open[key]
	delete(x.open, key)
	x.mu.Unlock()
	if found && e.begun != nil {
		_, err = x.store.Record(ctx, 0, e.end(complete))
	}
	return found, err
}

// Cut ends all exports: the store is locked, or has another passphrase.
func (x *exports) Cut() { x.cut(func(*export) bool { return true }) }

func (x *exports) cut(over func(*export) bool) {
	var events []*pb.Event
	x.mu.Lock()
	for session, e := range x.open {
		if !over(e) {
			continue
		}
		delete(x.open, session)
		if e.begun != nil {
			events = append(events, e.end(false))
		}
	}
	x.mu.Unlock()
	if len(events) == 0 {
		return
	}
	if _, err := x.store.Record(context.Background(), 0, events...); err != nil {
		x.logger.Error("how much was disclosed could not be recorded", "error", err)
	}
}

// OpenExport implements pb.OwnerServiceHandler.
func (s *ownerService) OpenExport(ctx context.Context, req *pb.OpenExportRequest) (*pb.OpenExportResponse, error) {
	k, _, err := s.session(ctx, true)
	if err != nil {
		return nil, err
	}
	resp := &pb.OpenExportResponse{}
	var begun *pb.DisclosureBegun
	if req.GetDisclosure() != 0 {
		answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_OpenExport{OpenExport: req}})
		if err != nil {
			return nil, err
		}
		if begun, err = decoded[pb.DisclosureBegun](answer); err != nil {
			return nil, err
		}
		for _, code := range begun.GetTypes() {
			if t, ok := catalog.ByCode(code); ok {
				resp.Types = append(resp.Types, t.Short())
			}
		}
	} else if len(req.GetTypes()) > 0 || req.GetFrom() != nil || req.GetTo() != nil {
		return nil, rpc.InvalidArgument("disclosure", "missing: without one there is nothing to take less of")
	}
	if resp.Session, err = k.exports.Open(ctx, begun); err != nil {
		return nil, errUnrecorded(err)
	}
	// What ended the sessions meanwhile may have cut the exports before this one was there.
	if _, _, err := s.session(ctx, false); err != nil {
		// Where its end cannot be recorded it is unknown, as after a crash.
		_, _ = k.exports.Close(context.WithoutCancel(ctx), resp.GetSession(), false)
		return nil, err
	}
	return resp, nil
}

// CloseExport implements pb.OwnerServiceHandler.
func (s *ownerService) CloseExport(ctx context.Context, req *pb.CloseExportRequest) (*pb.CloseExportResponse, error) {
	k, err := s.keeper(ctx)
	if err != nil {
		return nil, err
	}
	switch found, err := k.exports.Close(ctx, req.GetSession(), req.GetComplete()); {
	case err != nil:
		return nil, rpc.Error(connect.CodeUnavailable, &pb.ErrorDetail{Reason: rpc.ReasonUnavailable}, "how much was disclosed could not be recorded")
	case !found:
		return nil, errExportEnded()
	}
	return &pb.CloseExportResponse{}, nil
}

// GrantDisclosure implements pb.OwnerServiceHandler.
func (s *ownerService) GrantDisclosure(ctx context.Context, req *pb.GrantDisclosureRequest) (*pb.GrantDisclosureResponse, error) {
	decision, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_GrantDisclosure{GrantDisclosure: req}})
	if err != nil {
		return nil, err
	}
	return &pb.GrantDisclosureResponse{Number: decision.GetNumber()}, nil
}

// RevokeDisclosure implements pb.OwnerServiceHandler.
func (s *ownerService) RevokeDisclosure(ctx context.Context, req *pb.RevokeDisclosureRequest) (*pb.RevokeDisclosureResponse, error) {
	if _, err := s.decide(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_RevokeDisclosure{RevokeDisclosure: req}}); err != nil {
		return nil, err
	}
	return &pb.RevokeDisclosureResponse{}, nil
}

// ListDisclosures implements pb.OwnerServiceHandler.
func (s *ownerService) ListDisclosures(ctx context.Context, req *pb.ListDisclosuresRequest) (*pb.ListDisclosuresResponse, error) {
	answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_Disclosures{Disclosures: req}})
	if err != nil {
		return nil, err
	}
	return rpc.Encoded(&pb.ListDisclosuresResponse{}, answer.GetAnswer()), nil
}

// AccountDisclosures implements pb.OwnerServiceHandler.
func (s *ownerService) AccountDisclosures(ctx context.Context, req *pb.AccountDisclosuresRequest) (*pb.AccountDisclosuresResponse, error) {
	answer, err := s.readAsOwner(ctx, &pb.ReadRequest{Query: &pb.ReadRequest_Account{Account: req}})
	if err != nil {
		return nil, err
	}
	return rpc.Encoded(&pb.AccountDisclosuresResponse{}, answer.GetAnswer()), nil
}
