package projector

import (
	"context"
	"time"

	"healthledger/projector/query"
	pb "healthledger/proto/healthledger/v1"
)

// due returns the updates that are due to a reader, and waits for one if asked to. The
// scope is always that of the moment. To the owner those of all apps are due.
func (o *openStore) due(ctx context.Context, reader *pb.Reader, r *pb.DueRequest) (*pb.DueResponse, error) {
	resp := &pb.DueResponse{}
	wait := time.Duration(r.GetWaitMs()) * time.Millisecond
	err := o.await(ctx, wait, func() (bool, time.Time, error) {
		apps := []uint64{reader.GetApp()}
		if reader.GetApp() == 0 {
			apps = apps[:0]
			for _, a := range o.state.Apps() {
				apps = append(apps, a.Number)
			}
		}
		var again time.Time
		for _, app := range apps {
			updates, next, err := o.engine.Due(o.state.Scope(app), time.Now().UnixMicro())
			if err != nil {
				return false, again, err
			}
			resp.Updates = append(resp.Updates, updates...)
			if at := time.UnixMicro(next); next != query.Never && (again.IsZero() || at.Before(again)) {
				again = at
			}
		}
		return len(resp.Updates) > 0, again, nil
	})
	return resp, err
}
