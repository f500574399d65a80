package projector

import (
	"context"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

// changes answers what has changed since an anchor. When there is nothing it waits, as
// long as the reader wants to, for commits of the view, and asks again with what the
// reader may see then. Commits of what it may not see end no wait.
func (o *openStore) changes(ctx context.Context, reader *pb.Reader, r *pb.QueryChangesRequest) (*pb.QueryChangesResponse, error) {
	wait, cancel := context.WithTimeout(ctx, time.Duration(r.GetWaitMs())*time.Millisecond)
	defer cancel()
	for {
		applied, fault := o.follower.Applied()
		answer, err := o.engine.Changes(ctx, o.scope(reader), r)
		if err != nil || len(answer.GetSamples())+len(answer.GetDeleted()) > 0 || fault != nil || r.GetWaitMs() == 0 {
			return answer, err
		}
		if o.follower.Wait(wait, applied+1) != nil {
			return answer, ctx.Err()
		}
	}
}
