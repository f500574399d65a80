package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/serve/natsserver"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const (
	store = "k3v9store"
	anna  = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	berta = "bbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var health = pb.File_healthledger_v1_health_proto.Services().ByName("HealthService")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a handler whose Save is the test's.
type service struct {
	pb.UnimplementedHealthServiceHandler
	save func(context.Context, *pb.SaveRequest) (*pb.SaveResponse, error)
}

func (s service) Save(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
	return s.save(ctx, r)
}

func (service) SavePart(_ context.Context, r *pb.SavePartRequest) (*pb.SavePartResponse, error) {
	if len(r.Chunk.GetData()) != 300_000 {
		return nil, rpc.InvalidArgument("chunk", "not all of it")
	}
	return &pb.SavePartResponse{}, nil
}

func (service) QueryPayload(_ context.Context, r *pb.QueryPayloadRequest) (*pb.QueryPayloadResponse, error) {
	return &pb.QueryPayloadResponse{Chunks: []*pb.Chunk{{Data: []byte(r.PayloadToken)}}, Done: true}, nil
}

func (service) QuerySamples(_ context.Context, r *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	return &pb.QuerySamplesResponse{Samples: []*pb.Sample{{Type: strings.Join(r.Types, " ")}}}, nil
}

func (service) QueryStatistics(context.Context, *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	return nil, rpc.StoreLocked()
}

// world is a server with a served service.
type world struct {
	srv      *natsserver.Server
	endpoint *rpc.Endpoint
}

func serve(t testing.TB, impl service, opts rpc.NATSOptions) *world {
	t.Helper()
	srv, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Authenticate: func(user, _ string) (natsserver.Identity, bool) {
		if key, local := strings.CutPrefix(user, rpc.LocalPrefix); local {
			return natsserver.Identity{Kind: natsserver.LocalOwner, Key: key}, true
		}
		return natsserver.Identity{Kind: natsserver.App, Store: store, Key: user}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	nc, err := srv.Connect(natsserver.Service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	endpoint, err := rpc.ServeNATS(nc, "health", health, impl, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := endpoint.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return &world{srv, endpoint}
}

func (w *world) connect(t testing.TB, user string) *nats.Conn {
	t.Helper()
	inbox := rpc.InboxPrefix(strings.TrimPrefix(user, rpc.LocalPrefix))
	nc, err := nats.Connect(w.srv.URL(), nats.UserInfo(user, "token"), nats.CustomInboxPrefix(inbox), nats.MaxReconnects(0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (w *world) client(t testing.TB, key string) pb.HealthServiceClient {
	return rpc.NewHealthClient(rpc.NewNATSClient(w.connect(t, key), "health", store, key))
}

func accept(_ context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
	return &pb.SaveResponse{Accepted: uint32(len(r.Samples))}, nil
}

func TestCallsReachTheImplementation(t *testing.T) {
	callers := make(chan rpc.Caller, 1)
	w := serve(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		caller, _ := rpc.CallerFrom(ctx)
		callers <- caller
		return accept(ctx, r)
	}}, rpc.NATSOptions{})
	c := rpc.NewNATSClient(w.connect(t, anna), "health", store, anna)
	c.SetSession("the session")
	client := rpc.NewHealthClient(c)
	response, err := client.Save(t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{{}, {}}})
	if err != nil || response.Accepted != 2 {
		t.Fatalf("save: %v, %v", response, err)
	}
	if got, want := <-callers, (rpc.Caller{Store: store, Key: anna, Session: "the session"}); got != want {
		t.Fatalf("caller %+v, want %+v", got, want)
	}
	samples, err := client.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}})
	if err != nil || samples.Samples[0].Type != "stepCount" {
		t.Fatalf("query: %v, %v", samples, err)
	}
	if _, err := client.SavePart(t.Context(), &pb.SavePartRequest{Chunk: &pb.Chunk{Data: make([]byte, 300_000)}}); err != nil {
		t.Fatalf("part: %v", err)
	}
	payload, err := client.QueryPayload(t.Context(), &pb.QueryPayloadRequest{PayloadToken: "token"})
	if err != nil || !payload.Done || string(payload.Chunks[0].Data) != "token" {
		t.Fatalf("payload: %v, %v", payload, err)
	}
	_, err = client.QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{})
	if rpc.Reason(err) != rpc.ReasonStoreLocked || connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Fatalf("statistics: %v", err)
	}
	if err := c.Invoke(t.Context(), "Nonesuch", &pb.SaveRequest{}, &pb.SaveResponse{}); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Fatalf("unknown method: %v", err)
	}
}

// The clients name their methods in text; each name must be the schema's.
func TestEveryMethodOfTheSchemaIsCalledByItsName(t *testing.T) {
	called := make(chan string, 1)
	record := func(_ context.Context, method string) (context.Context, func(), error) {
		called <- method
		return nil, nil, rpc.StoreLocked()
	}
	w := serve(t, service{save: accept}, rpc.NATSOptions{Gate: record})
	nc, err := w.srv.Connect(natsserver.Service)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	owner := pb.File_healthledger_v1_owner_proto.Services().ByName("OwnerService")
	endpoint, err := rpc.ServeNATS(nc, "owner", owner, pb.UnimplementedOwnerServiceHandler{}, rpc.NATSOptions{Gate: record})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = endpoint.Stop(t.Context()) }()
	app, local := w.connect(t, anna), w.connect(t, rpc.LocalPrefix+anna)
	for _, client := range []any{
		rpc.NewHealthClient(rpc.NewNATSClient(app, "health", store, anna)),
		rpc.NewOwnerClient(rpc.NewNATSClient(local, "owner", store, anna)),
	} {
		value := reflect.ValueOf(client)
		for i := range value.NumMethod() {
			method := value.Type().Method(i)
			request := reflect.New(method.Type.In(2).Elem())
			out := value.Method(i).Call([]reflect.Value{reflect.ValueOf(t.Context()), request})
			if err, _ := out[1].Interface().(error); rpc.Reason(err) != rpc.ReasonStoreLocked {
				t.Fatalf("%s: %v", method.Name, err)
			}
			if got := <-called; got != method.Name {
				t.Errorf("%s calls %s", method.Name, got)
			}
		}
	}
}

func TestJSONIsAnsweredInJSON(t *testing.T) {
	w := serve(t, service{save: accept}, rpc.NATSOptions{})
	nc := w.connect(t, anna)
	ask := func(method, body string) *nats.Msg {
		t.Helper()
		answer, err := nc.RequestMsg(&nats.Msg{
			Subject: "health." + store + "." + anna + "." + method, Data: []byte(body),
			Header: nats.Header{"content-type": {"application/json"}},
		}, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if answer := ask("Save", `{"requestId":"AAAAAAAAAAAAAAAAAAAAAA==","samples":[{"type":"stepCount"}]}`); strings.ReplaceAll(string(answer.Data), " ", "") != `{"accepted":1}` {
		t.Errorf("save: %s", answer.Data)
	}
	answer := ask("QueryStatistics", `{}`)
	if answer.Header.Get("Nats-Service-Error-Code") != "failed_precondition" || answer.Header.Get("Nats-Service-Error") != "the store is locked" ||
		strings.ReplaceAll(string(answer.Data), " ", "") != `{"reason":"STORE_LOCKED"}` {
		t.Errorf("locked: %v %s", answer.Header, answer.Data)
	}
	if answer := ask("Save", `{"nonsense":1}`); !strings.Contains(string(answer.Data), "nonsense") || answer.Header.Get("Nats-Service-Error-Code") != "invalid_argument" {
		t.Errorf("unknown field: %v %s", answer.Header, answer.Data)
	}
}

func TestRequestWithForeignReplyIsNotExecuted(t *testing.T) {
	var executed atomic.Int32
	w := serve(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		executed.Add(1)
		return accept(ctx, r)
	}}, rpc.NATSOptions{})
	nc, other := w.connect(t, anna), w.connect(t, berta)
	spy, err := other.SubscribeSync(rpc.InboxPrefix(berta) + ".>")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	subject := "health." + store + "." + anna + ".Save"
	for _, reply := range []string{
		rpc.InboxPrefix(berta) + ".x", "_INBOX.x", "$JS.API.STREAM.DELETE.LEDGER_x", "ledger.x", "updates." + store + "." + berta + ".x",
		"health." + store + "." + berta + ".Save", rpc.InboxPrefix(anna), "_INBOX_" + anna + ".x",
	} {
		if err := nc.PublishRequest(subject, reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	// A proper call after them, on the same connection, is taken after them.
	client := rpc.NewHealthClient(rpc.NewNATSClient(nc, "health", store, anna))
	if _, err := client.Save(t.Context(), &pb.SaveRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := w.endpoint.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := executed.Load(); n != 1 {
		t.Errorf("%d requests were executed, want 1", n)
	}
	if msg, err := spy.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("another app got %q", msg.Data)
	}
}

func TestGateRunsBeforeTheRequestIsLookedAt(t *testing.T) {
	var seen atomic.Value
	w := serve(t, service{save: accept}, rpc.NATSOptions{Gate: func(ctx context.Context, method string) (context.Context, func(), error) {
		caller, _ := rpc.CallerFrom(ctx)
		seen.Store(method + " " + caller.Key)
		return nil, nil, rpc.StoreLocked()
	}})
	nc := w.connect(t, anna)
	var first *nats.Msg
	for _, msg := range []*nats.Msg{
		{Data: nil},
		{Data: []byte("\xff\xff")},
		{Header: nats.Header{"Content-Type": {"text/plain"}}},
		{Data: bytes.Repeat([]byte{1}, rpc.MaxRequest+1)},
	} {
		msg.Subject = "health." + store + "." + anna + ".Save"
		answer, err := nc.RequestMsg(msg, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = answer
		}
		if !bytes.Equal(answer.Data, first.Data) || fmt.Sprint(answer.Header) != fmt.Sprint(first.Header) {
			t.Errorf("the locked error depends on the request: %v %q", answer.Header, answer.Data)
		}
	}
	if got := seen.Load(); got != "Save "+anna {
		t.Errorf("the gate saw %v", got)
	}
}

func TestPanicIsAnInternalErrorWithoutPayload(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	}), nil))
	w := serve(t, service{save: func(_ context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		if r.ByContent {
			panic("heart rate of " + r.Samples[0].Type)
		}
		_ = r.Samples[len(r.Samples)+3]
		return nil, nil
	}}, rpc.NATSOptions{Logger: log})
	client := w.client(t, anna)
	for _, byContent := range []bool{true, false} {
		_, err := client.Save(t.Context(), &pb.SaveRequest{ByContent: byContent, Samples: []*pb.Sample{{Type: "Anna"}}})
		if rpc.Reason(err) != rpc.ReasonInternal || strings.Contains(err.Error(), "panic") {
			t.Errorf("panic: %v", err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	text := out.String()
	if strings.Contains(text, "heart rate") || strings.Contains(text, "Anna") || strings.Contains(text, anna) {
		t.Errorf("the log has the payload: %s", text)
	}
	if !strings.Contains(text, "panic of type string") || !strings.Contains(text, "index out of range") || !strings.Contains(text, "nats_test.go") && !strings.Contains(text, "rpc_test") {
		t.Errorf("the log does not help: %s", text)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// held is a service whose saves tell that they have begun, and wait for release.
func held() (impl service, began chan struct{}, release chan struct{}) {
	began, release = make(chan struct{}, 100), make(chan struct{})
	return service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		began <- struct{}{}
		<-release
		return accept(ctx, r)
	}}, began, release
}

func TestWaitingHandlersDoNotBlockOthersAndOverloadIsAnswered(t *testing.T) {
	impl, began, release := held()
	w := serve(t, impl, rpc.NATSOptions{MaxRequests: 19})
	client := w.client(t, anna)
	results := make(chan error, 10)
	save := func() {
		for {
			_, err := client.Save(t.Context(), &pb.SaveRequest{})
			// The place of a query is free a little after its answer.
			if rpc.Reason(err) != rpc.ReasonBusy {
				results <- err
				return
			}
		}
	}
	for range 9 {
		go save()
	}
	for range 9 {
		<-began
	}
	// The tenth place is free for the query until the overload.
	if _, err := client.QuerySamples(t.Context(), &pb.QuerySamplesRequest{}); err != nil {
		t.Fatalf("query beside waiting saves: %v", err)
	}
	go save()
	<-began
	if _, err := client.QuerySamples(t.Context(), &pb.QuerySamplesRequest{}); rpc.Reason(err) != rpc.ReasonBusy {
		t.Fatalf("overload: %v", err)
	}
	// As many places are free for others.
	if _, err := w.client(t, berta).QuerySamples(t.Context(), &pb.QuerySamplesRequest{}); err != nil {
		t.Fatalf("another caller beside the overload: %v", err)
	}
	close(release)
	for range 10 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestBytesUnderWayAreBounded(t *testing.T) {
	impl, began, release := held()
	w := serve(t, impl, rpc.NATSOptions{MaxBytes: 1000})
	client := w.client(t, anna)
	first := make(chan error)
	go func() {
		_, err := client.Save(t.Context(), &pb.SaveRequest{RequestId: make([]byte, 600)})
		first <- err
	}()
	<-began
	query := &pb.QuerySamplesRequest{Types: []string{strings.Repeat("x", 600)}}
	if _, err := client.QuerySamples(t.Context(), query); rpc.Reason(err) != rpc.ReasonBusy {
		t.Fatalf("too much at once: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool {
		_, err := client.QuerySamples(t.Context(), query)
		return err == nil
	})
}

func wait(t testing.TB, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out")
		}
	}
}

func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	started := make(chan struct{}, 100)
	w := serve(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		started <- struct{}{}
		time.Sleep(20 * time.Millisecond)
		return accept(ctx, r)
	}}, rpc.NATSOptions{})
	client := w.client(t, anna)
	results := make(chan error, 50)
	for range 50 {
		go func() {
			_, err := client.Save(t.Context(), &pb.SaveRequest{})
			results <- err
		}()
	}
	for range 50 {
		<-started
	}
	if err := w.endpoint.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if _, err := client.Save(t.Context(), &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonUnavailable {
		t.Errorf("save after stop: %v", err)
	}
}

func TestStopThatMayNotWaitEndsTheCalls(t *testing.T) {
	started := make(chan struct{})
	w := serve(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	}}, rpc.NATSOptions{})
	client := w.client(t, anna)
	result := make(chan error)
	go func() {
		_, err := client.Save(t.Context(), &pb.SaveRequest{})
		result <- err
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := w.endpoint.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	if err := <-result; rpc.Reason(err) != rpc.ReasonCanceled {
		t.Errorf("the call: %v", err)
	}
}

func TestAnswersThatAreTooLargeAreErrors(t *testing.T) {
	w := serve(t, service{save: func(context.Context, *pb.SaveRequest) (*pb.SaveResponse, error) {
		r := new(pb.SaveResponse)
		// An unknown field makes a small message large.
		r.ProtoReflect().SetUnknown(append([]byte{0x7a, 0x80, 0x80, 0x80, 0x01}, make([]byte, 2<<20)...))
		return r, nil
	}}, rpc.NATSOptions{})
	if _, err := w.client(t, anna).Save(t.Context(), &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonInternal {
		t.Errorf("answer of 2 MiB: %v", err)
	}
}

func TestRequestsThatAreTooLargeDoNotLeave(t *testing.T) {
	w := serve(t, service{save: accept}, rpc.NATSOptions{})
	client := w.client(t, anna)
	_, err := client.Save(t.Context(), &pb.SaveRequest{RequestId: make([]byte, rpc.MaxRequest)})
	if rpc.Reason(err) != rpc.ReasonTooLarge {
		t.Errorf("1 MiB and more: %v", err)
	}
	if _, err := client.Save(t.Context(), &pb.SaveRequest{RequestId: make([]byte, rpc.MaxRequest-10)}); err != nil {
		t.Errorf("1 MiB: %v", err)
	}
}

func TestCallsEndWithTheirContextAndTheConnection(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, service{save: func(ctx context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
		<-release
		return accept(ctx, r)
	}}, rpc.NATSOptions{})
	defer close(release)
	c := rpc.NewNATSClient(w.connect(t, anna), "health", store, anna)
	client := rpc.NewHealthClient(c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := client.Save(ctx, &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonDeadlineExceeded {
		t.Errorf("after the deadline: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, c.ConnectionLost)
	if _, err := client.Save(t.Context(), &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonUnavailable {
		t.Errorf("after the connection: %v", err)
	}
}

func BenchmarkSave(b *testing.B) {
	for _, conns := range []int{1, 8, 64} {
		for _, callers := range []int{1, 64} {
			if callers < conns && callers != 1 || callers == 1 && conns != 1 {
				continue
			}
			b.Run(fmt.Sprintf("conns=%d/callers=%d", conns, callers), func(b *testing.B) {
				w := serve(b, service{save: accept}, rpc.NATSOptions{})
				clients := make([]pb.HealthServiceClient, conns)
				for i := range clients {
					clients[i] = w.client(b, anna)
				}
				request := &pb.SaveRequest{RequestId: make([]byte, 16), Samples: []*pb.Sample{{
					Type: "stepCount", Unit: "count", Value: proto.Float64(12), Source: &pb.Source{Name: "Anna's Apple Watch"},
				}}}
				b.ReportAllocs()
				b.ResetTimer()
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for i := range callers {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if _, err := clients[i%conns].Save(b.Context(), request); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "saves/s")
			})
		}
	}
}
