package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/proto/client"
)

// LocalAddress is how whoever may read the data directory reaches its daemon. It
// gives access to the owner's service; what a store holds needs a session on top.
type LocalAddress struct {
	URL string `json:"url"`
	client.Trust
	// Remote is the address for apps that may be on other machines.
	Remote Remote `json:"remote"`
	// HTTP is the address for HTTP clients, if they are served.
	HTTP string `json:"http,omitempty"`
	// Metrics is the address for those who watch over the daemon, if they are served.
	Metrics string `json:"metrics,omitempty"`
	Key     string `json:"key"`
	Token   string `json:"token"`
	PID     int    `json:"pid"`
	// The daemon's public keys, which an owner enrols at init.
	SigningKey []byte `json:"signingKey"`
	SealingKey []byte `json:"sealingKey"`
}

// Credentials returns what a client connects with.
func (a LocalAddress) Credentials() client.LocalCredentials {
	return client.LocalCredentials{URL: a.URL, Trust: a.Trust, Key: a.Key, Token: a.Token}
}

// Remote is how apps reach a daemon, wherever they are: by a name that its certificate
// is for. Without a certificate they are on its machine.
type Remote struct {
	URL string `json:"url"`
	client.Trust
}

// Credentials returns what an app connects with.
func (r Remote) Credentials(store, key, token string) client.Credentials {
	return client.Credentials{URL: r.URL, Trust: r.Trust, Store: store, Key: key, Token: token}
}

// ErrNoDaemon is returned where no daemon serves a data directory.
var ErrNoDaemon = errors.New("no daemon is running")

// ErrInUse is returned where another daemon serves a data directory.
var ErrInUse = errors.New("another daemon serves this data directory")

const (
	addressFile = "daemon.json"
	lockFile    = "daemon.lock"
)

func inboxPrefix() string { return "_INBOX." + ledger.NewAppKey() }

func newLocalAddress() LocalAddress {
	return LocalAddress{Key: ledger.NewAppKey(), Token: ledger.NewAppToken(), PID: os.Getpid()}
}

// ErrStarting is returned where a daemon has a data directory, but does not answer
// yet, or no longer, or never does because it is another process's own.
var ErrStarting = errors.New("a daemon is starting or stopping, or another command is at work without one")

// ReadAddress returns the address of the daemon that serves a data directory.
// Errors: ErrNoDaemon, ErrStarting.
func ReadAddress(dir string) (LocalAddress, error) {
	var a LocalAddress
	if err := readHeld(filepath.Join(dir, lockFile), io.Discard); err != nil {
		if errors.Is(err, errNotHeld) {
			err = ErrNoDaemon
		}
		return a, err
	}
	var content bytes.Buffer
	if err := readHeld(filepath.Join(dir, addressFile), &content); err != nil {
		// What nobody holds is the address of a daemon that was killed.
		if errors.Is(err, errNotHeld) {
			err = ErrStarting
		}
		return a, err
	}
	return a, json.Unmarshal(content.Bytes(), &a)
}

var errNotHeld = errors.New("no process holds the file")

// readHeld reads a file that a process holds. Errors: errNotHeld.
func readHeld(path string, to io.Writer) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return errNotHeld
	}
	if err != nil {
		return err
	}
	defer f.Close()
	// A shared lock, so that two who look do not take each other for the daemon.
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return errNotHeld
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}

// write writes the address, which is valid while this process holds it.
func (a LocalAddress) write(dir string) (release func(), err error) {
	content, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, addressFile)
	if err := log.WriteFile(path, content); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	// Whoever reads it has it for a moment.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// removeAddress removes the address of this daemon, or of one that was killed.
func removeAddress(dir string) { _ = os.Remove(filepath.Join(dir, addressFile)) }

// lockDirectory makes this process the only daemon of a data directory.
func lockDirectory(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	// Somebody who only looks (see ReadAddress) has it for a moment.
	for tries := 0; errors.Is(err, unix.EWOULDBLOCK) && tries < 20; tries++ {
		time.Sleep(5 * time.Millisecond)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
