// Package serve is the daemon's front door: the embedded NATS server, who the
// callers are, the lock of every store, the record of every read, and the way of a
// query to the projector that can answer it.
//
// A request goes: identity (from the subject, which NATS permissions guarantee) →
// lock state → everything else. So a locked store answers every read alike.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/reflect/protoreflect"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve/natsserver"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// Options of a daemon.
type Options struct {
	// Dir is the data directory.
	Dir string
	// Listen is the address for NATS clients; empty: a free port on loopback.
	Listen string
	// HTTP is the address for HTTP clients; empty: none.
	HTTP string
	// Metrics is the address for those who watch over the daemon; empty: none.
	Metrics string
	// TLS of all clients; without it only loopback is served.
	TLS TLS
	// Rates of each app; the owner has none.
	Rates Rates
	// Reserve is how much of the disk apps leave free, in bytes; 0: nothing.
	Reserve uint64
	// Free returns how much is left there, in bytes; nil: what the filesystem of Dir says.
	Free func() (uint64, error)
	// Launch starts projectors.
	Launch Launch
	// AutoLock locks a store so long after its owner was last there; 0: never.
	AutoLock time.Duration
	// Private daemons are for their own process: nobody is told the address.
	Private bool
	Logger  *slog.Logger
}

// Daemon serves the stores of a data directory.
type Daemon struct {
	options Options
	nats    *natsserver.Server
	ledger  *ledger.Ledger
	owner   *ownerService
	local   LocalAddress
	// certificate is nil without TLS.
	certificate *certificate
	clock       clock
	space       *disk.Space
	refused     refused
	steps       *steps
	messages    *messages
	slow        *throttle
	meters      *meters
	waiting     *waiting
	lives       *lives
	conns       []*nats.Conn
	service     *nats.Conn // answers, and pushes updates
	closers     []func()

	mu      sync.Mutex
	closed  bool
	keepers map[seal.StoreID]*keeper
	records map[seal.StoreID]*recorder
}

// drainTimeout is how long requests that were accepted may take at the end.
const drainTimeout = 10 * time.Second

// Start starts a daemon and returns when it answers. Its address and the local
// owner's credentials are in a file in the data directory until Close, unless it is
// private.
func Start(ctx context.Context, options Options) (*Daemon, error) {
	d := &Daemon{
		options: options, clock: systemClock{}, waiting: newWaiting(), lives: newLives(),
		keepers: map[seal.StoreID]*keeper{}, records: map[seal.StoreID]*recorder{},
	}
	d.owner = &ownerService{daemon: d}
	d.messages = newMessages(options.Logger.Handler())
	d.options.Logger = slog.New(d.messages)
	if d.options.Free == nil {
		d.options.Free = disk.Free(options.Dir)
	}
	d.space, d.steps = disk.New(d.options.Free, options.Reserve), newSteps(d.clock, time.Now)
	if err := d.start(ctx); err != nil {
		d.Close()
		return nil, fmt.Errorf("serve %s: %w", options.Dir, err)
	}
	stores, refused := d.ledger.Stores()
	d.options.Logger.Info("serving", "stores", len(stores), "refused", refused)
	return d, nil
}

func (d *Daemon) start(ctx context.Context) error {
	unlock, err := lockDirectory(d.options.Dir)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, unlock)
	removeAddress(d.options.Dir)
	if d.slow, err = openThrottle(filepath.Join(d.options.Dir, "passphrases.json"), time.Now); err != nil {
		return err
	}
	d.local = newLocalAddress()
	d.meters = newMeters(d.options.Rates, d.local.Key)
	if d.certificate, err = d.options.TLS.load(); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	var encryption *tls.Config
	if d.certificate != nil {
		encryption, d.local.Trust = d.certificate.config, d.certificate.local
	}
	d.nats, err = natsserver.Start(natsserver.Options{
		StoreDir: filepath.Join(d.options.Dir, "jetstream"), Listen: d.options.Listen, TLS: encryption,
		Authenticate: d.authenticate, AuthenticateNKey: d.authenticateNKey, Logger: d.options.Logger.With("part", "nats-server"), DeferListen: true,
	})
	if err != nil {
		return err
	}
	if err := d.openLedger(ctx); err != nil {
		return err
	}
	// After the services have stopped, and before the log can be written no more.
	d.closers = append(d.closers, d.lastCheckpoints, d.closeRecords)
	device := d.ledger.Device()
	d.local.SigningKey, d.local.SealingKey = device.GetSigningKey(), device.GetSealingKey()
	if d.service, err = d.nats.Connect(natsserver.Service, nats.MaxReconnects(-1)); err != nil {
		return err
	}
	d.conns = append(d.conns, d.service)
	for _, s := range []struct {
		prefix     string
		descriptor protoreflect.ServiceDescriptor
		impl       any
		gate       rpc.Gate
	}{
		{"health", pb.File_healthledger_v1_health_proto.Services().ByName("HealthService"), &healthService{daemon: d}, d.admit},
		{"owner", pb.File_healthledger_v1_owner_proto.Services().ByName("OwnerService"), d.owner, nil},
	} {
		endpoint, err := rpc.ServeNATS(d.service, s.prefix, s.descriptor, s.impl, rpc.NATSOptions{
			Logger: d.options.Logger, Gate: s.gate, Count: d.meters.Count,
		})
		if err != nil {
			return err
		}
		d.closers = append(d.closers, func() {
			ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
			defer cancel()
			_ = endpoint.Stop(ctx)
		})
	}
	// Nobody is turned away because the stores are not open yet.
	if err := d.nats.Listen(); err != nil {
		return err
	}
	d.local.URL = d.nats.URL()
	if d.local.Remote, err = d.certificate.remote(d.local.URL); err != nil {
		return err
	}
	if err := d.serveHTTP(); err != nil {
		return err
	}
	if err := d.serveMonitor(); err != nil {
		return err
	}
	if d.options.Private {
		return nil
	}
	release, err := d.local.write(d.options.Dir)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, release)
	return nil
}

func (d *Daemon) openLedger(ctx context.Context) error {
	admin, err := d.nats.Connect(natsserver.Administrator)
	if err != nil {
		return err
	}
	d.conns = append(d.conns, admin)
	js, err := jetstream.New(admin)
	if err != nil {
		return err
	}
	inbox := inboxPrefix()
	publish, subscribe := log.AppenderPermissions(inbox)
	user, password, revoke, err := d.nats.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, revoke)
	appender, err := d.nats.ConnectGranted(user, password, nats.CustomInboxPrefix(inbox), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	d.conns = append(d.conns, appender)
	d.ledger, err = ledger.Open(ctx, ledger.Config{
		Dir: d.options.Dir, Admin: js, Appender: appender, Logger: d.options.Logger, Now: time.Now, Room: d.room,
	})
	return err
}

// authenticate says who connects. Tokens are compared in constant time.
func (d *Daemon) authenticate(user, password string) (natsserver.Identity, bool) {
	if user == rpc.LocalPrefix+d.local.Key {
		_, ok := d.authenticateOwner("", d.local.Key, password)
		return natsserver.Identity{Kind: natsserver.LocalOwner, Key: d.local.Key}, ok
	}
	store, app, ok := d.ledger.AppByKey(user)
	if !ok || !app.Holds(password) {
		return natsserver.Identity{}, false
	}
	return natsserver.Identity{Kind: natsserver.App, Store: store.ID().String(), Key: user}, true
}

// authenticateNKey says whose app it is that has signed with an nkey. The user name is the
// app's key, as with tokens: public keys are no secret, so that another store's app may
// have been registered with the same one.
func (d *Daemon) authenticateNKey(user, nkey string) (natsserver.Identity, bool) {
	store, app, ok := d.ledger.AppByKey(user)
	if !ok || !app.HoldsNKey(nkey) {
		return natsserver.Identity{}, false
	}
	return natsserver.Identity{Kind: natsserver.App, Store: store.ID().String(), Key: user}, true
}

// keeper returns the keeper of a store.
func (d *Daemon) keeper(id seal.StoreID) (*keeper, error) {
	store, err := d.ledger.Store(id)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.keepers[id]
	if !ok {
		logger := d.options.Logger.With("store", id.String())
		k = &keeper{
			store: store, launch: d.options.Launch, device: d.ledger.Device, throttle: d.slow, clock: d.clock, autoLock: d.options.AutoLock, every: watchEvery,
			logger: logger, state: pb.LockState_LOCK_STATE_LOCKED, sessions: newSessions(d.clock),
			exports:   &exports{store: store, clock: d.clock, logger: logger, open: map[[32]byte]*export{}},
			refusals:  newRefusals(store, logger),
			closed:    d.closed,
			survey:    func(ctx context.Context) (*ledger.Survey, error) { return d.ledger.Survey(ctx, id) },
			configure: func() (*pb.ProjectorConfig, func(), error) { return d.configure(store) },
		}
		record := newRecorder(store, logger)
		k.push = func(ctx context.Context, process Projector) {
			(&pusher{keeper: k, process: process, record: record, send: d.service.PublishMsg}).run(ctx)
		}
		if !d.options.Private {
			k.retain = func(ctx context.Context, process Projector) { d.owner.retain(ctx, k, process) }
		}
		k.locked = func() {
			record.Flush()
			k.exports.Cut()
		}
		d.keepers[id], d.records[id] = k, record
	}
	return k, nil
}

// recorderOf returns who records the reads of a store.
func (d *Daemon) recorderOf(k *keeper) *recorder {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records[k.store.ID()]
}

// closeRecords records the reads that were counted since the last minute, and returns when
// refusals are recorded, too.
func (d *Daemon) closeRecords() {
	d.mu.Lock()
	records, keepers := maps.Clone(d.records), maps.Clone(d.keepers)
	d.mu.Unlock()
	for _, k := range keepers {
		k.refusals.Settle()
	}
	for _, r := range records {
		r.Close()
	}
}

// configure makes what a new projector needs to know: where its store is, and
// credentials with which it can read one log and do nothing else.
func (d *Daemon) configure(store *ledger.Store) (*pb.ProjectorConfig, func(), error) {
	inbox := inboxPrefix()
	publish, subscribe := log.GuestPermissions(store.ID(), inbox)
	user, password, revoke, err := d.nats.Grant(natsserver.Reader, publish, subscribe)
	if err != nil {
		return nil, nil, err
	}
	directory, err := filepath.Abs(store.Path())
	if err != nil {
		return nil, nil, err
	}
	keyring := store.Keyring()
	return &pb.ProjectorConfig{
		Store: store.ID().String(), Directory: directory,
		NatsUrl: d.nats.URL(), NatsUser: user, NatsPassword: password, NatsInbox: inbox,
		NatsCa: d.local.Trust.CA, NatsServerName: d.local.Trust.ServerName,
		OwnerKey: keyring.OwnerKey(), StoreKey: keyring.StoreKey(), FirstOwnerKey: keyring.FirstOwnerKey(), Decisions: store.Foreknown(),
	}, revoke, nil
}

// Address returns how the owner on this machine reaches the daemon.
func (d *Daemon) Address() LocalAddress { return d.local }

// Close locks every store, answers what was accepted, and stops.
func (d *Daemon) Close() {
	if d.local.URL != "" {
		removeAddress(d.options.Dir)
	}
	d.mu.Lock()
	d.closed = true
	keepers := maps.Clone(d.keepers)
	d.mu.Unlock()
	var locking sync.WaitGroup
	for _, k := range keepers {
		locking.Go(k.Close)
	}
	locking.Wait()
	for len(d.closers) > 1 {
		last := len(d.closers) - 1
		d.closers[last]()
		d.closers = d.closers[:last]
	}
	if d.ledger != nil {
		d.ledger.Close()
	}
	for _, c := range d.conns {
		c.Close()
	}
	if d.nats != nil {
		d.nats.Shutdown()
	}
	for _, unlock := range d.closers {
		unlock()
	}
	d.options.Logger.Info("stopped")
}

// refuse turns an error about a store into the error of a call.
func refuse(err error) error {
	switch {
	case errors.Is(err, ledger.ErrNoStore):
		return rpc.Error(connect.CodeNotFound, &pb.ErrorDetail{Reason: rpc.ReasonNotFound, Field: "store"}, "no such store")
	case errors.Is(err, ledger.ErrDataLoss), errors.Is(err, seal.ErrTampered), errors.Is(err, log.ErrLoss):
		return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss, Why: err.Error()}, "%s", err)
	case errors.Is(err, ledger.ErrNotServed):
		// No app of such a store gets in; its owner needs to know what to mend.
		return rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonFailedPrecondition, Why: err.Error()}, "%s", err)
	default:
		return rpc.Internal(err)
	}
}
