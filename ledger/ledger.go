// Package ledger is the write side: it keeps the logs of many stores and appends to
// them, whether they are locked or not, without being able to read what it wrote.
//
// A Ledger is a data directory:
//
//	device.key           the daemon's keys (ledger/seal); device.key.next while they are replaced
//	pins/<store>         the public keys of each store as its owner last changed them
//	stores/<store>/      key directory (ledger/log), head, decisions, view
//	jetstream/           the logs, kept by the embedded NATS server
package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"healthledger/authz"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

var (
	// ErrNoStore is returned for a store that this data directory does not hold.
	ErrNoStore = errors.New("no such store")
	// ErrNotServed is returned for a store that could not be opened, with the reason.
	ErrNotServed = errors.New("store cannot be served")
)

// Config says where a Ledger lives and how it reaches the log.
type Config struct {
	// Dir is the data directory.
	Dir string
	// Admin may create streams.
	Admin jetstream.JetStream
	// Appender may publish to the logs and read them.
	Appender *nats.Conn
	Logger   *slog.Logger
	Now      func() time.Time
	// Room says whether there is room in the logs for a use, nil: always. Its errors are
	// those of an append: log.ErrNoSpace, ErrUnwritable.
	Room func(disk.Use) error
}

// Ledger holds the stores of a data directory.
type Ledger struct {
	dir      string
	admin    jetstream.JetStream
	appender *nats.Conn
	logger   *slog.Logger
	now      func() time.Time
	room     func(disk.Use) error
	devices  *devices

	mu     sync.RWMutex
	stores map[seal.StoreID]*Store
	// broken stores are there but cannot be served, and why.
	broken map[seal.StoreID]error
	// restoring stores are none yet.
	restoring map[seal.StoreID]*Restoration
}

// Open opens every store of a data directory. A store that cannot be opened does not
// keep the others from being served: it answers with its error.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	l := &Ledger{
		dir: c.Dir, admin: c.Admin, appender: c.Appender, logger: c.Logger, now: c.Now, room: c.Room,
		stores: map[seal.StoreID]*Store{}, broken: map[seal.StoreID]error{},
		restoring: map[seal.StoreID]*Restoration{},
	}
	if l.room == nil {
		l.room = func(disk.Use) error { return nil }
	}
	for _, folder := range []string{l.dir, filepath.Join(l.dir, "pins"), filepath.Join(l.dir, "stores")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("open ledger: %w", err)
		}
	}
	var err error
	if l.devices, err = openDevices(l.dir); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	ids, err := Stores(l.dir)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	for _, id := range ids {
		// A restoration that had come to its last line.
		_ = os.Remove(restoringPath(l.pinPath(id)))
		s, err := l.open(ctx, id)
		if err != nil {
			l.logger.Error("store cannot be served", "store", id.String(), "error", err)
			l.broken[id] = err
			continue
		}
		l.stores[id] = s
	}
	if err := l.settleDevices(); err != nil {
		l.Close()
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// Stores lists the stores of a data directory, by id.
func Stores(dir string) ([]seal.StoreID, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "pins"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []seal.StoreID
	for _, e := range entries {
		if id, err := seal.ParseStoreID(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (l *Ledger) storePath(id seal.StoreID) string {
	return filepath.Join(l.dir, "stores", id.String())
}
func (l *Ledger) pinPath(id seal.StoreID) string { return filepath.Join(l.dir, "pins", id.String()) }

// Create makes a store of a keyring and its first decisions, the first of which
// enrols this daemon. The store exists when its pin does, which is written last:
// what a crash leaves behind before that is no store.
func (l *Ledger) Create(ctx context.Context, req *pb.CreateStoreRequest) (*Store, error) {
	keyring, err := seal.ParseKeyring(req.GetKeyring())
	if err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	id := keyring.Store()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := os.Stat(l.pinPath(id)); err == nil {
		return nil, fmt.Errorf("create store %s: %w", id, fs.ErrExist)
	}
	s := l.newStore(id)
	s.pin, s.keyring = pinOf(keyring), keyring
	if err := l.fill(ctx, s, req); err != nil {
		s.Close()
		return nil, fmt.Errorf("create store %s: %w", id, err)
	}
	l.stores[id] = s
	return s, nil
}

func (l *Ledger) fill(ctx context.Context, s *Store, req *pb.CreateStoreRequest) error {
	s.state = s.newState()
	var err error
	if s.directory, err = log.CreateKeyDirectory(s.path); err != nil {
		return err
	}
	if err := s.directory.PutKeyring(req.GetKeyring()); err != nil {
		return err
	}
	if err := log.CreateStream(ctx, l.admin, s.id, 1); err != nil {
		return err
	}
	var at head
	if s.head, at, err = createHead(filepath.Join(s.path, "head")); err != nil {
		return err
	}
	if s.decisions, err = openDecisions(filepath.Join(s.path, "decisions")); err != nil {
		return err
	}
	s.startAppender(l, at, l.devices.newest())
	for i, d := range req.GetDecisions() {
		if _, err := s.Decide(ctx, d); err != nil {
			return err
		}
		if i == 0 && !s.Enrolled() {
			return ErrNotEnrolled
		}
	}
	if !s.Enrolled() {
		return ErrNotEnrolled
	}
	return s.pin.write(s.pinPath)
}

// Store returns a store. Errors: ErrNoStore, ErrNotServed.
func (l *Ledger) Store(id seal.StoreID) (*Store, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if s, ok := l.stores[id]; ok {
		return s, nil
	}
	if err, ok := l.broken[id]; ok {
		return nil, fmt.Errorf("%w: %w", ErrNotServed, err)
	}
	return nil, ErrNoStore
}

// Stores returns the stores that are open, and how many there are that cannot be served.
func (l *Ledger) Stores() (open []*Store, refused int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Collect(maps.Values(l.stores)), len(l.broken)
}

// AppByKey finds the app with the given address in whatever store it is.
func (l *Ledger) AppByKey(key string) (*Store, *authz.App, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.stores {
		if a, ok := s.state.AppByKey(key); ok {
			return s, a, true
		}
	}
	return nil, nil, false
}

// WriteCheckpoints appends a checkpoint to every log that has grown since its last one.
func (l *Ledger) WriteCheckpoints(ctx context.Context) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for id, s := range l.stores {
		if err := s.WriteCheckpoint(ctx); err != nil {
			l.logger.Warn("no checkpoint was written", "store", id.String(), "error", err)
		}
	}
}

// Close closes every store.
func (l *Ledger) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.stores {
		s.Close()
	}
	l.stores = nil
	l.devices.close()
}
