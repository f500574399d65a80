package serve

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
)

// A recorder writes reads into the log before they are answered: the first one of an
// (app, type, operation) in a minute, and every one that asks for a wider period
// than was recorded in that minute. How many there were follows when the minute is over
// or the store is locked. It does the same whether there is anything to see or not.
type recorder struct {
	store interface {
		Record(ctx context.Context, app uint64, events ...*pb.Event) (uint64, error)
	}
	now func() time.Time
	// after calls a function once, later.
	after  func(time.Duration, func()) *time.Timer
	logger *slog.Logger

	// flushing lets one flush at a time through.
	flushing sync.Mutex

	mu      sync.Mutex
	tallies map[access]*tally
	// timer flushes when the minute is over; nil: nothing is counted.
	timer *time.Timer
}

// access is what is counted.
type access struct {
	app       uint64
	code      uint32
	operation string
	minute    int64 // since the Unix epoch
}

// tally is the count of an access since it began.
type tally struct {
	id    uint32
	count uint64
	// pending reads are on their way into the log.
	pending int
	// The period that a record in the log has, if there is one.
	recorded bool
	period   period
}

// period is in microseconds since the Unix epoch, open ends at the extremes.
type period struct{ from, to int64 }

func newRecorder(s *ledger.Store, logger *slog.Logger) *recorder {
	return &recorder{store: s, now: time.Now, after: time.AfterFunc, logger: logger, tallies: map[access]*tally{}}
}

// Recorder gives a function that records reads of a store as the daemon does before it
// answers them, for measuring what that costs, and one that ends it.
func Recorder(s *ledger.Store, logger *slog.Logger) (
	record func(ctx context.Context, app uint64, operation string, codes []uint32, from, to *timestamppb.Timestamp) error, end func(),
) {
	r := newRecorder(s, logger)
	return func(ctx context.Context, app uint64, operation string, codes []uint32, from, to *timestamppb.Timestamp) error {
		return r.Record(ctx, app, operation, codes, periodOf(from, to))
	}, r.Close
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

// with returns the period that holds both.
func (p period) with(q period) period { return period{min(p.from, q.from), max(p.to, q.to)} }

// asked is one type of a call.
type asked struct {
	access
	*tally
	// record, if one is needed, has the period.
	record *pb.AccessRecorded
	period period
}

// Record returns when reads of these types stand in the log, all of them in one segment.
// After an error they must not be answered.
func (r *recorder) Record(ctx context.Context, app uint64, operation string, codes []uint32, p period) error {
	reads := r.begin(app, operation, slices.Compact(slices.Sorted(slices.Values(codes))), p)
	var events []*pb.Event
	for _, read := range reads {
		if read.record != nil {
			events = append(events, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: read.record}})
		}
	}
	var err error
	if len(events) > 0 {
		_, err = r.store.Record(ctx, app, events...)
	}
	r.end(reads, err == nil)
	return err
}

// begin finds out what has to be recorded of different types. What has not been recorded durably does not
// count, so two first reads at once record twice.
func (r *recorder) begin(app uint64, operation string, codes []uint32, p period) (reads []asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	minute := minuteOf(r.now())
	for _, code := range codes {
		a, wider := access{app, code, operation, minute}, p
		t := r.tallies[a]
		if t == nil {
			t = &tally{id: rand.Uint32()}
			r.tallies[a] = t
		}
		if t.pending++; t.recorded {
			wider = t.period.with(p)
		}
		one := asked{access: a, tally: t, period: wider}
		if !t.recorded || wider != t.period {
			one.record = &pb.AccessRecorded{App: app, Type: code, Operation: operation, Minute: minute, CountedBy: t.id}
			if wider.from != math.MinInt64 || wider.to != math.MaxInt64 {
				one.record.From, one.record.To = wider.from, wider.to
			}
		}
		reads = append(reads, one)
	}
	r.arm()
	return reads
}

// end counts reads that are recorded. They count for the minute of their record, however
// long that took.
func (r *recorder) end(reads []asked, recorded bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, read := range reads {
		t := read.tally
		t.pending--
		if recorded {
			t.count++
		}
		if recorded && read.record != nil {
			t.recorded, t.period = true, read.period
		}
		if t.pending == 0 && !t.recorded {
			delete(r.tallies, read.access)
		}
	}
}

func minuteOf(t time.Time) int64 {
	return t.Truncate(time.Minute).Unix() / 60
}

// arm sees to a flush at the end of the minute. It needs mu.
func (r *recorder) arm() {
	if r.timer != nil || len(r.tallies) == 0 {
		return
	}
	now := r.now()
	r.timer = r.after(now.Truncate(time.Minute).Add(time.Minute).Sub(now), func() {
		r.mu.Lock()
		r.timer = nil
		r.mu.Unlock()
		r.flush(func(a access) bool { return a.minute != minuteOf(r.now()) })
		r.mu.Lock()
		r.arm()
		r.mu.Unlock()
	})
}

// Flush records all counts as they are. Reads that come later begin new ones.
func (r *recorder) Flush() { r.flush(func(access) bool { return true }) }

// Close is a last Flush. Nothing may be recorded after it.
func (r *recorder) Close() {
	r.mu.Lock()
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.Flush()
}

// flush records and ends the counts that are over. One that cannot be recorded is
// unknown to the owner, as after a crash: if it was tried again it might stand there twice.
func (r *recorder) flush(over func(access) bool) {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	var writing sync.WaitGroup
	for app, counts := range r.take(over) {
		writing.Go(func() {
			event := &pb.Event{Body: &pb.Event_AccessCounted{AccessCounted: &pb.AccessCounted{App: app, Counts: counts}}}
			if _, err := r.store.Record(context.Background(), app, event); err != nil {
				r.logger.Error("how often an app has read could not be recorded", "error", err)
			}
		})
	}
	writing.Wait()
}

// take removes the counts that are over, by app.
func (r *recorder) take(over func(access) bool) map[uint64][]*pb.AccessCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[uint64][]*pb.AccessCount{}
	for a, t := range r.tallies {
		if t.pending > 0 || !over(a) {
			continue
		}
		delete(r.tallies, a)
		taken[a.app] = append(taken[a.app], &pb.AccessCount{Type: a.code, Operation: a.operation, Minute: a.minute, Count: t.count})
	}
	for _, counts := range taken {
		slices.SortFunc(counts, func(a, b *pb.AccessCount) int {
			return cmp.Or(cmp.Compare(a.GetMinute(), b.GetMinute()), cmp.Compare(a.GetType(), b.GetType()), cmp.Compare(a.GetOperation(), b.GetOperation()))
		})
	}
	return taken
}
