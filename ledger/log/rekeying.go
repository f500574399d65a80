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

	"healthledger/ledger/seal"
)

// When a store gets other keys all wraps are replaced as the keyring is, in two steps, between
// which the decision goes into the log:
//
//	epochs.<SHA-256 of the keyring>/    wraps to the keys in that keyring, not yet the store's
//	epochs.old/                         the wraps before, until they are overwritten
const (
	wrapsPrefix = epochsFolder + "."
	oldWraps    = wrapsPrefix + "old"
)

// WrapName says which root a wrap holds.
type WrapName struct {
	Class seal.Class
	Epoch uint64
}

var wrapClasses = map[string]seal.Class{
	seal.Health.String(): seal.Health, seal.Management.String(): seal.Management, seal.Resealed.String(): seal.Resealed,
}

// AllWraps returns every wrap there is, of whatever class, in no order.
func (d *KeyDirectory) AllWraps() ([]WrapName, error) {
	var all []WrapName
	var unknown error
	err := d.wraps(func(class string, epoch uint64) {
		c, ok := wrapClasses[class]
		if !ok {
			unknown = fmt.Errorf("list epochs: wrap of the unknown class %q", class)
		}
		all = append(all, WrapName{c, epoch})
	})
	return all, errors.Join(err, unknown)
}

// StageWrap puts a wrap to the keys in a keyring beside the one in use. It is on the disk when
// StageWrap returns.
func (d *KeyDirectory) StageWrap(keyring [sha256.Size]byte, w WrapName, wrap []byte) error {
	folder := d.stagedWraps(keyring)
	if err := os.Mkdir(folder, folderMode); err == nil {
		err = syncFolder(d.path)
		if err != nil {
			return fmt.Errorf("stage a wrap: %w", err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("stage a wrap: %w", err)
	}
	return ReplaceFile(filepath.Join(folder, filepath.Base(WrapFile(w.Class, w.Epoch))), wrap)
}

// StagedWrap returns what StageWrap has put there, or ErrNoWrap.
func (d *KeyDirectory) StagedWrap(keyring [sha256.Size]byte, w WrapName) ([]byte, error) {
	return d.read(filepath.Join(filepath.Base(d.stagedWraps(keyring)), filepath.Base(WrapFile(w.Class, w.Epoch))), ErrNoWrap)
}

// Unstaged returns the wraps in use for which none is staged, and how many there are in all.
func (d *KeyDirectory) Unstaged(keyring [sha256.Size]byte) (missing []WrapName, total int, err error) {
	all, err := d.AllWraps()
	if err != nil {
		return nil, 0, err
	}
	names, err := folderNames(d.stagedWraps(keyring))
	if err != nil {
		return nil, 0, fmt.Errorf("list staged wraps: %w", err)
	}
	staged := map[string]bool{}
	for _, name := range names {
		staged[name] = true
	}
	for _, w := range all {
		if !staged[filepath.Base(WrapFile(w.Class, w.Epoch))] {
			missing = append(missing, w)
		}
	}
	return missing, len(all), nil
}

// WrapsPending tells whether UseWraps has anything left to do.
func (d *KeyDirectory) WrapsPending(keyring [sha256.Size]byte) bool {
	_, err := os.Lstat(d.stagedWraps(keyring))
	return !errors.Is(err, fs.ErrNotExist)
}

// UseWraps puts the wraps that are staged for a keyring in the places of those in use, each at
// once: whoever reads finds one or the other. Those before are still there afterwards, for
// DropWraps. What is not in use any more does not come back. After a crash it is called again.
func (d *KeyDirectory) UseWraps(keyring [sha256.Size]byte) error {
	if !d.WrapsPending(keyring) {
		return nil
	}
	if err := d.useWraps(d.stagedWraps(keyring)); err != nil {
		return fmt.Errorf("use wraps: %w", err)
	}
	return nil
}

func (d *KeyDirectory) useWraps(staged string) error {
	names, err := folderNames(staged)
	if err != nil {
		return err
	}
	epochs, old := filepath.Join(d.path, epochsFolder), filepath.Join(d.path, oldWraps)
	if err := os.Mkdir(old, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range names {
		if _, _, ok := parseWrapFile(name); !ok {
			continue
		}
		switch err := secondName(filepath.Join(epochs, name), filepath.Join(old, name)); {
		case errors.Is(err, fs.ErrNotExist):
			continue // it was erased
		case err != nil:
			return err
		}
		if err := os.Rename(filepath.Join(staged, name), filepath.Join(epochs, name)); err != nil {
			return err
		}
	}
	for _, folder := range []string{old, epochs, staged, d.path} {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	return destroyFolder(staged)
}

// secondName gives a file another name, under which it is found when the first one is taken by
// another: what has no name cannot be overwritten.
func secondName(path, second string) error {
	err := os.Link(path, second)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	one, err := os.Lstat(path)
	if err != nil {
		return err
	}
	other, err := os.Lstat(second)
	if err != nil {
		return err
	}
	if os.SameFile(one, other) {
		return nil // from before a crash
	}
	if err := DestroyFile(second); err != nil {
		return err
	}
	return os.Link(path, second)
}

// DropWraps destroys all wraps but those in use, and those that are staged for a keyring, if it is
// not nil.
func (d *KeyDirectory) DropWraps(but *[sha256.Size]byte) error {
	names, err := folderNames(d.path)
	if err != nil {
		return fmt.Errorf("drop wraps: %w", err)
	}
	for _, name := range names {
		folder := filepath.Join(d.path, name)
		if !strings.HasPrefix(name, wrapsPrefix) || but != nil && folder == d.stagedWraps(*but) {
			continue
		}
		if name == oldWraps {
			if err := d.keepUsed(folder); err != nil {
				return fmt.Errorf("drop wraps: %w", err)
			}
		}
		if err := destroyFolder(folder); err != nil {
			return fmt.Errorf("drop wraps: %w", err)
		}
	}
	return nil
}

// keepUsed takes away the names of wraps that are second ones of those in use.
func (d *KeyDirectory) keepUsed(folder string) error {
	names, err := folderNames(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		old, err := os.Lstat(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		used, err := os.Lstat(filepath.Join(d.path, epochsFolder, name))
		if err == nil && os.SameFile(old, used) {
			err = removeAny(filepath.Join(folder, name))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *KeyDirectory) stagedWraps(keyring [sha256.Size]byte) string {
	return filepath.Join(d.path, wrapsPrefix+hex.EncodeToString(keyring[:]))
}

// folderNames returns what is in a folder, nothing where there is none.
func folderNames(path string) ([]string, error) {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return folder.Readdirnames(-1)
}

// destroyFolder destroys the files of a folder, and takes it away. It may be gone.
func destroyFolder(path string) error {
	names, err := folderNames(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		destroy := overwrite
		if isTemporary(name) {
			// It may be a second name of a file that was put into use.
			destroy = destroyTemporary
		}
		if err := destroy(filepath.Join(path, name)); err != nil {
			return fmt.Errorf("destroy %s: %w", name, err)
		}
	}
	if err := removeAny(path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
