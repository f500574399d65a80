package log

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A keyring is replaced in two steps, between which the decision that names it goes into
// the log: whether it is there says after a crash which keyring is the store's.
//
//	keyring.<SHA-256>    staged, not yet the store's
//	keyring.old          the one before, until it is overwritten
const (
	keyringPrefix = keyringFile + "."
	oldKeyring    = keyringPrefix + "old"
)

// StageKeyring puts a keyring beside the one in use. It is on the disk when StageKeyring
// returns.
func (d *KeyDirectory) StageKeyring(keyring []byte) error {
	return ReplaceFile(d.staged(sha256.Sum256(keyring)), keyring)
}

// UseKeyring makes the staged keyring with this SHA-256 the one in use, and destroys the one
// before and all that are staged besides. It is no error when it is in use already, so after
// a crash it is called again. It is ErrNoKeyring, and nothing has changed, when there is none
// with this hash.
func (d *KeyDirectory) UseKeyring(hash [sha256.Size]byte) error {
	current, err := d.Keyring()
	if err != nil {
		return err
	}
	if sha256.Sum256(current) == hash {
		return d.DropKeyrings()
	}
	next, err := d.read(filepath.Base(d.staged(hash)), ErrNoKeyring)
	if err != nil {
		return err
	}
	if sha256.Sum256(next) != hash {
		return fmt.Errorf("use keyring: the staged one is damaged: %w", ErrNoKeyring)
	}
	// What a crash before has left is in the way of the second name.
	if err := d.dropKeyring(oldKeyring); err != nil {
		return err
	}
	// A rename takes the only name of what it replaces, and what has no name cannot be
	// overwritten.
	if err := os.Link(d.keyring(), filepath.Join(d.path, oldKeyring)); err != nil {
		return fmt.Errorf("use keyring: %w", err)
	}
	if err := os.Rename(d.staged(hash), d.keyring()); err != nil {
		return fmt.Errorf("use keyring: %w", err)
	}
	if err := syncFolder(d.path); err != nil {
		return fmt.Errorf("use keyring: %w", err)
	}
	return d.DropKeyrings()
}

// DropKeyrings destroys all keyrings but the one in use.
func (d *KeyDirectory) DropKeyrings() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("drop keyrings: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), keyringPrefix) {
			if err := d.dropKeyring(entry.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropKeyring destroys a file, but takes away only the name where it is a second one of the
// keyring in use.
func (d *KeyDirectory) dropKeyring(name string) error {
	path := filepath.Join(d.path, name)
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	current, err := os.Lstat(d.keyring())
	if err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	if !os.SameFile(file, current) {
		return DestroyFile(path)
	}
	if err := removeAny(path); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return syncFolder(d.path)
}

func (d *KeyDirectory) keyring() string { return filepath.Join(d.path, keyringFile) }

func (d *KeyDirectory) staged(hash [sha256.Size]byte) string {
	return filepath.Join(d.path, keyringPrefix+hex.EncodeToString(hash[:]))
}
