package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// DefaultTimeout of a call whose context has no deadline. How long the request itself
// lets the service wait comes on top.
const DefaultTimeout = time.Minute

// NATSClient calls the methods of one service for one caller. It may be used from
// many goroutines. The connection must have been made with InboxPrefix(key).
type NATSClient struct {
	nc      *nats.Conn
	subject string // with the last dot
	session atomic.Pointer[nats.Header]
	// connected ends when the connection is lost; then a new one takes its place.
	connected atomic.Pointer[connected]
}

type connected struct {
	ctx  context.Context
	lost context.CancelFunc
}

var errLost = errors.New("lost while the call was under way")

// NewNATSClient returns a client for <prefix>.<store>.<key>.*.
func NewNATSClient(nc *nats.Conn, prefix, store, key string) *NATSClient {
	c := &NATSClient{nc: nc, subject: prefix + "." + store + "." + key + "."}
	c.ConnectionLost()
	return c
}

// ConnectionLost ends the calls under way with ReasonUnavailable: their answers
// will not come. Whoever made the connection calls it from the connection's
// disconnect handler; without it such calls wait for their deadlines.
func (c *NATSClient) ConnectionLost() {
	next := new(connected)
	next.ctx, next.lost = context.WithCancel(context.Background())
	if last := c.connected.Swap(next); last != nil {
		last.lost()
	}
}

// SetSession sets the owner's session that goes with every call; empty: none.
func (c *NATSClient) SetSession(session string) {
	if session == "" {
		c.session.Store(nil)
		return
	}
	c.session.Store(&nats.Header{HeaderSession: {session}})
}

type sessionKey struct{}

// WithSession returns a context whose calls by a NATSClient go with this session instead.
func WithSession(ctx context.Context, session string) context.Context {
	return context.WithValue(ctx, sessionKey{}, &nats.Header{HeaderSession: {session}})
}

// Invoke calls a method by its name in the schema and waits for the answer. A call that
// comes too early for the app's rate is made again when the service says, unless ctx ends
// before. The error is a *connect.Error with a detail: the service's own, or one of
// ReasonUnavailable (nobody answers, or the connection was lost, in which case the
// call may have been executed), ReasonTooLarge, ReasonCanceled and
// ReasonDeadlineExceeded.
func (c *NATSClient) Invoke(ctx context.Context, method string, request, response proto.Message) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return InvalidArgument("request", "holds a string that is not UTF-8")
	}
	if len(body) > MaxRequest {
		return tooLarge()
	}
	defer clear(body)
	ctx, cancel := limited(ctx, waitOf(request))
	defer cancel()
	for tries := 0; ; tries++ {
		err := c.invoke(ctx, method, body, response)
		after := RetryAfter(err)
		if after == 0 {
			return err
		}
		// Whoever is refused again has been overtaken by other calls of the same app.
		after <<= min(tries, 5)
		if deadline, _ := ctx.Deadline(); time.Until(deadline) < after {
			return err
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return err
		}
	}
}

// invoke calls a method once.
func (c *NATSClient) invoke(ctx context.Context, method string, body []byte, response proto.Message) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	defer context.AfterFunc(c.connected.Load().ctx, func() { lost(errLost) })()
	msg := &nats.Msg{Subject: c.subject + method, Data: body}
	if session, ok := ctx.Value(sessionKey{}).(*nats.Header); ok {
		msg.Header = *session
	} else if session := c.session.Load(); session != nil {
		msg.Header = *session
	}
	answer, err := c.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		if context.Cause(ctx) == errLost {
			err = errLost
		}
		return c.unanswered(err)
	}
	defer clear(answer.Data)
	if answer.Header != nil {
		if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
			return decodeError(code, answer.Header.Get(micro.ErrorHeader), answer.Data, Protobuf)
		}
	}
	if err := Protobuf.Unmarshal(answer.Data, response); err != nil {
		return Internal(fmt.Errorf("answer to %s: %w", method, err))
	}
	return nil
}

// unanswered says why there is no answer.
func (c *NATSClient) unanswered(err error) *connect.Error {
	switch {
	case errors.Is(err, nats.ErrConnectionClosed) && refused(c.nc.LastError()):
		return Unauthenticated()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Public(err)
	case errors.Is(err, nats.ErrTimeout):
		return Public(context.DeadlineExceeded)
	case errors.Is(err, nats.ErrMaxPayload):
		return Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: ReasonTooLarge}, "the request is larger than the server takes")
	case errors.Is(err, nats.ErrNoResponders):
		return Error(connect.CodeUnavailable, nil, "the service does not answer")
	}
	return Error(connect.CodeUnavailable, nil, "connection: %w", err)
}

// Unauthenticated says that the credentials or the session open nothing.
func Unauthenticated() *connect.Error {
	return Error(connect.CodeUnauthenticated, nil, "the credentials are not valid")
}

// refused reports whether the server has refused the credentials.
func refused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAuthExpired)
}

// limited gives a context without a deadline one: DefaultTimeout and a wait from now.
func limited(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, DefaultTimeout+wait)
}

// waitOf returns how long a request lets the service wait for something to happen.
func waitOf(request proto.Message) time.Duration {
	if r, ok := request.(interface{ GetWaitMs() uint32 }); ok {
		return time.Duration(r.GetWaitMs()) * time.Millisecond
	}
	return 0
}

func call[Request, Response any, P interface {
	*Response
	proto.Message
}, Q interface {
	*Request
	proto.Message
}](ctx context.Context, c *NATSClient, method string, request Q) (P, error) {
	response := P(new(Response))
	if err := c.Invoke(ctx, method, request, response); err != nil {
		return nil, err
	}
	return response, nil
}
