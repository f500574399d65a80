package bench

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/projector/cryptfs"
	"healthledger/projector/query"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// within is a store with its view in this process: nothing of the daemon is between.
type within struct {
	store *ledger.Store
	// state has read grants, too.
	state   *authz.State
	view    *view.View
	engine  *query.Engine
	closers []func()
}

// openWithin opens the one store of a data directory that no daemon serves.
func openWithin(ctx context.Context, dir string, passphrase []byte) (*within, error) {
	l, closeLedger, err := openLedger(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	w := &within{closers: []func(){closeLedger}}
	ids, err := ledger.Stores(dir)
	if err == nil && len(ids) != 1 {
		err = fmt.Errorf("%d stores in %s", len(ids), dir)
	}
	if err == nil {
		w.store, err = l.Store(ids[0])
	}
	if err == nil {
		err = w.openView(passphrase)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *within) close() {
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
}

// openView opens the view as a projector does, as it was left.
func (w *within) openView(passphrase []byte) error {
	keys, err := w.store.Keyring().Open(passphrase)
	if err != nil {
		return err
	}
	defer keys.Destroy()
	key, err := w.viewKey(keys)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, key.Destroy)
	files, err := cryptfs.New(vfs.Default, key.Bytes(), seal.Do)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, files.Close)
	w.state = authz.NewState(ownerOf{w.store.Keyring().OwnerKey(), w.store.ID()}, true)
	views, err := filepath.Glob(filepath.Join(w.store.Path(), "view-*"))
	if err != nil || len(views) != 1 {
		return fmt.Errorf("%d views in %s", len(views), w.store.Path())
	}
	if w.view, err = view.Open(files, views[0], view.Options{AppKey: w.appKey}); err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = w.view.Close() })
	tokens := boxes{keys.Derive("page token")}
	w.closers = append(w.closers, tokens.key.Destroy)
	w.engine = query.New(w.view, query.Options{Tokens: tokens, BundleID: w.bundleID, SourceOrder: w.state.SourceOrder})
	return w.view.Decisions(func(_ uint64, record []byte) error {
		d := &pb.NewDecision{}
		if err := proto.Unmarshal(record, d); err != nil || d.GetDecision() == nil {
			return err
		}
		return w.state.Decide(d.GetDecision(), d.GetDetail())
	})
}

func (w *within) viewKey(keys *seal.OwnerKeys) (*seal.Secret, error) {
	directory, err := log.OpenKeyDirectory(w.store.Path())
	if err != nil {
		return nil, err
	}
	boxed, err := directory.ViewKey()
	if err != nil {
		return nil, err
	}
	wrapping := keys.Derive("view key")
	defer wrapping.Destroy()
	return seal.UnboxSecret(wrapping, "view key of "+w.store.ID().String(), boxed)
}

func (w *within) appKey(app uint64) string {
	if a, ok := w.state.AppByNumber(app); ok {
		return a.Key
	}
	return ""
}

func (w *within) bundleID(app uint64) string {
	if a, ok := w.state.AppByNumber(app); ok {
		return a.BundleID()
	}
	return ""
}

// ownerOf verifies decisions.
type ownerOf struct {
	key   ed25519.PublicKey
	store seal.StoreID
}

func (o ownerOf) VerifyDecision(decision, signature []byte) error {
	return seal.VerifyDecision(o.key, o.store, decision, signature)
}

func (o ownerOf) Rekeyed(previous []byte, r *pb.StoreRekeyed) (authz.Verifier, error) {
	return ownerOf{r.GetOwnerKey(), o.store}, seal.VerifyRekeying(o.key, o.store, previous, r)
}

// boxes are page tokens.
type boxes struct{ key *seal.Secret }

func (b boxes) Seal(context, plaintext []byte) ([]byte, error) {
	return seal.Box(b.key, string(context), plaintext)
}

func (b boxes) Open(context, token []byte) ([]byte, error) {
	return seal.Unbox(b.key, string(context), token)
}
