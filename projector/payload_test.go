package projector

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// A payload that went ahead comes back in pages; without all of its parts the object is
// not there, and counted.
func TestPayloadComesInPages(t *testing.T) {
	h := newHouse(t)
	const volts = 30_000 // of which two parts fill a page
	h.saveRecordings(t, 1, volts)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"electrocardiogram"}}}})
	if err != nil || len(answer[pb.QuerySamplesResponse](resp).GetSamples()) != 1 {
		t.Fatal(resp, err)
	}
	ecg := answer[pb.QuerySamplesResponse](resp).GetSamples()[0]
	if n := ecg.GetElectrocardiogram().GetCount(); n != 3*volts {
		t.Errorf("%d voltages", n)
	}
	ask := func(app uint64, token, page string) (*pb.QueryPayloadResponse, error) {
		resp, err := s.Read(t.Context(), &pb.ReadRequest{Reader: &pb.Reader{App: app}, Query: &pb.ReadRequest_Payload{Payload: &pb.QueryPayloadRequest{
			Type: "electrocardiogram", PayloadToken: token, PageToken: page,
		}}})
		return answer[pb.QueryPayloadResponse](resp), err
	}
	first, err := ask(0, ecg.GetPayloadToken(), "")
	if err != nil || first.GetDone() || proto.Size(first) > 512<<10 || len(first.GetChunks()) != 2 {
		t.Fatal(len(first.GetChunks()), first.GetDone(), err)
	}
	second, err := ask(0, ecg.GetPayloadToken(), first.GetNextPageToken())
	if err != nil || !second.GetDone() || second.GetChunks()[0].GetMicrovolts()[0] != 2 {
		t.Fatal(second.GetDone(), err)
	}
	if _, err := ask(h.app.Number, ecg.GetPayloadToken(), ""); rpc.Detail(err).GetField() != "payload_token" {
		t.Error("a token of another reader:", err)
	}
	if a, err := s.Advance(t.Context(), &pb.AdvanceRequest{}); err != nil || a.GetIncomplete() != 1 {
		t.Error(a, err)
	}
}
