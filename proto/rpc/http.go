package rpc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// HTTPOptions of a handler.
type HTTPOptions struct {
	// Authenticate says whose a token is, false if it is nobody's. Store and key are those
	// that the caller claims, and have the form of such.
	Authenticate func(store, key, token string) bool
	// Gate stands before every call; nil: none.
	Gate Gate
	// MaxRequests under way at once; 0: DefaultMaxRequests. What exceeds it is answered
	// with ReasonBusy at once.
	MaxRequests int
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

// NewHTTPHandler serves an implementation over HTTP; mount is the generated function
// that does so, with it already applied. Who calls is decided by the header
// Authorization, which no other method or path tells anything without.
func NewHTTPHandler(mount func(...connect.HandlerOption) (string, http.Handler), opts HTTPOptions) (path string, handler http.Handler) {
	if opts.MaxRequests == 0 {
		opts.MaxRequests = DefaultMaxRequests
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	h := &httpHandler{opts: opts}
	options := []connect.HandlerOption{
		connect.WithCodec(codec{"proto", Protobuf}), connect.WithCodec(codec{"json", JSON}),
		// Connect knows JSON by two names.
		connect.WithCodec(codec{"json; charset=utf-8", JSON}),
		connect.WithReadMaxBytes(MaxRequest),
		connect.WithRequestGate(h.gate),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(h.intercept)),
	}
	h.errors = connect.NewErrorWriter(options...)
	path, h.next = mount(options...)
	return path, h
}

// httpHandler stands before the generated handlers.
type httpHandler struct {
	opts     HTTPOptions
	next     http.Handler
	errors   *connect.ErrorWriter
	requests atomic.Int64
}

// leaveKey is where the gate leaves word for the interceptor.
type leaveKey struct{}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.requests.Add(-1)
	if h.requests.Add(1) > int64(h.opts.MaxRequests) {
		h.refuse(w, r, Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: ReasonBusy}, "too many requests at once"))
		return
	}
	store, key, token, ok := ParseBearer(r.Header.Get("Authorization"))
	if !ok || !h.opts.Authenticate(store, key, token) {
		h.refuse(w, r, Unauthenticated())
		return
	}
	// An answer is nobody else's.
	w.Header().Set("Cache-Control", "no-store")
	// A deadline of the caller's that ended a call would go round the gate's: how long work
	// took could be read from when it comes too late.
	r.Header.Del("Grpc-Timeout")
	r.Header.Del("Connect-Timeout-Ms")
	caller := Caller{Store: store, Key: key, Session: r.Header.Get(HeaderSession)}
	h.next.ServeHTTP(w, r.WithContext(WithCaller(r.Context(), caller)))
}

// refuse answers in the caller's protocol, if it speaks one.
func (h *httpHandler) refuse(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusServiceUnavailable
	if err.Code() == connect.CodeUnauthenticated {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if !h.errors.IsSupported(r) {
		http.Error(w, err.Message(), status)
		return
	}
	if err := h.errors.Write(w, r, err); err != nil {
		h.opts.Logger.Warn("answer not sent", "error", err.Error())
	}
}

// gate runs before a request is decoded.
func (h *httpHandler) gate(ctx context.Context, spec connect.Spec, _ connect.Peer, _ http.Header) (context.Context, error) {
	ctx, leave, err := h.opts.Gate.open(ctx, methodOf(spec))
	if err != nil {
		return nil, h.public(spec, err)
	}
	return context.WithValue(ctx, leaveKey{}, leave), nil
}

// intercept runs a call; a panic is an internal error.
func (h *httpHandler) intercept(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		leave, _ := ctx.Value(leaveKey{}).(func())
		defer leave()
		defer func() {
			if cause := recover(); cause != nil {
				response, err = nil, panicked(cause)
			}
			if err != nil {
				response, err = nil, h.public(request.Spec(), err)
			}
		}()
		return next(ctx, request)
	}
}

// public is what the caller learns of an error; the log learns the rest.
func (h *httpHandler) public(spec connect.Spec, err error) error {
	public := Public(err)
	if public.Code() == connect.CodeInternal {
		h.opts.Logger.Error("call failed", "service", "http", "method", methodOf(spec), "error", cause(err))
	}
	return public
}

func methodOf(spec connect.Spec) string {
	return spec.Procedure[strings.LastIndexByte(spec.Procedure, '/')+1:]
}

// codec makes Connect read and write messages as NATS does: with the same limits, and
// JSON with unknown fields is refused.
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
	return c.encoding.Unmarshal(data, m)
}
