package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/term"

	"healthledger/ledger"
	"healthledger/ledger/disk"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/projector"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// globals are the flags of every command.
type globals struct {
	Dir            string `help:"Data directory." env:"HEALTHLEDGER_DIR" default:"${dir}" type:"path"`
	Store          string `help:"Store, where the directory holds several (a prefix of its id will do)."`
	PassphraseFile string `help:"File that holds the passphrase." env:"HEALTHLEDGER_PASSPHRASE_FILE"`
	JSON           bool   `name:"json" help:"Print one JSON object a line."`
	Verbose        bool   `short:"v" help:"Log what happens to standard error."`

	in       io.Reader
	out, err io.Writer
}

// store returns the store that is meant.
func (g *globals) store() (seal.StoreID, error) {
	ids, err := ledger.Stores(g.Dir)
	if err != nil {
		return seal.StoreID{}, err
	}
	var found []seal.StoreID
	for _, id := range ids {
		if strings.HasPrefix(id.String(), g.Store) {
			found = append(found, id)
		}
	}
	switch {
	case len(ids) == 0:
		return seal.StoreID{}, fmt.Errorf("%s holds no store: make one with \"healthledger init\"", g.Dir)
	case len(found) == 0:
		return seal.StoreID{}, fmt.Errorf("%s holds no store that starts with %q", g.Dir, g.Store)
	case len(found) > 1:
		return seal.StoreID{}, usagef("%s holds %d stores: name one with --store", g.Dir, len(found))
	}
	return found[0], nil
}

// daemon returns the address of the daemon of the data directory. Where none runs it
// starts one in this process, to be closed at the end of the command; other commands
// wait for that, since they could not outlive it.
func (g *globals) daemon(ctx context.Context) (serve.LocalAddress, *serve.Daemon, error) {
	for began := time.Now(); ; {
		address, err := serve.ReadAddress(g.Dir)
		if errors.Is(err, serve.ErrNoDaemon) {
			var inside *serve.Daemon
			if inside, err = g.serveInside(ctx); err == nil {
				return inside.Address(), inside, nil
			}
		}
		busy := errors.Is(err, serve.ErrStarting) || errors.Is(err, serve.ErrInUse)
		if !busy || time.Since(began) > startTimeout {
			return address, nil, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return address, nil, ctx.Err()
		}
	}
}

// startTimeout is how long a command waits for a daemon that is starting or stopping,
// or for other commands that serve themselves.
const startTimeout = 30 * time.Second

func (g *globals) serveInside(ctx context.Context) (*serve.Daemon, error) {
	options, err := g.serveOptions(logging{})
	if err != nil {
		return nil, err
	}
	options.Private = true
	return serve.Start(ctx, options)
}

func (g *globals) serveOptions(l logging) (serve.Options, error) {
	if g.Verbose {
		l = l.louder()
	}
	self, err := os.Executable()
	if err != nil {
		return serve.Options{}, err
	}
	launcher := &projector.Launcher{Path: self, Args: append([]string{"projector"}, l.args()...), Env: projectorEnv(), Stderr: g.err}
	return serve.Options{
		Dir: g.Dir, Logger: l.logger(g.err), Reserve: disk.DefaultReserve,
		Launch: func(ctx context.Context, config *pb.ProjectorConfig) (serve.Projector, error) {
			return launcher.Launch(ctx, config)
		},
	}, nil
}

// projectorEnv keeps everything from projectors that they do not need. GORACE is for
// the race detector's builds.
func projectorEnv() []string {
	env := []string{"GOTRACEBACK=none"}
	if race := os.Getenv("GORACE"); race != "" {
		env = append(env, "GORACE="+race)
	}
	return env
}

// owner is the owner's connection to the daemon of a store.
type owner struct {
	*client.OwnerClient
	globals *globals
	store   seal.StoreID
	address serve.LocalAddress
	inside  *serve.Daemon
}

func (g *globals) owner(ctx context.Context) (*owner, error) {
	id, err := g.store()
	if err != nil {
		return nil, err
	}
	return g.ownerOf(ctx, id)
}

func (g *globals) ownerOf(ctx context.Context, id seal.StoreID) (*owner, error) {
	address, inside, err := g.daemon(ctx)
	if err != nil {
		return nil, err
	}
	o := &owner{globals: g, store: id, inside: inside, address: address}
	session, _ := os.ReadFile(o.sessionFile())
	o.OwnerClient, err = client.DialOwner(ctx, address.Credentials(), id.String(), string(session))
	if err != nil {
		o.Close()
		return nil, fmt.Errorf("reach the daemon of %s: %w", g.Dir, err)
	}
	return o, nil
}

// Close ends the connection, and the daemon if it runs in this process.
func (o *owner) Close() {
	if o.OwnerClient != nil {
		o.OwnerClient.Close()
	}
	if o.inside != nil {
		o.inside.Close()
	}
}

func (o *owner) sessionFile() string {
	return filepath.Join(o.globals.Dir, "sessions", o.store.String())
}

// proof is what opens a store: its passphrase, or the recovery words.
type proof struct {
	secret []byte
	words  bool
}

// unlock sends the proof and keeps the session. It returns before the view has caught up.
func (o *owner) unlock(ctx context.Context, p proof) error {
	return o.offered(func() (string, error) {
		sealed, err := o.seal(ctx, p.secret)
		if err != nil {
			return "", err
		}
		resp, err := o.Owner().Unlock(ctx, &pb.UnlockRequest{SealedPassphrase: sealed, Words: p.words})
		return resp.GetSession(), err
	})
}

// offered sends what is encrypted to keys that the projector offers, and keeps the session
// that comes back. The keys are gone when somebody else's wrong passphrase or lock came in
// between; then it asks for others.
func (o *owner) offered(send func() (session string, err error)) error {
	session, err := send()
	for try := 0; rpc.Reason(err) == rpc.ReasonFailedPrecondition && try < 3; try++ {
		session, err = send()
	}
	if err != nil {
		return err
	}
	o.SetSession(session)
	if o.inside != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(o.sessionFile()), 0o700); err != nil {
		return err
	}
	return os.WriteFile(o.sessionFile(), []byte(session), 0o600)
}

// seal encrypts a secret to a key that is offered for this once.
func (o *owner) seal(ctx context.Context, secret []byte) ([]byte, error) {
	begun, err := o.Owner().BeginUnlock(ctx, &pb.BeginUnlockRequest{})
	if err != nil {
		return nil, err
	}
	return seal.SealPassphrase(begun.GetPublicKey(), secret)
}

// await returns when the store is readable, telling of the catch-up meanwhile.
func (o *owner) await(ctx context.Context, progress func(done, total uint64)) error {
	for {
		s, err := o.Owner().Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		if why := s.GetStopped(); why != "" {
			return rpc.Error(connect.CodeDataLoss, &pb.ErrorDetail{Reason: rpc.ReasonDataLoss}, "nothing is read (\"healthledger status\" lists what is lost): %s", why)
		}
		progress(s.GetViewSegments(), s.GetLogSegments())
		switch s.GetState() {
		case pb.LockState_LOCK_STATE_UNLOCKED, pb.LockState_LOCK_STATE_LOCKING:
			return nil
		case pb.LockState_LOCK_STATE_LOCKED:
			return errors.New("the store was locked again")
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// with runs what needs the owner: it asks for the passphrase when the session is
// missing or stale, or when there is no daemon whose store could be open.
func (o *owner) with(ctx context.Context, act func() error) error {
	if o.inside != nil {
		if err := o.unlockHere(ctx); err != nil {
			return err
		}
		return act()
	}
	err := act()
	if reason := rpc.Reason(err); reason != rpc.ReasonReauthenticate && reason != rpc.ReasonUnauthenticated {
		return err
	}
	passphrase, err := o.globals.passphrase("Passphrase: ")
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if err := o.unlock(ctx, proof{secret: passphrase}); err != nil {
		return err
	}
	return act()
}

// unlockHere opens the store of a daemon in this process, for one command.
func (o *owner) unlockHere(ctx context.Context) error {
	passphrase, err := o.globals.passphrase("Passphrase: ")
	if errors.Is(err, errNoPassphrase) {
		return rpc.Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: rpc.ReasonStoreLocked},
			"the store is locked: no daemon is running, and there is no passphrase to open it for this command")
	}
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if err := o.unlock(ctx, proof{secret: passphrase}); err != nil {
		return err
	}
	return o.await(ctx, func(uint64, uint64) {})
}

var errNoPassphrase = errors.New("no passphrase: use --passphrase-file, HEALTHLEDGER_PASSPHRASE_FILE or a terminal")

// passphrase reads the passphrase from its file or from the terminal.
func (g *globals) passphrase(prompt string) ([]byte, error) {
	if g.PassphraseFile != "" {
		return secretFile(g.PassphraseFile, "passphrase")
	}
	return ask(prompt)
}

// secretFile reads a secret from a file that holds nothing else.
func secretFile(path, what string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	secret := bytes.TrimRight(content, "\r\n")
	if len(secret) == 0 {
		return nil, fmt.Errorf("%s holds no %s", path, what)
	}
	return secret, nil
}

// ask reads a secret from the terminal.
func ask(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errNoPassphrase
	}
	defer tty.Close()
	fmt.Fprint(tty, prompt)
	secret, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return nil, errNoPassphrase
	}
	return secret, nil
}

// message says what went wrong in the words of whoever found it.
func message(err error) string {
	var failure *connect.Error
	if errors.As(err, &failure) {
		return strings.Replace(err.Error(), failure.Error(), failure.Message(), 1)
	}
	return err.Error()
}
