package log

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"healthledger/ledger/seal"
)

// What a key directory may be asked for and not have.
var (
	ErrNoKeyring = errors.New("no keyring in the key directory")
	// ErrNoWrap: the key of the epoch was never written, was destroyed, or is lost. Only
	// an Erased event makes it an erasure.
	ErrNoWrap    = errors.New("no wrapped key of that epoch in the key directory")
	ErrNoViewKey = errors.New("no view key in the key directory")
)

const (
	keyringFile  = "keyring"
	viewKeyFile  = "view.key"
	epochsFolder = "epochs"

	// maxKeyFile bounds what is read into memory; the files have a few kilobytes.
	maxKeyFile = 1 << 20
)

// KeyDirectory is the small mutable part beside a log, one folder of plain files:
//
//	keyring                         the store's keys, private ones encrypted
//	keyring.<hash>, keyring.old     while it is being replaced
//	epochs/<class>-<epoch>          an epoch's root key, wrapped to its recipients
//	epochs.<hash>/, epochs.old/     while they are being replaced
//	epochs/resealed-<number>        a root key of what erasures have left, wrapped likewise
//	view.key                        the view's key, encrypted
//
// Beside them lie the folders of views, view-<hash>; the view's key says which is the live one.
// Every Put is atomic and on the disk when it returns. What is destroyed here is erased.
// It may be used by several goroutines and processes at once.
type KeyDirectory struct {
	path string
}

var _ seal.WrapSource = (*KeyDirectory)(nil)

// CreateKeyDirectory makes an empty key directory. The folder may exist if it is empty.
func CreateKeyDirectory(path string) (*KeyDirectory, error) {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return nil, fmt.Errorf("create key directory: %w", err)
	}
	if err := os.Mkdir(path, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create key directory: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("create key directory: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("create key directory: %w: %s is not empty", fs.ErrExist, path)
	}
	if err := os.Mkdir(filepath.Join(path, epochsFolder), folderMode); err != nil {
		return nil, fmt.Errorf("create key directory: %w", err)
	}
	for _, folder := range []string{path, filepath.Dir(path)} {
		if err := syncFolder(folder); err != nil {
			return nil, fmt.Errorf("create key directory: %w", err)
		}
	}
	return OpenKeyDirectory(path)
}

// OpenKeyDirectory opens an existing key directory, takes away from it what access others
// than its user have, and destroys what interrupted writes left.
func OpenKeyDirectory(path string) (*KeyDirectory, error) {
	for _, folder := range []string{path, filepath.Join(path, epochsFolder)} {
		info, err := os.Stat(folder)
		if err != nil {
			return nil, fmt.Errorf("open key directory: %w", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("open key directory: %s is not a folder", folder)
		}
		if info.Mode().Perm()&^folderMode != 0 {
			if err := os.Chmod(folder, folderMode); err != nil {
				return nil, fmt.Errorf("open key directory: %w", err)
			}
		}
		if err := CleanFolder(folder); err != nil {
			return nil, fmt.Errorf("open key directory: %w", err)
		}
	}
	return &KeyDirectory{path: path}, nil
}

// Keyring returns the keyring, or ErrNoKeyring.
func (d *KeyDirectory) Keyring() ([]byte, error) {
	return d.read(keyringFile, ErrNoKeyring)
}

// PutKeyring writes the first keyring; StageKeyring and UseKeyring replace it.
func (d *KeyDirectory) PutKeyring(keyring []byte) error {
	return WriteFile(d.keyring(), keyring)
}

// Wrap returns the wrapped key of an epoch, or ErrNoWrap.
func (d *KeyDirectory) Wrap(class seal.Class, epoch uint64) ([]byte, error) {
	return d.read(WrapFile(class, epoch), ErrNoWrap)
}

// PutWrap adds the wrapped key of an epoch. It is on the disk when PutWrap returns, so
// that segments may be sealed from it. A wrap is never replaced: when there is one, the
// error matches fs.ErrExist.
func (d *KeyDirectory) PutWrap(class seal.Class, epoch uint64, wrap []byte) error {
	return createFile(filepath.Join(d.path, WrapFile(class, epoch)), wrap)
}

// DestroyWraps erases epochs of a class. It is no error when wraps are gone already.
func (d *KeyDirectory) DestroyWraps(class seal.Class, epochs ...uint64) error {
	paths := make([]string, len(epochs))
	for i, epoch := range epochs {
		paths[i] = filepath.Base(WrapFile(class, epoch))
	}
	return destroyFiles(filepath.Join(d.path, epochsFolder), paths...)
}

// LastEpoch returns the highest epoch of a class that has a wrap, or 0. Epochs count
// from 1.
func (d *KeyDirectory) LastEpoch(class seal.Class) (uint64, error) {
	last := uint64(0)
	err := d.wraps(func(c string, epoch uint64) {
		if c == class.String() {
			last = max(last, epoch)
		}
	})
	return last, err
}

// Wraps returns the epochs of a class that have a wrap, in no order.
func (d *KeyDirectory) Wraps(class seal.Class) ([]uint64, error) {
	var epochs []uint64
	err := d.wraps(func(c string, epoch uint64) {
		if c == class.String() {
			epochs = append(epochs, epoch)
		}
	})
	return epochs, err
}

// wraps calls fn with every wrap.
func (d *KeyDirectory) wraps(fn func(class string, epoch uint64)) error {
	folder, err := os.Open(filepath.Join(d.path, epochsFolder))
	if err != nil {
		return fmt.Errorf("list epochs: %w", err)
	}
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(4096)
		for _, name := range names {
			if c, epoch, ok := parseWrapFile(name); ok {
				fn(c, epoch)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list epochs: %w", err)
		}
	}
}

// ViewKey returns the encrypted view key, or ErrNoViewKey.
func (d *KeyDirectory) ViewKey() ([]byte, error) {
	return d.read(viewKeyFile, ErrNoViewKey)
}

// PutViewKey replaces the view key; the one before is destroyed first. A crash in between
// leaves none, which costs a rebuild of the view and nothing else.
func (d *KeyDirectory) PutViewKey(key []byte) error {
	if err := d.DestroyViewKey(); err != nil {
		return err
	}
	return WriteFile(filepath.Join(d.path, viewKeyFile), key)
}

// DestroyViewKey makes every copy of the view unreadable. It is no error when the key is
// gone already.
func (d *KeyDirectory) DestroyViewKey() error {
	return DestroyFile(filepath.Join(d.path, viewKeyFile))
}

// Export calls fn with every file that a backup needs, in order of the names in each folder:
// keyrings and wraps, staged ones too. The view's key is not among them, nor what was being
// destroyed.
func (d *KeyDirectory) Export(fn func(name string, content []byte) error) error {
	top, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("export key directory: %w", err)
	}
	folders := []string{""}
	for _, entry := range top {
		if isEpochs(entry.Name()) {
			folders = append(folders, entry.Name())
		}
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(d.path, folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue // replaced meanwhile
		}
		if err != nil {
			return fmt.Errorf("export key directory: %w", err)
		}
		for _, entry := range entries {
			if err := d.export(filepath.Join(folder, entry.Name()), fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *KeyDirectory) export(name string, fn func(name string, content []byte) error) error {
	if !isExported(name) {
		return nil
	}
	content, err := d.read(name, errGone)
	if errors.Is(err, errGone) || err == nil && len(bytes.Trim(content, "\x00")) == 0 {
		return nil // destroyed meanwhile
	}
	if err != nil {
		return err
	}
	return fn(name, content)
}

var errGone = errors.New("no such file in the key directory")

// Import writes a file that Export has named. It is on the disk when Import returns.
func (d *KeyDirectory) Import(name string, content []byte) error {
	if !isExported(name) || len(content) > maxKeyFile {
		return fmt.Errorf("import %q: no file of a key directory", name)
	}
	path := filepath.Join(d.path, name)
	if err := os.Mkdir(filepath.Dir(path), folderMode); err == nil {
		err = syncFolder(d.path)
		if err != nil {
			return fmt.Errorf("import %q: %w", name, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("import %q: %w", name, err)
	}
	return ReplaceFile(path, content)
}

// DestroyKeyDirectory destroys a key directory with all that is in it. It may be gone.
func DestroyKeyDirectory(path string) error {
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return overwrite(name)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("destroy key directory: %w", err)
	}
	return os.RemoveAll(path)
}

// isExported tells whether a name is that of a file which a backup has.
func isExported(name string) bool {
	folder, base := filepath.Split(name)
	if folder == "" {
		return name == keyringFile || isStaged(name, keyringFile)
	}
	class, digits, found := strings.Cut(base, "-")
	return isEpochs(strings.TrimSuffix(folder, "/")) && found && class != "" && strings.Trim(class, "abcdefghijklmnopqrstuvwxyz") == "" &&
		len(digits) == epochDigits && digits == strings.ToLower(digits) && isHex(digits)
}

// isEpochs tells whether a name is that of a folder of wraps.
func isEpochs(name string) bool { return name == epochsFolder || isStaged(name, epochsFolder) }

// isStaged tells whether a name is that of what is to replace another, with the hash of a keyring.
func isStaged(name, of string) bool {
	hash, found := strings.CutPrefix(name, of+".")
	return found && len(hash) == 2*sha256.Size && hash == strings.ToLower(hash) && isHex(hash)
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

func (d *KeyDirectory) read(name string, missing error) ([]byte, error) {
	file, err := os.Open(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", name, missing)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("read %s: larger than %d bytes", name, maxKeyFile)
	}
	return content, nil
}

// epochDigits are those of a uint64 in hexadecimal, so that names sort like epochs.
const epochDigits = 16

// WrapFile names the file of a wrap in a key directory.
func WrapFile(class seal.Class, epoch uint64) string {
	return filepath.Join(epochsFolder, fmt.Sprintf("%s-%0*x", class, epochDigits, epoch))
}

func parseWrapFile(name string) (class string, epoch uint64, ok bool) {
	class, digits, found := strings.Cut(name, "-")
	if !found || len(digits) != epochDigits || digits != strings.ToLower(digits) {
		return "", 0, false
	}
	epoch, err := strconv.ParseUint(digits, 16, 64)
	return class, epoch, err == nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
