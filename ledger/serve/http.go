package serve

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Limits of HTTP connections. The longest answer waits a minute for what may come.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	headerBytes   = 16 << 10
)

// serveHTTP answers the services over HTTP: Connect, gRPC and gRPC-Web, on HTTP/1.1
// and HTTP/2.
func (d *Daemon) serveHTTP() error {
	if d.options.HTTP == "" {
		return nil
	}
	listener, err := d.listenWeb(d.options.HTTP)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	mux := http.NewServeMux()
	stopping, stop := context.WithCancel(context.Background())
	options := rpc.HTTPOptions{Authenticate: d.authenticateOwner, Logger: d.options.Logger, Stopping: stopping}
	mux.Handle(rpc.NewHTTPHandler(pb.File_healthledger_v1_owner_proto.Services().ByName("OwnerService"), func(o ...connect.HandlerOption) (string, http.Handler) {
		return pb.NewOwnerServiceHandler(d.owner, o...)
	}, options))
	options.Authenticate, options.Gate, options.Count = d.authenticateBearer, d.admit, d.meters.Count
	mux.Handle(rpc.NewHTTPHandler(pb.File_healthledger_v1_health_proto.Services().ByName("HealthService"), func(o ...connect.HandlerOption) (string, http.Handler) {
		return pb.NewHealthServiceHandler(&healthService{daemon: d}, o...)
	}, options))
	d.local.HTTP = d.serveWeb(listener, mux, stop)
	return nil
}

// serveWeb answers HTTP/1.1 and HTTP/2 on a listener until the daemon is closed, which calls
// stopping first, and returns the URL.
func (d *Daemon) serveWeb(listener net.Listener, handler http.Handler, stopping func()) string {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytes, Protocols: new(http.Protocols),
		// What is wrong with a connection is its client's to know.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.options.Logger.Error("http", "error", err.Error())
		}
	}()
	d.closers = append(d.closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		stopping()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-ended
	})
	if d.certificate != nil {
		return "https://" + listener.Addr().String()
	}
	return "http://" + listener.Addr().String()
}

// listenWeb listens for HTTP clients, beyond loopback only if what goes over the wire is encrypted.
func (d *Daemon) listenWeb(at string) (net.Listener, error) {
	address, err := net.ResolveTCPAddr("tcp", at)
	if err != nil {
		return nil, err
	}
	if d.certificate == nil {
		if !address.IP.IsLoopback() {
			return nil, natsserver.ErrNotLoopback
		}
		return net.ListenTCP("tcp", address)
	}
	config := d.certificate.config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	return tls.Listen("tcp", address.String(), config)
}

// authenticateOwner says whether a token is the local owner's. Tokens are compared in
// constant time.
func (d *Daemon) authenticateOwner(_, key, token string) (credential uint64, ok bool) {
	return 0, key == d.local.Key && subtle.ConstantTimeCompare([]byte(token), []byte(d.local.Token)) == 1
}

// authenticateBearer says whether a token is that of an app of the store, or of the local
// owner. Tokens are compared in constant time.
//
// Wrong ones are not slowed down: see natsserver.Options.Authenticate.
func (d *Daemon) authenticateBearer(store, key, token string) (credential uint64, ok bool) {
	if key == d.local.Key {
		return d.authenticateOwner(store, key, token)
	}
	id, err := seal.ParseStoreID(store)
	if err != nil {
		return 0, false
	}
	found, app, ok := d.ledger.AppByKey(key)
	if !ok || found.ID() != id || !app.Holds(token) {
		return 0, false
	}
	return app.Credential().Decision, true
}
