// Package natsserver is the daemon's NATS server: it runs in the process, listens on
// loopback or with TLS, and decides for each connection who it is and what it may reach.
//
// There are three accounts. Apps, owners and the daemon's service connection live in
// APPS, which has no JetStream. The log lives in LOG, which only the daemon's own
// connections reach. Projectors read it from GUESTS, as ledger/log describes. For LOG and
// GUESTS a connection needs a credential of this process (see Server.Grant).
//
//	srv, err := natsserver.Start(natsserver.Options{StoreDir: dir, Authenticate: who})
//	service, err := srv.Connect(natsserver.Service)
//	user, password, revoke, err := srv.Grant(natsserver.Appender, publish, subscribe)
//	appender, err := srv.ConnectGranted(user, password)
//
// A server checks what a connection publishes and subscribes to, but not the reply
// subject that a request names, and answers go out with the rights of whoever
// answers. Therefore the service connection can publish to inboxes and updates
// only, and proto/rpc drops requests whose reply is not under the caller's inbox.
package natsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"healthledger/ledger/log"
	"healthledger/proto/rpc"
)

// MaxPayload is the largest message: a request or segment of 1 MiB with its headers.
const MaxPayload = 1<<20 + 64<<10

// What is kept for a client that does not read, in bytes, and how long, also at the end of
// the server. A projector that reads the log has 16 MiB and more under way.
const (
	maxPending    = 64 << 20
	writeDeadline = 5 * time.Second
)

// DefaultListen is any free port on loopback.
const DefaultListen = "127.0.0.1:0"

// ErrNotLoopback says that an address to listen at is not on loopback, and that there is
// no certificate with which connections would be encrypted.
var ErrNotLoopback = errors.New("addresses beyond loopback are served with a certificate only")

// ErrInUse says that another process has the store directory open.
var ErrInUse = errors.New("directory is in use by another process")

// Options of a server.
type Options struct {
	// StoreDir holds the streams. It is made with mode 0700 if it is absent.
	StoreDir string
	// Listen is host:port, without TLS on loopback; port 0 takes a free one. Empty:
	// DefaultListen.
	Listen string
	// TLS is spoken by everybody who does not connect in the process. Nil: by nobody.
	TLS *tls.Config
	// DeferListen leaves the port closed until Server.Listen, for a daemon that must
	// connect in the process before it can tell who is who. A client that is refused
	// twice gives up for good; one that finds no port comes back.
	DeferListen bool
	// Authenticate says who a user name and a password belong to. It is called for
	// names of the right form only (a key, or rpc.LocalPrefix and a key), on every
	// connect, from several goroutines; it compares in constant time. The identity
	// must be the one the name stands for. Nil: nobody connects from outside.
	//
	// Nothing slows down whoever guesses: a token has 260 random bits. A delay for each
	// address would cost the apps that share one, as all on loopback do.
	Authenticate func(user, password string) (Identity, bool)
	// AuthenticateNKey is Authenticate for a connection that has signed this server's nonce
	// with an nkey; what is left is whether it is the app's. Nil: nobody has one.
	AuthenticateNKey func(user, nkey string) (Identity, bool)
	// Logger gets the server's messages, without payloads, names and subjects.
	// Nil: they are dropped.
	Logger *slog.Logger
}

// Server is a running NATS server.
type Server struct {
	nats *server.Server
	dir  string
	gate *gate
	lock *os.File
	log  *slog.Logger

	// credentials of the connections of the daemon itself.
	own map[Kind][2]string

	journal   *journal
	mender    *mender
	listening atomic.Bool
	shutdown  sync.Once
}

// Start runs a server and recovers the streams in opts.StoreDir. It returns when
// connections are accepted, or with DeferListen when those of the process are. Errors: ErrNotLoopback, ErrInUse, or what kept
// JetStream from starting.
func Start(opts Options) (*Server, error) {
	s, err := start(opts)
	if err != nil {
		return nil, fmt.Errorf("natsserver: start: %w", err)
	}
	return s, nil
}

func start(opts Options) (*Server, error) {
	host, port, err := address(opts.Listen, opts.TLS != nil)
	if err != nil {
		return nil, err
	}
	if opts.StoreDir == "" {
		return nil, errors.New("no store directory")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	lock, err := lockDirectory(opts.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("store directory %s: %w", opts.StoreDir, err)
	}
	s := &Server{
		dir:  opts.StoreDir,
		gate: &gate{authenticate: opts.Authenticate, authenticateNKey: opts.AuthenticateNKey, accounts: map[string]*server.Account{}, grants: map[string]grant{}},
		lock: lock,
		log:  opts.Logger,
		own:  map[Kind][2]string{},
	}
	s.mender = newMender(s)
	s.journal = &journal{log: opts.Logger, broke: s.mender.Broke}
	serverOptions := serverOptions(opts.StoreDir, host, port, s.gate)
	serverOptions.TLSConfig = opts.TLS
	s.nats, err = server.NewServer(serverOptions)
	if err != nil {
		lock.Close()
		return nil, err
	}
	s.nats.SetLoggerV2(s.journal, false, false, false)
	s.nats.Start()
	go s.mender.run()
	if err := s.ready(); err != nil {
		s.Shutdown()
		return nil, err
	}
	if opts.DeferListen {
		return s, nil
	}
	if err := s.listen(); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

func serverOptions(dir, host string, port int, gate *gate) *server.Options {
	return &server.Options{
		ServerName: "healthledger",
		Host:       host,
		Port:       port,
		// The port opens when the log is there (see listen): a client that is refused
		// twice gives up for good, so a restart must not refuse anybody for a moment.
		DontListen: true,
		// Signals are the daemon's; there is no monitoring, profiling or cluster port.
		NoSigs:     true,
		MaxPayload: MaxPayload,
		// An app needs an inbox and its updates, a daemon connection a handful more.
		MaxSubs: 1000,
		// Whoever does not read loses what is beyond three quarters of what is kept for it,
		// and the connection after the deadline. By itself the server would hold the
		// connection up that sends, which is the one that answers everybody.
		NoFastProducerStall: true,
		MaxPending:          maxPending,
		WriteDeadline:       writeDeadline,

		Accounts:                   newAccounts(),
		CustomClientAuthentication: gate,
		// For nkeys; by itself the server gives nonces only to those that it knows itself.
		AlwaysEnableNonce: true,

		JetStream:              true,
		StoreDir:               dir,
		DisableJetStreamBanner: true,
		// An acknowledgement follows the fsync. The interval is only the server's
		// housekeeping then; it is named so that a new default cannot surprise.
		SyncAlways:   true,
		SyncInterval: 2 * time.Minute,
		// The disk is the limit, and the ledger keeps its own reserve: JetStream's
		// guess (three quarters of what was free at start) would refuse writes early.
		JetStreamMaxStore: math.MaxInt64 / 4,
		// Nothing is kept in memory streams.
		JetStreamMaxMemory: 64 << 20,
	}
}

func newAccounts() (all []*server.Account) {
	for _, name := range accounts {
		all = append(all, server.NewAccount(name))
	}
	return all
}

// admitGuests lets the account of guests read the log's streams, and do nothing else.
func admitGuests(logs, guests *server.Account) error {
	for _, export := range log.GuestExports() {
		answers := server.Singleton
		if export.Streamed {
			answers = server.Streamed
		}
		if err := logs.AddServiceExportWithResponse(export.Subject, answers, []*server.Account{guests}); err != nil {
			return err
		}
		if err := guests.AddServiceImport(logs, export.Imported, export.Subject); err != nil {
			return err
		}
	}
	return nil
}

// ready enables JetStream for LOG, which recovers its streams.
func (s *Server) ready() error {
	if failure := s.journal.failure(); failure != "" {
		return errors.New(failure)
	}
	for _, name := range accounts {
		account, err := s.nats.LookupAccount(name)
		if err != nil {
			return fmt.Errorf("account %s: %w", name, err)
		}
		s.gate.accounts[name] = account
	}
	if err := s.recoverStreams(); err != nil {
		return err
	}
	if err := admitGuests(s.gate.accounts[accountLog], s.gate.accounts[accountGuests]); err != nil {
		return fmt.Errorf("admit guests to the log: %w", err)
	}
	for _, kind := range []Kind{Service, Administrator} {
		user, password := s.gate.add(kind, kind.permissions())
		s.own[kind] = [2]string{user, password}
	}
	s.gate.open.Store(true)
	return nil
}

// Listen opens the port of a server started with Options.DeferListen. An error says
// that it is open already, or why it cannot be.
func (s *Server) Listen() error {
	if err := s.listen(); err != nil {
		return fmt.Errorf("natsserver: listen: %w", err)
	}
	return nil
}

func (s *Server) listen() error {
	if s.listening.Swap(true) {
		return errors.New("the port is open already")
	}
	s.nats.AcceptLoop(make(chan struct{}))
	if failure := s.journal.failure(); failure != "" {
		s.listening.Store(false)
		return errors.New(failure)
	}
	return nil
}

// address splits an address, and refuses what is not loopback unless it is encrypted.
func address(listen string, encrypted bool) (host string, port int, err error) {
	if listen == "" {
		listen = DefaultListen
	}
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: %w", listen, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); !encrypted && (ip == nil || !ip.IsLoopback()) {
		return "", 0, fmt.Errorf("listen address %q: %w", listen, ErrNotLoopback)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: port: %w", listen, err)
	}
	if number == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(number), nil
}

// URL is where clients connect; empty while the port is not open.
func (s *Server) URL() string {
	if !s.listening.Load() {
		return ""
	}
	return s.nats.ClientURL()
}

// Connect makes a connection of the daemon itself, inside the process. The kind is
// Service or Administrator.
func (s *Server) Connect(kind Kind, opts ...nats.Option) (*nats.Conn, error) {
	credentials, ok := s.own[kind]
	if !ok {
		return nil, fmt.Errorf("natsserver: connect: %s is not a connection of the daemon", kind)
	}
	return s.ConnectGranted(credentials[0], credentials[1], opts...)
}

// ConnectGranted makes a connection inside the process with a credential of Grant.
func (s *Server) ConnectGranted(user, password string, opts ...nats.Option) (*nats.Conn, error) {
	opts = append([]nats.Option{
		nats.InProcessServer(s.nats),
		nats.UserInfo(user, password),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		// The library's own handler would print subjects to standard error.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn("connection in the process", "error", line(err.Error()))
		}),
	}, opts...)
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("natsserver: connect: %w", err)
	}
	return nc, nil
}

// Disconnect ends the connections of an app or a local owner with this key, and those
// that have signed with its nkey, if it has one. The caller first makes Authenticate
// refuse it: whoever was let in before that is found here, whoever comes later is refused
// there.
func (s *Server) Disconnect(key, nkey string) {
	s.disconnectUser(key)
	s.disconnectUser(rpc.LocalPrefix + key)
	if nkey != "" { // by which the server knows such a connection
		s.disconnectUser(nkey)
	}
}

func (s *Server) disconnectUser(user string) {
	found, err := s.nats.Connz(&server.ConnzOptions{Username: true, User: user, State: server.ConnOpen, Limit: math.MaxInt32})
	if err != nil {
		return
	}
	for _, connection := range found.Conns {
		// An error says that it has gone already.
		_ = s.nats.DisconnectClientByID(connection.Cid)
	}
}

// Shutdown ends every connection, closes the streams and returns when all of that
// is done. It may be called more than once.
func (s *Server) Shutdown() {
	s.shutdown.Do(func() {
		s.gate.open.Store(false)
		s.mender.Close()
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		s.lock.Close()
	})
}
