package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// refusals writes into the log what was refused: at most once in a minute for the same
// reason, so that nobody can fill it with them. Whoever is refused does not wait for that,
// and never learns whether it could be done.
type refusals struct {
	store interface {
		Record(ctx context.Context, app uint64, events ...*pb.Event) (uint64, error)
	}
	now    func() time.Time
	logger *slog.Logger

	mu sync.Mutex
	// noted is what stands in the log of the minute, or is on its way there.
	minute  int64
	noted   map[refusal]bool
	writing map[chan struct{}]bool
}

// refusal is what is recorded once in a minute, whatever the value was.
type refusal struct {
	app                             uint64
	bundleID, operation, field, why string
}

// recordTimeout is how long a refusal is tried to be recorded.
const recordTimeout = time.Minute

func newRefusals(s *ledger.Store, logger *slog.Logger) *refusals {
	return &refusals{store: s, now: time.Now, logger: logger, writing: map[chan struct{}]bool{}}
}

// Note has a refusal recorded.
func (r *refusals) Note(e *pb.RefusalRecorded) {
	done := r.begin(e)
	if done == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		defer cancel()
		_, err := r.store.Record(ctx, e.GetApp(), &pb.Event{Body: &pb.Event_RefusalRecorded{RefusalRecorded: e}})
		if err != nil {
			r.logger.Error("a refusal could not be recorded", "error", err)
		}
		r.mu.Lock()
		delete(r.writing, done)
		r.mu.Unlock()
		close(done)
	}()
}

// begin returns what is closed when a refusal is recorded; nil: one like it was noted in this
// minute.
func (r *refusals) begin(e *pb.RefusalRecorded) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if minute := minuteOf(r.now()); r.noted == nil || minute != r.minute {
		r.minute, r.noted = minute, map[refusal]bool{}
	}
	this := refusal{e.GetApp(), e.GetBundleId(), e.GetOperation(), e.GetField(), e.GetWhy()}
	if r.noted[this] {
		return nil
	}
	done := make(chan struct{})
	r.noted[this], r.writing[done] = true, true
	return done
}

// Settle returns when the log has what was noted before, or cannot have it.
func (r *refusals) Settle() {
	r.mu.Lock()
	writing := slices.Collect(maps.Keys(r.writing))
	r.mu.Unlock()
	for _, done := range writing {
		<-done
	}
}

// refused notes what an app may not even ask for.
func (c caller) refused(operation string, err error) {
	if d := rpc.Detail(err); d.GetReason() == rpc.ReasonInvalidArgument {
		c.keeper.refusals.Note(&pb.RefusalRecorded{
			App: c.number(), Operation: operation, Field: d.GetField(), Value: d.GetValue(), Why: d.GetWhy(),
		})
	}
}

// maxBundleID is how much is recorded of what a manifest calls its app.
const maxBundleID = 155

// refused notes what is wrong with a manifest of the owner's.
func (s *ownerService) refused(ctx context.Context, operation string, m *pb.Manifest, err error) {
	d := rpc.Detail(err)
	switch d.GetReason() {
	case rpc.ReasonInvalidArgument, rpc.ReasonAlreadyExists, rpc.ReasonNotFound:
	default:
		return
	}
	k, failed := s.keeper(ctx)
	if failed != nil {
		return
	}
	id := m.GetBundleId()
	k.refusals.Note(&pb.RefusalRecorded{
		BundleId: strings.ToValidUTF8(id[:min(len(id), maxBundleID)], ""), Operation: operation,
		Field: d.GetField(), Value: d.GetValue(), Why: cmp.Or(d.GetWhy(), message(err)),
	})
}

func message(err error) string {
	var failure *connect.Error
	if errors.As(err, &failure) {
		return failure.Message()
	}
	return ""
}
