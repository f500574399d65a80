package rpc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const secret = "the token"

// web serves over HTTP to whoever has the secret.
func web(t *testing.T, impl pb.HealthServiceHandler, opts rpc.HTTPOptions) *httptest.Server {
	server := httptest.NewUnstartedServer(handler(impl, opts))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	// What the system keeps for a client that does not read is megabytes otherwise.
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		_ = conn.(*net.TCPConn).SetWriteBuffer(4096)
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// handler knows anna and berta.
func handler(impl pb.HealthServiceHandler, opts rpc.HTTPOptions) http.Handler {
	opts.Authenticate = func(s, key, token string) (uint64, bool) {
		return 1, s == store && (key == anna && token == secret || key == berta && token == "of berta")
	}
	mux := http.NewServeMux()
	mux.Handle(rpc.NewHTTPHandler(pb.File_healthledger_v1_health_proto.Services().ByName("HealthService"), func(o ...connect.HandlerOption) (string, http.Handler) {
		return pb.NewHealthServiceHandler(impl, o...)
	}, opts))
	return mux
}

// bearing puts the token on every call.
func bearing(token string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+token)
			r.Header().Set(rpc.HeaderSession, "the session")
			return next(ctx, r)
		}
	}))
}

// protocols are the ways to call over HTTP.
func protocols(t *testing.T, server *httptest.Server, token string) map[string]pb.HealthServiceClient {
	plain := new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: plain}
	t.Cleanup(transport.CloseIdleConnections)
	two := &http.Client{Transport: transport}
	with := func(c *http.Client, o ...connect.ClientOption) pb.HealthServiceClient {
		return pb.NewHealthServiceClient(c, server.URL, append(o, bearing(token))...)
	}
	return map[string]pb.HealthServiceClient{
		"connect":      with(server.Client()),
		"connect json": with(server.Client(), connect.WithProtoJSON()),
		"connect h2":   with(two),
		"grpc":         with(two, connect.WithGRPC()),
		"grpc-web":     with(server.Client(), connect.WithGRPCWeb()),
	}
}

func post(t *testing.T, server *httptest.Server, method, authorization, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/healthledger.v1.HealthService/"+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestEveryProtocolOfHTTPReachesTheImplementation(t *testing.T) {
	callers := make(chan rpc.Caller, 1)
	server := web(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		caller, _ := rpc.CallerFrom(ctx)
		callers <- caller
		return accept(ctx, r)
	}}, rpc.HTTPOptions{})
	for name, client := range protocols(t, server, rpc.Bearer(store, anna, secret)) {
		t.Run(name, func(t *testing.T) {
			answer, err := client.Save(t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{{Type: "stepCount"}, {Type: "stepCount"}}})
			if err != nil || answer.Accepted != 2 {
				t.Fatalf("save: %v, %v", answer, err)
			}
			if got, want := <-callers, (rpc.Caller{Store: store, Key: anna, Session: "the session", Credential: 1}); got != want {
				t.Fatalf("caller %+v, want %+v", got, want)
			}
			if _, err := client.QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{}); rpc.Reason(err) != rpc.ReasonStoreLocked {
				t.Fatalf("statistics: %v", err)
			}
			if _, err := client.QueryOutcome(t.Context(), &pb.QueryOutcomeRequest{}); connect.CodeOf(err) != connect.CodeUnimplemented {
				t.Fatalf("a method that is not there: %v", err)
			}
		})
	}
}

func TestNobodyCallsOverHTTPWithoutTheToken(t *testing.T) {
	var reached atomic.Int32
	server := web(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		reached.Add(1)
		return accept(ctx, r)
	}}, rpc.HTTPOptions{Gate: func(ctx context.Context, _ string) (context.Context, func(), error) {
		reached.Add(1)
		return ctx, nil, nil
	}})
	first := ""
	for _, authorization := range []string{
		"", "Bearer", "Bearer ", "Bearer x", "Basic " + rpc.Bearer(store, anna, secret), "Bearer " + rpc.Bearer(store, anna, "another"),
		"Bearer " + rpc.Bearer("another", anna, secret), "Bearer " + rpc.Bearer(store, strings.Repeat("b", len(anna)), secret),
		"Bearer " + rpc.Bearer(store, ">", secret), "Bearer " + rpc.Bearer(store, anna, secret+"x"),
	} {
		for _, method := range []string{"Save", "Nonesuch"} {
			status, body := post(t, server, method, authorization, "application/json", "{")
			if first == "" {
				first = body
			}
			if status != http.StatusUnauthorized || body != first || !strings.Contains(body, "unauthenticated") {
				t.Errorf("%q: %d %s", authorization, status, body)
			}
		}
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d calls without a token went on", n)
	}
	for name, client := range protocols(t, server, "nonsense") {
		if _, err := client.Save(t.Context(), &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGateOfHTTPRunsBeforeTheRequestIsLookedAt(t *testing.T) {
	server := web(t, service{save: accept}, rpc.HTTPOptions{Gate: func(context.Context, string) (context.Context, func(), error) {
		return nil, nil, rpc.StoreLocked()
	}})
	first := ""
	for _, body := range []string{"", "{", `{"samples":[]}`, `{"nonsense":1}`, strings.Repeat(" ", 2*rpc.MaxRequest)} {
		status, text := post(t, server, "Save", "Bearer "+rpc.Bearer(store, anna, secret), "application/json", body)
		if first == "" {
			first = text
		}
		if text != first || status != http.StatusBadRequest || !strings.Contains(text, rpc.ReasonStoreLocked) && !strings.Contains(text, "details") {
			t.Errorf("the locked error depends on the request: %d %s", status, text)
		}
	}
}

func TestAnswersOfHTTPWaitUntilTheyMayLeave(t *testing.T) {
	left := make(chan struct{}, 1)
	server := web(t, service{save: accept}, rpc.HTTPOptions{Gate: func(ctx context.Context, method string) (context.Context, func(), error) {
		return ctx, func() { left <- struct{}{} }, nil
	}})
	for name, client := range protocols(t, server, rpc.Bearer(store, anna, secret)) {
		if _, err := client.Save(t.Context(), &pb.SaveRequest{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		select {
		case <-left:
		default:
			t.Errorf("%s: the answer did not wait", name)
		}
	}
}

func TestBadRequestsOverHTTPSayWhatIsWrong(t *testing.T) {
	server := web(t, service{save: accept}, rpc.HTTPOptions{})
	token := "Bearer " + rpc.Bearer(store, anna, secret)
	for body, want := range map[string]string{
		`{"nonsense":1}`:                       "nonsense",
		`{`:                                    "invalid_argument",
		strings.Repeat(" ", rpc.MaxRequest+10): "resource_exhausted",
	} {
		if status, text := post(t, server, "Save", token, "application/json", body); status == http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%.20q: %d %s", body, status, text)
		}
	}
	if status, _ := post(t, server, "Save", token, "text/plain", "hello"); status != http.StatusUnsupportedMediaType {
		t.Errorf("plain text: status %d", status)
	}
}

// Connect has codecs of its own for what is not replaced, and they know nothing of answers
// that are encoded already.
func TestEveryNameOfJSONIsTheSame(t *testing.T) {
	content, err := proto.Marshal(&pb.QuerySamplesResponse{NextPageToken: "next"})
	if err != nil {
		t.Fatal(err)
	}
	server := web(t, encoded{content: content}, rpc.HTTPOptions{})
	token := "Bearer " + rpc.Bearer(store, anna, secret)
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8"} {
		if status, text := post(t, server, "QuerySamples", token, contentType, "{}"); status != http.StatusOK || !strings.Contains(text, "next") {
			t.Errorf("%s: %d %s", contentType, status, text)
		}
		if status, text := post(t, server, "QuerySamples", token, contentType, `{"nonsense":1}`); status != http.StatusBadRequest {
			t.Errorf("%s with an unknown field: %d %s", contentType, status, text)
		}
	}
}

// encoded answers what is encoded already.
type encoded struct {
	pb.UnimplementedHealthServiceHandler
	content []byte
}

func (e encoded) QuerySamples(context.Context, *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	return rpc.Encoded(new(pb.QuerySamplesResponse), e.content), nil
}

// How long a call took must not be read from a deadline that it meets or does not.
func TestDeadlinesOfCallersDoNotEndCallsOverHTTP(t *testing.T) {
	server := web(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		if deadline, ok := ctx.Deadline(); ok {
			t.Errorf("the call ends at %v", deadline)
		}
		return accept(ctx, r)
	}}, rpc.HTTPOptions{})
	for name, client := range protocols(t, server, rpc.Bearer(store, anna, secret)) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := client.Save(ctx, &pb.SaveRequest{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestPanicOverHTTPIsAnInternalErrorWithoutPayload(t *testing.T) {
	var log bytes.Buffer
	server := web(t, service{save: func(_ context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		panic("heart rate of " + r.Samples[0].Type)
	}}, rpc.HTTPOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	status, text := post(t, server, "Save", "Bearer "+rpc.Bearer(store, anna, secret), "application/json", `{"samples":[{"type":"a secret"}]}`)
	if status != http.StatusInternalServerError || strings.Contains(text+log.String(), "secret") || !strings.Contains(log.String(), "panic of type string") {
		t.Errorf("%d %s\n%s", status, text, log.String())
	}
}

func TestRequestsOverHTTPAreBounded(t *testing.T) {
	impl, began, release := held()
	server := web(t, impl, rpc.HTTPOptions{MaxRequests: 1})
	client := protocols(t, server, rpc.Bearer(store, anna, secret))["connect"]
	ended := make(chan error, 1)
	go func() {
		_, err := client.Save(t.Context(), &pb.SaveRequest{})
		ended <- err
	}()
	<-began
	if _, err := client.Save(t.Context(), &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonBusy {
		t.Errorf("too much at once: %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer " + rpc.Bearer(store, anna, secret))
	f.Add("bearer a.b.c")
	f.Fuzz(func(t *testing.T, header string) {
		s, key, token, ok := rpc.ParseBearer(header)
		if !ok {
			return
		}
		if !rpc.IsStore(s) || !rpc.IsKey(key) || token == "" {
			t.Fatalf("%q gave %q %q %q", header, s, key, token)
		}
		if s2, key2, token2, ok := rpc.ParseBearer("Bearer " + rpc.Bearer(s, key, token)); !ok || s2 != s || key2 != key || token2 != token {
			t.Fatalf("%q does not come back", header)
		}
	})
}

// What cannot be read is refused over HTTP as on NATS, whatever the protocol and the
// encoding: with the same code and detail, and not before it may.
func TestRequestsThatCannotBeReadAreRefusedAlikeOnBothTransports(t *testing.T) {
	left := make(chan struct{}, 1)
	gate := func(ctx context.Context, _ string) (context.Context, func(), error) {
		return ctx, func() { left <- struct{}{} }, nil
	}
	server := web(t, service{save: accept}, rpc.HTTPOptions{Gate: gate})
	nc := serve(t, service{save: accept}, rpc.NATSOptions{}).connect(t, anna)
	for _, c := range []struct {
		name, contentType string
		body              []byte
	}{
		{"no JSON", rpc.ContentTypeJSON, []byte("{")},
		{"unknown field", rpc.ContentTypeJSON, []byte(`{"nonsense":1}`)},
		{"wrong kind", rpc.ContentTypeJSON, []byte(`{"samples":7}`)},
		{"too deep", rpc.ContentTypeJSON, []byte(strings.Repeat(`{"samples":[`, 50))},
		{"no protobuf", "application/proto", []byte{0x0a, 0x7f}},
		{"large JSON", rpc.ContentTypeJSON, bytes.Repeat([]byte(" "), rpc.MaxRequest+1)},
		{"large protobuf", "application/proto", make([]byte, rpc.MaxRequest+1)},
	} {
		answer, err := nc.RequestMsg(&nats.Msg{
			Subject: "health." + store + "." + anna + ".Save", Data: c.body, Header: nats.Header{rpc.HeaderContentType: {c.contentType}},
		}, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		want := new(pb.ErrorDetail)
		if encoding, _ := rpc.ParseContentType(c.contentType); encoding.Unmarshal(answer.Data, want) != nil || want.GetReason() == "" {
			t.Fatalf("%s on NATS: %s", c.name, answer.Data)
		}
		for _, size := range []string{"known", "unknown"} {
			var body io.Reader = bytes.NewReader(c.body)
			if size == "unknown" {
				body = io.MultiReader(body)
			}
			code, detail := refusal(t, server, c.contentType, body)
			if code != answer.Header.Get(micro.ErrorCodeHeader) || !proto.Equal(detail, want) {
				t.Errorf("%s of %s size: %s %v, on NATS %v", c.name, size, code, detail, want)
			}
			select {
			case <-left:
			default:
				t.Errorf("%s: the answer did not wait", c.name)
			}
		}
	}
}

// refusal posts a body to Save and returns the code and the detail of the error.
func refusal(t *testing.T, server *httptest.Server, contentType string, body io.Reader) (code string, detail *pb.ErrorDetail) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/healthledger.v1.HealthService/Save", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+rpc.Bearer(store, anna, secret))
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var failure struct {
		Code    string
		Details []struct{ Value string }
	}
	if err := json.NewDecoder(response.Body).Decode(&failure); err != nil {
		t.Fatal(err)
	}
	detail = new(pb.ErrorDetail)
	for _, d := range failure.Details {
		content, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil || proto.Unmarshal(content, detail) != nil {
			t.Fatalf("detail %q: %v", d.Value, err)
		}
	}
	return failure.Code, detail
}

// One caller whose requests never end takes no place of others, nor do requests whose bodies
// have not come.
func TestUnfinishedRequestsTakePlacesOfTheirCallerOnly(t *testing.T) {
	server := web(t, service{save: accept}, rpc.HTTPOptions{MaxRequests: 5, MaxBytes: 8 * rpc.MaxRequest})
	ended := make(chan struct{}, 2)
	post := func() *io.PipeWriter {
		r, w := io.Pipe()
		go func() {
			defer func() { ended <- struct{}{} }()
			request, err := http.NewRequest(http.MethodPost, server.URL+"/healthledger.v1.HealthService/Save", r)
			if err != nil {
				return
			}
			request.Header.Set("Content-Type", rpc.ContentTypeJSON)
			request.Header.Set("Authorization", "Bearer "+rpc.Bearer(store, anna, secret))
			if response, err := server.Client().Do(request); err == nil {
				_ = response.Body.Close()
			}
		}()
		_, _ = io.WriteString(w, "{")
		return w
	}
	bodies := []*io.PipeWriter{post(), post()}
	greedy := protocols(t, server, rpc.Bearer(store, anna, secret))["connect"]
	other := protocols(t, server, rpc.Bearer(store, berta, "of berta"))
	wait(t, func() bool {
		// Two are there and a third would leave two: as many as it has itself are free.
		_, err := greedy.Save(t.Context(), &pb.SaveRequest{})
		return rpc.Reason(err) != rpc.ReasonBusy
	})
	third := post()
	wait(t, func() bool {
		_, err := greedy.Save(t.Context(), &pb.SaveRequest{})
		return rpc.Reason(err) == rpc.ReasonBusy
	})
	for name, client := range other {
		if _, err := client.Save(t.Context(), &pb.SaveRequest{}); err != nil {
			t.Errorf("%s beside a greedy app: %v", name, err)
		}
	}
	for _, b := range append(bodies, third) {
		_ = b.CloseWithError(io.ErrUnexpectedEOF)
		<-ended
	}
	wait(t, func() bool {
		_, err := greedy.Save(t.Context(), &pb.SaveRequest{})
		return err == nil
	})
}
