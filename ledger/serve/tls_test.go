package serve

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"healthledger/ledger/serve/natsserver"
	"healthledger/ledger/serve/servetest"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func authority(t *testing.T) *servetest.Authority {
	t.Helper()
	a, err := servetest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// certified issues a certificate for a host.
func certified(t *testing.T, a *servetest.Authority, host string) TLS {
	t.Helper()
	files := TLS{filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	if err := a.Write(host, files.Certificate, files.Key); err != nil {
		t.Fatal(err)
	}
	return files
}

// Beyond loopback, both transports speak TLS with whoever knows the daemon's certificate,
// and with nobody else.
func TestBothTransportsSpeakTLS(t *testing.T) {
	issuer := authority(t)
	f := newFrontWith(t, Options{Listen: "0.0.0.0:0", HTTP: "0.0.0.0:0", TLS: certified(t, issuer, "localhost")})
	address := f.Address()
	app := address.Remote.Credentials(f.genesis.Store.String(), f.genesis.Key, f.genesis.Token)
	if !strings.HasPrefix(app.URL, "tls://localhost:") || app.CA != issuer.CA() {
		t.Errorf("an app is told %s and %q", app.URL, app.CA)
	}

	dial := func(change func(*client.Credentials)) error {
		changed := app
		change(&changed)
		c, err := client.Dial(t.Context(), changed)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Health().GetAuthorizationStatus(t.Context(), &pb.GetAuthorizationStatusRequest{Types: []string{"stepCount"}})
		return err
	}
	if err := dial(func(*client.Credentials) {}); err != nil {
		t.Errorf("NATS: %v", err)
	}
	for what, change := range map[string]func(*client.Credentials){
		"no TLS": func(c *client.Credentials) {
			c.URL, c.Trust = strings.Replace(address.URL, "tls", "nats", 1), client.Trust{}
		},
		"another CA":     func(c *client.Credentials) { c.CA = authority(t).CA() },
		"only known CAs": func(c *client.Credentials) { c.CA = "" },
		"another name":   func(c *client.Credentials) { c.ServerName = "another.example" },
		"another host":   func(c *client.Credentials) { c.URL = strings.Replace(c.URL, "localhost", "127.0.0.1", 1) },
	} {
		if err := dial(change); rpc.Reason(err) != rpc.ReasonUnavailable && rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("NATS, %s: %v", what, err)
		}
	}

	call := func(config *tls.Config, address string) error {
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			address+"/healthledger.v1.HealthService/GetAuthorizationStatus", strings.NewReader(`{"types":["stepCount"]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+app.Bearer())
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	known := func(change func(*tls.Config)) *tls.Config {
		config, err := app.Config()
		if err != nil {
			t.Fatal(err)
		}
		change(config)
		return config
	}
	host, err := url.Parse(address.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	secure := "https://localhost:" + host.Port()
	if err := call(known(func(*tls.Config) {}), secure); err != nil {
		t.Errorf("HTTP: %v", err)
	}
	for what, err := range map[string]error{
		"no TLS":       call(nil, "http://localhost:"+host.Port()),
		"TLS 1.2":      call(known(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }), secure),
		"another CA":   call(must(t, client.Trust{CA: authority(t).CA()}), secure),
		"another name": call(known(func(c *tls.Config) { c.ServerName = "another.example" }), secure),
	} {
		if err == nil {
			t.Errorf("HTTP, %s: answered", what)
		}
	}

	old := known(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 })
	if nc, err := nats.Connect(app.URL, nats.Secure(old), nats.UserInfo(app.Key, app.Token)); err == nil {
		nc.Close()
		t.Error("NATS speaks TLS 1.2")
	}
	// What a client would not do by itself: to send its token without having been asked.
	if nc, err := nats.Connect(strings.Replace(address.URL, "tls", "nats", 1), nats.UserInfo(app.Key, app.Token)); err == nil {
		nc.Close()
		t.Error("NATS speaks without TLS")
	}
}

func must(t *testing.T, trust client.Trust) *tls.Config {
	t.Helper()
	config, err := trust.Config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestOnlyLoopbackIsServedWithoutACertificate(t *testing.T) {
	start := func(options Options) error {
		options.Dir, options.Private, options.Logger = t.TempDir(), true, slog.New(slog.DiscardHandler)
		d, err := Start(t.Context(), options)
		if err == nil {
			d.Close()
		}
		return err
	}
	for _, options := range []Options{{Listen: "0.0.0.0:0"}, {Listen: "[::]:0"}, {HTTP: "0.0.0.0:0"}, {HTTP: ":0"}} {
		if err := start(options); !errors.Is(err, natsserver.ErrNotLoopback) {
			t.Errorf("NATS at %q, HTTP at %q: %v", options.Listen, options.HTTP, err)
		}
	}
	issuer := authority(t)
	one, other := certified(t, issuer, "localhost"), certified(t, issuer, "localhost")
	for what, files := range map[string]TLS{
		"no file":         {Certificate: "absent", Key: "absent"},
		"another's key":   {Certificate: one.Certificate, Key: other.Key},
		"names no host":   certified(t, issuer, ""),
		"no key":          {Certificate: one.Certificate},
		"key for a chain": {Certificate: one.Key, Key: one.Key},
	} {
		if err := start(Options{TLS: files}); err == nil || !strings.Contains(err.Error(), "certificate: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
