package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// owner is the owner's connection, with the session of the last unlock.
func (s *store) owner() *client.OwnerClient {
	s.t.Helper()
	session, err := os.ReadFile(filepath.Join(s.dir, "sessions", s.id()))
	if err != nil {
		s.t.Fatal(err)
	}
	address, err := serve.ReadAddress(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	o, err := client.DialOwner(s.t.Context(), address.Credentials(), s.id(), string(session))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(o.Close)
	return o
}

func (s *store) app(name string) *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), s.credentials(s.id(), name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func minute(n int) time.Time { return time.Date(2024, 3, 1, 0, n, 0, 0, time.UTC) }

func seenBy(t *testing.T, service pb.HealthServiceClient, receipt string) int {
	t.Helper()
	answer, err := service.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}, Receipt: receipt})
	if err != nil {
		t.Fatal(err)
	}
	return len(answer.GetSamples())
}

// What was saved and deleted while the store was locked is as it was answered then, and
// its outcome is told when it is open.
func TestDeleteWhileLockedIsDoneAtUnlock(t *testing.T) {
	s := newStore(t)
	s.serve()
	s.run("unlock")
	s.register(s.id(), "com.example.one", "com.example.two")
	one, two := s.app("com.example.one"), s.app("com.example.two")
	s.run("lock", "--now")
	save := &pb.SaveRequest{RequestId: []byte("a save of an app")}
	for i := range 10 {
		save.Samples = append(save.Samples, steps(minute(i), float64(i+1)))
	}
	saved, err := one.Save(t.Context(), save)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Save(t.Context(), &pb.SaveRequest{Samples: save.Samples[:3]}); err != nil {
		t.Fatal(err)
	}
	request := &pb.DeleteRequest{RequestId: []byte("a deletion of it"), Deletions: []*pb.Deletion{{Type: "stepCount", To: timestamppb.New(minute(4))}}}
	deleted, err := one.Delete(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Health().QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{Receipt: deleted.GetReceipt()}); rpc.Reason(err) != rpc.ReasonStoreLocked {
		t.Error(err)
	}
	s.run("unlock")
	for receipt, want := range map[string]*pb.QueryOutcomeResponse{saved.GetReceipt(): {Stored: 10}, deleted.GetReceipt(): {Deleted: 4}} {
		got, err := one.Health().QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{Receipt: receipt})
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%v, want %v: %v", got, want, err)
		}
	}
	// The other app's samples are its own, and so are its receipts.
	if n, m := seenBy(t, one.Health(), deleted.GetReceipt()), seenBy(t, two.Health(), ""); n != 6 || m != 3 {
		t.Errorf("%d and %d are left", n, m)
	}
	if _, err := two.Health().QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{Receipt: deleted.GetReceipt()}); rpc.Detail(err).GetField() != "receipt" {
		t.Error(err)
	}
}

func TestOwnerDeletesAndDecidesOverTheDaemon(t *testing.T) {
	s := newStore(t)
	s.serve()
	s.run("unlock")
	s.register(s.id(), "com.example.one", "com.example.two")
	owner, one, two := s.owner(), s.app("com.example.one"), s.app("com.example.two")
	for factor, app := range []*client.Client{one, two} {
		save := &pb.SaveRequest{}
		for i := range 10 {
			save.Samples = append(save.Samples, steps(minute(i), float64((factor+1)*(i+1))))
		}
		if _, err := app.Save(t.Context(), save); err != nil {
			t.Fatal(err)
		}
	}
	deletion := &pb.DeleteSamplesRequest{Deletions: []*pb.Deletion{{Type: "stepCount", From: timestamppb.New(minute(0)), To: timestamppb.New(minute(3))}}}
	for _, want := range []uint64{6, 0} {
		answer, err := owner.Owner().DeleteSamples(t.Context(), deletion)
		if err != nil || answer.GetDeleted() != want {
			t.Fatal(answer, err)
		}
	}
	if n, m := seenBy(t, one.Health(), ""), seenBy(t, owner.Health(), ""); n != 7 || m != 14 {
		t.Errorf("%d and %d are left", n, m)
	}
	units := &pb.SetPreferredUnitsRequest{Units: []*pb.PreferredUnit{{Type: "bodyMass", Unit: "lb"}}}
	if _, err := owner.Owner().SetPreferredUnits(t.Context(), units); err != nil {
		t.Fatal(err)
	}
	answer, err := owner.Health().QueryPreferredUnits(t.Context(), &pb.QueryPreferredUnitsRequest{Types: []string{"bodyMass"}})
	if err != nil || answer.GetUnits()[0].GetUnit() != "lb" {
		t.Error(answer, err)
	}
	// Both have samples of the same minutes; the first in the order counts.
	order := &pb.SetSourceOrderRequest{Type: "stepCount"}
	for app, want := range map[string]float64{"com.example.one": 49, "com.example.two": 98} {
		order.Sources = []*pb.SourceName{{App: app, Name: "Watch"}}
		if _, err := owner.Owner().SetSourceOrder(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		answer, err := owner.Health().QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{Type: "stepCount"})
		if err != nil || answer.GetStatistics()[0].GetSum() != want {
			t.Errorf("%s counts first: %v, want %v: %v", app, answer, want, err)
		}
	}
	service := owner.Owner()
	for field, call := range map[string]func() error{
		"deletions": func() error { _, err := service.DeleteSamples(t.Context(), &pb.DeleteSamplesRequest{}); return err },
		"type": func() error {
			_, err := service.SetSourceOrder(t.Context(), &pb.SetSourceOrderRequest{Type: "mood"})
			return err
		},
		"units": func() error {
			_, err := service.SetPreferredUnits(t.Context(), &pb.SetPreferredUnitsRequest{})
			return err
		},
		"sources": func() error {
			order.Sources = append(order.Sources, order.Sources[0])
			_, err := service.SetSourceOrder(t.Context(), order)
			return err
		},
		"units.unit": func() error {
			units.Units[0].Unit = "km"
			_, err := service.SetPreferredUnits(t.Context(), units)
			return err
		},
	} {
		if d := rpc.Detail(call()); d.GetReason() != rpc.ReasonInvalidArgument || d.GetField() != field {
			t.Errorf("%s: %v", field, d)
		}
	}
	owner.SetSession("")
	if _, err := service.DeleteSamples(t.Context(), deletion); rpc.Reason(err) != rpc.ReasonReauthenticate {
		t.Error(err)
	}
}
