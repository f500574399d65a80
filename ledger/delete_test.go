package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const someUUID = "6ba7b810-9dad-41d1-80b4-00c04fd40001"

func deleteRequest(deletions ...*pb.Deletion) *pb.DeleteRequest {
	return &pb.DeleteRequest{RequestId: []byte("0123456789abcdef"), Deletions: deletions}
}

func TestDeleteIsInTheLogAsItCame(t *testing.T) {
	h := newHome(t)
	app := h.addApp("org.example.a", code(t, "stepCount"), code(t, "workout"))
	req := deleteRequest(
		&pb.Deletion{Type: "stepCount", Uuids: []string{someUUID, strings.ToUpper(someUUID)}},
		&pb.Deletion{Type: "HKWorkoutTypeIdentifier", From: timestamppb.New(time.UnixMicro(-5)), To: timestamppb.New(time.UnixMicro(7))},
		&pb.Deletion{Type: "stepCount", From: timestamppb.New(time.UnixMicro(0))},
		&pb.Deletion{Type: "stepCount", To: timestamppb.New(time.UnixMicro(0))},
	)
	answer, err := h.live().Delete(t.Context(), app, req)
	if err != nil {
		t.Fatal(err)
	}
	id := []byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x41, 0xd1, 0x80, 0xb4, 0, 0xc0, 0x4f, 0xd4, 0, 1}
	want := &pb.SamplesDeleted{App: app.Number, RequestId: req.GetRequestId(), Deletions: []*pb.DeletedSamples{
		{Type: code(t, "stepCount"), Uuids: [][]byte{id, id}},
		{Type: code(t, "workout"), From: proto.Int64(-5), To: proto.Int64(7)},
		{Type: code(t, "stepCount"), From: proto.Int64(0)},
		{Type: code(t, "stepCount"), To: proto.Int64(0)},
	}}
	events := h.events()
	last := events[len(events)-1]
	if !proto.Equal(last.event.GetSamplesDeleted(), want) || last.class != seal.Health {
		t.Errorf("%v of class %s", last.event, last.class)
	}
	receipt, err := h.live().Receipt(app, answer.GetReceipt())
	if err != nil || receipt.Sequence != last.sequence || !bytes.Equal(receipt.RequestID[:], req.GetRequestId()) {
		t.Error(receipt, err)
	}
}

func TestDeleteThatMeansNothingIsRefusedByName(t *testing.T) {
	h := newHome(t)
	app := h.addApp("org.example.a", code(t, "stepCount"))
	at := func(s int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(s, 0)) }
	good := &pb.Deletion{Type: "stepCount", Uuids: []string{someUUID}}
	var many []*pb.Deletion
	for range maxDeletions + 1 {
		many = append(many, good)
	}
	uuids := make([]string, maxDeleted/2+1)
	for i := range uuids {
		uuids[i] = someUUID
	}
	half := &pb.Deletion{Type: "stepCount", Uuids: uuids}
	short := deleteRequest(good)
	short.RequestId = short.RequestId[:15]
	before := h.face()
	for _, c := range []struct {
		req                  *pb.DeleteRequest
		reason, field, value string
	}{
		{short, rpc.ReasonInvalidArgument, "request_id", ""},
		{deleteRequest(), rpc.ReasonInvalidArgument, "deletions", ""},
		{deleteRequest(good, nil), rpc.ReasonInvalidArgument, "deletions[1].type", ""},
		{deleteRequest(good, &pb.Deletion{Type: "mood", Uuids: []string{someUUID}}), rpc.ReasonInvalidArgument, "deletions[1].type", "mood"},
		{deleteRequest(&pb.Deletion{Type: "stepCount"}), rpc.ReasonInvalidArgument, "deletions[0].uuids", ""},
		{deleteRequest(&pb.Deletion{Type: "stepCount", Uuids: []string{someUUID}, From: at(0)}), rpc.ReasonInvalidArgument, "deletions[0].uuids", ""},
		{deleteRequest(&pb.Deletion{Type: "stepCount", Uuids: []string{someUUID, someUUID[1:]}}), rpc.ReasonInvalidArgument, "deletions[0].uuids[1]", someUUID[1:]},
		{deleteRequest(&pb.Deletion{Type: "stepCount", Uuids: []string{"{" + someUUID + "}"}}), rpc.ReasonInvalidArgument, "deletions[0].uuids[0]", "{" + someUUID + "}"},
		{deleteRequest(&pb.Deletion{Type: "stepCount", Uuids: []string{"00000000-0000-0000-0000-000000000000"}}),
			rpc.ReasonInvalidArgument, "deletions[0].uuids[0]", "00000000-0000-0000-0000-000000000000"},
		{deleteRequest(&pb.Deletion{Type: "stepCount", From: at(1), To: at(1)}), rpc.ReasonInvalidArgument, "deletions[0].from", ""},
		{deleteRequest(&pb.Deletion{Type: "stepCount", From: at(2), To: at(1)}), rpc.ReasonInvalidArgument, "deletions[0].from", ""},
		{deleteRequest(&pb.Deletion{Type: "stepCount", From: &timestamppb.Timestamp{Nanos: -1}}), rpc.ReasonInvalidArgument, "deletions[0].from", ""},
		{deleteRequest(&pb.Deletion{Type: "stepCount", To: &timestamppb.Timestamp{Seconds: 1 << 60}}), rpc.ReasonInvalidArgument, "deletions[0].to", ""},
		{deleteRequest(many...), rpc.ReasonTooLarge, "deletions", ""},
		{deleteRequest(half, half), rpc.ReasonTooLarge, "deletions", ""},
	} {
		_, err := h.live().Delete(t.Context(), app, c.req)
		if d := rpc.Detail(err); d.GetReason() != c.reason || d.GetField() != c.field || d.GetValue() != c.value || d.GetWhy() == "" {
			t.Errorf("%s: %v %v", c.field, err, d)
		}
	}
	if h.face() != before {
		t.Error("something was stored")
	}
	if _, err := h.live().Delete(t.Context(), app, deleteRequest(many[:maxDeletions]...)); err != nil {
		t.Error(err)
	}
}

// An app that lost the grant has lost the power over what it wrote with it.
func TestOnlyWhoMayWriteATypeMayDeleteOfIt(t *testing.T) {
	h := newHome(t)
	h.addApp("org.example.a", code(t, "stepCount"))
	share := func(name string, allowed bool) {
		h.decide(h.author.Grant(1, &pb.DecideRequest{BundleId: "org.example.a", Shares: []*pb.ShareGrant{{Type: code(t, name), Allowed: allowed}}}))
	}
	try := func(reason, value string, types ...string) {
		t.Helper()
		owned, _ := h.author.State.AppByBundle("org.example.a")
		app, _ := h.live().State().AppByNumber(owned.Number)
		req := deleteRequest()
		for _, name := range types {
			req.Deletions = append(req.Deletions, &pb.Deletion{Type: name, Uuids: []string{someUUID}})
		}
		before := h.face()
		_, err := h.live().Delete(t.Context(), app, req)
		if d := rpc.Detail(err); rpc.Reason(err) != reason || d.GetValue() != value {
			t.Errorf("%v: %v", types, err)
		}
		if (h.face() != before) != (reason == "") {
			t.Errorf("%v: stored, or not", types)
		}
	}
	try("", "", "stepCount")
	try(rpc.ReasonShareNotDetermined, "heartRate", "stepCount", "heartRate")
	try(rpc.ReasonShareNotDetermined, "appleStandHour", "appleStandHour")
	try(rpc.ReasonShareNotDetermined, "bloodPressure", "bloodPressure")
	share("bloodPressureSystolic", true)
	try("", "", "bloodPressure", "stepCount")
	share("bloodPressureDiastolic", false)
	try(rpc.ReasonShareDenied, "bloodPressureDiastolic", "bloodPressure")
	share("stepCount", false)
	try(rpc.ReasonShareDenied, "stepCount", "stepCount")
	share("bloodPressureDiastolic", true)
	try("", "", "bloodPressure")
}

func TestReceiptIsGoodForItsAppInItsStoreAlone(t *testing.T) {
	h := newHome(t)
	app, other := h.addApp("org.example.a", code(t, "stepCount")), h.addApp("org.example.b", code(t, "stepCount"))
	req := request(steps(0, 1))
	saved, err := h.live().Save(t.Context(), app, req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.live().Save(t.Context(), app, req)
	if err != nil || again.GetReceipt() == saved.GetReceipt() || len(again.GetReceipt()) != len(saved.GetReceipt()) {
		t.Error("receipts are alike, or of several lengths", err)
	}
	last, _, _ := h.live().Head()
	want := Receipt{last - 1, [16]byte(req.GetRequestId())}
	if got, err := h.live().Receipt(app, saved.GetReceipt()); err != nil || got != want {
		t.Error(got, err)
	}
	elsewhere := h.house.store()
	update, err := h.live().key().TokenKey("update").Seal(h.live().tokenContext(app), make([]byte, 24))
	if err != nil {
		t.Fatal(err)
	}
	short, err := h.live().writer.Load().receipts.Seal(h.live().tokenContext(app), make([]byte, 23))
	if err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func() (Receipt, error){
		"another app":     func() (Receipt, error) { return h.live().Receipt(other, saved.GetReceipt()) },
		"another store":   func() (Receipt, error) { return elsewhere.live().Receipt(app, saved.GetReceipt()) },
		"another purpose": func() (Receipt, error) { return h.live().Receipt(app, update) },
		"too short":       func() (Receipt, error) { return h.live().Receipt(app, short) },
		"made up":         func() (Receipt, error) { return h.live().Receipt(app, saved.GetReceipt()+"A") },
		"none":            func() (Receipt, error) { return h.live().Receipt(app, "") },
	} {
		if got, err := open(); !errors.Is(err, seal.ErrToken) {
			t.Errorf("%s: %v %v", what, got, err)
		}
	}
	h.reopen(nil)
	if got, err := h.live().Receipt(app, saved.GetReceipt()); err != nil || got != want {
		t.Error("after a restart:", got, err)
	}
}
