package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
)

// look gets a path of those who watch over a daemon.
func (f *front) look(t *testing.T, path, token string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, f.Address().Metrics+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

func (f *front) metricsToken(t *testing.T) string {
	t.Helper()
	path := filepath.Join(f.options.Dir, tokenFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// own matches what the daemon measures itself.
var own = regexp.MustCompile(`(?m)^(healthledger_\w+)(?:\{(\w+)="([\w ]+)"\})? `)

// Whatever happens in a store, the metrics have the same series with the same labels, and none
// of what they say names a store, an app or a type; who has no token sees none.
func TestMetricsTellNoTypesAppsOrPeople(t *testing.T) {
	f := newFrontWith(t, Options{Metrics: "127.0.0.1:0"})
	token := f.metricsToken(t)
	for _, wrong := range []string{"", "x", token[1:], token + "x"} {
		if status, body := f.look(t, "/metrics", wrong); status != http.StatusUnauthorized || strings.Contains(body, "healthledger_") {
			t.Errorf("with %q: %d %s", wrong, status, body)
		}
	}
	series := func() (names string, text string) {
		status, text := f.look(t, "/metrics", token)
		if status != http.StatusOK {
			t.Fatal(status, text)
		}
		for _, m := range own.FindAllStringSubmatch(text, -1) {
			names += m[1] + " " + m[2] + " " + m[3] + "\n"
		}
		return names, text
	}
	before, _ := series()
	f.unlock(t)
	if _, err := f.app.Health().SavePart(t.Context(), aPart()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.app.Health().QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.app.Health().QuerySamples(t.Context(), &pb.QuerySamplesRequest{Types: []string{"noSuchType"}}); err == nil {
		t.Fatal("a query of no type is answered")
	}
	after, text := series()
	if before != after || before == "" {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	for _, secret := range []string{f.store.ID().String(), f.genesis.Key, f.genesis.Token, ledger.ImporterID, "stepCount", "cda", "Query"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the metrics", secret)
		}
	}
	if !strings.Contains(text, `healthledger_stores{state="unlocked"} 1`) || !strings.Contains(text, "\nprocess_open_fds ") {
		t.Error(text)
	}
}

// A daemon that lives says so to everybody, and that it is ready only while it takes writes.
func TestReadyMeansThatWritesAreTaken(t *testing.T) {
	var left atomic.Uint64
	left.Store(1 << 30)
	f := newFrontWith(t, Options{Metrics: "127.0.0.1:0", Reserve: 1 << 20, Free: func() (uint64, error) { return left.Load(), nil }})
	is := func(path string, status int, body string) {
		t.Helper()
		if got, text := f.look(t, path, ""); got != status || text != body+"\n" {
			t.Errorf("%s: %d %s", path, got, text)
		}
	}
	is("/healthz", 200, "ok")
	is("/readyz", 200, "ready")
	left.Store(0)
	time.Sleep(110 * time.Millisecond)
	is("/healthz", 200, "ok")
	is("/readyz", 503, "not ready: the disk is nearly full")
	left.Store(1 << 30)
	time.Sleep(110 * time.Millisecond)
	is("/readyz", 200, "ready")
	id := f.store.ID().String()
	token := f.metricsToken(t)
	f.Close()

	// A store that cannot be opened keeps the daemon from being ready, and is not named.
	if err := os.Remove(filepath.Join(f.options.Dir, "stores", id, "head")); err != nil {
		t.Fatal(err)
	}
	again, err := Start(t.Context(), f.options)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	f.Daemon = again
	is("/readyz", 503, "not ready: a store cannot be served")
	if status, text := f.look(t, "/metrics", token); status != 200 || !strings.Contains(text, `healthledger_stores{state="refused"} 1`) ||
		!strings.Contains(text, `healthledger_messages_total{level="error"} 1`) {
		t.Errorf("the token of before: %d %s", status, text)
	}
}

func TestMetricsAreOnLoopbackWithoutACertificate(t *testing.T) {
	options := Options{
		Dir: t.TempDir(), Metrics: "0.0.0.0:0", Logger: slog.New(slog.DiscardHandler),
		Launch: func(context.Context, *pb.ProjectorConfig) (Projector, error) { return nil, nil },
	}
	if d, err := Start(t.Context(), options); err == nil {
		d.Close()
		t.Error("they are served to the network")
	}
}

// shared is a buffer for several who write.
type shared struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

// Every line of the log is an object with time, level and message; what concerns a store
// names it by its id; and tokens and names of apps are nowhere, at any level.
func TestLogsAreObjectsWithoutSecrets(t *testing.T) {
	var out shared
	f := newFrontWith(t, Options{
		HTTP: "127.0.0.1:0", Logger: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	f.unlock(t)
	if _, err := f.app.Health().SavePart(t.Context(), aPart()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.owner.Owner().Erase(t.Context(), &pb.EraseRequest{App: noApp}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("an unknown app is erased: %v", err)
	}
	if _, err := f.owner.Owner().Lock(t.Context(), &pb.LockRequest{}); err != nil {
		t.Fatal(err)
	}
	address := f.Address()
	f.Close()
	said := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		var r struct {
			Time                    time.Time
			Level, Msg, Store, Part string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Time.IsZero() || r.Level == "" || r.Msg == "" {
			t.Errorf("%v: %s", err, line)
		}
		said[r.Level+" "+r.Msg+" "+r.Store] = true
		for _, secret := range []string{f.genesis.Key, f.genesis.Token, address.Token, address.Key, ledger.ImporterID, "ClinicalDocument", noApp} {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in %s", secret, line)
			}
		}
	}
	id := f.store.ID().String()
	for _, want := range []string{"INFO serving ", "INFO store unlocked " + id, "INFO store locked " + id, "ERROR erasure ended early " + id, "INFO stopped "} {
		if !said[want] {
			t.Errorf("%q is not among %v", want, said)
		}
	}
}
