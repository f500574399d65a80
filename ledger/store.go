package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/disk"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// Errors of opening a store.
var (
	// ErrDataLoss: the log is shorter than it was, has a hole, or its decisions are
	// not all there.
	ErrDataLoss = errors.New("data loss")
	// ErrNotPinned: the store's keys are not those that this daemon saw at init, nor has their
	// owner replaced them.
	ErrNotPinned = errors.New("the store's keys are not the ones pinned at init")
	// ErrNotEnrolled: the owner has not made this daemon the writer of the log.
	ErrNotEnrolled = errors.New("this daemon is not enrolled to write the log")
	// ErrOldKeyring: the keyring is not the one that the owner last decided on.
	ErrOldKeyring = errors.New("the keyring is not the one of the last change of the passphrase or the keys: another was put back")
	// ErrKeyringPending: the decision for a keyring is in the log, and the key directory
	// could not be written. The next start does it.
	ErrKeyringPending = errors.New("the change is finished when the daemon is started again")
	// ErrNotStaged: there are epochs that the next keys of the store would not open.
	ErrNotStaged = errors.New("not every epoch is wrapped to the next keys")
)

// errEncoding says that an event cannot be encoded: a text of it is not UTF-8.
var errEncoding = errors.New("not encodable")

// Store is the write side of one person's log. It can append, and it can open what a
// locked daemon needs (class management); it cannot open what it has written.
type Store struct {
	id        seal.StoreID
	path      string
	pinPath   string
	directory *log.KeyDirectory
	admin     jetstream.JetStream
	conn      *nats.Conn
	reader    *log.Reader
	devices   *devices
	writer    atomic.Pointer[writer]
	state     *authz.State
	decisions *decisionCache
	head      *headFile
	epochs    *epochs
	appender  *appender
	now       func() time.Time
	room      func(disk.Use) error
	// losses are what the owner has accepted to have lost.
	losses *log.Losses

	deciding sync.Mutex
	// dropping destroys what the keys before opened.
	dropping sync.WaitGroup

	mu sync.Mutex
	// known is how far the log had come, of one to which nothing is written.
	known head
	// damage is what was found wrong with the log, and closed why nothing is written to it (see
	// Damage); nil: nothing.
	damage, closed error
	// lost are the decisions that are lost with losses which the owner has accepted.
	lost []*pb.SignedDecision
	// sought are decisions about losses that were found in the log, where nobody remembers them.
	sought []soughtDecision

	keyring *seal.Keyring
	pin     pin
	// unknown: this daemon does not know what the owner has decided (see Adopt).
	unknown  bool
	sequence uint64
	root     tree.Hash
	tree     tree.Tree
	changed  chan struct{}
	// The last checkpoint in the log, and its note until the owner signs it.
	checkpoint checkpointed
	uncosigned string
	// growing: there is more than that, and hourly makes the next.
	growing bool
	hourly  *time.Timer
}

// ID returns the store's random name.
func (s *Store) ID() seal.StoreID { return s.id }

// Path returns the store's folder, in which the key directory and the view lie.
func (s *Store) Path() string { return s.path }

// Keyring returns the store's public keys.
func (s *Store) Keyring() *seal.Keyring {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keyring
}

// State returns what the owner has decided, as far as a locked daemon can open it.
func (s *Store) State() *authz.State { return s.state }

// Reader returns the reader of the store's log.
func (s *Store) Reader() *log.Reader { return s.reader }

// Head returns the last acknowledged sequence, the Merkle root of the log up to
// there, and a channel that is closed when there is more.
func (s *Store) Head() (sequence uint64, root tree.Hash, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sequence, s.root, s.changed
}

func (s *Store) appended(at head) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence, s.root, s.tree = at.tree.Size(), at.tree.Root(), at.tree
	if at.checkpoint != s.checkpoint {
		s.checkpoint, s.uncosigned = at.checkpoint, at.checkpoint.note
	}
	s.schedule(at)
	close(s.changed)
	s.changed = make(chan struct{})
}

// verifier binds decisions to this store and its owner.
type verifier struct {
	owner []byte
	store seal.StoreID
}

func (v verifier) VerifyDecision(decision, signature []byte) error {
	return seal.VerifyDecision(v.owner, v.store, decision, signature)
}

// Rekeyed implements authz.Verifier.
func (v verifier) Rekeyed(previous []byte, r *pb.StoreRekeyed) (authz.Verifier, error) {
	return verifier{r.GetOwnerKey(), v.store}, seal.VerifyRekeying(v.owner, v.store, previous, r)
}

func (l *Ledger) newStore(id seal.StoreID) *Store {
	losses := &log.Losses{}
	return &Store{
		id: id, path: l.storePath(id), pinPath: l.pinPath(id), devices: l.devices, now: l.now, room: l.room, admin: l.admin, conn: l.appender,
		reader: log.NewReader(l.appender, id).PassOver(losses), losses: losses, changed: make(chan struct{}),
	}
}

// open reads what the daemon remembers of the store and catches up with the log.
func (l *Ledger) open(ctx context.Context, id seal.StoreID) (*Store, error) {
	s := l.newStore(id)
	if err := s.openKeys(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	if err := l.openLog(ctx, id); err != nil {
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	file, at, err := openHead(filepath.Join(s.path, "head"))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w: %w", id, ErrDataLoss, err)
	}
	s.head = file
	if at, err = s.catchUp(ctx, at); err != nil {
		s.Close()
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	if s.damage != nil {
		l.logger.Error("the log is damaged: nothing of the store is read", "store", id.String(), "written", s.closed == nil, "error", s.damage)
	}
	if err := s.settle(); err != nil {
		s.Close()
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	key := s.devices.find(s.state.Device())
	if key == nil {
		// The one to be enrolled.
		key = s.devices.newest()
		if s.damage == nil {
			l.logger.Warn("the store takes no writes until its owner has unlocked it: it was written with another device key", "store", id.String())
		}
	}
	s.startAppender(l, at, key)
	s.appended(at)
	return s, nil
}

// settle is settleKeys when the store is opened. While the decisions are unknown nothing of the
// key directory may be touched: it destroys.
func (s *Store) settle() error {
	if s.unknown {
		if !pinOf(s.keyring).equal(s.pin) {
			return ErrNotPinned
		}
		return nil
	}
	return s.settleKeys(s.state)
}

// openLog checks the stream of a store. JetStream does not know one whose settings it cannot
// read: with the same settings again it finds the segments that are there, and what is
// missing of them shows as in any other log.
func (l *Ledger) openLog(ctx context.Context, id seal.StoreID) error {
	_, err := log.OpenStream(ctx, l.admin, id)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.logger.Warn("the settings of a log are missing or damaged: they are written again", "store", id.String())
		err = log.RestoreStream(ctx, l.admin, id, 1)
	}
	return err
}

// settleKeys brings the key directory to what the decisions say.
func (s *Store) settleKeys(state *authz.State) error {
	if err := s.settleKeyring(state); err != nil {
		return err
	}
	return errors.Join(s.settleErasures(state), s.dropWraps(state))
}

func (s *Store) openKeys() error {
	var err error
	if s.directory, err = log.OpenKeyDirectory(s.path); err != nil {
		return err
	}
	if s.keyring, err = s.readKeyring(); err != nil {
		return err
	}
	if s.pin, err = readPin(s.pinPath, s.id); err != nil {
		return err
	}
	if !s.keyring.FirstOwnerKey().Equal(s.pin.first) {
		return ErrNotPinned
	}
	return nil
}

// writer is the device key that a log is written with, and the keys that are derived of it.
type writer struct {
	device            *seal.DeviceKey
	receipts, updates *seal.TokenKey
	// before is the one that this one has taken the place of.
	before *writer
}

func newWriter(device *seal.DeviceKey, before *writer) *writer {
	return &writer{device: device, receipts: device.TokenKey("receipt"), updates: device.TokenKey("update"), before: before}
}

// key returns the device key that the log is written with.
func (s *Store) key() *seal.DeviceKey { return s.writer.Load().device }

func (s *Store) startAppender(l *Ledger, at head, key *seal.DeviceKey) {
	s.writer.Store(newWriter(key, nil))
	s.epochs = &epochs{store: s.id, directory: s.directory, open: map[seal.Class]*writing{}}
	s.appender = &appender{
		store: s.id, publisher: log.NewPublisher(l.appender, s.id), epochs: s.epochs,
		head: s.head, now: s.now, wake: make(chan struct{}, 1), done: make(chan struct{}), at: at, failed: s.closed,
	}
	s.appender.use = func(device *seal.DeviceKey) {
		if device != s.key() {
			s.writer.Store(newWriter(device, s.writer.Load()))
		}
		s.appender.device = device
		s.epochs.renew(map[seal.Class][][]byte{
			seal.Health:     {s.storeKey()},
			seal.Management: {s.storeKey(), device.SealingKey()},
		})
	}
	s.appender.use(key)
	s.appender.learn, s.appender.appended = s.acknowledged, s.appended
	s.hourly = time.AfterFunc(checkpointEvery, s.hour)
	s.hourly.Stop()
	go s.appender.run()
}

// Enrolled tells whether the owner has made this daemon the writer of the log.
func (s *Store) Enrolled() bool { return s.devices.find(s.state.Device()) != nil }

// Record appends events of class health about an app (0: the owner), in one segment if
// they fit one, and returns the sequence of the last. They may use the reserve of the disk,
// except for refusals, of which an app can make as many as it likes.
func (s *Store) Record(ctx context.Context, app uint64, events ...*pb.Event) (uint64, error) {
	use := disk.Reserved
	if slices.ContainsFunc(events, func(e *pb.Event) bool { return e.GetRefusalRecorded() != nil }) {
		use = disk.Ordinary
	}
	if err := s.room(use); err != nil {
		return 0, err
	}
	return s.recordIf(ctx, app, nil, events...)
}

// recordIf is Record of events that a check, if there is one, lets into the log.
func (s *Store) recordIf(ctx context.Context, app uint64, check func() error, events ...*pb.Event) (uint64, error) {
	if !s.Enrolled() {
		return 0, ErrNotEnrolled
	}
	ps := make([]*pending, len(events))
	for i, event := range events {
		ps[i] = &pending{class: seal.Health, app: app, check: check}
		if err := s.encode(ps[i], event); err != nil {
			return 0, err
		}
	}
	return s.appender.Append(ctx, ps...)
}

func (s *Store) record(ctx context.Context, p *pending, event *pb.Event) (uint64, error) {
	if err := s.encode(p, event); err != nil {
		return 0, err
	}
	return s.appender.Append(ctx, p)
}

func (s *Store) encode(p *pending, event *pb.Event) (err error) {
	event.Time = s.now().UnixMicro()
	if p.event, err = proto.Marshal(event); err != nil {
		return fmt.Errorf("%w: %w", errEncoding, err)
	}
	return nil
}

// Close stops the appender, syncs the head and forgets the keys.
func (s *Store) Close() {
	if s.appender != nil {
		s.hourly.Stop()
		s.appender.Close()
		s.dropping.Wait()
		s.epochs.renew(nil)
		for w := s.writer.Load(); w != nil; w = w.before {
			w.receipts.Destroy()
			w.updates.Destroy()
		}
	}
	if s.decisions != nil {
		s.decisions.Close()
	}
	if s.head != nil {
		_ = s.head.Close()
	}
}
