package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
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
	// ErrNotPinned: the store's keys are not those that this daemon saw at init.
	ErrNotPinned = errors.New("the store's keys are not the ones pinned at init")
	// ErrNotEnrolled: the owner has not made this daemon the writer of the log.
	ErrNotEnrolled = errors.New("this daemon is not enrolled to write the log")
)

// Store is the write side of one person's log. It can append, and it can open what a
// locked daemon needs (class management); it cannot open what it has written.
type Store struct {
	id        seal.StoreID
	path      string
	keyring   *seal.Keyring
	directory *log.KeyDirectory
	admin     jetstream.JetStream
	reader    *log.Reader
	device    *seal.DeviceKey
	state     *authz.State
	decisions *decisionCache
	head      *headFile
	epochs    *epochs
	appender  *appender
	now       func() time.Time

	deciding sync.Mutex

	mu       sync.Mutex
	sequence uint64
	root     tree.Hash
	changed  chan struct{}
}

// ID returns the store's random name.
func (s *Store) ID() seal.StoreID { return s.id }

// Path returns the store's folder, in which the key directory and the view lie.
func (s *Store) Path() string { return s.path }

// Keyring returns the store's public keys.
func (s *Store) Keyring() *seal.Keyring { return s.keyring }

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
	s.sequence, s.root = at.tree.Size(), at.tree.Root()
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

// open reads what the daemon remembers of the store and catches up with the log.
func (l *Ledger) open(ctx context.Context, id seal.StoreID) (*Store, error) {
	s := &Store{
		id: id, path: l.storePath(id), device: l.device, now: l.now, admin: l.admin,
		reader: log.NewReader(l.appender, id), changed: make(chan struct{}),
	}
	if err := s.openKeys(l.pinPath(id)); err != nil {
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	if _, err := log.OpenStream(ctx, l.admin, id); err != nil {
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	file, at, err := openHead(filepath.Join(s.path, "head"))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	s.head = file
	if err := s.catchUp(ctx, &at); err != nil {
		s.Close()
		return nil, fmt.Errorf("open store %s: %w", id, err)
	}
	s.appended(at)
	s.startAppender(l, at)
	return s, nil
}

func (s *Store) openKeys(pinPath string) error {
	var err error
	if s.directory, err = log.OpenKeyDirectory(s.path); err != nil {
		return err
	}
	content, err := s.directory.Keyring()
	if err != nil {
		return err
	}
	if s.keyring, err = seal.ParseKeyring(content); err != nil {
		return err
	}
	pinned, err := readPin(pinPath)
	if err != nil {
		return err
	}
	if !bytes.Equal(pinned, pinOf(s.keyring)) {
		return ErrNotPinned
	}
	return nil
}

// catchUp brings the head and the decisions up to the end of the log.
func (s *Store) catchUp(ctx context.Context, at *head) error {
	last, err := s.reader.Last(ctx)
	if err != nil {
		return err
	}
	if last < at.tree.Size() {
		return fmt.Errorf("%w: the log ends at %d, but %d was acknowledged", ErrDataLoss, last, at.tree.Size())
	}
	if s.decisions, err = openDecisions(filepath.Join(s.path, "decisions")); err != nil {
		return err
	}
	s.state = s.replayDecisions()
	from := at.tree.Size() + 1
	if n, _ := s.state.Head(); n < at.decision {
		// The cache is behind: the log has them all.
		s.state, from = s.newState(), 1
		if err := s.decisions.Reset(); err != nil {
			return err
		}
	}
	known := at.tree.Size()
	opener := s.device.Opener(s.id, s.directory)
	defer opener.Destroy()
	err = s.reader.Read(ctx, from, last, func(e log.Entry) error {
		if e.Sequence > known {
			at.tree.Append(tree.Leaf(e.Payload))
		}
		return s.readDecisions(opener, e)
	})
	if errors.Is(err, log.ErrLoss) {
		return fmt.Errorf("%w: %w", ErrDataLoss, err)
	}
	if err != nil {
		return err
	}
	number, hash := s.state.Head()
	if number < at.decision || number == at.decision && !bytes.Equal(hash, at.decisionHash) {
		return fmt.Errorf("%w: decision %d was acknowledged, the log has %d", ErrDataLoss, at.decision, number)
	}
	at.decision, at.decisionHash = number, hash
	return nil
}

func (s *Store) newState() *authz.State {
	return authz.NewState(verifier{s.keyring.OwnerKey(), s.id}, false)
}

// replayDecisions makes a state of the cached decisions, as far as they verify.
func (s *Store) replayDecisions() *authz.State {
	state := s.newState()
	for _, d := range s.decisions.list {
		if state.Decide(d, nil) != nil {
			break
		}
	}
	return state
}

// readDecisions applies the decisions of a segment that are not yet known. What it
// cannot verify is tampering; a segment of class health is none of its business.
func (s *Store) readDecisions(opener *seal.Opener, e log.Entry) error {
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		return fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	if segment.Class == seal.Health {
		return nil
	}
	var body []byte
	if segment.Class == seal.Open {
		body = segment.Body
	} else {
		if err := segment.Verify(s.id, e.Sequence, s.device.SigningKey()); err != nil {
			return fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
		body, err = opener.Open(segment, e.Sequence, nil)
	}
	if err != nil {
		return fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	blocks, err := log.DecodeBody(body)
	if err != nil {
		return fmt.Errorf("segment %d: %w", e.Sequence, err)
	}
	for _, block := range blocks {
		events, err := log.Events(block)
		if err != nil {
			return fmt.Errorf("segment %d: %w", e.Sequence, err)
		}
		for _, event := range events {
			if d := event.GetDecision(); d != nil {
				if err := s.learn(d); err != nil {
					return fmt.Errorf("segment %d: %w", e.Sequence, err)
				}
			}
		}
	}
	return nil
}

// learn applies a decision from the log unless the cache had it.
func (s *Store) learn(d *pb.SignedDecision) error {
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return err
	}
	if number, _ := s.state.Head(); decision.GetNumber() <= number {
		return nil
	}
	if err := s.state.Decide(d, nil); err != nil {
		return err
	}
	return s.decisions.Add(d)
}

func (s *Store) startAppender(l *Ledger, at head) {
	s.epochs = &epochs{
		store: s.id, directory: s.directory, open: map[seal.Class]*writing{},
		recipients: map[seal.Class][][]byte{
			seal.Health:     {s.keyring.StoreKey()},
			seal.Management: {s.keyring.StoreKey(), s.device.SealingKey()},
		},
	}
	s.appender = &appender{
		store: s.id, device: s.device, publisher: log.NewPublisher(l.appender, s.id), epochs: s.epochs,
		head: s.head, now: s.now, wake: make(chan struct{}, 1), done: make(chan struct{}), at: at,
	}
	s.appender.appended = func(uint64) { s.appended(s.appender.at) }
	go s.appender.run()
}

// enrolled tells whether the owner has made this daemon the writer.
func (s *Store) enrolled() bool {
	d := s.state.Device()
	return d != nil && bytes.Equal(d.GetSigningKey(), s.device.SigningKey()) && bytes.Equal(d.GetSealingKey(), s.device.SealingKey())
}

// Record appends an event of class health about an app (0: the owner).
func (s *Store) Record(ctx context.Context, app uint64, event *pb.Event) (uint64, error) {
	event.Time = s.now().UnixMicro()
	b, err := proto.Marshal(event)
	if err != nil {
		return 0, err
	}
	return s.appender.Append(ctx, &pending{class: seal.Health, app: app, event: b})
}

// Decide appends a decision of the owner, its detail first: without the decision
// that names it a detail means nothing. It returns the sequence to wait for.
// Errors: authz.ErrForged, and those of an append.
func (s *Store) Decide(ctx context.Context, d *pb.NewDecision) (uint64, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if err := s.state.Check(d.GetDecision(), d.GetDetail()); err != nil {
		return 0, err
	}
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision().GetDecision(), decision); err != nil {
		return 0, err
	}
	if len(d.GetDetail()) > 0 {
		if _, err := s.Record(ctx, 0, &pb.Event{Body: &pb.Event_DecisionDetail{DecisionDetail: d.GetDetail()}}); err != nil {
			return 0, err
		}
	}
	class := seal.Management
	if decision.GetDeviceEnrolled() != nil {
		class = seal.Open
	}
	event, err := proto.Marshal(&pb.Event{Time: s.now().UnixMicro(), Body: &pb.Event_Decision{Decision: d.GetDecision()}})
	if err != nil {
		return 0, err
	}
	hash := sha256.Sum256(d.GetDecision().GetDecision())
	sequence, err := s.appender.Append(ctx, &pending{class: class, event: event, decision: decision.GetNumber(), decisionHash: hash[:]})
	if err != nil {
		return 0, err
	}
	return sequence, s.learn(d.GetDecision())
}

// Close stops the appender, syncs the head and forgets the keys.
func (s *Store) Close() {
	if s.appender != nil {
		s.appender.Close()
		s.epochs.destroy()
	}
	if s.decisions != nil {
		s.decisions.Close()
	}
	if s.head != nil {
		_ = s.head.Close()
	}
}
