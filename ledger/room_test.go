package ledger

import (
	"errors"
	"testing"

	"healthledger/authz"
	"healthledger/authz/authztest"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// full is a disk with room for nothing but some uses.
type full struct{ except []disk.Use }

func (f *full) room(use disk.Use) error {
	for _, u := range f.except {
		if u == use {
			return nil
		}
	}
	return log.ErrNoSpace
}

// writes are the calls by which apps write.
func (h *home) writes(app *authz.App) map[string]error {
	s, ctx, errs := h.live(), h.t.Context(), map[string]error{}
	_, errs["Save"] = s.Save(ctx, app, request(steps(1, 1)))
	_, errs["SavePart"] = s.SavePart(ctx, app, part("stepCount", 1, &pb.Chunk{Quantities: &pb.Quantities{Offset: []int64{1}, Value: []float64{2}}}))
	_, errs["Delete"] = s.Delete(ctx, app, deleteRequest(&pb.Deletion{Type: "stepCount", Uuids: []string{someUUID}}))
	_, errs["SetUpdates"] = s.SetUpdates(ctx, app, &pb.SetUpdatesRequest{Type: "stepCount", Frequency: pb.Frequency_FREQUENCY_HOURLY})
	_, errs["AckUpdates"] = s.AckUpdates(ctx, app, &pb.AckUpdatesRequest{Tokens: []string{h.update(app, "stepCount", 1)}})
	_, errs["RequestAuthorization"] = s.RequestAuthorization(ctx, app, &pb.RequestAuthorizationRequest{Read: []string{"stepCount"}})
	_, errs["RequestObjectAuthorization"] = s.RequestObjectAuthorization(ctx, app, &pb.RequestObjectAuthorizationRequest{Type: "visionPrescription"})
	return errs
}

// On a disk that is nearly full apps write nothing, each told in the same words, and the
// reserve is for records and decisions; when it is used up, for nobody. With room it all
// goes on, and no part of what was refused is in the log.
func TestWritesAreRefusedEarlyAndTheReserveIsForTheOwner(t *testing.T) {
	h := newHome(t)
	a, b := h.addApp("org.example.a", code(t, "stepCount")), h.addApp("org.example.b", code(t, "stepCount"))
	f := &full{except: []disk.Use{disk.Reserved}}
	h.room = f.room
	h.reopen(nil)
	before, _, _ := h.live().Head()
	words := ""
	for _, app := range []*authz.App{a, b} {
		for method, err := range h.writes(app) {
			if words == "" && err != nil {
				words = err.Error()
			}
			if rpc.Reason(err) != rpc.ReasonNoSpace || err.Error() != words {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
	access := func() error {
		_, err := h.live().Record(t.Context(), a.Number, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{App: a.Number}}})
		return err
	}
	refusal := func() error {
		_, err := h.live().Record(t.Context(), a.Number, &pb.Event{Body: &pb.Event_RefusalRecorded{RefusalRecorded: &pb.RefusalRecorded{App: a.Number}}})
		return err
	}
	if err := refusal(); !errors.Is(err, log.ErrNoSpace) {
		t.Error("a refusal that an app can repeat:", err)
	}
	if err := access(); err != nil {
		t.Error("a record of a read:", err)
	}
	reseal := func() error {
		_, err := h.live().Reseal(t.Context(), []*pb.Resealed{{Sealed: make([]byte, 16)}})
		return err
	}
	if err := reseal(); err != nil {
		t.Error("what an erasure leaves:", err)
	}
	if err := h.live().WriteCheckpoint(t.Context()); err != nil {
		t.Error("a checkpoint:", err)
	}
	h.decide(h.author.AddApp(1, &pb.AppDraft{Manifest: authztest.Manifest("org.example.c"), Key: NewAppKey(), TokenHash: make([]byte, 32)}, false, nil))
	if head, _, _ := h.live().Head(); head != before+5 {
		t.Errorf("%d segments, want the record, what is left, the checkpoint, the decision and its detail", head-before)
	}

	f.except = nil
	before, _, _ = h.live().Head()
	forged := &pb.NewDecision{Decision: &pb.SignedDecision{}}
	if _, err := h.live().Decide(t.Context(), forged); !errors.Is(err, log.ErrNoSpace) {
		t.Error("a decision without the reserve:", err)
	}
	if err := access(); !errors.Is(err, log.ErrNoSpace) {
		t.Error("a record of a read without the reserve:", err)
	}
	if err := reseal(); !errors.Is(err, log.ErrNoSpace) {
		t.Error("what an erasure leaves, without the reserve:", err)
	}
	if err := h.live().WriteCheckpoint(t.Context()); !errors.Is(err, log.ErrNoSpace) {
		t.Error("a checkpoint without the reserve:", err)
	}
	if head, _, _ := h.live().Head(); head != before {
		t.Errorf("%d segments were written", head-before)
	}

	f.except = []disk.Use{disk.Ordinary, disk.Reserved}
	for method, err := range h.writes(a) {
		if err != nil {
			t.Errorf("%s, with room again: %v", method, err)
		}
	}
	if err := refusal(); err != nil {
		t.Error(err)
	}
}
