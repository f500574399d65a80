package projector

import (
	"testing"

	"github.com/google/uuid"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Whoever knows an app's key and its request can tell the UUIDs of what it saved, so they
// tell the app nothing else: not its number, which counts what the owner has decided.
func TestDerivedUUIDsFollowFromWhatTheAppKnows(t *testing.T) {
	h := newHouse(t)
	h.save(t, 5, 3)
	s := h.opened(t)
	resp, err := s.Read(t.Context(), &pb.ReadRequest{
		Reader: &pb.Reader{App: h.app.Number},
		Query:  &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}, Order: pb.Order_ORDER_ASCENDING}},
	})
	if err != nil {
		t.Fatal(err)
	}
	samples := answer[pb.QuerySamplesResponse](resp).GetSamples()
	if len(samples) != 3 {
		t.Fatalf("%d samples", len(samples))
	}
	for i, sample := range samples {
		want := health.DeriveUUID([16]byte{5}, h.app.Key, codeOf(t, "stepCount"), uint32(i))
		if sample.GetUuid() != uuid.UUID(want).String() {
			t.Errorf("sample %d is %s, want %s", i, sample.GetUuid(), uuid.UUID(want))
		}
	}
}
