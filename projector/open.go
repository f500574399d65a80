package projector

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/projector/cryptfs"
	"healthledger/projector/query"
	"healthledger/projector/view"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// openStore is everything an unlocked store consists of.
type openStore struct {
	keys     *seal.OwnerKeys
	state    *authz.State
	opener   *seal.Opener
	viewKey  *seal.Secret
	files    *cryptfs.FS
	view     *view.View
	engine   *query.Engine
	tokenKey *seal.Secret
	conn     *nats.Conn
	follower *follower

	stop context.CancelFunc
	done sync.WaitGroup
	// ending is closed when the store is being closed.
	ending <-chan struct{}

	// discard removes the view for good; at close, if it turned out to be damaged.
	discard func() error
	damaged atomic.Bool

	mu      sync.Mutex
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
	if keyring.Store() != store || !bytes.Equal(keyring.OwnerKey(), config.GetOwnerKey()) || !bytes.Equal(keyring.StoreKey(), config.GetStoreKey()) {
		return nil, nil, errors.New("the keyring is not the one pinned at init")
	}
	return keyring, directory, nil
}

// openAll opens the view, which is made anew when it is missing, damaged or of
// another format, and connects to the log. It owns the keys on success.
func openAll(ctx context.Context, config *pb.ProjectorConfig, store seal.StoreID, keys *seal.OwnerKeys, directory *log.KeyDirectory, logger *slog.Logger) (*openStore, error) {
	o := &openStore{keys: keys, state: authz.NewState(verifier{config.GetOwnerKey(), store}, true)}
	o.opener = keys.Opener(store, directory)
	o.tokenKey = keys.Derive("page token")
	var err error
	if o.conn, err = connectLog(config); err != nil {
		o.release()
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	folder := filepath.Join(config.GetDirectory(), "view")
	o.discard = func() error { return discardView(folder, directory) }
	reader := log.NewGuestReader(o.conn, store)
	err = o.openView(folder, reader, store, directory)
	if damage(err) || errors.Is(err, seal.ErrBox) {
		logger.Warn("the view is rebuilt", "error", err)
		o.forgetView()
		if err := o.discard(); err != nil {
			o.release()
			return nil, err
		}
		o.state = authz.NewState(verifier{config.GetOwnerKey(), store}, true)
		err = o.openView(folder, reader, store, directory)
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

func (o *openStore) openView(folder string, reader *log.Reader, store seal.StoreID, directory *log.KeyDirectory) error {
	var err error
	if o.viewKey, err = viewKey(o.keys, store, folder, directory); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if o.files, err = cryptfs.New(vfs.Default, o.viewKey.Bytes(), seal.Do); err != nil {
		return err
	}
	if o.view, err = view.Open(o.files, folder, view.Options{AppKey: func(number uint64) string { return o.app(number).Key }}); err != nil {
		return err
	}
	if o.follower, err = newFollower(store, reader, o.opener, o.state, o.view); err != nil {
		return errors.Join(err, o.view.Close())
	}
	o.engine = query.New(o.view, query.Options{
		Tokens:      pageTokens{o.tokenKey},
		BundleID:    func(number uint64) string { return o.app(number).BundleID() },
		SourceOrder: o.state.SourceOrder,
	})
	return nil
}

// viewKey returns the key of the view. It is random and lies in the key directory,
// encrypted under a key that only an unlocked store has; without one the old view
// cannot be read, so it is removed and a new key made.
func viewKey(keys *seal.OwnerKeys, store seal.StoreID, folder string, directory *log.KeyDirectory) (*seal.Secret, error) {
	wrapping := keys.Derive("view key")
	defer wrapping.Destroy()
	label := "view key of " + store.String()
	boxed, err := directory.ViewKey()
	if rest, _ := os.ReadDir(folder); err == nil && len(rest) == 0 {
		// A key serves one view only: with it, files of the one that is gone would pass.
		err = log.ErrNoViewKey
	}
	if err == nil {
		return seal.UnboxSecret(wrapping, label, boxed)
	}
	if !errors.Is(err, log.ErrNoViewKey) {
		return nil, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, err
	}
	key := seal.NewSecret(32)
	if _, err := rand.Read(key.Bytes()); err != nil {
		return nil, err
	}
	boxed, err = seal.Box(wrapping, label, key.Bytes())
	if err != nil {
		return nil, err
	}
	return key, directory.PutViewKey(boxed)
}

// discardView removes the view, its key first: whatever is left of the files then
// means nothing.
func discardView(folder string, directory *log.KeyDirectory) error {
	if err := directory.DestroyViewKey(); err != nil {
		return err
	}
	return os.RemoveAll(folder)
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
	ctx, cancel := context.WithCancel(context.Background())
	o.stop, o.ending, o.target, o.root = cancel, ctx.Done(), target, root
	o.follower.Watch(target)
	applied, _ := o.follower.Applied()
	if applied == target {
		o.check()
	}
	o.done.Go(func() { o.follower.Run(ctx) })
	if applied < target {
		o.follower.Extend(target)
		o.done.Go(func() {
			if o.follower.Wait(ctx, target) == nil {
				o.check()
			}
		})
	}
}

func (o *openStore) check() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if root := o.follower.Root(); !bytes.Equal(root[:], o.root) {
		o.verdict = fmt.Errorf("%w: the log is not the one the daemon wrote: its root differs at segment %d", seal.ErrTampered, o.target)
		return
	}
	o.checked = true
}

func (o *openStore) ready() (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.checked, o.verdict
}

func (o *openStore) close() error {
	if o.stop != nil {
		o.stop()
	}
	o.done.Wait()
	_, fault := o.follower.Applied()
	err := o.view.Close()
	if o.damaged.Load() || damage(fault) || damage(err) {
		// The next unlock rebuilds it.
		err = o.discard()
	}
	o.release()
	return err
}

func (o *openStore) release() {
	if o.conn != nil {
		o.conn.Close()
	}
	if o.opener != nil {
		o.opener.Destroy()
	}
	o.forgetView()
	if o.tokenKey != nil {
		o.tokenKey.Destroy()
	}
	o.keys.Destroy()
}

// forgetView forgets the keys of the view.
func (o *openStore) forgetView() {
	if o.files != nil {
		o.files.Close()
	}
	if o.viewKey != nil {
		o.viewKey.Destroy()
	}
	o.files, o.viewKey = nil, nil
}

// app returns an app of which there is something in the log, removed ones too; an empty
// one if the owner never registered it.
func (o *openStore) app(number uint64) *authz.App {
	if a, ok := o.state.AppByNumber(number); ok {
		return a
	}
	return &authz.App{}
}
