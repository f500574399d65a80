package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Headers of requests.
const (
	HeaderContentType = "Content-Type"
	HeaderSession     = "Healthledger-Session"
)

// Defaults of NATSOptions.
const (
	DefaultMaxRequests = 8192
	DefaultMaxBytes    = 256 << 20
)

// NATSOptions of an endpoint.
type NATSOptions struct {
	// Gate stands before every call; nil: none.
	Gate Gate
	// Count is told of every request that has passed the gate; nil: nobody is.
	Count Count
	// MaxRequests and MaxBytes of requests under way at once, of which a caller gets a
	// part; 0: DefaultMaxRequests and DefaultMaxBytes. What exceeds them is answered with
	// ReasonBusy at once, so that nothing piles up unseen.
	MaxRequests int
	MaxBytes    int64
	// Logger gets internal errors and panics, never payloads; nil: they are dropped.
	Logger *slog.Logger
}

// Endpoint is a service on a NATS connection.
//
// It subscribes by itself instead of through nats.go/micro, whose protocol it
// follows for errors: micro's stop does not tell when the last request has been
// delivered, its bookkeeping is not made for handlers that answer later from
// another goroutine, and it would put nine subscriptions on $SRV, which nobody in
// the account may reach.
type Endpoint struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	prefix  string
	methods map[string]*method
	opts    NATSOptions

	ctx    context.Context
	cancel context.CancelFunc
	bounds *bounds
	// running is added to by the subscription's goroutine only, which has ended
	// when Stop waits.
	running sync.WaitGroup
	drained chan struct{}
	stop    sync.Once
}

// ServeNATS answers the service on <prefix>.*.*.<Method>. impl has one method for
// each of the service's, func(context.Context, *Request) (*Response, error); it is
// called from many goroutines and may wait: nobody waits for it but its caller.
// An error says what of impl does not fit, or that subscribing failed.
func ServeNATS(nc *nats.Conn, prefix string, service protoreflect.ServiceDescriptor, impl any, opts NATSOptions) (*Endpoint, error) {
	found, err := methods(service, impl)
	if err != nil {
		return nil, fmt.Errorf("rpc: serve %s: %w", prefix, err)
	}
	if opts.MaxRequests == 0 {
		opts.MaxRequests = DefaultMaxRequests
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Endpoint{nc: nc, prefix: prefix, methods: found, opts: opts, bounds: newBounds(opts.MaxRequests, opts.MaxBytes), drained: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.sub, err = nc.Subscribe(prefix+".*.*.*", e.take)
	if err == nil {
		e.sub.SetClosedHandler(func(string) { close(e.drained) })
		err = nc.Flush()
	}
	if err != nil {
		e.cancel()
		return nil, fmt.Errorf("rpc: serve %s: %w", prefix, err)
	}
	return e, nil
}

// Stop takes no more requests, lets those under way end and sends their answers.
// When ctx ends first, the calls' contexts end and Stop returns ctx's error.
func (e *Endpoint) Stop(ctx context.Context) error {
	defer e.cancel()
	var err error
	e.stop.Do(func() { err = e.sub.Drain() })
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return fmt.Errorf("rpc: stop %s: %w", e.prefix, err)
	}
	ended := make(chan struct{})
	go func() {
		<-e.drained
		e.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("rpc: stop %s: %w", e.prefix, context.Cause(ctx))
	}
	ctx, cancel := limited(ctx, 0)
	defer cancel()
	if err := e.nc.FlushWithContext(ctx); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("rpc: stop %s: flush: %w", e.prefix, err)
	}
	return nil
}

// request is one request under way.
type request struct {
	msg         *nats.Msg
	caller      Caller
	method      *method
	contentType string
}

// take starts a request. It runs in the subscription's goroutine and never waits.
func (e *Endpoint) take(msg *nats.Msg) {
	r := request{msg: msg}
	name, ok := r.address(e.prefix)
	if !ok {
		// No answer: it would go out with this connection's rights to a subject that
		// is not the caller's.
		return
	}
	if msg.Header != nil {
		r.contentType = header(msg.Header, HeaderContentType)
		r.caller.Session = header(msg.Header, HeaderSession)
	}
	if r.method = e.methods[name]; r.method == nil {
		e.fail(&r, Error(connect.CodeUnimplemented, nil, "there is no such method"))
		return
	}
	size := int64(msg.Size()) // headers are not free
	if err := e.bounds.take(r.caller.Key, size); err != nil {
		e.fail(&r, err)
		return
	}
	e.running.Add(1)
	go e.serve(r, size)
}

// address reads the caller from the subject and checks that the reply is his own.
func (r *request) address(prefix string) (method string, ok bool) {
	rest, ok := strings.CutPrefix(r.msg.Subject, prefix+".")
	if !ok {
		return "", false
	}
	var key string
	if r.caller.Store, rest, ok = strings.Cut(rest, "."); !ok || !IsStore(r.caller.Store) {
		return "", false
	}
	if key, method, ok = strings.Cut(rest, "."); !ok || !IsKey(key) {
		return "", false
	}
	r.caller.Key = key
	return method, isInbox(r.msg.Reply, key)
}

// InboxPrefix is what the reply subjects of a caller start with, without the last
// dot, as nats.CustomInboxPrefix wants it.
func InboxPrefix(key string) string { return "_INBOX." + key }

func isInbox(reply, key string) bool {
	const first = "_INBOX."
	if len(reply) < len(first)+keyLength+2 || reply[:len(first)] != first ||
		reply[len(first):len(first)+keyLength] != key || reply[len(first)+keyLength] != '.' {
		return false
	}
	return !strings.ContainsAny(reply, " \t\r\n*>")
}

// header finds a value whatever the case of its name is.
func header(headers nats.Header, name string) string {
	if values, ok := headers[name]; ok && len(values) > 0 {
		return values[0]
	}
	for key, values := range headers {
		if len(values) > 0 && strings.EqualFold(key, name) {
			return values[0]
		}
	}
	return ""
}

func (e *Endpoint) serve(r request, size int64) {
	defer func() {
		// What is left of the samples in this process is not left on purpose.
		clear(r.msg.Data)
		e.bounds.leave(r.caller.Key, size)
		e.running.Done()
	}()
	response, err := e.call(&r)
	if err != nil {
		e.fail(&r, err)
		return
	}
	encoding, _ := ParseContentType(r.contentType)
	body, err := encoding.Marshal(response)
	if err != nil {
		e.fail(&r, fmt.Errorf("marshal response: %w", err))
		return
	}
	defer clear(body)
	if int64(len(body)) > e.nc.MaxPayload() {
		e.fail(&r, fmt.Errorf("response of %d bytes is larger than a message", len(body)))
		return
	}
	e.send(&r, &nats.Msg{Subject: r.msg.Reply, Data: body})
}

// call passes the gate and runs the method; a panic is an internal error.
func (e *Endpoint) call(r *request) (response proto.Message, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			response, err = nil, panicked(cause)
		}
	}()
	ctx, leave, err := e.opts.Gate.open(WithCaller(e.ctx, r.caller), r.method.name)
	if err != nil {
		return nil, err
	}
	defer leave()
	e.opts.Count.tell(r.caller, r.msg.Size())
	return r.method.invoke(ctx, r.contentType, r.msg.Data)
}

// panicked describes a panic by its type and place. Its value and the arguments in
// a stack trace may be parts of a payload.
func panicked(cause any) error {
	var text strings.Builder
	fmt.Fprintf(&text, "panic of type %T", cause)
	if err, ok := cause.(runtime.Error); ok {
		text.WriteString(": " + err.Error())
	}
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(4, callers)])
	for {
		frame, more := frames.Next()
		fmt.Fprintf(&text, "; %s:%d", frame.Function, frame.Line)
		if !more {
			return errors.New(text.String())
		}
	}
}

// fail answers with an error.
func (e *Endpoint) fail(r *request, err error) {
	encoding, _ := ParseContentType(r.contentType)
	public := Public(err)
	if public.Code() == connect.CodeInternal {
		name := ""
		if r.method != nil {
			name = r.method.name
		}
		e.opts.Logger.Error("call failed", "service", e.prefix, "method", name, "error", cause(err))
	}
	code, text, body := encodeError(public, encoding)
	e.send(r, &nats.Msg{
		Subject: r.msg.Reply,
		Data:    body,
		Header:  nats.Header{micro.ErrorCodeHeader: {code}, micro.ErrorHeader: {text}},
	})
}

// cause is the text of what an internal error hides, however often it was hidden.
func cause(err error) string {
	var inner hiddenError
	for errors.As(err, &inner) && inner.cause != nil {
		err = inner.cause
	}
	return err.Error()
}

func (e *Endpoint) send(r *request, answer *nats.Msg) {
	if err := e.nc.PublishMsg(answer); err != nil {
		e.opts.Logger.Warn("answer not sent", "service", e.prefix, "error", err.Error())
	}
}
