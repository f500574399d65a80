package bench

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"healthledger/authz"
	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/ledger/serve/natsserver"
	"healthledger/proto/client"
)

// home is a data directory with one store, whose importer saves.
type home struct {
	dir         string
	options     Options
	logger      *slog.Logger
	credentials client.Credentials
}

// inside is the store in this process, without a daemon in front.
type inside struct {
	store *ledger.Store
	app   *authz.App
	close func()
}

func newHome(dir string, o Options, logger *slog.Logger) *home {
	return &home{dir: dir, options: o, logger: logger}
}

// openLedger opens the ledger of a data directory in this process.
func openLedger(ctx context.Context, dir string, logger *slog.Logger) (l *ledger.Ledger, closeLedger func(), err error) {
	server, err := natsserver.Start(natsserver.Options{StoreDir: filepath.Join(dir, "jetstream"), Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	admin, err := server.Connect(natsserver.Administrator)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(admin)
	if err != nil {
		return nil, nil, err
	}
	const inbox = "_INBOX.bench"
	publish, subscribe := log.AppenderPermissions(inbox)
	user, password, _, err := server.Grant(natsserver.Appender, publish, subscribe)
	if err != nil {
		return nil, nil, err
	}
	appender, err := server.ConnectGranted(user, password, nats.CustomInboxPrefix(inbox))
	if err != nil {
		return nil, nil, err
	}
	l, err = ledger.Open(ctx, ledger.Config{Dir: dir, Admin: js, Appender: appender, Logger: logger, Now: time.Now})
	return l, func() {
		l.Close()
		appender.Close()
		admin.Close()
		server.Shutdown()
	}, err
}

// open opens the ledger in this process and makes its store.
func (h *home) open(ctx context.Context) (*inside, error) {
	l, closeLedger, err := openLedger(ctx, h.dir, h.logger)
	if err != nil {
		return nil, err
	}
	genesis, err := ledger.NewGenesis([]byte("bench"), seal.DefaultCost, l.Device())
	if err != nil {
		return nil, err
	}
	store, err := l.Create(ctx, genesis.Request)
	if err != nil {
		return nil, err
	}
	app, _ := store.State().AppByKey(genesis.Key)
	h.credentials = client.Credentials{Store: genesis.Store.String(), Key: genesis.Key, Token: genesis.Token}
	return &inside{store: store, app: app, close: closeLedger}, nil
}

// serve starts a daemon on the directory.
func (h *home) serve(ctx context.Context) (*serve.Daemon, error) {
	d, err := serve.Start(ctx, serve.Options{Dir: h.dir, Launch: h.options.Launch, Logger: h.logger})
	if err == nil {
		h.credentials.URL = d.Address().URL
	}
	return d, err
}
