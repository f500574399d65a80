package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// ErrInTheWay is returned where something is in the place of a store that is to be restored,
// and no restoration has left it there.
var ErrInTheWay = errors.New("something is in its place that no restoration has left")

// A Restoration makes a store of its key directory and its segments. Like a new store, it
// exists when its pin does, which is written last. What is there before that is marked
//
//	pins/<store>.restoring
//
// and removed by the next restoration of the store.
type Restoration struct {
	// Run is its name.
	Run string

	ledger    *Ledger
	id        seal.StoreID
	directory *log.KeyDirectory
	publisher *log.Publisher

	mu     sync.Mutex
	tree   tree.Tree
	losses log.Losses
}

// Restore begins to restore a store. One that was begun before ends. Errors: fs.ErrExist,
// ErrInTheWay.
func (l *Ledger) Restore(ctx context.Context, id seal.StoreID) (*Restoration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &Restoration{Run: rand.Text(), ledger: l, id: id, publisher: log.NewPublisher(l.appender, id)}
	if err := r.begin(ctx); err != nil {
		return nil, fmt.Errorf("restore store %s: %w", id, err)
	}
	l.restoring[id] = r
	return r, nil
}

// Restoration returns the one that is under way. The error is ErrNoStore.
func (l *Ledger) Restoration(id seal.StoreID, run string) (*Restoration, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if r := l.restoring[id]; r != nil && r.Run == run {
		return r, nil
	}
	return nil, fmt.Errorf("restore store %s: %w is being restored under this name", id, ErrNoStore)
}

func restoringPath(pin string) string { return pin + ".restoring" }

func (r *Restoration) begin(ctx context.Context) error {
	pin, path := r.ledger.pinPath(r.id), r.ledger.storePath(r.id)
	if _, err := os.Lstat(pin); err == nil {
		return fs.ErrExist
	}
	if _, err := os.Lstat(restoringPath(pin)); err != nil {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%w: %s", ErrInTheWay, path)
		}
		if _, err := r.ledger.admin.Stream(ctx, log.StreamName(r.id)); !errors.Is(err, jetstream.ErrStreamNotFound) {
			return errors.Join(fmt.Errorf("%w: stream %s", ErrInTheWay, log.StreamName(r.id)), err)
		}
		if err := log.WriteFile(restoringPath(pin), nil); err != nil {
			return err
		}
	}
	if err := r.ledger.admin.DeleteStream(ctx, log.StreamName(r.id)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	// What had come of its keys is in use on the machine that it is of.
	if err := log.DestroyKeyDirectory(path); err != nil {
		return err
	}
	var err error
	if r.directory, err = log.CreateKeyDirectory(path); err != nil {
		return err
	}
	return log.CreateStream(ctx, r.ledger.admin, r.id, 1)
}

// PutKey writes a file of the key directory.
func (r *Restoration) PutKey(name string, content []byte) error {
	return r.directory.Import(name, content)
}

// Append puts the next segments at the end of the log.
func (r *Restoration) Append(ctx context.Context, payloads [][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, payload := range payloads {
		if err := r.publisher.Publish(ctx, r.tree.Size()+1, payload); err != nil {
			return fmt.Errorf("restore store %s: %w", r.id, err)
		}
		if err := r.losses.Append(&r.tree, r.tree.Size()+1, tree.Leaf(payload)); err != nil {
			return fmt.Errorf("restore store %s: %w", r.id, err)
		}
	}
	return nil
}

// Pass puts nothing in the place of the next segments, up to one, which are gone, as decisions say
// that are kept there: they may be lost, too. Whether they are its owner's shows when the store is
// opened.
func (r *Restoration) Pass(ctx context.Context, to uint64, decisions []*pb.SignedDecision) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.pass(ctx, to, decisions); err != nil {
		return fmt.Errorf("restore store %s: %w", r.id, err)
	}
	return nil
}

func (r *Restoration) pass(ctx context.Context, to uint64, decisions []*pb.SignedDecision) error {
	for _, d := range decisions {
		decision := &pb.Decision{}
		if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
			return fmt.Errorf("%w: %w", seal.ErrTampered, err)
		}
		if loss := decision.GetLossAccepted(); loss != nil {
			if err := r.losses.Accept(loss); err != nil {
				return err
			}
		}
	}
	kept, err := proto.Marshal(&pb.LostDecisions{Decisions: decisions})
	if err != nil {
		return err
	}
	for filler := slices.Concat(fillerPayload, kept); r.tree.Size() < to; filler = fillerPayload {
		next := r.tree.Size() + 1
		if !r.losses.Gone(next) {
			return fmt.Errorf("%w: nothing says that segment %d is gone", ErrDataLoss, next)
		}
		if err := r.publisher.Publish(ctx, next, filler); err != nil {
			return err
		}
		if err := r.losses.Pass(&r.tree, next); err != nil {
			return err
		}
	}
	return nil
}

// Finish makes the store, if its log has this size and root. It waits for its owner. The error
// is ErrDataLoss where the log has not.
func (r *Restoration) Finish(ctx context.Context, size uint64, root []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.finish(ctx, size, root); err != nil {
		return fmt.Errorf("restore store %s: %w", r.id, err)
	}
	return nil
}

func (r *Restoration) finish(ctx context.Context, size uint64, root []byte) error {
	if got := r.tree.Root(); r.tree.Size() != size || !bytes.Equal(got[:], root) {
		return fmt.Errorf("%w: %d segments have come, which are not those of the checkpoint of %d", ErrDataLoss, r.tree.Size(), size)
	}
	content, err := r.directory.Keyring()
	if err != nil {
		return err
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		return err
	}
	if keyring.Store() != r.id {
		return ErrNotPinned
	}
	// Of the decisions nobody knows before the owner has unlocked.
	slot, err := head{tree: r.tree}.encode()
	if err != nil {
		return err
	}
	path := filepath.Join(r.ledger.storePath(r.id), "head")
	if err := log.WriteFile(path, append(slot, make([]byte, 2*headSlot-len(slot))...)); err != nil {
		return err
	}
	pin := r.ledger.pinPath(r.id)
	if err := pinOf(keyring).write(pin); err != nil {
		return err
	}
	if err := os.Remove(restoringPath(pin)); err != nil {
		return err
	}
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.restoring, r.id)
	s, err := l.open(ctx, r.id)
	if err != nil {
		l.broken[r.id] = err
		return err
	}
	l.stores[r.id] = s
	return nil
}
