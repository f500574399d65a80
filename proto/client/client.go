// Package client is what producers and readers of a store use.
//
//	credentials, err := client.ReadCredentials("app.json")
//	c, err := client.Dial(ctx, credentials)
//	defer c.Close()
//	_, err = c.Save(ctx, &pb.SaveRequest{Samples: samples})
//	for sample, err := range c.QuerySamples(ctx, &pb.QuerySamplesRequest{Types: []string{"stepCount"}}) { … }
//
// Errors are *connect.Error values with a reason, whatever the transport is; see
// package rpc for the reasons:
//
//	if rpc.Reason(err) == rpc.ReasonStoreLocked { … }
//
// Large content (voltages, routes, documents) is the payload of a sample. On the way in it
// is simply there, however large it is: Save sends it ahead in parts. On the way out a
// sample has a token instead:
//
//	for chunk, err := range c.QueryPayload(ctx, sample.Type, sample.PayloadToken) { … }
//
// A save or a delete answers with a receipt, which a query of the same app takes to
// wait until the view contains it. What Client has no method for is in Health:
//
//	changes, err := c.Health().QueryChanges(ctx, &pb.QueryChangesRequest{Type: "stepCount", Anchor: anchor})
//
// An app that wants to know when there is something new says so once, and listens:
//
//	err := c.SetUpdates(ctx, "stepCount", pb.Frequency_FREQUENCY_IMMEDIATE)
//	for update, err := range c.Updates(ctx) { … err = c.AckUpdates(ctx, update) }
//
// A connection that is lost is made again. Save and Delete then repeat themselves under
// the same request id, so that they happen once; other calls fail with
// rpc.ReasonUnavailable and are the caller's to repeat.
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"net"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Client is an app's connection to its store. It may be used from many goroutines.
type Client struct {
	nc      *nats.Conn
	health  pb.HealthServiceClient
	subject string // of its updates
}

// How long connecting may take if the context does not end before.
const dialTimeout = 5 * time.Second

// Dial connects an app. The options come after the client's own, except for the
// disconnect handler, which is the client's. Errors: rpc.ReasonUnauthenticated,
// rpc.ReasonUnavailable, rpc.ReasonInvalidArgument (the credentials are malformed, or the seed cannot be read),
// rpc.ReasonCanceled, rpc.ReasonDeadlineExceeded.
func Dial(ctx context.Context, c Credentials, opts ...nats.Option) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, rpc.InvalidArgument("credentials", err.Error())
	}
	proof, err := c.proof()
	if err != nil {
		return nil, rpc.InvalidArgument("credentials", err.Error())
	}
	l := link{url: c.URL, trust: c.Trust, key: c.Key, proof: proof}
	nc, services, err := l.dial(ctx, opts, address{"health", c.Store})
	if err != nil {
		return nil, err
	}
	return &Client{nc: nc, health: rpc.NewHealthClient(services[0]), subject: rpc.UpdatesSubject(c.Store, c.Key)}, nil
}

// Health returns the service itself: one call for each method, nothing repeated
// but what came too early for the app's rate.
func (c *Client) Health() pb.HealthServiceClient { return c.health }

// Close ends the connection.
func (c *Client) Close() { c.nc.Close() }

// How long one attempt of a save may take before the next one, and how long to
// wait between attempts.
const (
	saveAttempt = 10 * time.Second
	saveBackoff = 10 * time.Millisecond
	saveMaxWait = time.Second
)

// Save stores samples and returns when they are durable. Without a request id it
// makes one (the request itself is not changed, so it may be used again for other
// objects). Payloads that would make the request too large go ahead in parts. Each call
// that this takes is repeated while the service cannot be reached or is busy, or the app is
// over its rate, until ctx ends (after rpc.DefaultTimeout for each of them if ctx has no
// deadline).
//
// A save is all or nothing; therefore a request that without these payloads has more
// than rpc.MaxRequest bytes is not split but refused with rpc.ReasonTooLarge. After
// rpc.ReasonDeadlineExceeded, rpc.ReasonCanceled and rpc.ReasonUnavailable the samples
// may or may not be stored: to find out, save again with the same id, which therefore
// must have been given.
func (c *Client) Save(ctx context.Context, request *pb.SaveRequest) (*pb.SaveResponse, error) {
	if len(request.GetRequestId()) == 0 {
		request = shallow(request)
		request.RequestId = newRequestID()
	}
	request, uploads, err := ahead(request)
	if err != nil {
		return nil, err
	}
	for _, u := range uploads {
		if err := c.send(ctx, u); err != nil {
			return nil, err
		}
	}
	return repeat(ctx, c, func(ctx context.Context) (*pb.SaveResponse, error) { return c.health.Save(ctx, request) })
}

// Delete takes back samples that the app has saved and returns when that is durable.
// Without a request id it makes one. It is repeated like Save, with errors like those of
// Save: after a repetition under the same id nothing more is deleted.
func (c *Client) Delete(ctx context.Context, request *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	if len(request.GetRequestId()) == 0 {
		request = shallow(request)
		request.RequestId = newRequestID()
	}
	return repeat(ctx, c, func(ctx context.Context) (*pb.DeleteResponse, error) { return c.health.Delete(ctx, request) })
}

func newRequestID() []byte {
	id := make([]byte, 16)
	rand.Read(id)
	return id
}

// repeat calls until there is an answer that calling again would not change.
func repeat[R any](ctx context.Context, c *Client, call func(context.Context) (R, error)) (R, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rpc.DefaultTimeout)
		defer cancel()
	}
	for wait := saveBackoff; ; wait = min(2*wait, saveMaxWait) {
		response, err := attempt(ctx, call)
		if err == nil || ctx.Err() != nil || c.nc.IsClosed() || !repeatable(err) {
			return response, err
		}
		select {
		case <-ctx.Done():
			// The reason of the last attempt tells more than that time is over.
			return response, err
		case <-time.After(max(wait, rpc.RetryAfter(err))):
		}
	}
}

func attempt[R any](ctx context.Context, call func(context.Context) (R, error)) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, saveAttempt)
	defer cancel()
	return call(ctx)
}

// repeatable reports whether a save may succeed when it is sent again.
func repeatable(err error) bool {
	if rpc.RetryAfter(err) > 0 {
		return true
	}
	switch rpc.Reason(err) {
	case rpc.ReasonUnavailable, rpc.ReasonBusy, rpc.ReasonDeadlineExceeded:
		return true
	}
	return false
}

// shallow copies a message, not what it refers to.
func shallow[M proto.Message](m M) M {
	from := m.ProtoReflect()
	to := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.Set(field, value)
		return true
	})
	to.SetUnknown(from.GetUnknown())
	return to.Interface().(M)
}

// QuerySamples returns the samples that the app may read, page after page, up to
// the request's limit. It ends after the first error. A page token in the request
// is where it starts.
func (c *Client) QuerySamples(ctx context.Context, request *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error] {
	return samples(ctx, c.health, request)
}

// QueryPayload returns the payload of a sample that a query gave, chunk after chunk. The
// token is the sample's; a sample without one has no payload, and there is nothing to
// ask for. It ends after the first error.
func (c *Client) QueryPayload(ctx context.Context, typeName, token string) iter.Seq2[*pb.Chunk, error] {
	return payload(ctx, c.health, typeName, token)
}

// QueryStatistics returns statistics of a quantity type.
func (c *Client) QueryStatistics(ctx context.Context, request *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	return c.health.QueryStatistics(ctx, request)
}

func samples(ctx context.Context, health pb.HealthServiceClient, request *pb.QuerySamplesRequest) iter.Seq2[*pb.Sample, error] {
	return func(yield func(*pb.Sample, error) bool) {
		page := shallow(request)
		for {
			answer, err := health.QuerySamples(ctx, page)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, sample := range answer.Samples {
				if !yield(sample, nil) {
					return
				}
			}
			if answer.NextPageToken == "" {
				return
			}
			if answer.NextPageToken == page.PageToken {
				yield(nil, rpc.Internal(errors.New("the next page is this one")))
				return
			}
			page.PageToken = answer.NextPageToken
		}
	}
}

func payload(ctx context.Context, health pb.HealthServiceClient, typeName, token string) iter.Seq2[*pb.Chunk, error] {
	return func(yield func(*pb.Chunk, error) bool) {
		page := &pb.QueryPayloadRequest{Type: typeName, PayloadToken: token}
		for {
			answer, err := health.QueryPayload(ctx, page)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, chunk := range answer.Chunks {
				if !yield(chunk, nil) {
					return
				}
			}
			if answer.Done {
				return
			}
			if answer.NextPageToken == "" || answer.NextPageToken == page.PageToken {
				yield(nil, rpc.Internal(errors.New("there is more, and no way to it")))
				return
			}
			page.PageToken = answer.NextPageToken
		}
	}
}

// link is how to connect.
type link struct {
	url   string
	trust Trust
	key   string
	proof nats.Option
}

// address is a service of a store.
type address struct{ prefix, store string }

// dial connects and returns a client for each of the addresses.
func (l link) dial(ctx context.Context, opts []nats.Option, to ...address) (*nats.Conn, []*rpc.NATSClient, error) {
	timeout := dialTimeout
	if deadline, limited := ctx.Deadline(); limited {
		timeout = min(timeout, time.Until(deadline))
	}
	if err := ctx.Err(); err != nil || timeout <= 0 {
		return nil, nil, rpc.Public(context.Cause(ctx))
	}
	own, err := l.trust.Options(l.url)
	if err != nil {
		return nil, nil, rpc.InvalidArgument("credentials", err.Error())
	}
	services := make([]*rpc.NATSClient, len(to))
	ready := make(chan struct{})
	own = append(own,
		l.proof,
		nats.CustomInboxPrefix(rpc.InboxPrefix(l.key)),
		nats.Timeout(timeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		// Calls return their errors; the library would print to standard error.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	)
	opts = append(append(own, opts...), nats.DisconnectErrHandler(func(*nats.Conn, error) {
		<-ready
		for _, service := range services {
			service.ConnectionLost()
		}
	}))
	nc, err := nats.Connect(l.url, opts...)
	if err != nil {
		services = nil
		close(ready)
		return nil, nil, unconnected(err)
	}
	for i, a := range to {
		services[i] = rpc.NewNATSClient(nc, a.prefix, a.store, l.key)
	}
	close(ready)
	return nc, services, nil
}

// unconnected says why there is no connection.
func unconnected(err error) *connect.Error {
	var timeout net.Error
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return rpc.Unauthenticated()
	case errors.Is(err, nats.ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return rpc.Error(connect.CodeUnavailable, nil, "the daemon does not answer in time")
	}
	return rpc.Error(connect.CodeUnavailable, nil, "connect to the daemon: %w", err)
}
