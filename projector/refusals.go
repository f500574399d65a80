package projector

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/projector/query"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// refusalContext is what page tokens of the list of refusals are bound to.
const refusalContext = "refusals"

// listRefusals returns a page of what was refused.
func (p *projection) listRefusals(ctx context.Context, req *pb.ListAccessRequest) (*pb.ListAccessResponse, error) {
	filter := req.GetFilter()
	if len(filter.GetTypes()) > 0 {
		return nil, &query.ArgumentError{Field: "types", Value: filter.GetTypes()[0], Why: "what was refused is not listed by type"}
	}
	from, to, err := microsBetween(filter.GetFrom(), filter.GetTo())
	if err != nil {
		return nil, err
	}
	after, err := p.openOwnerToken(refusalContext, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	snapshot, err := p.view.Snapshot()
	if err != nil {
		return nil, err
	}
	page, limit := &pb.ListAccessResponse{}, accessLimit(req)
	var last []byte
	seen, more := 0, false
	err = snapshot.Refusals(from, to, after, func(r *view.Refusal) bool {
		if more = len(page.Refusals) == limit || seen == maxAccessesSeen; more || ctx.Err() != nil || snapshot.Err() != nil {
			return false
		}
		seen++
		last = r.Position()
		if one := p.refusalOf(r); refusalHeld(filter, r, one) {
			page.Refusals = append(page.Refusals, one)
		}
		return true
	})
	if err = errors.Join(err, ctx.Err(), snapshot.Err(), snapshot.Close()); err != nil || !more {
		return page, err
	}
	page.NextPageToken, err = p.sealOwnerToken(refusalContext, last)
	return page, err
}

func refusalHeld(f *pb.AccessFilter, r *view.Refusal, one *pb.Refusal) bool {
	return f.GetApp() == "" && !f.GetOwner() || f.GetOwner() && r.GetApp() == 0 || f.GetApp() != "" && f.GetApp() == one.GetBundleId()
}

func (p *projection) refusalOf(r *view.Refusal) *pb.Refusal {
	one := &pb.Refusal{
		BundleId: r.GetBundleId(), Operation: r.GetOperation(), Time: timestamppb.New(time.UnixMicro(r.Time)),
		Field: r.GetField(), Value: r.GetValue(), Why: r.GetWhy(),
	}
	if r.GetApp() != 0 {
		one.BundleId = p.nameOf(r.GetApp())
	}
	return one
}
