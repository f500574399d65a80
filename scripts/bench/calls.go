package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"connectrpc.com/connect"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// CallOptions of a run of Calls.
type CallOptions struct {
	// Samples in the store.
	Samples int
	// Rounds in which each way of a call is measured once, for so long.
	Rounds   int
	Duration time.Duration
	// JSON prints one object for each row instead of a table.
	JSON bool
	Out  io.Writer
	// Tell is told what happens meanwhile.
	Tell func(string)
}

// The ways of a call. Each is compared with the one before it, those over a network with
// authorized.
const (
	// unasked is in this process, with all that the owner sees and without a record, or below
	// the check of share grants.
	unasked = iota
	// authorized is in this process, as an app that has been granted some types among other
	// apps, and recorded.
	authorized
	throughNATS
	throughHTTP
	callWays
)

var wayNames = [callWays]string{"in the process, all granted", "and authorized and recorded", "over NATS", "over HTTP"}

// how a call is made one way, by one of so many callers.
type how func(ctx context.Context, caller int) error

// call is a work that is done four ways.
type call struct {
	name    string
	callers int
	// units of work in one, and what they are.
	units int
	unit  string
	ways  [callWays]how
	// least that must go over HTTP in a second, 0: anything.
	least float64
}

const (
	readers = 8
	// strangers are apps beside the one that is measured.
	strangers = 8
)

// Calls measures reads and writes four ways in turn: in this process, with authorization and
// accounting, and through a daemon of its own over both transports, on copies of one store.
func Calls(ctx context.Context, o CallOptions) error {
	dir, err := os.MkdirTemp("", "healthledger-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := newCallers(ctx, o, dir)
	if err != nil {
		return err
	}
	defer c.close()
	var rows []CallRow
	measure := func(calls []call) error {
		for i := range calls {
			o.Tell(calls[i].name)
			got, err := calls[i].measure(ctx, o)
			if err != nil {
				return fmt.Errorf("%s: %w", calls[i].name, err)
			}
			rows = append(rows, got...)
		}
		return nil
	}
	if err := measure(c.reads()); err != nil {
		return err
	}
	// A store that is locked takes saves, and nothing is applied to a view meanwhile.
	if _, err := c.run(ctx, "lock", "--now"); err != nil {
		return err
	}
	if err := measure(c.writes()); err != nil {
		return err
	}
	return printCalls(o, rows)
}

// callers have a store behind a daemon and a copy of it in this process.
type callers struct {
	*filled
	within *within
	app    *authz.App
	record func(ctx context.Context, operation string, series *series, from, to int64) error
	// receipts of saves that nobody else makes one of.
	receipts *seal.TokenKey
	// Connections of the same app.
	nats    []*client.Client
	http    pb.HealthServiceClient
	closers []func()
}

func newCallers(ctx context.Context, o CallOptions, dir string) (*callers, error) {
	d, err := newDecade(o.Samples)
	if err != nil {
		return nil, err
	}
	o.Tell(short(o.Samples) + " samples: filling the ledger")
	l, err := fill(ctx, dir, d, 10*o.Duration)
	if err != nil {
		return nil, err
	}
	c := &callers{filled: l}
	device, err := seal.NewDeviceKey()
	if err != nil {
		l.close()
		return nil, err
	}
	c.receipts = device.TokenKey("receipt")
	c.closers = append(c.closers, device.Destroy, c.receipts.Destroy)
	for _, step := range []func(context.Context) error{c.populate, c.copy, c.connectAll} {
		if err := step(ctx); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *callers) close() {
	for _, f := range slices.Backward(c.closers) {
		f()
	}
	c.filled.close()
}

// populate lets other apps save, and the one that is measured write two types.
func (c *callers) populate(ctx context.Context) error {
	if _, err := c.run(ctx, "grant", readerID, "--share", "heartRate,stepCount"); err != nil {
		return err
	}
	for i := range strangers {
		id := fmt.Sprintf("%s%d", readerID, i)
		credentials, err := c.register(ctx, id)
		if err != nil {
			return err
		}
		if _, err := c.run(ctx, "grant", id, "--share", "heartRate", "--read", "all"); err != nil {
			return err
		}
		app, err := client.Dial(ctx, credentials)
		if err != nil {
			return err
		}
		_, err = app.Save(ctx, &pb.SaveRequest{Samples: rows(time.UnixMicro(c.decade.end - day))})
		app.Close()
		if err != nil {
			return err
		}
	}
	_, err := sum(c.reader.QuerySamples(ctx, &pb.QuerySamplesRequest{Types: []string{"heartRate"}, Limit: 1}))
	return err
}

// copy stops the daemon, opens a copy of its data here, and starts it again.
func (c *callers) copy(ctx context.Context) error {
	if _, err := c.run(ctx, "lock", "--now"); err != nil {
		return err
	}
	c.reader.Close()
	c.stop()
	dir := filepath.Join(filepath.Dir(c.dir), "copy")
	if err := os.CopyFS(dir, os.DirFS(c.dir)); err != nil {
		return err
	}
	var err error
	if c.stop, err = c.serve("--http", "127.0.0.1:0"); err != nil {
		c.stop = func() {}
		return err
	}
	if _, err := c.unlock(ctx); err != nil {
		return err
	}
	if c.within, err = openWithin(ctx, dir, []byte("bench")); err != nil {
		return err
	}
	c.closers = append(c.closers, c.within.close)
	app, ok := c.within.state.AppByBundle(readerID)
	if !ok {
		return fmt.Errorf("the view has no %s", readerID)
	}
	c.app = app
	record, end := serve.Recorder(c.within.store, slog.New(slog.DiscardHandler))
	c.closers = append(c.closers, end)
	c.record = func(ctx context.Context, operation string, s *series, from, to int64) error {
		return record(ctx, app.Number, operation, []uint32{s.typ.Code}, stamp(from), stamp(to))
	}
	return nil
}

// producers save one sample at a time; NATS has fewer connections.
const producers, connections = 64, 8

// connectAll connects the app again, as often as its callers need.
func (c *callers) connectAll(ctx context.Context) error {
	credentials, err := client.ReadCredentials(c.credentials(readerID))
	if err != nil {
		return err
	}
	address, err := serve.ReadAddress(c.dir)
	if err != nil {
		return err
	}
	credentials.URL = address.URL
	for range connections {
		app, err := client.Dial(ctx, credentials)
		if err != nil {
			return err
		}
		c.nats = append(c.nats, app)
		c.closers = append(c.closers, app.Close)
	}
	c.reader = c.nats[0]
	transport := &http.Transport{MaxIdleConnsPerHost: producers}
	c.closers = append(c.closers, transport.CloseIdleConnections)
	c.http = pb.NewHealthServiceClient(&http.Client{Transport: bearer{transport, credentials.Bearer()}}, address.HTTP,
		// To compress takes longer than the loopback does.
		connect.WithAcceptCompression("gzip", nil, nil))
	return nil
}

// bearer adds the app's token to requests.
type bearer struct {
	http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}
