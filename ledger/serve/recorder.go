package serve

import (
	"context"
	"math"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
)

// A recorder writes reads into the log before they are answered: the first one of an
// (app, type, operation) in a minute, and every one that asks for a wider period
// than was recorded in that minute. It does the same whether there is anything to
// see or not.
type recorder struct {
	store interface {
		Record(ctx context.Context, app uint64, event *pb.Event) (uint64, error)
	}
	now func() time.Time

	mu     sync.Mutex
	minute int64
	seen   map[access]period
}

type access struct {
	app       uint64
	code      uint32
	operation string
}

// period is in microseconds since the Unix epoch, open ends at the extremes.
type period struct{ from, to int64 }

func newRecorder(s *ledger.Store) *recorder {
	return &recorder{store: s, now: time.Now, seen: map[access]period{}}
}

func periodOf(from, to *timestamppb.Timestamp) period {
	p := period{math.MinInt64, math.MaxInt64}
	if from != nil {
		p.from = from.AsTime().UnixMicro()
	}
	if to != nil {
		p.to = to.AsTime().UnixMicro()
	}
	return p
}

// Record returns when the read stands in the log.
func (r *recorder) Record(ctx context.Context, a access, p period) error {
	wider, minute, needed := r.widen(a, p)
	if !needed {
		return nil
	}
	event := &pb.AccessRecorded{App: a.app, Type: a.code, Operation: a.operation}
	if wider.from != math.MinInt64 || wider.to != math.MaxInt64 {
		event.From, event.To = wider.from, wider.to
	}
	if _, err := r.store.Record(ctx, a.app, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: event}}); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Where the minute has ended meanwhile, the next one begins with a record of its own.
	if minute == r.minute {
		r.seen[a] = wider
	}
	return nil
}

// widen returns the period to record, the minute it counts for, and whether it must
// be. What has not been recorded durably does not count, so two first reads at once
// record twice.
func (r *recorder) widen(a access, p period) (wider period, minute int64, needed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if minute = r.now().Unix() / 60; minute != r.minute {
		r.minute = minute
		clear(r.seen)
	}
	before, seen := r.seen[a]
	if !seen {
		return p, minute, true
	}
	wider = period{min(before.from, p.from), max(before.to, p.to)}
	return wider, minute, wider != before
}
