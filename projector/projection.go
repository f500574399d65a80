package projector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/projector/cryptfs"
	"healthledger/projector/query"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// projection is one view in its folder, with the grants as they stand where it ends, and
// whoever brings it further. It answers what readers ask of it.
type projection struct {
	folder   string
	key      *seal.Secret
	files    *cryptfs.FS
	opener   *seal.Opener
	state    *authz.State
	view     *view.View
	engine   *query.Engine
	follower *follower
	tokenKey *seal.Secret // the store's

	stop context.CancelFunc
	done sync.WaitGroup
	// damaged: a reader has found that it must be rebuilt.
	damaged atomic.Bool

	users   int           // under openStore.mu
	retired chan struct{} // closed when it is replaced and nobody uses it; nil until it is replaced
}

// openProjection opens the view in a folder, and makes an empty one where there is none. It
// owns the key, whatever comes of it. Errors: what damage tells, and those of the machine.
func (o *openStore) openProjection(folder string, key *seal.Secret) (_ *projection, err error) {
	p := &projection{folder: folder, key: key, tokenKey: o.tokenKey, stop: func() {}}
	defer func() {
		if err != nil {
			p.forget()
		}
	}()
	p.state = authz.NewState(verifier{o.config.GetFirstOwnerKey(), o.store}, true)
	p.opener = o.keys.Opener(o.store, o.directory)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if p.files, err = cryptfs.New(vfs.Default, key.Bytes(), seal.Do); err != nil {
		return nil, err
	}
	if p.view, err = view.Open(p.files, folder, view.Options{AppKey: func(number uint64) string { return p.app(number).Key }}); err != nil {
		return nil, err
	}
	if p.follower, err = newFollower(o.decoder(p.opener, p.state), p.view); err != nil {
		return nil, errors.Join(err, p.view.Close())
	}
	p.engine = query.New(p.view, query.Options{
		Tokens:      pageTokens{o.tokenKey},
		Rekeyed:     func() bool { return len(p.state.Rekeyings()) > 0 },
		BundleID:    func(number uint64) string { return p.app(number).BundleID() },
		SourceOrder: p.state.SourceOrder,
	})
	return p, nil
}

// run starts to follow the log.
func (p *projection) run() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.done.Go(func() { p.follower.Run(ctx) })
}

// close stops following, closes the view and forgets its keys. It returns what is wrong
// with the view, if anything is.
func (p *projection) close() error {
	p.stop()
	p.done.Wait()
	_, fault := p.follower.Applied()
	// Whoever waits for it to go on looks at the one in its place.
	p.follower.stop(view.ErrClosed)
	err := p.view.Close()
	if p.damaged.Load() || damage(fault) {
		err = errors.Join(err, fmt.Errorf("%w: a reader or the follower has found it", view.ErrFormat))
	}
	p.forget()
	return err
}

// remove closes a view that nobody is to open again, and deletes its folder.
func (p *projection) remove() error {
	if err := p.close(); err != nil && !damage(err) {
		return errors.Join(err, os.RemoveAll(p.folder))
	}
	return os.RemoveAll(p.folder)
}

// forget forgets the keys.
func (p *projection) forget() {
	if p.files != nil {
		p.files.Close()
	}
	if p.opener != nil {
		p.opener.Destroy()
	}
	p.key.Destroy()
}

// scope returns what a reader may see as of now.
func (p *projection) scope(reader *pb.Reader) authz.Scope {
	switch {
	case reader.GetDisclosure() != nil:
		return authz.Scope{} // handOver makes one
	case reader.GetApp() == 0:
		return p.state.OwnerScope()
	}
	return p.state.Scope(reader.GetApp())
}

// app returns an app of which there is something in the log, removed ones too; an empty
// one if the owner never registered it.
func (p *projection) app(number uint64) *authz.App {
	if a, ok := p.state.AppByNumber(number); ok {
		return a
	}
	return &authz.App{}
}
