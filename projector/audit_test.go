package projector

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// audited has the whole log audited.
func audited(t testing.TB, s *service, to uint64) *pb.AuditLogResponse {
	t.Helper()
	all := &pb.AuditLogResponse{Next: 1}
	for all.GetNext() <= to {
		resp, err := s.AuditLog(t.Context(), &pb.AuditLogRequest{From: all.GetNext(), To: to})
		if err != nil {
			t.Fatal(err)
		}
		resp.Faults = append(all.GetFaults(), resp.GetFaults()...)
		all = resp
	}
	return all
}

func TestAuditFindsWhatOnlyTheOwnersKeysShow(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	device := h.device(t)
	now := time.Now().UnixMicro()
	part := func(at int64) *pb.Event {
		return &pb.Event{Time: at, Body: &pb.Event_PartSaved{PartSaved: &pb.PartSaved{}}}
	}
	repeated := &pb.Event{Time: now, Body: &pb.Event_Decision{Decision: h.genesis.Request.GetDecisions()[1].GetDecision()}}
	for name, c := range map[string]struct {
		events []*pb.Event
		body   string // instead of events
		kind   string
		back   bool
	}{
		"sound":             {events: []*pb.Event{part(now)}},
		"a little back":     {events: []*pb.Event{part(now + 30e6), part(now)}},
		"clock set back":    {events: []*pb.Event{part(now + 90e6), part(now)}, back: true},
		"no known kind":     {events: []*pb.Event{{Time: now}}, kind: "damaged"},
		"malformed":         {body: "anything", kind: "damaged"},
		"decision repeated": {events: []*pb.Event{repeated}, kind: "decision"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := h.folder(t)
			epoch := h.epochIn(t, folder)
			defer epoch.Destroy()
			at := uint64(len(payloads)) + 1
			var last []byte
			if c.body != "" {
				var err error
				if last, err = epoch.Seal(at, device, nil, []byte(c.body)); err != nil {
					t.Fatal(err)
				}
			} else {
				last = forge(t, h, device, at, epoch, c.events...)
			}
			all := append(payloads[:len(payloads):len(payloads)], last)
			s := open(t, h.config(t, h.replica(t, all), folder), payloads)
			waitReady(t, s, payloads)
			got := audited(t, s, at)
			for _, f := range got.GetFaults() {
				f.Why = ""
			}
			var want []*pb.LogFault
			if c.kind != "" {
				want = []*pb.LogFault{{From: at, To: at, Segments: 1, Kind: c.kind}}
			}
			if diff := cmp.Diff(want, got.GetFaults(), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			if (got.GetTimeBack() == at) != c.back {
				t.Error("time goes back with segment", got.GetTimeBack())
			}
			if got.GetOpened() == 0 {
				t.Error("nothing was opened")
			}
		})
	}
}

// What an erasure has left of an epoch is audited as what was there before it: the details of
// decisions are among it.
func TestAuditOpensWhatErasuresHaveLeft(t *testing.T) {
	h := newHouse(t)
	e := erasing(t, h)
	for n := range 2 {
		h.save(t, n*10, 10)
		h.decide(t, e.service, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_SetPreferredUnits{SetPreferredUnits: &pb.PreferredUnitsSet{
			Units: []*pb.TypeUnit{{Type: codeOf(t, "bodyMass"), Unit: "lb"}},
		}}})
		if samples, err := e.erase(minutes(t, "stepCount", int64(n*10), int64(n*10)+5)); err != nil || samples != 5 {
			t.Fatal(samples, err)
		}
	}
	got := audited(t, e.service, e.head())
	if len(got.GetFaults()) > 0 {
		t.Error(got.GetFaults())
	}
	sealed := uint64(0)
	for _, payload := range h.payloads(t) {
		if segment, err := seal.ParseSegment(payload); err != nil {
			t.Fatal(err)
		} else if segment.Class != seal.Open {
			sealed++
		}
	}
	if got.GetOpened() != sealed {
		t.Errorf("%d segments of %d were opened", got.GetOpened(), sealed)
	}
}

func TestAuditIsOneAtATimeAndTheOwners(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, s, payloads)
	to := uint64(len(payloads))
	if _, err := s.AuditLog(t.Context(), &pb.AuditLogRequest{From: 2, To: to}); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
		t.Error("went on with nothing:", err)
	}
	if faults := audited(t, s, to).GetFaults(); len(faults) > 0 {
		t.Error(faults)
	}
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AuditLog(t.Context(), &pb.AuditLogRequest{From: 1, To: to}); rpc.Reason(err) != rpc.ReasonStoreLocked {
		t.Error("locked:", err)
	}
}
