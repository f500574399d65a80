package rpc

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

func TestCallThatMayWaitHasTimeForItAndTheAnswer(t *testing.T) {
	for _, c := range []struct {
		request proto.Message
		want    time.Duration
	}{
		{&pb.QuerySamplesRequest{}, DefaultTimeout}, {&pb.QueryChangesRequest{}, DefaultTimeout},
		{&pb.QueryChangesRequest{WaitMs: 60_000}, 2 * DefaultTimeout}, {&pb.QueryUpdatesRequest{WaitMs: 500}, DefaultTimeout + time.Second/2},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := limited(t.Context(), waitOf(c.request))
			defer cancel()
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != c.want {
				t.Errorf("%T: %v", c.request, time.Until(deadline))
			}
		})
	}
}
