package main

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// asOf says that a query is about the store as it was.
type asOf struct {
	AsOf   string `help:"As of the past, which the owner may ask for: a time (RFC 3339 or 2024-05-01), or a number of segments of the log. With --app: what that app would see of it." placeholder:"TIME|SEQ"`
	Grants string `help:"With --as-of and --app: the grants of then, or those of now." enum:",then,now" default:""`
}

// request is what opens the past for a reader.
func (p *asOf) request(who *asWhom, loc *time.Location) (*pb.OpenPastRequest, error) {
	req := &pb.OpenPastRequest{BundleId: who.App}
	if p.Grants != "" {
		if who.App == "" {
			return nil, usagef("--grants: the owner needs none")
		}
		req.Grants = pb.PastGrants(pb.PastGrants_value[enumName("PAST_GRANTS_", p.Grants)])
	}
	if who.Credentials != "" {
		return nil, usagef("--credentials: it is the owner who reads the past, as the app would")
	}
	if sequence, err := strconv.ParseUint(p.AsOf, 10, 64); err == nil {
		req.AsOf = &pb.OpenPastRequest_Sequence{Sequence: sequence}
		return req, nil
	}
	t, err := health.ParseTime(p.AsOf, loc)
	if err != nil {
		return nil, usagef("--as-of: neither a number of segments nor a time: %w", err)
	}
	req.AsOf = &pb.OpenPastRequest_Time{Time: timestamppb.New(t)}
	return req, nil
}

// read runs a query as the reader that was named, now or as of the past. Whatever it asks
// with the context that it gets is about then.
func (p *asOf) read(ctx context.Context, g *globals, who *asWhom, loc *time.Location, query func(context.Context, reader) error) error {
	if p.AsOf == "" {
		if p.Grants != "" {
			return usagef("--grants: --as-of is missing")
		}
		return who.as(ctx, g, func(r reader) error { return query(ctx, r) })
	}
	req, err := p.request(who, loc)
	if err != nil {
		return err
	}
	o, err := g.owner(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.with(ctx, func() error {
		session, err := o.openPast(ctx, req)
		if err != nil {
			return err
		}
		return query(rpc.WithSession(ctx, session), o)
	})
}

// openPast has a view of the past made, and returns the session that reads it.
func (o *owner) openPast(ctx context.Context, req *pb.OpenPastRequest) (string, error) {
	progress := o.globals.bar("Going back", "segments")
	defer progress.done()
	for {
		resp, err := o.Owner().OpenPast(ctx, req)
		if err != nil {
			return "", err
		}
		progress.set(int64(resp.GetDone()), int64(resp.GetTotal()))
		if resp.GetRun() == "" {
			return resp.GetSession(), nil
		}
		req = &pb.OpenPastRequest{Run: resp.GetRun()}
	}
}
