// Package projector is the read side: the process that opens a store.
//
// A projector lives from unlock to lock. The daemon starts it with one end of a
// socket pair and a configuration on standard input; it answers
// pb.ProjectorService over that socket and ends when the socket closes, so a daemon
// that dies is a store that is locked. It is the only process that ever holds a
// store's private keys or its stored plaintext.
//
// Opening goes keyring → private keys → view key → Pebble view on cryptfs; then the
// follower reads the log from where the view ends and applies it. Until the view
// contains the log as it was at unlock nobody reads. Every query runs with a scope
// made here, from decisions whose signatures were verified here.
package projector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// Run is the whole life of a projector process: it reads its configuration from
// stdin, serves the inherited socket, and returns when that closes.
func Run(ctx context.Context, socket *os.File, stdin io.Reader, logger *slog.Logger) error {
	content, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("projector: read configuration: %w", err)
	}
	config := &pb.ProjectorConfig{}
	if err := proto.Unmarshal(content, config); err != nil {
		return errors.New("projector: malformed configuration")
	}
	conn, err := net.FileConn(socket)
	if err != nil {
		return fmt.Errorf("projector: inherited socket: %w", err)
	}
	socket.Close()
	service, err := newService(config, logger.With("process", "projector", "store", config.GetStore()))
	if err != nil {
		conn.Close()
		return err
	}
	defer service.shutdown()
	return serveConn(ctx, conn, service)
}

// serveConn answers on one connection until it closes.
func serveConn(ctx context.Context, conn net.Conn, service *service) error {
	mux := http.NewServeMux()
	mux.Handle(pb.NewProjectorServiceHandler(service))
	server := &http.Server{
		Handler: mux, Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(service.logger.Handler(), slog.LevelError),
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	listener := &single{addr: conn.LocalAddr(), closed: make(chan struct{})}
	listener.conn.Store(&conn)
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			listener.Close()
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err := server.Serve(listener)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// serviceAt returns the service at the other end of a connection.
func serviceAt(conn net.Conn) pb.ProjectorServiceClient {
	var once sync.Once
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		var c net.Conn
		once.Do(func() { c = conn })
		if c == nil {
			return nil, net.ErrClosed
		}
		return c, nil
	}
	// To compress takes longer than the socket does.
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	return pb.NewProjectorServiceClient(&http.Client{Transport: transport}, "http://projector", plain)
}
