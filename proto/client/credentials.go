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
	// Token is the app's secret.
	Token string `json:"token"`
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
// the token.
func (c Credentials) Bearer() string { return rpc.Bearer(c.Store, c.Key, c.Token) }

func (c Credentials) check() error {
	if !rpc.IsStore(c.Store) {
		return errors.New("store is not valid")
	}
	return LocalCredentials{URL: c.URL, Trust: c.Trust, Key: c.Key, Token: c.Token}.check()
}

func (c LocalCredentials) check() error {
	if _, err := c.Options(c.URL); err != nil {
		return err
	}
	if !rpc.IsKey(c.Key) {
		return errors.New("key is not 26 characters of lower-case base32")
	}
	if c.Token == "" {
		return errors.New("token is missing")
	}
	return nil
}

// ReadCredentials reads a file of an app's credentials. Errors: fs.ErrNotExist,
// ErrReadableByOthers, or what is wrong with the contents.
func ReadCredentials(path string) (Credentials, error) { return readFile[Credentials](path) }

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
	file, err := os.Open(path)
	if err != nil {
		return fail(errors.Unwrap(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(fs.ErrInvalid)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fail(ErrReadableByOthers)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return fail(err)
	}
	if c, err = parse[C](data); err != nil {
		return fail(err)
	}
	return c, nil
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
