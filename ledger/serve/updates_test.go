package serve

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// updating is the part of a projector that knows what is due.
type updating struct {
	mu      sync.Mutex
	updates []*pb.DueUpdate
	// When the updates are due; zero: at once.
	from    time.Time
	changed chan struct{}
}

func newUpdating() *updating { return &updating{changed: make(chan struct{})} }

func (u *updating) set(updates ...*pb.DueUpdate) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.updates = updates
	close(u.changed)
	u.changed = make(chan struct{})
}

func (u *updating) due(ctx context.Context, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	over := time.After(time.Duration(req.GetDue().GetWaitMs()) * time.Millisecond)
	for waited := false; ; {
		u.mu.Lock()
		found := slices.DeleteFunc(slices.Clone(u.updates), func(d *pb.DueUpdate) bool {
			return req.GetReader().GetApp() != 0 && req.GetReader().GetApp() != d.GetApp()
		})
		changed, again := u.changed, int64(0)
		if at := time.UnixMicro(req.GetDue().GetAt()); u.from.After(at) {
			found, again = nil, u.from.UnixMicro()
		}
		u.mu.Unlock()
		if len(found) > 0 || waited {
			return answered(&pb.DueResponse{Updates: found, Again: again}), nil
		}
		select {
		case <-changed:
		case <-over:
			waited = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// listen sends the types of the updates that come to the front's app, at once.
func (f *front) listen(t *testing.T) <-chan *pb.Update {
	ch, ready := make(chan *pb.Update, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		close(ready)
		for u, err := range f.app.Updates(ctx) {
			if err == nil {
				ch <- u
			}
		}
	}()
	<-ready
	return ch
}

func receive(t *testing.T, ch <-chan *pb.Update, name string) *pb.Update {
	t.Helper()
	select {
	case u := <-ch:
		if u.GetType() != name {
			t.Fatalf("an update of %s, want %s", u.GetType(), name)
		}
		return u
	case <-time.After(8 * time.Second):
		t.Fatalf("no update of %s", name)
	}
	return nil
}

// save makes the log longer, so that the pusher looks.
func (f *front) save(t *testing.T) {
	t.Helper()
	if _, err := f.app.Health().SavePart(t.Context(), aPart()); err != nil {
		t.Fatal(err)
	}
}

const importerNumber = 2

func dueTo(app uint64, code uint32, after uint64) *pb.DueUpdate {
	return &pb.DueUpdate{App: app, Type: code, Sequence: after + 5, After: after}
}

func TestUpdatesArePushedAfterTheUnlockUntilAcknowledged(t *testing.T) {
	f := newFront(t)
	steps, rate := codeOf(t, "stepCount"), codeOf(t, "heartRate")
	f.projector.set(dueTo(importerNumber, steps, 1), dueTo(99, rate, 1))
	updates := f.listen(t)
	f.save(t)
	select {
	case u := <-updates:
		t.Fatal("told while locked", u)
	case <-time.After(3 * pushPace):
	}
	before, _, _ := f.store.Head()
	f.unlock(t)
	u := receive(t, updates, "stepCount")
	if after, _, _ := f.store.Head(); after != before+2 { // and a checkpoint
		t.Errorf("%d segments of an update", after-before)
	}
	if again := receive(t, updates, "stepCount"); again.GetToken() == u.GetToken() {
		t.Error("two tokens are alike")
	}
	if err := f.app.AckUpdates(t.Context(), u); err != nil {
		t.Error(err)
	}
	f.projector.set(dueTo(importerNumber, rate, 7))
	f.save(t)
	receive(t, updates, "heartRate")
	f.projector.set()
	if _, err := f.owner.Owner().Lock(t.Context(), &pb.LockRequest{}); err != nil {
		t.Fatal(err)
	}
	f.projector.set(dueTo(importerNumber, steps, 20))
	f.save(t)
	select {
	case u := <-updates:
		t.Error("told after the lock", u)
	case <-time.After(3 * pushPace):
	}
}

// Nobody else's change is needed for an hourly update to come when its hour is over.
func TestUpdateIsPushedWhenItIsDueAndNotBefore(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	updates := f.listen(t)
	time.Sleep(2 * pushPace)
	from := time.Now().Add(6 * pushPace)
	f.projector.updating.mu.Lock()
	f.projector.updates, f.projector.from = []*pb.DueUpdate{dueTo(importerNumber, codeOf(t, "stepCount"), 1)}, from
	f.projector.updating.mu.Unlock()
	f.save(t)
	receive(t, updates, "stepCount")
	if late := time.Since(from); late < 0 || late > 4*time.Second {
		t.Errorf("an update came %v after it was due", late)
	}
}

func codeOf(t *testing.T, name string) uint32 {
	t.Helper()
	code, err := ledger.TypeCode("type", name)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestUpdatesAreAskedForAndRecorded(t *testing.T) {
	f := newFront(t)
	ask := func(wait uint32) (*pb.QueryUpdatesResponse, error) {
		return f.app.Health().QueryUpdates(t.Context(), &pb.QueryUpdatesRequest{WaitMs: wait})
	}
	if _, err := ask(0); rpc.Reason(err) != rpc.ReasonStoreLocked {
		t.Error(err)
	}
	f.unlock(t)
	before, _, _ := f.store.Head()
	if r, err := ask(20); err != nil || len(r.GetUpdates()) > 0 {
		t.Error(r, err)
	}
	if after, _, _ := f.store.Head(); after != before {
		t.Error("nothing was told, and recorded")
	}
	if _, err := ask(60_001); rpc.Detail(err).GetField() != "wait_ms" {
		t.Error(err)
	}
	if _, err := f.owner.Health().QueryUpdates(t.Context(), &pb.QueryUpdatesRequest{}); rpc.Reason(err) != rpc.ReasonPermissionDenied {
		t.Error(err)
	}
	time.AfterFunc(30*time.Millisecond, func() { f.projector.set(dueTo(importerNumber, codeOf(t, "stepCount"), 1)) })
	r, err := ask(60_000)
	if err != nil || len(r.GetUpdates()) != 1 || r.GetUpdates()[0].GetType() != "stepCount" {
		t.Fatal(r, err)
	}
	if after, _, _ := f.store.Head(); after == before {
		t.Error("an update was told, and not recorded")
	}
	if err := f.app.AckUpdates(t.Context(), r.GetUpdates()...); err != nil {
		t.Error(err)
	}
	// Who waits at the lock is told of it.
	f.projector.set()
	time.AfterFunc(30*time.Millisecond, func() { _, _ = f.owner.Owner().Lock(context.Background(), &pb.LockRequest{}) })
	if _, err := ask(60_000); rpc.Reason(err) != rpc.ReasonStoreLocked {
		t.Error(err)
	}
}

func TestOwnerHasNoUpdates(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	_, err := f.owner.Health().SetUpdates(t.Context(), &pb.SetUpdatesRequest{Type: "stepCount", Frequency: pb.Frequency_FREQUENCY_DAILY})
	if rpc.Reason(err) != rpc.ReasonPermissionDenied {
		t.Error(err)
	}
	if _, err := f.owner.Health().AckUpdates(t.Context(), &pb.AckUpdatesRequest{}); rpc.Reason(err) != rpc.ReasonPermissionDenied {
		t.Error(err)
	}
}

// An update comes at the first look that begins when it is due, then 1 s, 2 s, 4 s … 1 h after the last time, until
// it is not due any more; more changes before an acknowledgement do not hurry it.
func TestPusherBacksOff(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := &pusher{}
		now := time.Unix(1_700_000_000, 0)
		type state struct {
			times int
			// first: it is not told before; last: it was told then.
			first, last time.Time
		}
		model := map[told]*state{}
		for range rapid.IntRange(1, 60).Draw(r, "looks") {
			now = now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, 3000), rapid.Int64Range(0, 5_000_000)).Draw(r, "ms")) * time.Millisecond)
			var due []*pb.DueUpdate
			seen := map[told]bool{}
			for _, app := range []uint64{1, 2} {
				if rapid.IntRange(0, 9).Draw(r, "due") > 0 {
					d := dueTo(app, 7, rapid.SampledFrom([]uint64{3, 3, 3, 3, 4}).Draw(r, "after"))
					d.Sequence += rapid.Uint64Range(0, 3).Draw(r, "more")
					due, seen[told{app, 7, d.After}] = append(due, d), true
				}
			}
			sequence := rapid.Uint64Range(8, 13).Draw(r, "sequence")
			again := now.Add(time.Duration(rapid.Int64Range(1, 100).Draw(r, "again")) * time.Second)
			pick, next := p.pick(&pb.DueResponse{Updates: due, Again: again.UnixMicro()}, sequence, now)
			wantNext := now.Add(pushIdle)
			if again.Before(wantNext) {
				wantNext = again
			}
			for _, d := range due {
				key := told{d.App, d.Type, d.After}
				s := model[key]
				if s == nil {
					s = &state{first: now}
					if d.Sequence > sequence {
						s.first = now.Add(pushPace)
					}
					model[key] = s
				}
				wait := func() time.Duration { return min(time.Second<<min(max(s.times-1, 0), 20), time.Hour) }
				want := s.times == 0 && !now.Before(s.first) || s.times > 0 && now.Sub(s.last) >= wait()
				if got := slices.Contains(pick[d.App], d); got != want {
					r.Fatalf("told %d times, %v ago: %v", s.times, now.Sub(s.last), got)
				}
				if want {
					s.times, s.last = s.times+1, now
				}
				at := s.first
				if s.times > 0 {
					at = s.last.Add(wait())
				}
				if at.Before(wantNext) {
					wantNext = at
				}
			}
			for key := range model {
				if !seen[key] {
					delete(model, key)
				}
			}
			if !next.Equal(wantNext) {
				r.Fatalf("looks again in %v, want %v", next.Sub(now), wantNext.Sub(now))
			}
		}
	})
}

// What an app is told, and when, is the same whatever else happens in the store: looks that
// hidden changes bring tell nothing earlier.
func TestHiddenChangesDoNotMoveUpdates(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		begin := time.Unix(1_700_000_000, 0)
		// Within a while that has whole multiples of the pace among its times, and times beside them.
		drawTimes := func(label string, apart int64) (times []time.Time) {
			at := int64(0)
			for _, passed := range rapid.SliceOfN(rapid.Int64Range(apart, 40), 0, 40).Draw(r, label) {
				at += passed
				times = append(times, begin.Add(time.Duration(at)*10*time.Millisecond))
			}
			return times
		}
		// Two changes that an app sees are not both in the first moments of looks.
		visible, hidden := drawTimes("visible", 8), drawTimes("hidden", 0)
		dueFrom := begin.Add(time.Duration(rapid.Int64Range(-100, 300).Draw(r, "due")) * 10 * time.Millisecond)
		late := time.Duration(rapid.Int64Range(1, 25).Draw(r, "late")) * time.Millisecond
		end := begin.Add(5 * time.Second)
		world := func(all []time.Time) (told []time.Time) {
			p := &pusher{}
			for look := begin; look.Before(end); {
				// What comes just after the look has begun is seen by it, or not.
				seen := look.Add(late)
				found, sequence := &pb.DueResponse{}, uint64(len(before(visible, look.Add(-1))))
				if changes := uint64(len(before(visible, seen))); changes > 0 && !look.Before(dueFrom) {
					found.Updates = []*pb.DueUpdate{{App: 1, Type: 7, Sequence: changes}}
				} else if changes > 0 {
					found.Again = dueFrom.UnixMicro()
				}
				pick, next := p.pick(found, sequence, look)
				if len(pick[1]) > 0 {
					told = append(told, look)
				}
				over := next.Add(late)
				if rest := all[len(before(all, look.Add(-1))):]; len(rest) > 0 && rest[0].Before(next) {
					over = rest[0]
				}
				if over.Before(seen) {
					over = seen
				}
				look = lookAt(seen, over, next)
			}
			return told
		}
		both := slices.SortedFunc(slices.Values(slices.Concat(visible, hidden)), time.Time.Compare)
		if with, without := world(both), world(visible); !slices.Equal(with, without) {
			r.Fatalf("told at %v, and without hidden changes at %v", with, without)
		}
	})
}

// before returns the times that are not after another.
func before(times []time.Time, last time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return t.After(last) })
}
