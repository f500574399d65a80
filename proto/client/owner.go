package client

import (
	"context"
	"errors"
	"iter"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// OwnerClient is the owner's connection to one store, from the daemon's machine.
type OwnerClient struct {
	nc       *nats.Conn
	services []*rpc.NATSClient
	owner    pb.OwnerServiceClient
	health   pb.HealthServiceClient
}

// DialOwner connects the owner of a store. The session may be empty: what needs one
// then fails with rpc.ReasonUnauthenticated. Errors are those of Dial.
func DialOwner(ctx context.Context, c LocalCredentials, store, session string, opts ...nats.Option) (*OwnerClient, error) {
	if err := c.check(); err != nil {
		return nil, rpc.InvalidArgument("credentials", err.Error())
	}
	if !rpc.IsStore(store) {
		return nil, rpc.InvalidArgument("store", "not the id of a store")
	}
	l := link{url: c.URL, trust: c.Trust, key: c.Key, proof: nats.UserInfo(rpc.LocalPrefix+c.Key, c.Token)}
	nc, services, err := l.dial(ctx, opts, address{"owner", store}, address{"health", store})
	if err != nil {
		return nil, err
	}
	o := &OwnerClient{nc: nc, services: services, owner: rpc.NewOwnerClient(services[0]), health: rpc.NewHealthClient(services[1])}
	o.SetSession(session)
	return o, nil
}

// Owner returns the owner's service.
func (o *OwnerClient) Owner() pb.OwnerServiceClient { return o.owner }

// Health returns the health service, as the owner sees it.
func (o *OwnerClient) Health() pb.HealthServiceClient { return o.health }

// QuerySamples returns samples as the owner sees them, like Client.QuerySamples.
func (o *OwnerClient) QuerySamples(ctx context.Context, request *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error] {
	return samples(ctx, o.health, request)
}

// QueryPayload returns a payload as the owner sees it, like Client.QueryPayload.
func (o *OwnerClient) QueryPayload(ctx context.Context, typeName, token string) iter.Seq2[*pb.Chunk, error] {
	return payload(ctx, o.health, typeName, token)
}

// Export is a copy that the owner takes, or hands to a third party under a grant.
type Export struct {
	// Types to ask for under a grant; none: all.
	Types []string

	owner   *OwnerClient
	session string
}

// OpenExport begins an export. Errors: rpc.ReasonReauthenticate after five minutes,
// rpc.ReasonNotFound (there is no such grant, or it has ended), rpc.ReasonInvalidArgument.
func (o *OwnerClient) OpenExport(ctx context.Context, request *pb.OpenExportRequest) (*Export, error) {
	opened, err := o.owner.OpenExport(ctx, request)
	if err != nil {
		return nil, err
	}
	return &Export{Types: opened.GetTypes(), owner: o, session: opened.GetSession()}, nil
}

// QuerySamples returns samples of the export, like Client.QuerySamples.
func (e *Export) QuerySamples(ctx context.Context, request *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error] {
	return samples(rpc.WithSession(ctx, e.session), e.owner.health, request)
}

// QueryPayload returns a payload of the export, like Client.QueryPayload.
func (e *Export) QueryPayload(ctx context.Context, typeName, token string) iter.Seq2[*pb.Chunk, error] {
	return payload(rpc.WithSession(ctx, e.session), e.owner.health, typeName, token)
}

// Close ends the export; complete says that it is whole. Errors: rpc.ReasonNotFound (it was
// ended meanwhile), rpc.ReasonUnavailable.
func (e *Export) Close(ctx context.Context, complete bool) error {
	_, err := e.owner.owner.CloseExport(ctx, &pb.CloseExportRequest{Session: e.session, Complete: complete})
	return err
}

// ReadLog yields the events of segments from one to another; 0: from the first, to the last
// that is there. With follow it goes on as the log grows, until ctx ends. It ends after an error.
func (o *OwnerClient) ReadLog(ctx context.Context, from, to uint64, follow bool) iter.Seq2[*pb.LogEvent, error] {
	return func(yield func(*pb.LogEvent, error) bool) {
		req := &pb.ReadLogRequest{Sequence: from}
		if follow {
			req.WaitMs = logWait
		}
		var content []byte
		for {
			page, err := o.owner.ReadLog(ctx, req)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, part := range page.GetParts() {
				if to != 0 && part.GetSequence() > to {
					return
				}
				if content = append(content, part.GetContent()...); part.GetMore() {
					continue
				}
				if !yield(logEvent(part, content)) {
					return
				}
				content = nil
			}
			req = &pb.ReadLogRequest{Sequence: page.GetSequence(), Event: page.GetEvent(), Offset: page.GetOffset()}
			if page.GetSequence() > page.GetLast() {
				if !follow {
					return
				}
				req.WaitMs = logWait
			}
		}
	}
}

// logWait is how long one call waits for the log to grow, in milliseconds.
const logWait = 30_000

func logEvent(at *pb.LogPart, content []byte) (*pb.LogEvent, error) {
	e := &pb.LogEvent{Sequence: at.GetSequence(), Index: at.GetEvent(), Class: at.GetClass(), Event: &pb.Event{}}
	err := proto.Unmarshal(content, e.GetEvent())
	switch body := e.GetEvent().GetBody().(type) {
	case *pb.Event_Decision:
		e.Decision = &pb.Decision{}
		err = errors.Join(err, proto.Unmarshal(body.Decision.GetDecision(), e.GetDecision()))
	case *pb.Event_DecisionDetail:
		e.DecisionDetail = &pb.DecisionDetail{}
		err = errors.Join(err, proto.Unmarshal(body.DecisionDetail, e.GetDecisionDetail()))
	}
	return e, err
}

// SetSession sets the session that goes with every call from now on; empty: none.
func (o *OwnerClient) SetSession(session string) {
	for _, service := range o.services {
		service.SetSession(session)
	}
}

// Close ends the connection.
func (o *OwnerClient) Close() { o.nc.Close() }
