package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

const rotated = "com.example.rotated"

// overHTTP is an app's service over HTTP.
func (s *store) overHTTP(c client.Credentials) pb.HealthServiceClient {
	s.t.Helper()
	address, err := serve.ReadAddress(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	bearer := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+c.Bearer())
			return next(ctx, r)
		}
	})
	return pb.NewHealthServiceClient(http.DefaultClient, address.HTTP, connect.WithInterceptors(bearer))
}

// copyOf is this machine's copy of the app's credentials, as they are now.
func (s *store) copyOf(bundleID string) client.Credentials {
	s.t.Helper()
	stores, err := os.ReadDir(filepath.Join(s.dir, "credentials"))
	if err != nil || len(stores) != 1 {
		s.t.Fatal(stores, err)
	}
	return s.credentials(stores[0].Name(), bundleID)
}

// reads wants that the credentials are good for what the app may read.
func (s *store) reads(c client.Credentials, http bool) {
	s.t.Helper()
	app, err := client.Dial(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	defer app.Close()
	services := []pb.HealthServiceClient{app.Health()}
	if http {
		services = append(services, s.overHTTP(c))
	}
	for _, service := range services {
		answer, err := service.QuerySamples(s.t.Context(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}})
		if err != nil || len(answer.GetSamples()) != 1 {
			s.t.Fatalf("%v, %v", answer, err)
		}
	}
}

// opensNothing wants that the credentials are refused on both transports.
func (s *store) opensNothing(c client.Credentials) {
	s.t.Helper()
	if _, err := client.Dial(s.t.Context(), c); rpc.Reason(err) != rpc.ReasonUnauthenticated {
		s.t.Errorf("NATS: %v", err)
	}
	if c.Token == "" {
		c.Token = "there-is-none"
	}
	_, err := s.overHTTP(c).GetAuthorizationStatus(s.t.Context(), &pb.GetAuthorizationStatusRequest{})
	if connect.CodeOf(err) != connect.CodeUnauthenticated {
		s.t.Errorf("HTTP: %v", err)
	}
}

// waits begins calls that wait for a minute, and returns how they end.
func (s *store) waits(services ...pb.HealthServiceClient) <-chan error {
	ended := make(chan error, len(services))
	for _, service := range services {
		go func() {
			_, err := service.QueryUpdates(s.t.Context(), &pb.QueryUpdatesRequest{WaitMs: 60_000})
			ended <- err
		}()
	}
	time.Sleep(300 * time.Millisecond) // so that they wait
	return ended
}

func (s *store) allEnd(ended <-chan error, n int) {
	s.t.Helper()
	for range n {
		select {
		case err := <-ended:
			if code := connect.CodeOf(err); code != connect.CodeUnauthenticated && code != connect.CodeUnavailable {
				s.t.Errorf("a call that waited ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			s.t.Fatal("a call goes on waiting")
		}
	}
}

func TestReplacedCredentialEndsAtOnceOnBothTransports(t *testing.T) {
	s := newStore(t)
	daemon := s.serve("--http", "127.0.0.1:0")
	s.run("unlock")
	s.addApp(rotated)
	s.run("grant", rotated, "--share", "stepCount", "--read", "stepCount")
	first := s.copyOf(rotated)
	app, err := client.Dial(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	save := &pb.SaveRequest{Samples: []*pb.Sample{steps(time.Unix(1_700_000_000, 0), 7)}}
	if _, err := app.Save(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	s.reads(first, true)

	ended := s.waits(app.Health(), s.overHTTP(first))
	s.run("app", "rotate", rotated)
	s.allEnd(ended, 2)
	second := s.copyOf(rotated)
	if second.Key != first.Key || second.Token == first.Token {
		t.Errorf("%v became %v", first, second)
	}
	s.opensNothing(first)
	s.reads(second, true)

	// From the log alone, as after a power cut.
	kill(t, daemon)
	s.serve("--http", "127.0.0.1:0")
	s.run("unlock")
	first.URL = s.copyOf(rotated).URL
	s.opensNothing(first)
	s.reads(s.copyOf(rotated), true)
}

func TestAppWithAnNkeySignsAndHasNoToken(t *testing.T) {
	s := newStore(t)
	s.serve("--http", "127.0.0.1:0")
	s.run("unlock")
	seed := filepath.Join(s.work, "seed")
	nkey := strings.TrimSpace(s.run("app", "nkey", seed))
	s.addApp(rotated, "--nkey", nkey, "--seed-file", seed)
	s.run("grant", rotated, "--share", "stepCount", "--read", "stepCount")
	signs := s.copyOf(rotated)
	app, err := client.Dial(t.Context(), signs)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	if _, err := app.Save(t.Context(), &pb.SaveRequest{Samples: []*pb.Sample{steps(time.Unix(1_700_000_000, 0), 7)}}); err != nil {
		t.Fatal(err)
	}
	s.reads(signs, false)
	if shown := s.run("app", "show", rotated); !strings.Contains(shown, nkey) {
		t.Error(shown)
	}

	// Another seed, another app's key, and the public key as a token.
	other := signs
	other.SeedFile = filepath.Join(s.work, "other")
	s.run("app", "nkey", other.SeedFile)
	importer := signs
	importer.Key = s.copyOf("healthledger.importer").Key
	for _, c := range []client.Credentials{other, importer, {URL: signs.URL, Store: signs.Store, Key: signs.Key, Token: nkey}} {
		s.opensNothing(c)
	}

	ended := s.waits(app.Health())
	s.run("app", "rotate", rotated)
	s.allEnd(ended, 1)
	s.opensNothing(signs)
	token := s.copyOf(rotated)
	s.reads(token, true)
	// And back: the token opens nothing any more.
	s.run("app", "rotate", rotated, "--nkey", nkey, "--seed-file", seed)
	s.opensNothing(token)
	s.reads(signs, false)
}
