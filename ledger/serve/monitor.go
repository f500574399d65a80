package serve

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
)

// tokenFile holds what a scraper of the metrics shows, so that apps on the machine, which
// reach loopback as it does, learn nothing from them.
const tokenFile = "metrics.token"

// serveMonitor answers those who watch over the daemon: whether it lives, whether it takes
// writes, and, to whoever shows the token, the metrics.
func (d *Daemon) serveMonitor() error {
	if d.options.Metrics == "" {
		return nil
	}
	token, err := openToken(filepath.Join(d.options.Dir, tokenFile))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	listener, err := d.listenWeb(d.options.Metrics)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	metrics := promhttp.HandlerFor(d.registry(), promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := d.ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		shown, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(shown), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token in "+tokenFile+" is needed", http.StatusUnauthorized)
			return
		}
		metrics.ServeHTTP(w, r)
	})
	d.local.Metrics = d.serveWeb(listener, mux, func() {})
	return nil
}

// Why a daemon is not ready. Anybody who reaches the address may know that much.
var (
	errStoresRefused = errors.New("a store cannot be served")
	errLogUnwritable = errors.New("the log cannot be written")
	errDiskFull      = errors.New("the disk is nearly full")
)

// ready returns nil if every store is open, with a log that is whole, and takes writes.
func (d *Daemon) ready() error {
	stores, refused := d.ledger.Stores()
	damaged := func(s *ledger.Store) bool { return s.Damage() != nil }
	switch {
	case refused > 0 || slices.ContainsFunc(stores, damaged):
		return errStoresRefused
	case d.nats.Writable() != nil:
		return errLogUnwritable
	case !d.space.Admits(disk.Ordinary):
		return errDiskFull
	}
	return nil
}

// openToken returns the token in a file, which it makes if there is none: scrapers are set
// up once.
func openToken(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		content = []byte(rand.Text() + rand.Text())
		err = log.WriteFile(path, content)
	}
	token := strings.TrimSpace(string(content))
	if err == nil && token == "" {
		err = io.ErrUnexpectedEOF // an empty one would let everybody in
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", tokenFile, err)
	}
	return token, nil
}
