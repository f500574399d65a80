package projector

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/authz/authztest"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// disclosing is a store whose reader may hand on what it may read to a doctor.
func disclosing(t *testing.T) (h *house, s *service, granted *pb.GrantDisclosureRequest) {
	h = newHouse(t)
	for n := range 4 {
		h.saveObjects(t, n)
	}
	s = h.opened(t)
	manifest := authztest.Manifest("org.example.reader")
	manifest.Recipients = []*pb.Recipient{{Name: "Doctor", Category: "health_service", Address: "Main Street"}}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{AddApp: &pb.AppDraft{Manifest: manifest, Key: "key", TokenHash: make([]byte, 32)}}})
	reads := &pb.DecideRequest{BundleId: "org.example.reader"}
	types := []string{"bloodPressureSystolic", "bloodPressureDiastolic", "electrocardiogram"}
	for _, name := range types {
		reads.Reads = append(reads.Reads, &pb.ReadGrant{Type: codeOf(t, name), Extent: pb.ReadExtent_READ_EXTENT_ALL})
	}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: reads}})
	granted = &pb.GrantDisclosureRequest{
		BundleId: "org.example.reader", Recipient: "Doctor", Types: []string{"bloodPressureSystolic", "electrocardiogram"}, Purpose: "health", Statement: "Why",
		From: timestamppb.New(time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC)), To: timestamppb.New(time.Date(2024, 5, 4, 0, 0, 0, 0, time.UTC)),
		Expires: timestamppb.New(time.Now().Add(time.Hour).Truncate(time.Second)),
	}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_GrantDisclosure{GrantDisclosure: granted}})
	return h, s, granted
}

func (s *service) openExport(t *testing.T, req *pb.OpenExportRequest) (*pb.DisclosureBegun, error) {
	t.Helper()
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Query: &pb.ReadRequest_OpenExport{OpenExport: req}})
	if err != nil {
		return nil, err
	}
	return answer[pb.DisclosureBegun](resp), nil
}

func (s *service) handedOver(t *testing.T, begun *pb.DisclosureBegun, types ...string) (*pb.QuerySamplesResponse, *pb.ReadResponse, error) {
	t.Helper()
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{Disclosure: begun}, Query: &pb.ReadRequest_Samples{
		Samples: &pb.QuerySamplesRequest{Types: types},
	}})
	if err != nil {
		return nil, nil, err
	}
	return answer[pb.QuerySamplesResponse](resp), resp, nil
}

func TestWhatIsHandedOverIsWhatTheGrantHolds(t *testing.T) {
	h, s, _ := disclosing(t)
	number, _ := s.open.live.state.Head()
	begun, err := s.openExport(t, &pb.OpenExportRequest{Disclosure: number})
	if err != nil || len(begun.GetTypes()) != 3 {
		t.Fatal(begun, err)
	}
	got, resp, err := s.handedOver(t, begun, "bloodPressure", "electrocardiogram")
	if err != nil {
		t.Fatal(err)
	}
	var pressures, recordings uint64
	var recording *pb.Sample
	for _, sample := range got.GetSamples() {
		day := sample.GetStart().AsTime().Day()
		if day != 2 && day != 3 {
			t.Errorf("a sample of day %d", day)
		}
		switch sample.GetType() {
		case "bloodPressure":
			pressures++
			if m := sample.GetMembers(); len(m) != 1 || m[0].GetType() != "bloodPressureSystolic" {
				t.Errorf("members %v", m)
			}
		case "electrocardiogram":
			recordings++
			recording = sample
		}
	}
	want := []*pb.DisclosureCount{{Type: codeOf(t, "bloodPressure"), Count: pressures}, {Type: codeOf(t, "electrocardiogram"), Count: recordings}}
	for _, c := range resp.GetHandedOver() {
		if !proto.Equal(c, want[0]) && !proto.Equal(c, want[1]) {
			t.Errorf("counted %v, want some of %v", c, want)
		}
	}
	if pressures != 1 || recordings != 2 || len(resp.GetHandedOver()) != 2 {
		t.Errorf("%d and %d, counted %v", pressures, recordings, resp.GetHandedOver())
	}
	// A payload goes with the sample of the same grant, not with what the owner or an app got.
	payload := &pb.ReadRequest{Reader: &pb.Reader{Disclosure: begun}, Query: &pb.ReadRequest_Payload{
		Payload: &pb.QueryPayloadRequest{Type: "electrocardiogram", PayloadToken: recording.GetPayloadToken()},
	}}
	if resp, err := s.Read(t.Context(), payload); err != nil || len(answer[pb.QueryPayloadResponse](resp).GetChunks()) == 0 {
		t.Error(err)
	}
	for _, reader := range []*pb.Reader{{}, {App: h.app.Number}, {App: 2}} {
		payload.Reader = reader
		if _, err := s.Read(t.Context(), payload); rpc.Detail(err).GetField() != "payload_token" {
			t.Errorf("%v takes the token: %v", reader, err)
		}
	}
}

func TestNothingElseIsHandedOver(t *testing.T) {
	h, s, granted := disclosing(t)
	number, _ := s.open.live.state.Head()
	for field, req := range map[string]*pb.OpenExportRequest{
		"disclosure": {Disclosure: number - 1},
		"types[0]":   {Disclosure: number, Types: []string{"bloodPressureDiastolic"}},
		"to":         {Disclosure: number, From: granted.GetTo()},
	} {
		if _, err := s.openExport(t, req); rpc.Detail(err).GetField() != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	begun, err := s.openExport(t, &pb.OpenExportRequest{Disclosure: number, Types: []string{"bloodPressureSystolic"}})
	if err != nil || len(begun.GetTypes()) != 1 {
		t.Fatal(begun, err)
	}
	if got, _, err := s.handedOver(t, begun, "bloodPressureSystolic"); err != nil || len(got.GetSamples()) != 2 {
		t.Fatal(got, err)
	}
	for _, name := range []string{"electrocardiogram", "bloodPressure", "stepCount"} {
		if _, _, err := s.handedOver(t, begun, name); rpc.Detail(err).GetField() != "types[0]" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who says that an export takes more does not get it.
	begun.Types, begun.From = append(begun.Types, codeOf(t, "bloodPressureDiastolic"), codeOf(t, "stepCount")), nil
	if got, _, err := s.handedOver(t, begun, "bloodPressureSystolic", "bloodPressureDiastolic", "stepCount"); err != nil || len(got.GetSamples()) != 2 {
		t.Error(got, err)
	}
	if _, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{Disclosure: begun}, Query: &pb.ReadRequest_Access{}}); err == nil {
		t.Error("the access log is handed over")
	}
	for _, query := range []*pb.ReadRequest{
		{Query: &pb.ReadRequest_Disclosures{}}, {Query: &pb.ReadRequest_Account{}}, {Query: &pb.ReadRequest_OpenExport{OpenExport: &pb.OpenExportRequest{Disclosure: number}}},
	} {
		query.Reader = &pb.Reader{App: h.app.Number}
		if _, err := s.Read(t.Context(), query); rpc.Reason(err) != rpc.ReasonInternal {
			t.Errorf("an app learns of disclosures: %v", err)
		}
	}
	h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_RevokeDisclosure{RevokeDisclosure: &pb.RevokeDisclosureRequest{Number: number}}})
	if _, _, err := s.handedOver(t, begun, "bloodPressureSystolic"); rpc.Detail(err).GetField() != "disclosure" {
		t.Errorf("an export goes on after its grant was revoked: %v", err)
	}
}

// Years that no time has are no times, where the owner says from when to when.
func TestPeriodsOfTheOwnersListsAreTimes(t *testing.T) {
	_, s, _ := disclosing(t)
	number, _ := s.open.live.state.Head()
	never := &timestamppb.Timestamp{Seconds: 1 << 50}
	for _, field := range []string{"from", "to"} {
		filter, export := &pb.AccessFilter{From: never}, &pb.OpenExportRequest{Disclosure: number, From: never}
		account := &pb.DisclosureFilter{From: never}
		if field == "to" {
			filter, export.From, export.To, account = &pb.AccessFilter{To: never}, nil, never, &pb.DisclosureFilter{To: never}
		}
		for _, query := range []*pb.ReadRequest{
			{Query: &pb.ReadRequest_Access{Access: &pb.ListAccessRequest{Filter: filter, Refused: true}}},
			{Query: &pb.ReadRequest_Account{Account: &pb.AccountDisclosuresRequest{Filter: account}}},
			{Query: &pb.ReadRequest_OpenExport{OpenExport: export}},
		} {
			if _, err := s.Read(t.Context(), query); rpc.Detail(err).GetField() != field {
				t.Errorf("%T, %s: %v", query.GetQuery(), field, err)
			}
		}
	}
}
