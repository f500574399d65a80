package client

import (
	"context"
	"errors"
	"iter"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// waitingUpdates is how many messages may wait for a consumer; what is more comes again.
const waitingUpdates = 64

// SetUpdates says how often the app wants to be told that a type has changed. It is
// repeated like Save.
func (c *Client) SetUpdates(ctx context.Context, typeName string, frequency pb.Frequency) error {
	_, err := repeat(ctx, c, func(ctx context.Context) (*pb.SetUpdatesResponse, error) {
		return c.health.SetUpdates(ctx, &pb.SetUpdatesRequest{Type: typeName, Frequency: frequency})
	})
	return err
}

// AckUpdates says that updates have been dealt with. It is repeated like Save.
func (c *Client) AckUpdates(ctx context.Context, updates ...*pb.Update) error {
	request := &pb.AckUpdatesRequest{}
	for _, u := range updates {
		request.Tokens = append(request.Tokens, u.GetToken())
	}
	_, err := repeat(ctx, c, func(ctx context.Context) (*pb.AckUpdatesResponse, error) { return c.health.AckUpdates(ctx, request) })
	return err
}

// Updates returns the updates of the types that SetUpdates named as they come: those that
// are due now, and then those that the daemon tells of, until ctx ends. An update comes
// again until it is acknowledged, and may be under way more than once, so what it leads to
// must be safe to do twice. A store that is locked has no updates; they come after the
// unlock, whether or not anybody waited. It ends after the first error: the context's, or
// rpc.ReasonUnavailable when the client is closed.
func (c *Client) Updates(ctx context.Context) iter.Seq2[*pb.Update, error] {
	return func(yield func(*pb.Update, error) bool) {
		if err := c.updates(ctx, func(u *pb.Update) bool { return yield(u, nil) }); err != nil {
			yield(nil, rpc.Public(err))
		}
	}
}

// updates returns nil when yield wants no more.
func (c *Client) updates(ctx context.Context, yield func(*pb.Update) bool) error {
	changed := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.nc.RemoveStatusListener(changed)
	pushed := make(chan *nats.Msg, waitingUpdates)
	subscription, err := c.nc.ChanSubscribe(c.subject, pushed)
	if err != nil {
		return rpc.Error(connect.CodeUnavailable, nil, "subscribe to updates: %w", err)
	}
	// An error says that the connection has been closed.
	defer func() { _ = subscription.Unsubscribe() }()
	// What was told while nobody listened comes again late, so it is asked for.
	answer, err := c.health.QueryUpdates(ctx, &pb.QueryUpdatesRequest{})
	for {
		if err != nil && !tryLater(err) {
			return err
		}
		for _, u := range answer.GetUpdates() {
			if !yield(u) {
				return nil
			}
		}
		answer, err = nil, nil
		select {
		case msg := <-pushed:
			answer = &pb.QueryUpdatesResponse{}
			if rpc.Protobuf.Unmarshal(msg.Data, answer) != nil {
				return rpc.Internal(errors.New("an update is malformed"))
			}
		case <-changed:
			if c.nc.IsClosed() {
				return rpc.Error(connect.CodeUnavailable, nil, "the client is closed")
			}
			answer, err = c.health.QueryUpdates(ctx, &pb.QueryUpdatesRequest{})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryLater tells of an error that it is enough to wait after: what is due is pushed after
// an unlock, and asked for after the connection is made again.
func tryLater(err error) bool { return repeatable(err) || rpc.Reason(err) == rpc.ReasonStoreLocked }
