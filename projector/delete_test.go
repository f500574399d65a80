package projector

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// outcomeOf asks what became of a request of the reader's.
func outcomeOf(t testing.TB, s *service, app uint64, of *pb.Outcome) *pb.QueryOutcomeResponse {
	t.Helper()
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Outcome{Outcome: of}})
	if err != nil {
		t.Fatal(err)
	}
	return answer[pb.QueryOutcomeResponse](resp)
}

func stepsOf(t testing.TB, s *service) int {
	t.Helper()
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{}, Query: &pb.ReadRequest_Samples{
		Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return len(answer[pb.QuerySamplesResponse](resp).GetSamples())
}

// firstMinutes are the steps of the first n minutes that house.save saves.
func firstMinutes(t testing.TB, n int) *pb.DeletedSamples {
	to := time.Date(2024, 5, 1, 0, n, 0, 0, time.UTC).UnixMicro()
	return &pb.DeletedSamples{Type: codeOf(t, "stepCount"), To: &to}
}

func deletesSamples(d ...*pb.DeletedSamples) *pb.SignDecisionRequest {
	return &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_DeleteSamples{DeleteSamples: &pb.OwnerDeleted{Deletions: d}}}
}

func TestOwnerDeletesWhatAnybodySaved(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	s := h.opened(t)
	h.decide(t, s, deletesSamples(firstMinutes(t, 4)))
	number, _ := h.store.State().Head()
	if got := outcomeOf(t, s, 0, &pb.Outcome{Decision: number}); got.GetDeleted() != 4 || stepsOf(t, s) != 6 {
		t.Fatal(got, stepsOf(t, s))
	}
	// What there is no more is not deleted again, and an earlier decision keeps its count.
	h.decide(t, s, deletesSamples(firstMinutes(t, 5)))
	for decision, want := range map[uint64]uint64{number: 4, number + 1: 1, number + 2: 0} {
		if got := outcomeOf(t, s, 0, &pb.Outcome{Decision: decision}); got.GetDeleted() != want {
			t.Errorf("decision %d deleted %d, want %d", decision, got.GetDeleted(), want)
		}
	}
	// Apps learn nothing of it.
	id := make([]byte, 16)
	id[15] = byte(number)
	if got := outcomeOf(t, s, h.app.Number, &pb.Outcome{RequestId: id, Decision: number}); !proto.Equal(got, &pb.QueryOutcomeResponse{}) {
		t.Error("an app sees what the owner deleted:", got)
	}
	want := mustDump(t, s)
	// Another projector that reads the log from its start deletes the same.
	payloads := h.payloads(t)
	fresh := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, fresh, payloads)
	if got := mustDump(t, fresh); got != want {
		t.Error("rebuilt, the view differs")
	}
	if got := outcomeOf(t, fresh, 0, &pb.Outcome{Decision: number}); got.GetDeleted() != 4 {
		t.Error("rebuilt, the count differs:", got)
	}
}

// Who can write to the log but not sign for the owner cannot delete for the owner.
func TestDetailThatNoDecisionNamesDeletesNothing(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	s := h.opened(t)
	number, _ := h.store.State().Head()
	detail, err := proto.Marshal(&pb.DecisionDetail{Number: number + 1, Salt: make([]byte, 16), Body: &pb.DecisionDetail_OwnerDeleted{
		OwnerDeleted: &pb.OwnerDeleted{Deletions: []*pb.DeletedSamples{firstMinutes(t, 4)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Record(t.Context(), 0, &pb.Event{Body: &pb.Event_DecisionDetail{DecisionDetail: detail}}); err != nil {
		t.Fatal(err)
	}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetPolicy{SetPolicy: &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE}}})
	if got := stepsOf(t, s); got != 10 {
		t.Errorf("%d are left", got)
	}
}

func TestOutcomeTellsWhatARequestDid(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	s := h.opened(t)
	saved := make([]byte, 16)
	if got := outcomeOf(t, s, h.app.Number, &pb.Outcome{RequestId: saved}); got.GetStored() != 10 || got.GetDeleted() != 0 {
		t.Error(got)
	}
	req := &pb.DeleteRequest{RequestId: []byte("0123456789abcdef"), Deletions: []*pb.Deletion{
		{Type: "stepCount", To: timestamppb.New(time.Date(2024, 5, 1, 0, 3, 0, 0, time.UTC))},
		{Type: "stepCount", Uuids: []string{"6ba7b810-9dad-41d1-80b4-00c04fd40001"}},
	}}
	for range 2 { // a repetition deletes nothing more, and says the same
		answer, err := h.store.Delete(t.Context(), h.app, req)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := h.store.Receipt(h.app, answer.GetReceipt())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: receipt.Sequence, Wait: true}); err != nil {
			t.Fatal(err)
		}
		got := outcomeOf(t, s, h.app.Number, &pb.Outcome{RequestId: receipt.RequestID[:]})
		if want := (&pb.QueryOutcomeResponse{Deleted: 3}); !proto.Equal(got, want) || stepsOf(t, s) != 7 {
			t.Error(got, stepsOf(t, s))
		}
	}
	// Another app's requests, and those that there were none of, are the same.
	for _, of := range []*pb.Outcome{{RequestId: req.GetRequestId()}, {RequestId: []byte("another request!")}} {
		if got := outcomeOf(t, s, h.app.Number+7, of); !proto.Equal(got, &pb.QueryOutcomeResponse{}) {
			t.Error(got)
		}
	}
	_, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: h.app.Number}, Query: &pb.ReadRequest_Outcome{Outcome: &pb.Outcome{}}})
	if rpc.Reason(err) != rpc.ReasonInternal {
		t.Error(err)
	}
}

// What the view could not take would end the log for it, so it does not come into the log.
func TestDeletionThatNoViewTakesIsNotDecided(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	s := h.opened(t)
	for _, d := range []*pb.DeletedSamples{{Type: 1, Uuids: [][]byte{make([]byte, 15)}}, {Type: 1 << 16, To: new(int64)}} {
		draft := deletesSamples(firstMinutes(t, 1), d)
		draft.Sequence, _, _ = h.store.Head()
		signed, err := s.SignDecision(t.Context(), draft)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.store.Decide(t.Context(), signed.GetDecision()); !errors.Is(err, authz.ErrForged) {
			t.Errorf("%v: %v", d, err)
		}
	}
	h.decide(t, s, deletesSamples(firstMinutes(t, 4)))
	if got := stepsOf(t, s); got != 6 {
		t.Error(got)
	}
}
