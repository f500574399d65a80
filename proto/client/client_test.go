package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const (
	store = "k3v9store"
	key   = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	token = "the-token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a small store: it keeps samples by request id and answers in pages.
type ledger struct {
	pb.UnimplementedHealthServiceHandler
	pb.OwnerServiceHandler

	mu       sync.Mutex
	requests map[string]int
	samples  []*pb.Sample
	// before runs before the n-th save is taken, after when it has been.
	before, after func(n int) error
	saves         int

	// deletes are the ids of the deletes that came; deleteBefore runs before the n-th is taken.
	deletes      []string
	deleteBefore func(n int) error

	// parts by upload and number; partBefore runs before the n-th part is taken.
	parts      map[string]map[uint32]*pb.Chunk
	partBefore func(n int) error
	partCalls  int

	updates updates
}

// counts returns how many saves came, under how many ids, with how many samples kept.
func (l *ledger) counts() (saves, requests, samples int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.saves, len(l.requests), len(l.samples)
}

func (l *ledger) Delete(_ context.Context, r *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deletes = append(l.deletes, string(r.RequestId))
	return &pb.DeleteResponse{Receipt: "receipt"}, l.deleteBefore(len(l.deletes))
}

func (l *ledger) Save(_ context.Context, r *pb.SaveRequest) (*pb.SaveResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saves++
	if l.before != nil {
		if err := l.before(l.saves); err != nil {
			return nil, err
		}
	}
	if len(r.RequestId) != 16 {
		return nil, rpc.InvalidArgument("requestId", "not 16 bytes")
	}
	if l.requests == nil {
		l.requests = map[string]int{}
	}
	if l.requests[string(r.RequestId)]++; l.requests[string(r.RequestId)] == 1 {
		l.samples = append(l.samples, r.Samples...)
	}
	if l.after != nil {
		if err := l.after(l.saves); err != nil {
			return nil, err
		}
	}
	return &pb.SaveResponse{Accepted: uint32(len(r.Samples))}, nil
}

func (l *ledger) QuerySamples(_ context.Context, r *pb.QuerySamplesRequest) (*pb.QuerySamplesResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Types[0] == "locked" {
		return nil, rpc.StoreLocked()
	}
	from, _ := strconv.Atoi(r.PageToken)
	to := min(from+3, len(l.samples))
	answer := &pb.QuerySamplesResponse{Samples: l.samples[from:to]}
	if to < len(l.samples) {
		answer.NextPageToken = strconv.Itoa(to)
	}
	if r.Types[0] == "stuck" {
		answer.NextPageToken = "7"
	}
	return answer, nil
}

func (l *ledger) QueryStatistics(_ context.Context, r *pb.QueryStatisticsRequest) (*pb.QueryStatisticsResponse, error) {
	return &pb.QueryStatisticsResponse{Statistics: []*pb.Statistics{{Unit: r.Unit}}}, nil
}

func (l *ledger) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	caller, _ := rpc.CallerFrom(ctx)
	return &pb.StatusResponse{Store: caller.Store, Detailed: caller.Session == "open sesame"}, nil
}

// daemon is a server with both services over a ledger.
type daemon struct {
	srv     *natsserver.Server
	service *nats.Conn
	// removed: the app's token opens nothing any more.
	removed atomic.Bool
}

func run(t testing.TB, l *ledger, dir, listen string) *daemon {
	t.Helper()
	d := new(daemon)
	srv, err := natsserver.Start(natsserver.Options{StoreDir: dir, Listen: listen, Authenticate: func(user, password string) (natsserver.Identity, bool) {
		if password != token || d.removed.Load() {
			return natsserver.Identity{}, false
		}
		if k, local := strings.CutPrefix(user, rpc.LocalPrefix); local {
			return natsserver.Identity{Kind: natsserver.LocalOwner, Key: k}, true
		}
		return natsserver.Identity{Kind: natsserver.App, Store: store, Key: user}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := srv.Connect(natsserver.Service)
	if err != nil {
		t.Fatal(err)
	}
	d.srv, d.service = srv, nc
	t.Cleanup(func() {
		d.kill()
		nc.Close()
	})
	if _, err := rpc.ServeNATS(nc, "health", pb.File_healthledger_v1_health_proto.Services().ByName("HealthService"), l, rpc.NATSOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.ServeNATS(nc, "owner", pb.File_healthledger_v1_owner_proto.Services().ByName("OwnerService"), l, rpc.NATSOptions{}); err != nil {
		t.Fatal(err)
	}
	return d
}

// kill ends the server as it is, with calls under way.
func (d *daemon) kill() { d.srv.Shutdown() }

func (d *daemon) credentials() client.Credentials {
	return client.Credentials{URL: d.srv.URL(), Store: store, Key: key, Token: token}
}

func dial(t testing.TB, d *daemon) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), d.credentials())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func someSamples(n int) []*pb.Sample {
	samples := make([]*pb.Sample, n)
	for i := range samples {
		samples[i] = &pb.Sample{Type: "stepCount", Value: proto.Float64(float64(i))}
	}
	return samples
}

func TestQueryFollowsThePages(t *testing.T) {
	c := dial(t, run(t, new(ledger), t.TempDir(), ""))
	if response, err := c.Save(t.Context(), &pb.SaveRequest{Samples: someSamples(10)}); err != nil || response.Accepted != 10 {
		t.Fatalf("save: %v, %v", response, err)
	}
	request := &pb.QuerySamplesRequest{Types: []string{"stepCount"}}
	for range 2 { // the request stays as it was
		n := 0
		for sample, err := range c.QuerySamples(t.Context(), request) {
			if err != nil || sample.GetValue() != float64(n) {
				t.Fatalf("sample %d: %v, %v", n, sample, err)
			}
			n++
		}
		if n != 10 {
			t.Fatalf("%d samples, want 10", n)
		}
	}
	n := 0
	for range c.QuerySamples(t.Context(), request) {
		if n++; n == 4 {
			break
		}
	}
	var failures []error
	for _, typ := range []string{"locked", "stuck"} {
		for _, err := range c.QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{typ}, PageToken: "7"}) {
			if err != nil {
				failures = append(failures, err)
			}
		}
	}
	if len(failures) != 2 || rpc.Reason(failures[0]) != rpc.ReasonStoreLocked || rpc.Reason(failures[1]) != rpc.ReasonInternal {
		t.Fatalf("failing queries: %v", failures)
	}
	if statistics, err := c.QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{Unit: "count"}); err != nil || statistics.Statistics[0].Unit != "count" {
		t.Fatalf("statistics: %v, %v", statistics, err)
	}
}

func TestEverySaveHasItsOwnRequestID(t *testing.T) {
	l := new(ledger)
	c := dial(t, run(t, l, t.TempDir(), ""))
	request := &pb.SaveRequest{Samples: someSamples(2)}
	for range 3 {
		if _, err := c.Save(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if len(request.RequestId) != 0 {
		t.Error("the caller's request was changed")
	}
	if _, requests, samples := l.counts(); requests != 3 || samples != 6 {
		t.Errorf("%d requests with %d samples, want 3 with 6", requests, samples)
	}
	given := &pb.SaveRequest{RequestId: []byte("0123456789abcdef"), Samples: someSamples(1)}
	for range 2 {
		if _, err := c.Save(t.Context(), given); err != nil {
			t.Fatal(err)
		}
	}
	if saves, requests, samples := l.counts(); saves != 5 || requests != 4 || samples != 7 {
		t.Errorf("the given id was not used: %d saves, %d requests, %d samples", saves, requests, samples)
	}
}

func TestSaveSurvivesARestartAndIsStoredOnce(t *testing.T) {
	dir := t.TempDir()
	// The first attempt is stored, but its answer is lost with the daemon.
	taken, killed := make(chan struct{}), make(chan struct{})
	l := &ledger{after: func(n int) error {
		if n == 1 {
			close(taken)
			<-killed
		}
		return nil
	}}
	d := run(t, l, dir, "")
	c := dial(t, d)
	result := make(chan error, 1)
	go func() {
		_, err := c.Save(t.Context(), &pb.SaveRequest{Samples: someSamples(5)})
		result <- err
	}()
	<-taken
	d.kill()
	close(killed)
	run(t, l, dir, strings.TrimPrefix(d.srv.URL(), "nats://"))
	select {
	case err := <-result:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(8 * time.Second):
		t.Fatal("the save did not come back")
	}
	if saves, requests, samples := l.counts(); saves < 2 || requests != 1 || samples != 5 {
		t.Errorf("%d attempts, %d requests, %d samples; want more than one, 1 and 5", saves, requests, samples)
	}
}

func TestSaveRepeatsOnlyWhatMaySucceed(t *testing.T) {
	for _, c := range []struct {
		err   error
		saves int
	}{
		{rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonBusy}, "busy"), 3},
		{rpc.Error(connect.CodeUnavailable, nil, "going down"), 3},
		{rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonNoSpace}, "full"), 1},
		{rpc.Error(connect.CodePermissionDenied, &pb.ErrorDetail{Reason: rpc.ReasonShareDenied}, "denied"), 1},
		{rpc.Error(connect.CodeInvalidArgument, &pb.ErrorDetail{Reason: rpc.ReasonInvalidSample, Index: 3}, "bad"), 1},
		{errors.New("unforeseen"), 1},
	} {
		l := &ledger{before: func(n int) error {
			if n < 3 {
				return c.err
			}
			return nil
		}}
		app := dial(t, run(t, l, t.TempDir(), ""))
		_, err := app.Save(t.Context(), &pb.SaveRequest{})
		if saves, _, _ := l.counts(); saves != c.saves || (err == nil) != (c.saves == 3) {
			t.Errorf("%v: %d attempts and %v, want %d", c.err, saves, err, c.saves)
		}
	}
}

func TestDeleteIsRepeatedUnderTheSameID(t *testing.T) {
	l := &ledger{deleteBefore: func(n int) error {
		if n < 3 {
			return rpc.Error(connect.CodeUnavailable, nil, "going down")
		}
		return nil
	}}
	c := dial(t, run(t, l, t.TempDir(), ""))
	request := &pb.DeleteRequest{Deletions: []*pb.Deletion{{Type: "stepCount"}}}
	resp, err := c.Delete(t.Context(), request)
	if err != nil || resp.GetReceipt() != "receipt" {
		t.Fatal(resp, err)
	}
	l.mu.Lock()
	deletes := l.deletes
	l.mu.Unlock()
	if len(deletes) != 3 || deletes[0] != deletes[2] || len(deletes[0]) != 16 || len(request.RequestId) > 0 {
		t.Fatalf("deletes under %q", deletes)
	}
	if _, err := c.Delete(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deletes[3] == l.deletes[0] {
		t.Fatal("two deletes under the same id")
	}
}

func TestSaveGivesUpWithItsContext(t *testing.T) {
	l := &ledger{before: func(int) error {
		return rpc.Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: rpc.ReasonBusy}, "busy")
	}}
	c := dial(t, run(t, l, t.TempDir(), ""))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Save(ctx, &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonBusy && rpc.Reason(err) != rpc.ReasonDeadlineExceeded {
		t.Errorf("%v", err)
	}
	if _, err := c.Save(t.Context(), &pb.SaveRequest{RequestId: make([]byte, rpc.MaxRequest)}); rpc.Reason(err) != rpc.ReasonTooLarge {
		t.Errorf("too large: %v", err)
	}
	c.Close()
	if _, err := c.Save(t.Context(), &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonUnavailable {
		t.Errorf("closed: %v", err)
	}
}

func TestRemovedAppIsUnauthenticated(t *testing.T) {
	d := run(t, new(ledger), t.TempDir(), "")
	c := dial(t, d)
	if _, err := c.Save(t.Context(), &pb.SaveRequest{}); err != nil {
		t.Fatal(err)
	}
	d.removed.Store(true)
	d.srv.Disconnect(key, "")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.Save(ctx, &pb.SaveRequest{}); rpc.Reason(err) != rpc.ReasonUnauthenticated {
		t.Errorf("save: %v", err)
	}
}

func TestOwnerCarriesTheSession(t *testing.T) {
	d := run(t, new(ledger), t.TempDir(), "")
	o, err := client.DialOwner(t.Context(), client.LocalCredentials{URL: d.srv.URL(), Key: key, Token: token}, store, "")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, session := range []string{"", "open sesame", ""} {
		o.SetSession(session)
		status, err := o.Owner().Status(t.Context(), &pb.StatusRequest{})
		if err != nil || status.Store != store || status.Detailed != (session != "") {
			t.Errorf("session %q: %v, %v", session, status, err)
		}
	}
	if _, err := o.Health().QueryStatistics(t.Context(), &pb.QueryStatisticsRequest{}); err != nil {
		t.Errorf("health service: %v", err)
	}
	if _, err := client.DialOwner(t.Context(), client.LocalCredentials{URL: d.srv.URL(), Key: key, Token: token}, "a.b", ""); rpc.Reason(err) != rpc.ReasonInvalidArgument {
		t.Errorf("store with a dot: %v", err)
	}
}

func TestDialSaysWhyNot(t *testing.T) {
	d := run(t, new(ledger), t.TempDir(), "")
	wrong := d.credentials()
	wrong.Token = "another"
	_, err := client.Dial(t.Context(), wrong)
	if rpc.Reason(err) != rpc.ReasonUnauthenticated {
		t.Errorf("wrong token: %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "another") {
		t.Errorf("the error has the token: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Dial(ctx, d.credentials()); rpc.Reason(err) != rpc.ReasonCanceled {
		t.Errorf("canceled: %v", err)
	}
	d.kill()
	if _, err := client.Dial(t.Context(), d.credentials()); rpc.Reason(err) != rpc.ReasonUnavailable {
		t.Errorf("no daemon: %v", err)
	}
}
