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
	err := o.await(ctx, wait, func(p *projection) (bool, time.Time, error) {
		apps := []uint64{reader.GetApp()}
		if reader.GetApp() == 0 {
			apps = apps[:0]
			for _, a := range p.state.Apps() {
				apps = append(apps, a.Number)
			}
		}
		now, next := r.GetAt(), int64(query.Never)
		if now == 0 {
			now = time.Now().UnixMicro()
		}
		for _, app := range apps {
			updates, more, err := p.engine.Due(p.state.Scope(app), now)
			if err != nil {
				return false, time.Time{}, err
			}
			resp.Updates, next = append(resp.Updates, updates...), min(next, more)
		}
		var again time.Time
		if resp.Again = 0; next != query.Never {
			resp.Again, again = next, time.UnixMicro(next)
		}
		return len(resp.Updates) > 0, again, nil
	})
	return resp, err
}
