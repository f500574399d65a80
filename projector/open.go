package projector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/projector/cryptfs"
	"healthledger/projector/view"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// openStore is everything an unlocked store consists of.
type openStore struct {
	config    *pb.ProjectorConfig
	store     seal.StoreID
	keys      *seal.OwnerKeys
	directory *log.KeyDirectory
	tokenKey  *seal.Secret
	conn      *nats.Conn
	logger    *slog.Logger
	known     *foreknown

	stop context.CancelFunc
	done sync.WaitGroup
	// ctx ends when the store is being closed.
	ctx context.Context
	// building holds who makes a view beside the live one: one at a time.
	building chan struct{}
	// auditing lets one at a time go on with the audit of the log, nil: none was begun.
	auditing sync.Mutex
	audit    *audit

	// rekeys guards rekeying, which is nil while no new keys are being made.
	rekeys   sync.Mutex
	rekeying *rekeying

	mu sync.Mutex
	// live is the view that readers are answered from.
	live *projection
	runs map[string]*run
	// pasts are the views of the past that are open, by their last segment.
	pasts   map[uint64]*past
	target  uint64
	root    []byte
	checked bool
	verdict error
}

// readKeyring reads the keyring and checks that it is the one the daemon pinned.
func readKeyring(config *pb.ProjectorConfig, store seal.StoreID) (*seal.Keyring, *log.KeyDirectory, error) {
	directory, err := log.OpenKeyDirectory(config.GetDirectory())
	if err != nil {
		return nil, nil, err
	}
	content, err := directory.Keyring()
	if err != nil {
		return nil, nil, err
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		return nil, nil, err
	}
	if keyring.Store() != store || !bytes.Equal(keyring.OwnerKey(), config.GetOwnerKey()) || !bytes.Equal(keyring.StoreKey(), config.GetStoreKey()) ||
		!bytes.Equal(keyring.FirstOwnerKey(), config.GetFirstOwnerKey()) {
		return nil, nil, errors.New("the keyring is not the one that is pinned")
	}
	return keyring, directory, nil
}

// openAll opens the view, which is made anew when it is missing, damaged or of
// another format, and connects to the log. It owns the keys on success.
func openAll(config *pb.ProjectorConfig, store seal.StoreID, keys *seal.OwnerKeys, directory *log.KeyDirectory, logger *slog.Logger) (*openStore, error) {
	o := &openStore{
		config: config, store: store, keys: keys, directory: directory, logger: logger,
		building: make(chan struct{}, 1), runs: map[string]*run{}, pasts: map[uint64]*past{},
	}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.tokenKey = keys.Derive("page token")
	var err error
	if o.known, err = newForeknown(store, config.GetFirstOwnerKey(), config.GetDecisions()); err != nil {
		o.release()
		return nil, err
	}
	if o.conn, err = connectLog(config); err != nil {
		o.release()
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	if err := o.seekLost(o.ctx); err != nil {
		o.release()
		return nil, fmt.Errorf("look for decisions that are lost: %w", err)
	}
	o.live, err = o.openLive()
	if damage(err) || errors.Is(err, seal.ErrBox) {
		logger.Warn("the view is rebuilt", "error", err)
		// Its key first: whatever is left of the files then means nothing.
		if err := directory.DestroyViewKey(); err != nil {
			o.release()
			return nil, err
		}
		o.live, err = o.openLive()
	}
	if err != nil {
		o.release()
		return nil, err
	}
	return o, nil
}

// connectLog connects as the guest that the daemon lets read one log.
func connectLog(config *pb.ProjectorConfig) (*nats.Conn, error) {
	options, err := client.Trust{CA: config.GetNatsCa(), ServerName: config.GetNatsServerName()}.Options(config.GetNatsUrl())
	if err != nil {
		return nil, err
	}
	return nats.Connect(config.GetNatsUrl(), append(options, nats.UserInfo(config.GetNatsUser(), config.GetNatsPassword()),
		nats.CustomInboxPrefix(config.GetNatsInbox()), nats.MaxReconnects(-1), nats.Name("projector"))...)
}

// damage tells whether an error says that the view must be rebuilt.
func damage(err error) bool {
	return errors.Is(err, view.ErrFormat) || errors.Is(err, cryptfs.ErrCorrupt)
}

// verifier binds decisions to the store and its owner.
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

// pageTokens seals page tokens, so that they tell nothing and cannot be made up.
type pageTokens struct{ key *seal.Secret }

func (t pageTokens) Seal(context, plaintext []byte) ([]byte, error) {
	return seal.Box(t.key, string(context), plaintext)
}

func (t pageTokens) Open(context, token []byte) ([]byte, error) {
	return seal.Unbox(t.key, string(context), token)
}

// follow starts to follow the log. Apps may read when the view contains it up to the
// target and its Merkle root there is the daemon's.
func (o *openStore) follow(target uint64, root []byte) {
	p := o.live
	o.target, o.root = target, root
	p.follower.Watch(target)
	applied, _ := p.follower.Applied()
	if applied == target {
		o.check(p)
	}
	p.run()
	if applied < target {
		p.follower.Extend(target)
		o.done.Go(func() {
			if p.follower.Wait(o.ctx, target) == nil {
				o.check(p)
			}
		})
	}
}

func (o *openStore) check(p *projection) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if root := p.follower.Root(); !bytes.Equal(root[:], o.root) {
		o.verdict = fmt.Errorf("%w: the log is not the one the daemon wrote: its root differs at segment %d", seal.ErrTampered, o.target)
		return
	}
	if !bytes.Equal(p.follower.ownerNow(), o.keys.PublicKeys().OwnerKey) {
		o.verdict = fmt.Errorf("%w: the owner's decisions do not lead to the keys that the store has", seal.ErrTampered)
		return
	}
	last, _ := p.state.Head()
	if o.verdict = o.known.check(last); o.verdict == nil {
		o.checked = true
	}
}

func (o *openStore) ready() (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.checked, o.verdict
}

// with runs what needs the live view, which is not closed before it returns.
func (o *openStore) with(run func(p *projection) error) error {
	o.mu.Lock()
	p := o.live
	p.users++
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if p.users--; p.users == 0 && p.retired != nil {
			close(p.retired)
		}
	}()
	err := run(p)
	if damage(err) {
		p.damaged.Store(true)
	}
	return err
}

func (o *openStore) close() error {
	o.stop()
	o.done.Wait()
	o.building <- struct{}{} // for good
	o.auditing.Lock()
	o.audit.end()
	o.auditing.Unlock()
	err := errors.Join(o.closePasts(), o.live.close())
	if damage(err) {
		// The next unlock rebuilds it.
		err = errors.Join(o.directory.DestroyViewKey(), o.removeViews(""))
	}
	o.release()
	return err
}

func (o *openStore) release() {
	o.stop()
	if o.conn != nil {
		o.conn.Close()
	}
	o.tokenKey.Destroy()
	o.rekeys.Lock()
	o.forgetRekeying()
	o.rekeys.Unlock()
	o.keys.Destroy()
}
