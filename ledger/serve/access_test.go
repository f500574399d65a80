package serve

import (
	"context"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// full is a projector that has samples; an empty one says that there are none.
type full struct {
	reading
	empty bool
}

func (p *full) Read(_ context.Context, req *pb.ReadRequest) (*pb.ReadResponse, error) {
	var answer proto.Message = &pb.QueryStatisticsResponse{}
	if req.GetSamples() != nil && !p.empty {
		answer = &pb.QuerySamplesResponse{Samples: []*pb.Sample{{Type: "stepCount"}}}
	}
	if req.GetStatistics() != nil && p.empty {
		return nil, rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNoData}, "there are no samples")
	}
	encoded, err := proto.Marshal(answer)
	return &pb.ReadResponse{Answer: encoded}, err
}

// What is in the log of reads follows from what was asked: whether there was anything to
// see, or an error came of it, makes no difference.
func TestReadsAreRecordedAlikeWhetherThereIsAnythingToSee(t *testing.T) {
	var logs [2][]*pb.Event
	for i := range logs {
		f := newFront(t)
		f.unlock(t)
		k, err := f.keeper(f.store.ID())
		if err != nil {
			t.Fatal(err)
		}
		b, rec := newBook()
		k.mu.Lock()
		k.process = &full{f.projector, i == 1}
		k.mu.Unlock()
		f.mu.Lock()
		f.records[f.store.ID()] = rec
		f.mu.Unlock()
		for _, who := range []pb.HealthServiceClient{f.app.Health(), f.owner.Health(), f.app.Health()} {
			if _, err := who.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount", "heartRate"}}); err != nil {
				t.Fatal(err)
			}
			_, err := who.QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{Type: "stepCount"})
			if (rpc.Reason(err) == rpc.ReasonNoData) != (i == 1) {
				t.Fatal(err)
			}
		}
		rec.Close()
		if logs[i] = slices.Concat(b.appends...); len(b.appends) != 6 || len(logs[i]) != 8 {
			t.Fatalf("%d appends of %d events", len(b.appends), len(logs[i]))
		}
		for _, e := range logs[i] {
			if r := e.GetAccessRecorded(); r != nil {
				r.CountedBy = 0 // it is random
			}
		}
		slices.SortStableFunc(logs[i], func(a, b *pb.Event) int {
			return int(a.GetAccessCounted().GetApp()) - int(b.GetAccessCounted().GetApp())
		})
	}
	for i, e := range logs[0] {
		if !proto.Equal(e, logs[1][i]) {
			t.Errorf("%v where there is something, %v where there is nothing", e, logs[1][i])
		}
	}
}
