package projector

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
)

// keep has it decided for how long samples are kept.
func (e *eraser) keep(name string, months uint32) {
	e.t.Helper()
	set := &pb.RetentionSet{Months: months}
	if name != "" {
		set.Type = typeCodeOf(e.t, name)
	}
	if _, _, err := e.decide(&pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetRetention{SetRetention: set}}); err != nil {
		e.t.Fatal(err)
	}
}

// expired asks what is kept no longer.
func (e *eraser) expired() *pb.ExpiredDraft {
	e.t.Helper()
	resp, err := e.ReadRetention(e.t.Context(), &pb.ReadRetentionRequest{Sequence: e.head(), Find: true})
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.GetExpired()
}

func hideExpired(draft *pb.ExpiredDraft) *pb.SignDecisionRequest {
	return &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_HideExpired{HideExpired: draft}}
}

// What is kept no longer is found, until it is erased: also what was only deleted, by whomever,
// and when an erasure has ended early. Nothing else is.
func TestWhatIsKeptNoLongerIsFoundUntilItIsErased(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	h.saveObjects(t, 1)
	e := erasing(t, h)
	steps, workouts := typeCodeOf(t, "stepCount"), typeCodeOf(t, "workout")
	if got := e.expired(); got != nil {
		t.Errorf("nothing was decided, and %v is found", got)
	}
	e.keep("", 1200)
	e.keep("workout", 0)
	if got := e.expired(); got != nil {
		t.Errorf("all is young enough, and %v is found", got)
	}
	// Deleted by the owner, and still in the log.
	if _, _, err := e.decide(&pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_DeleteSamples{DeleteSamples: &pb.OwnerDeleted{
		Deletions: []*pb.DeletedSamples{{Type: steps}},
	}}}); err != nil {
		t.Fatal(err)
	}
	e.keep("stepCount", 6)
	want := &pb.ExpiredDraft{Month: authz.Month(time.Now().UnixMicro()), Types: []uint32{steps}}
	if got := e.expired(); !proto.Equal(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	for name, draft := range map[string]*pb.ExpiredDraft{
		"kept for good": {Month: want.GetMonth(), Types: []uint32{steps, workouts}}, "next month": {Month: authz.Month(want.GetMonth() + 40*24*3600_000_000), Types: []uint32{steps}},
	} {
		if _, _, err := e.decide(hideExpired(draft)); err == nil {
			t.Errorf("%s: it is signed", name)
		}
	}
	// It ends early, in another process.
	e.stop = func(step string) error {
		if step == "decide" {
			return errStopped
		}
		return nil
	}
	if _, err := e.eraseBy(hideExpired(want)); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	if err := e.shutdown(); err != nil {
		t.Fatal(err)
	}
	e = erasing(t, h)
	if got := e.expired(); !proto.Equal(got, want) {
		t.Errorf("hidden and not erased: found %v", got)
	}
	if samples, err := e.eraseBy(hideExpired(want)); err != nil || samples != 11 { // one is a workout's
		t.Errorf("%d samples, %v", samples, err)
	}
	known, err := e.ReadErasures(t.Context(), &pb.ReadErasuresRequest{Sequence: e.head()})
	if err != nil || len(known.GetErasures()) != 1 || known.GetErasures()[0].GetByPolicy() != want.GetMonth() {
		t.Errorf("%v, %v", known, err)
	}
	// Once a month, and after a change, whoever has the view open.
	h.save(t, 50, 1)
	if got := e.expired(); got != nil {
		t.Errorf("found again in the same month: %v", got)
	}
	e.keep("bodyMass", 6)
	if got := e.expired(); !proto.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if samples, err := e.eraseBy(hideExpired(want)); err != nil || samples != 1 {
		t.Errorf("%d samples, %v", samples, err)
	}
	e.keep("bodyMass", 7)
	if err := e.shutdown(); err != nil {
		t.Fatal(err)
	}
	if e = erasing(t, h); e.expired() != nil {
		t.Errorf("what is erased is found: %v", e.expired())
	}
}

// A clock that jumps far ahead makes nothing older than the log says.
func TestAClockFarAheadMakesNothingOlder(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	if err := h.store.WriteCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := erasing(t, h)
	e.keep("", 120)
	now := time.Now()
	err := e.using(t.Context(), e.head(), func(o *openStore, p *projection) error {
		for years, doubted := range map[int]bool{0: false, 50: true} {
			resp := &pb.ReadRetentionResponse{}
			if err := o.findExpired(t.Context(), p, now.AddDate(years, 0, 0).UnixMicro(), resp); err != nil {
				return err
			}
			if resp.GetExpired() != nil || doubted != (resp.GetDoubted() != 0) {
				t.Errorf("%d years ahead: %v", years, resp)
			}
		}
		// So that the test can fail.
		if types, err := p.expired(authz.Month(now.AddDate(50, 0, 0).UnixMicro())); err != nil || len(types) == 0 {
			t.Errorf("it would not be too old then: %v, %v", types, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// However a clock was wrong, and put right within a month, no time is known that has not been. Of
// one that is never wrong every time is known a month later.
func TestTimeIsKnownByAClockThatIsPutRight(t *testing.T) {
	const day = 24 * 3600 * 1_000_000
	rapid.Check(t, func(r *rapid.T) {
		var e evidence
		var right []int64
		wrong := false
		now := rapid.Int64Range(100, 200).Draw(r, "begin") * day
		for range rapid.IntRange(1, 20).Draw(r, "times") {
			if rapid.IntRange(0, 3).Draw(r, "wrong") == 0 {
				wrong = true
				// For a few days, far ahead or behind.
				at := now + rapid.SampledFrom([]int64{-50, 40, 400, 40_000}).Draw(r, "off")*day
				for range rapid.IntRange(1, 5).Draw(r, "wrong times") {
					e.add(at)
					at += rapid.Int64Range(0, 7).Draw(r, "wrong days") * day
				}
			}
			right = append(right, now)
			e.add(now)
			if e.known > now {
				r.Fatalf("%d is known on %d", e.known/day, now/day)
			}
			for _, t := range right {
				if !wrong && t <= now-leastDoubt && e.known < t {
					r.Fatalf("%d is known on %d, and not %d", e.known/day, now/day, t/day)
				}
			}
			now += rapid.Int64Range(0, 100).Draw(r, "days") * day
		}
	})
}
