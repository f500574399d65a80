package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// HTTPOptions of a handler.
type HTTPOptions struct {
	// Authenticate says whether a token is that of the caller that it claims to be, and gives
	// the number of that credential, for Caller. Store and key have the form of such.
	Authenticate func(store, key, token string) (credential uint64, ok bool)
	// Gate stands before every call; nil: none.
	Gate Gate
	// Count is told of every request that has passed the gate; nil: nobody is.
	Count Count
	// MaxRequests and MaxBytes of requests under way at once, of which a caller gets a
	// part; 0: DefaultMaxRequests and DefaultMaxBytes. What exceeds them is answered with
	// ReasonBusy at once.
	MaxRequests int
	MaxBytes    int64
	// Stopping ends when requests that are not all there yet are not waited for any more;
	// nil: never.
	Stopping context.Context
	// Logger gets internal errors and panics, never payloads; nil: they are dropped.
	Logger *slog.Logger
}

// Bearer is what an app, or the local owner, sends as "Authorization: Bearer …".
func Bearer(store, key, token string) string { return store + "." + key + "." + token }

// ParseBearer takes such a header apart; ok is false if it has another form.
func ParseBearer(header string) (store, key, token string, ok bool) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", "", "", false
	}
	parts := strings.SplitN(strings.TrimSpace(text), ".", 3)
	if len(parts) != 3 || !IsStore(parts[0]) || !IsKey(parts[1]) || parts[2] == "" {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// NewHTTPHandler serves an implementation of a service over HTTP; mount is the generated
// function that does so, with it already applied. Who calls is decided by the header
// Authorization, which no other method or path tells anything without.
func NewHTTPHandler(service protoreflect.ServiceDescriptor, mount func(...connect.HandlerOption) (string, http.Handler), opts HTTPOptions) (path string, handler http.Handler) {
	if opts.MaxRequests == 0 {
		opts.MaxRequests = DefaultMaxRequests
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Stopping == nil {
		opts.Stopping = context.Background()
	}
	h := &httpHandler{opts: opts, service: service, bounds: newBounds(opts.MaxRequests, opts.MaxBytes)}
	options := []connect.HandlerOption{
		connect.WithCodec(codec{"proto", Protobuf}), connect.WithCodec(codec{"json", JSON}),
		// Connect knows JSON by two names.
		connect.WithCodec(codec{"json; charset=utf-8", JSON}),
		// What a body has is what it counts for, and how well an answer compresses is
		// nobody's to see.
		connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(MaxRequest),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(h.intercept)),
	}
	h.errors = connect.NewErrorWriter(options...)
	path, h.next = mount(options...)
	return path, h
}

// httpHandler stands before the generated handlers.
type httpHandler struct {
	opts    HTTPOptions
	service protoreflect.ServiceDescriptor
	next    http.Handler
	errors  *connect.ErrorWriter
	bounds  *bounds
}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// An answer is nobody else's.
	w.Header().Set("Cache-Control", "no-store")
	store, key, token, ok := ParseBearer(r.Header.Get("Authorization"))
	var credential uint64
	if ok {
		credential, ok = h.opts.Authenticate(store, key, token)
	}
	if !ok {
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.refuse(w, r, Unauthenticated())
		return
	}
	// A deadline of the caller's that ended a call would go round the gate's: how long work
	// took could be read from when it comes too late.
	r.Header.Del("Grpc-Timeout")
	r.Header.Del("Connect-Timeout-Ms")
	method := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if h.service.Methods().ByName(protoreflect.Name(method)) == nil || r.Method != http.MethodPost || !h.errors.IsSupported(r) {
		h.next.ServeHTTP(w, r) // it says what is wrong, and reads nothing more
		return
	}
	caller := Caller{Store: store, Key: key, Session: r.Header.Get(HeaderSession), Credential: credential}
	ctx, leave, err := h.opts.Gate.open(WithCaller(r.Context(), caller), method)
	if err != nil {
		h.refuse(w, r, h.public(method, err))
		return
	}
	// Whatever is answered from here on, by whomever, leaves when it may.
	answer := &departing{ResponseWriter: w, leave: leave}
	defer answer.depart() // one without a body is written when this returns
	content, done, err := h.read(answer, r, caller)
	if err != nil {
		h.refuse(answer, r, h.public(method, err))
		return
	}
	defer done()
	// What is left of the samples in this process is not left on purpose.
	defer clear(content)
	r = r.WithContext(ctx)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	h.next.ServeHTTP(answer, r)
}

// maxWrite is how long an answer may take to its client.
const maxWrite = 10 * time.Second

// departing is an answer that waits until it may leave.
type departing struct {
	http.ResponseWriter
	leave func()
	once  sync.Once
}

func (d *departing) depart() {
	d.once.Do(func() {
		d.leave()
		// Whoever cannot set it has no connection that could be slow.
		_ = http.NewResponseController(d.ResponseWriter).SetWriteDeadline(time.Now().Add(maxWrite))
	})
}

func (d *departing) WriteHeader(status int) {
	d.depart()
	d.ResponseWriter.WriteHeader(status)
}

func (d *departing) Write(content []byte) (int, error) {
	d.depart()
	return d.ResponseWriter.Write(content)
}

// Unwrap is for http.ResponseController.
func (d *departing) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// read reads the body of a request within the bounds, or until the service stops. The
// request counts until done is called.
func (h *httpHandler) read(w http.ResponseWriter, r *http.Request, caller Caller) (content []byte, done func(), err error) {
	limit := int64(MaxRequest)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		limit += envelope
	}
	size := r.ContentLength
	if size > limit {
		return nil, nil, tooLarge()
	}
	if size < 0 {
		size = limit
	}
	if err := h.bounds.take(caller.Key, size); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			h.bounds.leave(caller.Key, size)
		}
	}()
	stopped := make(chan struct{})
	stop := context.AfterFunc(h.opts.Stopping, func() {
		defer close(stopped)
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-stopped // once the handler returns, what it writes to is gone
		}
	}()
	var body bytes.Buffer
	body.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead)
	n, err := body.ReadFrom(io.LimitReader(r.Body, limit+1))
	h.opts.Count.tell(caller, int(n))
	switch {
	case n > limit:
		return nil, nil, tooLarge()
	case h.opts.Stopping.Err() != nil && err != nil:
		return nil, nil, Error(connect.CodeUnavailable, nil, "the service stops")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil, Error(connect.CodeDeadlineExceeded, nil, "the request took too long to come")
	case err != nil:
		return nil, nil, Error(connect.CodeCanceled, nil, "the request ended early")
	default:
		h.bounds.settle(caller.Key, size, n)
		return body.Bytes(), func() { h.bounds.leave(caller.Key, n) }, nil
	}
}

// envelope is how many bytes gRPC puts before a message.
const envelope = 5

// refuse answers in the caller's protocol, if it speaks one.
func (h *httpHandler) refuse(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	if after := RetryAfter(err); after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
	}
	if !h.errors.IsSupported(r) {
		http.Error(w, err.Message(), http.StatusUnauthorized)
		return
	}
	if err := h.errors.Write(w, r, err); err != nil {
		h.opts.Logger.Warn("answer not sent", "error", err.Error())
	}
}

// intercept runs a call; a panic is an internal error.
func (h *httpHandler) intercept(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				response, err = nil, panicked(cause)
			}
			if err != nil {
				response, err = nil, h.public(methodOf(request.Spec()), err)
			}
		}()
		if why := unreadable(request.Any()); why != "" {
			return nil, InvalidArgument("request", why)
		}
		return next(ctx, request)
	}
}

// public is what the caller learns of an error; the log learns the rest.
func (h *httpHandler) public(method string, err error) *connect.Error {
	public := Public(err)
	if public.Code() == connect.CodeInternal {
		h.opts.Logger.Error("call failed", "service", "http", "method", method, "error", cause(err))
	}
	return public
}

func methodOf(spec connect.Spec) string {
	return spec.Procedure[strings.LastIndexByte(spec.Procedure, '/')+1:]
}

// codec makes Connect read and write messages as NATS does: with the same limits, and
// JSON with unknown fields is refused. A message that cannot be read comes to the
// interceptor with the reason in the place of unknown fields, which it never has otherwise:
// Connect would answer by itself, in its own words.
type codec struct {
	name     string
	encoding Encoding
}

func (c codec) Name() string { return c.name }

func (c codec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, errors.New("not a protobuf message")
	}
	return c.encoding.Marshal(m)
}

func (c codec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return errors.New("not a protobuf message")
	}
	if err := c.encoding.Unmarshal(data, m); err != nil {
		proto.Reset(m)
		m.ProtoReflect().SetUnknown([]byte(err.Error()))
	}
	return nil
}

// unreadable returns why a message could not be read, "" if it could.
func unreadable(message any) string {
	m, ok := message.(proto.Message)
	if !ok {
		return ""
	}
	return string(m.ProtoReflect().GetUnknown())
}
