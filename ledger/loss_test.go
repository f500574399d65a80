package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// survey finds out what is lost.
func (h *home) survey() *Survey {
	h.t.Helper()
	survey, err := h.ledger.Survey(h.t.Context(), h.id)
	if err != nil {
		h.t.Fatal(err)
	}
	return survey
}

// acceptLoss goes on without what is lost, as the owner signs it.
func (h *home) acceptLoss() error {
	h.t.Helper()
	var signed *pb.NewDecision
	err := h.live().AcceptLoss(h.t.Context(), h.survey(), func(_ context.Context, draft *pb.LossDraft) (_ *pb.NewDecision, err error) {
		var lost []*pb.SignedDecision
		for _, number := range draft.GetLoss().GetDecisions() {
			lost = append(lost, draft.GetDecisions()[number-1])
		}
		signed, err = h.author.AcceptLoss(1, draft.GetLoss(), lost)
		return signed, err
	})
	if err != nil {
		return err
	}
	return h.author.State.Decide(signed.GetDecision(), signed.GetDetail())
}

// cut takes away the end of a log.
func (h *home) cut(last uint64) {
	h.t.Helper()
	var kept [][]byte
	err := log.NewReader(h.conn, h.id).Read(h.t.Context(), 1, last, func(e log.Entry) error {
		kept = append(kept, e.Payload)
		return nil
	})
	stream, streamErr := h.js().Stream(h.t.Context(), log.StreamName(h.id))
	if err = errors.Join(err, streamErr); err == nil {
		h.remake(stream.CachedInfo().Config)
	}
	for i, payload := range kept {
		if err == nil {
			err = log.NewPublisher(h.conn, h.id).Publish(h.t.Context(), uint64(i)+1, payload)
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// The place of what was acknowledged and is lost is nobody's: the log goes on behind it, from the
// tree that it had.
func TestAnEndThatIsLostStaysLost(t *testing.T) {
	h := saved(t)
	before, _, _ := h.live().Head()
	checkpoint := h.checkpoint()
	h.reopen(func() { h.cut(5) })
	app := h.importer()
	h.refusesWrites(app)
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(h.live().Damage(), h.live().Closed()); err != nil {
			t.Fatal(err)
		}
		resp, err := h.live().Save(t.Context(), app, request(steps(9, 1)))
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := h.live().Receipt(app, resp.GetReceipt())
		if err != nil || receipt.Sequence <= before+1 || h.live().LostAt(receipt.Sequence) || !h.live().LostAt(before) || h.live().LostAt(5) {
			t.Errorf("%d segments had been acknowledged, and now it is segment %d: %v", before, receipt.Sequence, err)
		}
		v, err := h.ledger.Verify(t.Context(), h.id, []byte(checkpoint))
		if err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			if done, err = v.Step(t.Context(), surveyStep); err != nil {
				t.Fatal(err)
			}
		}
		got := v.Result()
		if len(got.GetFaults()) > 0 || got.GetCheckpointSize() != before || len(got.GetLosses()) != 1 || got.GetLosses()[0].GetFrom() != 6 || got.GetLosses()[0].GetTo() != before {
			t.Errorf("%v", got)
		}
		if _, err := h.live().ProveConsistency(t.Context(), []byte(checkpoint)); !errors.Is(err, log.ErrLoss) {
			t.Errorf("a proof of what is lost: %v", err)
		}
		if _, err := h.live().Segments(t.Context(), 6, before); !errors.Is(err, log.ErrLoss) {
			t.Errorf("segments that are lost: %v", err)
		}
		h.reopen(nil)
	}
}

// Wherever a daemon dies, the loss is still to be accepted, or it is.
func TestACrashInAnAcceptanceLeavesItUndoneOrDone(t *testing.T) {
	dies := errors.New("the daemon dies")
	for name, damage := range map[string]func(h *home){
		"hole":      func(h *home) { h.lose(5) },
		"short log": func(h *home) { h.cut(6) },
	} {
		for at, crash := range map[string]func(h *home) error{
			"before it is signed": func(h *home) error {
				return h.live().AcceptLoss(t.Context(), h.survey(), func(context.Context, *pb.LossDraft) (*pb.NewDecision, error) { return nil, dies })
			},
			"while it is filled up": func(h *home) error {
				last, err := h.live().reader.Last(t.Context())
				if err == nil && h.live().Closed() != nil {
					err = h.live().appender.publisher.Publish(t.Context(), last+1, fillerPayload)
				}
				return errors.Join(err, dies)
			},
			"when it is filled up": func(h *home) error {
				for end, _, _ := h.live().Head(); ; {
					last, err := h.live().reader.Last(t.Context())
					if err != nil || last >= end {
						return errors.Join(err, dies)
					}
					if err := h.live().appender.publisher.Publish(t.Context(), last+1, fillerPayload); err != nil {
						return err
					}
				}
			},
			"before anybody knows that it is in the log": func(h *home) error {
				head, decisions := h.read("head"), h.read("decisions")
				err := h.acceptLoss()
				h.ledger.Close()
				h.write("head", head)
				h.write("decisions", decisions)
				return err
			},
			"before the head is written": func(h *home) error {
				head := h.read("head")
				err := h.acceptLoss()
				h.ledger.Close()
				h.write("head", head)
				return err
			},
		} {
			t.Run(name+", "+at, func(t *testing.T) {
				h := saved(t)
				_, root, _ := h.live().Head()
				h.reopen(func() { damage(h) })
				err := crash(h)
				if err != nil && !errors.Is(err, dies) {
					t.Fatal(err)
				}
				undone := err != nil
				h.reopen(nil)
				if undone != (len(h.survey().Lost) > 0) {
					t.Errorf("undone: %v, and lost is %v", undone, h.survey().Lost)
				}
				if undone {
					if err := h.live().Damage(); err == nil {
						t.Error("nobody has accepted it, and nothing is found wrong")
					}
					if err := h.acceptLoss(); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(h.live().Damage(), h.live().Closed()); err != nil {
					t.Error(err)
				}
				h.save(30)
				if faults := h.survey().Faults; len(faults) > 0 {
					t.Error(faults)
				}
				var said tree.Tree
				if err := said.UnmarshalBinary(h.live().State().Losses()[0].GetTree()); err != nil || said.Root() != root {
					t.Errorf("it goes on from another log: %v", err)
				}
			})
		}
	}
}

// What an owner has not accepted in the end he can accept later, also where the daemon had not come to
// the end of his decisions.
func TestALossIsAcceptedAtASecondTry(t *testing.T) {
	h := saved(t)
	head, decisions := h.read("head"), h.read("decisions")
	h.decide(h.author.SetPolicy(1, &pb.PolicySet{Plausibility: pb.Plausibility_PLAUSIBILITY_REFUSE}))
	h.reopen(func() {
		h.write("head", head)
		h.write("decisions", decisions)
		h.lose(8)
	})
	no := errors.New("no")
	for range 2 {
		err := h.live().AcceptLoss(t.Context(), h.survey(), func(context.Context, *pb.LossDraft) (*pb.NewDecision, error) { return nil, no })
		if !errors.Is(err, no) || h.live().Closed() == nil {
			t.Errorf("%v, and it is written", err)
		}
	}
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	h.reopen(nil)
	if err := errors.Join(h.live().Damage(), h.live().Closed()); err != nil {
		t.Error(err)
	}
	if got, _ := h.live().State().Head(); got != h.live().State().Losses()[0].Decision || h.live().State().Plausibility() != pb.Plausibility_PLAUSIBILITY_REFUSE {
		t.Errorf("%d decisions, %v", got, h.live().State().Plausibility())
	}
	h.save(30)
	if faults := h.survey().Faults; len(faults) > 0 {
		t.Error(faults)
	}
}

// Of a log nothing is accepted that it never had, nor is its owner asked for that, and no tree that it
// does not have.
func TestOnlyWhatIsLostIsAccepted(t *testing.T) {
	h := saved(t)
	accept := func(lost ...*pb.LostSegments) error {
		return h.live().AcceptLoss(t.Context(), &Survey{Lost: lost}, func(context.Context, *pb.LossDraft) (*pb.NewDecision, error) {
			t.Errorf("%v is to be signed", lost)
			return nil, ErrNotLost
		})
	}
	lost := func(from, to uint64) *pb.LostSegments {
		return &pb.LostSegments{From: from, To: to, Kind: pb.LossKind_LOSS_KIND_GONE}
	}
	for _, all := range [][]*pb.LostSegments{nil, {lost(5, 5), lost(8, 9)}} {
		if err := accept(all...); !errors.Is(err, ErrNotLost) {
			t.Errorf("%v: %v", all, err)
		}
	}
	var longer tree.Tree
	for range 9 {
		longer.Append(tree.Hash{})
	}
	frontier, err := longer.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := h.author.AcceptLoss(1, &pb.LossAccepted{Lost: []*pb.LostSegments{lost(5, 5)}, Tree: frontier}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.live().Decide(t.Context(), signed); !errors.Is(err, authz.ErrForged) {
		t.Errorf("a tree that the log does not have: %v", err)
	}
}

// Where nobody remembers the decisions that are lost, nobody can follow those that come later.
func TestALossOfForgottenDecisionsIsNotAccepted(t *testing.T) {
	h := newHome(t)
	h.save(0)
	h.reopen(func() {
		h.lose(3)
		h.write("decisions", nil)
	})
	if err := h.acceptLoss(); !errors.Is(err, ErrUnknownDecisions) {
		t.Error(err)
	}
}

// What was accepted is found in the log where the daemon has forgotten it.
func TestALossThatWasAcceptedIsFoundInTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		lost  uint64
		knows bool
	}{"of samples": {5, true}, "of a decision": {3, false}} {
		t.Run(name, func(t *testing.T) {
			h := saved(t)
			h.reopen(func() { h.lose(c.lost) })
			if err := h.acceptLoss(); err != nil {
				t.Fatal(err)
			}
			told := len(h.live().Foreknown())
			h.reopen(func() { h.write("decisions", nil) })
			if err := errors.Join(h.live().Damage(), h.live().Closed()); err != nil {
				t.Fatal(err)
			}
			if h.live().Knows() != c.knows {
				t.Errorf("it knows what the owner has decided: %v", h.live().Knows())
			}
			// Of the decision that is lost only the detail of a later one knows.
			if got := len(h.live().Foreknown()); got != told && c.knows || got != 1 && !c.knows {
				t.Errorf("%d decisions are told of, there were %d", got, told)
			}
			if faults := h.survey().Faults; len(faults) > 0 {
				t.Error(faults)
			}
		})
	}
}

// The decision that gave the store its keys can be lost like any other that is remembered.
func TestALossOfTheDecisionForOtherKeysIsAccepted(t *testing.T) {
	h := saved(t)
	h.rekey()
	at, _, _ := h.live().Head()
	h.save(6)
	h.reopen(func() { h.lose(at) })
	survey := h.survey()
	if len(survey.Lost) != 1 || len(survey.Others) > 0 || len(survey.Decisions) != 1 {
		t.Fatalf("%v %v %v", survey.Lost, survey.Decisions, survey.Others)
	}
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if faults := h.survey().Faults; len(faults) > 0 {
			t.Error(faults)
		}
		h.save(7)
		h.reopen(nil)
	}
}

// What was accepted by a decision that is lost is told of like the rest.
func TestEveryLossThatWasAcceptedIsTold(t *testing.T) {
	h := saved(t)
	for _, lost := range []uint64{5, 9} { // 9 is the decision that accepts the first
		h.reopen(func() { h.lose(lost) })
		if err := h.acceptLoss(); err != nil {
			t.Fatal(err)
		}
	}
	told := h.verified("", time.Minute)
	if len(told.GetFaults()) > 0 {
		t.Error(told.GetFaults())
	}
	if diff := cmp.Diff(h.live().AcceptedLosses(), told.GetLosses(), protocmp.Transform()); diff != "" || len(told.GetLosses()) != 2 {
		t.Errorf("%d losses are told of\n%s", len(told.GetLosses()), diff)
	}
}

// Of what is wrong nothing is left out that the owner accepts, or that forbids to, however much it is.
func TestEveryFaultCountsInASurvey(t *testing.T) {
	const most = maxFaults + 10
	for name, c := range map[string]struct {
		note func(v *Verification, n uint64)
		kind pb.LossKind
	}{
		"missing": {func(v *Verification, n uint64) { v.lose(2*n, 2*n, "gone") }, pb.LossKind_LOSS_KIND_GONE},
		"key missing": {func(v *Verification, n uint64) {
			v.absent(seal.Segment{Epoch: n, WrapHash: [32]byte{byte(n), byte(n >> 8)}}, 2*n)
		}, pb.LossKind_LOSS_KIND_SEALED},
	} {
		v := &Verification{losses: &log.Losses{}, state: authz.NewState(verifier{}, false)}
		for n := range uint64(most) {
			c.note(v, n+1)
		}
		v.checkErasures()
		for n := range uint64(most) {
			v.fault(faultCheckpoint, 2*n+2, 2*n+2, "of another log")
		}
		survey := v.survey()
		if n := len(survey.Lost); n != most {
			t.Errorf("%s: %d of %d losses", name, n, most)
		}
		for _, l := range survey.Lost {
			if l.GetKind() != c.kind {
				t.Fatalf("%s: %v", name, l)
			}
		}
		if listed, more := ListFaults(survey.Others); len(listed) != maxFaults || more != most-maxFaults {
			t.Errorf("%s: %d others and %d more", name, len(listed), more)
		}
		if r := v.Result(); len(r.GetFaults()) != maxFaults || r.GetMoreFaults() != 2*most-maxFaults {
			t.Errorf("%s: %d faults and %d more", name, len(r.GetFaults()), r.GetMoreFaults())
		}
	}
}
