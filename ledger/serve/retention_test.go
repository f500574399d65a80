package serve

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// What is kept no longer is hidden at unlock and when the owner asks for it, unless there is
// nothing, or the clock is wrong.
func TestNothingIsHiddenForItsAgeByAWrongClock(t *testing.T) {
	expired := &pb.ExpiredDraft{Month: 1_700_000_000_000_000, Types: []uint32{1}}
	for name, c := range map[string]struct {
		found *pb.ExpiredDraft
		set   time.Duration
		want  bool
	}{
		"right":   {found: expired, want: true},
		"nothing": {},
		"forward": {found: expired, set: 48 * time.Hour},
		"back":    {found: expired, set: -48 * time.Hour},
	} {
		f := newFront(t)
		f.projector.retention = &pb.ReadRetentionResponse{
			Retention: []*pb.RetentionSet{{Months: 12}, {Type: 1}}, Expired: c.found, Doubted: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).UnixMicro(),
		}
		f.steps = newSteps(systemClock{}, time.Now)
		f.steps.startWall = f.steps.startWall.Add(-c.set)
		f.unlock(t)
		drafts := []*pb.SignDecisionRequest{}
		if c.want {
			drafts = append(drafts, <-f.projector.signed) // nobody has asked
		}
		err := f.erase(t, &pb.EraseRequest{ByPolicy: true})
		if refused := connect.CodeOf(err) == connect.CodeFailedPrecondition; c.set != 0 && !refused || c.found == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want {
			drafts = append(drafts, <-f.projector.signed)
		}
		for _, draft := range drafts {
			if !proto.Equal(draft.GetHideExpired(), expired) {
				t.Errorf("%s: asked to be signed: %v", name, draft)
			}
		}
		if n := len(f.projector.signed); n > 0 {
			t.Errorf("%s: %d more were to be signed", name, n)
		}
		status := f.status(t)
		if len(status.GetRetention()) != 2 || !strings.Contains(strings.Join(status.GetWarnings(), " "), "as of 2026-05-01") {
			t.Errorf("%s: %v", name, status)
		}
		if told := strings.Contains(strings.Join(status.GetWarnings(), " "), "nothing is erased for its age"); told != (c.set != 0) {
			t.Errorf("%s: %q", name, status.GetWarnings())
		}
	}
}

// erase erases when nothing else is erased any more.
func (f *front) erase(t *testing.T, req *pb.EraseRequest) (err error) {
	eventually(t, "no other erasure", func() bool {
		_, err = f.owner.Owner().Erase(t.Context(), req)
		return rpc.Reason(err) != rpc.ReasonBusy
	})
	return err
}

// Whoever erases while something is erased, for its age or not, is told to try again.
func TestOneErasureAtATime(t *testing.T) {
	f := newFront(t)
	f.projector.retention = &pb.ReadRetentionResponse{Expired: &pb.ExpiredDraft{Month: 1_700_000_000_000_000, Types: []uint32{1}}}
	f.projector.signed = make(chan *pb.SignDecisionRequest) // nothing is signed before somebody looks
	f.unlock(t)
	all := []*pb.EraseRequest{{ByPolicy: true}, {Type: "stepCount"}}
	for _, req := range all {
		eventually(t, "the erasure at unlock is under way", func() bool {
			_, err := f.owner.Owner().Erase(t.Context(), req)
			return rpc.Reason(err) == rpc.ReasonBusy
		})
	}
	signed := f.projector.signed
	go func() {
		for range 1 + len(all) {
			<-signed
		}
	}()
	for _, req := range all {
		if err := f.erase(t, req); rpc.Reason(err) != rpc.ReasonNotFound {
			t.Error(err)
		}
	}
}

// A projector does not wait for the rest of an erasure that has failed in the daemon.
func TestAnErasureThatFailsIsCancelled(t *testing.T) {
	f := newFront(t)
	author := f.author(t)
	f.projector.sign = func(req *pb.SignDecisionRequest) (*pb.NewDecision, error) {
		return author.DeleteSamples(time.Now().UnixMicro(), &pb.OwnerDeleted{Deletions: req.GetHide().GetDeletions()})
	}
	f.unlock(t)
	resp, err := f.owner.Owner().Erase(t.Context(), &pb.EraseRequest{Type: "stepCount"})
	if err == nil {
		t.Error("it has not failed:", resp)
	}
	select {
	case <-f.projector.cancelled:
	case <-time.After(10 * time.Second):
		t.Error("it was not cancelled")
	}
}

var errUnsigned = rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNotFound, Field: "bundle_id"}, "app %s: there has never been such an app", noApp)

const noApp = "com.example.unheard-of"
