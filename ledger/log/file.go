package log

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	folderMode = 0o700
	fileMode   = 0o600

	temporarySuffix = ".tmp"
)

// WriteFile replaces the file at path by data, atomically: whoever opens it sees the old
// content or the new one, whole. When it returns nil, the new content survives a power
// loss. The file has mode 0600.
func WriteFile(path string, data []byte) error {
	return place(path, data, os.Rename)
}

// ReplaceFile is WriteFile that destroys the content of the file before.
func ReplaceFile(path string, data []byte) error {
	before, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return WriteFile(path, data)
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", filepath.Base(path), err)
	}
	defer before.Close()
	if err := destroyLeftovers(path); err != nil {
		return fmt.Errorf("replace %s: %w", filepath.Base(path), err)
	}
	// A rename takes its only name. With a second one a crash leaves what the next call
	// destroys; not every filesystem has them.
	second := temporaryName(path)
	linked := os.Link(path, second) == nil
	if err := WriteFile(path, data); err != nil {
		return err
	}
	if err := blank(before); err != nil {
		return fmt.Errorf("replace %s: destroy the one before: %w", filepath.Base(path), err)
	}
	if linked {
		err = errors.Join(removeAny(second), syncFolder(filepath.Dir(path)))
	}
	return err
}

// destroyLeftovers destroys what interrupted writes of a path have left.
func destroyLeftovers(path string) error {
	names, err := folderNames(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, name := range names {
		if temporaryOf(name) != filepath.Base(path) {
			continue
		}
		if err := destroyTemporary(filepath.Join(filepath.Dir(path), name)); err != nil {
			return err
		}
	}
	return nil
}

// destroyTemporary destroys a temporary file, but takes away only the name where it is a second
// one: the file has got its own then.
func destroyTemporary(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if at, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && at.Nlink > 1 {
		return removeAny(path)
	}
	return overwrite(path)
}

// blank writes zeros over all that is in a file.
func blank(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.CopyN(file, zeros{}, info.Size()); err != nil {
		return err
	}
	return file.Sync()
}

// createFile is WriteFile for a path where nothing may be yet: otherwise the error
// matches fs.ErrExist and nothing has changed.
func createFile(path string, data []byte) error {
	// A link fails where a rename would replace.
	return place(path, data, func(from, to string) error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		return os.Remove(from)
	})
}

// place writes a temporary file, and gives it its name only when it is on the disk.
func place(path string, data []byte, name func(from, to string) error) (err error) {
	folder, err := openFolder(filepath.Dir(path), syscall.LOCK_SH)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer folder.Close()
	temporary := temporaryName(path)
	if err := writeSynced(temporary, data); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), errors.Join(err, destroyTemporary(temporary)))
	}
	if err := name(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), errors.Join(err, destroyTemporary(temporary)))
	}
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("write %s: sync folder: %w", filepath.Base(path), err)
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func removeAny(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Temporary files are named ".<name>.<random>.tmp".
func temporaryName(path string) string {
	var random [8]byte
	rand.Read(random[:])
	folder, base := filepath.Split(path)
	return filepath.Join(folder, "."+base+"."+hex.EncodeToString(random[:])+temporarySuffix)
}

// temporaryOf returns the name that a temporary file was to get, of others "".
func temporaryOf(name string) string {
	if !isTemporary(name) {
		return ""
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "."), temporarySuffix)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

func isTemporary(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporarySuffix)
}

// CleanFolder destroys what interrupted calls of WriteFile left in a folder. While another
// process is writing there it does nothing: the next call will do.
func CleanFolder(path string) error {
	folder, err := openFolder(path, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clean %s: %w", filepath.Base(path), err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("clean %s: %w", filepath.Base(path), err)
	}
	for _, name := range names {
		if isTemporary(name) {
			if err := destroyTemporary(filepath.Join(path, name)); err != nil {
				return fmt.Errorf("clean %s: %w", filepath.Base(path), err)
			}
		}
	}
	return nil
}

// openFolder opens a folder and locks it as long as it stays open: writers share the
// lock, so that cleaning, which excludes them, never takes a file that is being written.
func openFolder(path string, lock int) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(folder.Fd()), lock)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		folder.Close()
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	return folder, nil
}

// DestroyFile makes the content of a file unreadable: overwritten in place, synced,
// unlinked, folder synced. The temporary files of interrupted writes of the same path are
// destroyed with it. A file that is not there is destroyed already; the folder is synced
// all the same, since an earlier call may have been interrupted before that.
//
// What copy-on-write filesystems, snapshots and remapped flash cells keep is beyond it.
func DestroyFile(path string) error { return destroyFiles(filepath.Dir(path), filepath.Base(path)) }

// destroyFiles is DestroyFile of many files of a folder.
func destroyFiles(path string, bases ...string) error {
	folder, err := openFolder(path, syscall.LOCK_SH)
	if err != nil {
		return fmt.Errorf("destroy files of %s: %w", filepath.Base(path), err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("destroy files of %s: %w", filepath.Base(path), err)
	}
	destroyed := make(map[string]bool, len(bases))
	for _, base := range bases {
		destroyed[base] = true
	}
	for _, name := range names {
		if !destroyed[name] && !destroyed[temporaryOf(name)] {
			continue
		}
		if err := overwrite(filepath.Join(path, name)); err != nil {
			return fmt.Errorf("destroy %s: %w", name, err)
		}
	}
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("destroy files of %s: sync folder: %w", filepath.Base(path), err)
	}
	return nil
}

func overwrite(path string) error {
	// Without O_TRUNC: the old blocks must be written over, not given back.
	file, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(blank(file), file.Close()); err != nil {
		return err
	}
	return removeAny(path)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
