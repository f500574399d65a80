package projector

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// changes answers what has changed since an anchor. When there is nothing it waits, as
// long as the reader wants to, for commits of the view, and asks again with what the
// reader may see then. Commits of what it may not see end no wait. Every look goes on from
// where the one before it ended: "from now" is when the reader asked.
func (o *openStore) changes(ctx context.Context, reader *pb.Reader, r *pb.QueryChangesRequest) (*pb.QueryChangesResponse, error) {
	var answer *pb.QueryChangesResponse
	r = proto.CloneOf(r)
	err := o.await(ctx, time.Duration(r.GetWaitMs())*time.Millisecond, func(p *projection) (bool, time.Time, error) {
		var err error
		if answer, err = p.engine.Changes(ctx, p.scope(reader), r); err == nil {
			r.Anchor, r.FromNow = answer.GetAnchor(), false
		}
		return len(answer.GetSamples())+len(answer.GetDeleted()) > 0, time.Time{}, err
	})
	return answer, err
}
