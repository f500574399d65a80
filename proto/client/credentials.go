package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"healthledger/proto/rpc"
)

// Credentials are what an app needs to connect. The owner gets them once, when the
// app is registered, and gives them to the app as a file.
type Credentials struct {
	// URL of the daemon's NATS server: tls://host:port, or nats://host:port on its machine.
	URL string `json:"url"`
	Trust
	// Store the app belongs to.
	Store string `json:"store"`
	// Key is the app's address: 26 characters of lower-case base32.
	Key string `json:"key"`
	// Token is the app's secret, unless it has an nkey.
	Token string `json:"token,omitempty"`
	// SeedFile is where the app keeps the seed of its nkey, as NATS writes one ("SU…"), for
	// its user only. In a file of credentials it is relative to that file.
	SeedFile string `json:"seedFile,omitempty"`
}

// LocalCredentials are what the owner's commands need on the daemon's machine. The
// daemon writes them into its data directory.
type LocalCredentials struct {
	URL string `json:"url"`
	Trust
	Key   string `json:"key"`
	Token string `json:"token"`
}

// ErrReadableByOthers says that a file of credentials has a mode that lets others
// than its owner read or write it.
var ErrReadableByOthers = errors.New("file must not be accessible to others (chmod 600)")

// maxFile is more than any file of credentials needs, in bytes.
const maxFile = 64 << 10

// String leaves the token out.
func (c Credentials) String() string {
	return fmt.Sprintf("app %s of store %s at %s", c.Key, c.Store, c.URL)
}

// GoString leaves the token out.
func (c Credentials) GoString() string { return c.String() }

// String leaves the token out.
func (c LocalCredentials) String() string { return fmt.Sprintf("local owner %s at %s", c.Key, c.URL) }

// GoString leaves the token out.
func (c LocalCredentials) GoString() string { return c.String() }

// Bearer is what the app sends over HTTP as "Authorization: Bearer …". It is as secret as
// the token. An app with an nkey has none: it cannot call over HTTP.
func (c Credentials) Bearer() string { return rpc.Bearer(c.Store, c.Key, c.Token) }

func (c Credentials) check() error {
	if !rpc.IsStore(c.Store) {
		return errors.New("store is not valid")
	}
	if (c.Token == "") == (c.SeedFile == "") {
		return errors.New("neither a token nor a seed file, or both")
	}
	return checkAddress(c.URL, c.Trust, c.Key)
}

func (c LocalCredentials) check() error {
	if c.Token == "" {
		return errors.New("token is missing")
	}
	return checkAddress(c.URL, c.Trust, c.Key)
}

func checkAddress(daemon string, trust Trust, key string) error {
	if _, err := trust.Options(daemon); err != nil {
		return err
	}
	if !rpc.IsKey(key) {
		return errors.New("key is not 26 characters of lower-case base32")
	}
	return nil
}

// ReadCredentials reads a file of an app's credentials. Errors: fs.ErrNotExist,
// ErrReadableByOthers, or what is wrong with the contents.
func ReadCredentials(path string) (Credentials, error) {
	c, err := readFile[Credentials](path)
	if err == nil && c.SeedFile != "" && !filepath.IsAbs(c.SeedFile) {
		c.SeedFile = filepath.Join(filepath.Dir(path), c.SeedFile)
	}
	return c, err
}

// WriteCredentials writes a file of an app's credentials with mode 0600, replacing
// it in one step.
func WriteCredentials(path string, c Credentials) error { return writeFile(path, c) }

// ReadLocalCredentials reads a file of the local owner's credentials. Errors are
// those of ReadCredentials.
func ReadLocalCredentials(path string) (LocalCredentials, error) {
	return readFile[LocalCredentials](path)
}

// WriteLocalCredentials writes a file of the local owner's credentials like
// WriteCredentials.
func WriteLocalCredentials(path string, c LocalCredentials) error { return writeFile(path, c) }

type checked interface{ check() error }

func readFile[C checked](path string) (c C, err error) {
	fail := func(err error) (C, error) {
		var none C
		return none, fmt.Errorf("read credentials %s: %w", path, err)
	}
	data, err := readSecret(path)
	if err != nil {
		return fail(err)
	}
	if c, err = parse[C](data); err != nil {
		return fail(err)
	}
	return c, nil
}

// readSecret reads a small file that is for its user only.
func readSecret(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, ErrReadableByOthers
	}
	return io.ReadAll(io.LimitReader(file, maxFile+1))
}

// proof is what the client logs in with: the token, or a signature of the server's nonce
// with the seed, which is read whenever it is needed.
func (c Credentials) proof() (nats.Option, error) {
	if c.SeedFile == "" {
		return nats.UserInfo(c.Key, c.Token), nil
	}
	pair, err := readSeed(c.SeedFile)
	if err != nil {
		return nil, fmt.Errorf("read seed %s: %w", c.SeedFile, err)
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read seed %s: %w", c.SeedFile, err)
	}
	sign := nats.Nkey(public, func(nonce []byte) ([]byte, error) {
		pair, err := readSeed(c.SeedFile)
		if err != nil {
			return nil, err
		}
		defer pair.Wipe()
		return pair.Sign(nonce)
	})
	return func(o *nats.Options) error {
		o.User = c.Key
		return sign(o)
	}, nil
}

// readSeed reads the seed of a user's nkey.
func readSeed(path string) (nkeys.KeyPair, error) {
	content, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	return nkeys.ParseDecoratedUserNKey(content)
}

// NewSeed makes an nkey: it writes the seed to a file with mode 0600, which must not be
// there, and returns the public key, with which the owner registers the app.
func NewSeed(path string) (public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("make nkey: %w", err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return "", fmt.Errorf("make nkey: %w", err)
	}
	defer clear(seed)
	if public, err = pair.PublicKey(); err != nil {
		return "", fmt.Errorf("make nkey: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make nkey: %w", err)
	}
	_, err = file.Write(append(seed, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", fmt.Errorf("make nkey: %w", errors.Join(err, os.Remove(path)))
	}
	return public, nil
}

// parse decodes and checks credentials. Its errors do not quote them.
func parse[C checked](data []byte) (c C, err error) {
	var none C
	if len(data) > maxFile {
		return none, fmt.Errorf("more than %d bytes", maxFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return none, errors.New("not a JSON object of credentials")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return none, errors.New("more than one JSON object")
	}
	return c, c.check()
}

func writeFile[C checked](path string, c C) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write credentials %s: %w", path, err)
		}
	}()
	if err := c.check(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	// CreateTemp makes files with mode 0600.
	file, err := os.CreateTemp(filepath.Dir(path), ".credentials-*")
	if err != nil {
		return err
	}
	defer func() {
		file.Close()
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	if _, err := file.Write(append(data, '\n')); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
