// Package cryptfs is the filesystem a Pebble view lives on: everything Pebble
// writes is encrypted and authenticated before it reaches the disk, and
// nothing that fails authentication ever reaches Pebble.
//
//	fs, err := cryptfs.New(vfs.Default, viewKey, seal.Do)
//	db, err := pebble.Open(dir, &pebble.Options{FS: fs, …})
//	…
//	db.Close()
//	fs.Close()
//
// Every file has a key of its own, derived from the view key and a random file
// id, and is bound to its name: a file that is cut, extended, altered, swapped
// with another or sealed under another view key does not open, or fails where
// it is read, with an error that wraps [ErrCorrupt]. FORMAT.md describes every
// byte.
//
// There are two shapes. Files that are written once and then only read
// (tables, blobs, OPTIONS and any name cryptfs does not know) become readable,
// and durable, when Close returns without an error; before that they hold no
// last frame and cannot be opened. Files that grow while they are in use
// (MANIFEST and log) are durable up to each Sync, and after a crash they end
// at the last whole frame.
//
// What it cannot see: the return of the whole directory to an earlier state,
// or of a growing file to an earlier Sync. The view carries the position and
// root of the log it was built from for that. A view key must serve one
// incarnation of one view only, because a rebuilt view counts its files from
// the beginning again and an old 000005.sst must not pass for a new one. Names,
// sizes and times of files are visible to whoever sees the disk.
package cryptfs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// KeySize is the length of a view key in bytes.
const KeySize = 32

// ErrCorrupt is wrapped by every error that says a file is not what this view
// key sealed under this name: damaged, cut, extended, swapped, or sealed under
// another key. The error names the file and never its content.
var ErrCorrupt = errors.New("file is corrupt or not of this view")

// ErrKeyWiped is wrapped by the errors of Create, Open and Stat after Close.
var ErrKeyWiped = errors.New("view key has been wiped")

// FS encrypts the files of one view on a base filesystem. It is safe for
// concurrent use as far as the base is.
type FS struct {
	base   vfs.FS
	random io.Reader
	erase  func(func())
	runs   sync.Pool

	mu  sync.RWMutex
	key []byte // nil once wiped
}

var _ vfs.FS = (*FS)(nil)

// New returns a filesystem that keeps its files on base, sealed under key,
// which must be KeySize random bytes that no other view and no earlier
// incarnation of this view uses. New copies key; the caller wipes its own. What handles
// keys runs inside erase, which runs a function and leaves nothing of it behind as far
// as the build allows.
func New(base vfs.FS, key []byte, erase func(func())) (*FS, error) {
	return newFS(base, key, erase, rand.Reader)
}

func newFS(base vfs.FS, key []byte, erase func(func()), random io.Reader) (*FS, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("cryptfs: view key of %d bytes, want %d", len(key), KeySize)
	}
	f := &FS{base: base, random: random, erase: erase, key: append([]byte(nil), key...)}
	f.runs.New = func() any { return new(run) }
	return f, nil
}

// Close wipes the view key. Handles that are open keep working, since each
// holds the key of its own file; close the database first.
func (f *FS) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.key)
	f.key = nil
}

// Create makes the named file, replacing one that is there. Reading from the
// handle is not supported: Pebble opens what it has written.
func (f *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	id := identify(f.base.PathBase(name))
	var s *sealer
	if id.kind != kindPlain {
		var err error
		if s, err = f.newSealer(name, id); err != nil {
			return nil, err
		}
	}
	file, err := f.base.Create(name, category)
	if err != nil {
		return nil, err
	}
	switch {
	case id.kind == kindPlain:
		return &plainFile{File: file, path: name}, nil
	case id.kind.appended():
		return newAppendedWriter(f, file, name, s)
	default:
		return newSealedWriter(f, file, name, s), nil
	}
}

// Open opens the named file for reading. It checks the header and, of a file
// written once, the last frame, so that a file that was cut or extended does
// not open; a growing file is checked whole.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	id := identify(f.base.PathBase(name))
	file, err := f.base.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	opened, err := f.open(file, name, id)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return opened, nil
}

func (f *FS) open(file vfs.File, name string, id identity) (vfs.File, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return &directory{File: file, path: name}, nil
	case id.kind == kindPlain:
		if info.Size() != 0 {
			return nil, corrupt(name, "a file that carries nothing but its name has content")
		}
		return &plainFile{File: file, path: name}, nil
	case id.kind.appended():
		return openAppended(f, file, name, id, info)
	default:
		return openSealed(f, file, name, id, info)
	}
}

// OpenReadWrite is not supported: no file is changed in place. Pebble needs it
// for a cache of remote objects only.
func (f *FS) OpenReadWrite(
	name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption,
) (vfs.File, error) {
	return nil, unsupported("open for reading and writing", name)
}

// OpenDir opens the named directory for syncing.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	file, err := f.base.OpenDir(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.IsDir() {
		err = unsupported("open as a directory", name)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &directory{File: file, path: name}, nil
}

// Link makes newname another name of oldname's content. Names that bind alike
// (a checkpoint's) become a hard link. Otherwise (a table that is ingested)
// the content is opened and sealed again under the new name, so that no table
// can stand in for another.
func (f *FS) Link(oldname, newname string) error {
	if f.bindAlike(oldname, newname) {
		err := f.base.Link(oldname, newname)
		if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return err
		}
		// The base cannot link here. Pebble would now copy by itself, but
		// without looking at the error of Close, where the last frame goes out.
	}
	switch _, err := f.base.Stat(newname); {
	case err == nil:
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return f.copy(oldname, newname)
}

func (f *FS) copy(oldname, newname string) (err error) {
	src, err := f.Open(oldname, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := f.Create(newname, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, recordSize))
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return errors.Join(err, f.base.Remove(newname))
	}
	return nil
}

// Rename renames a directory, or a file to a name that binds alike: in another
// directory, or OPTIONS from its temporary name. Anything else is not
// supported, since the file could not be opened under its new name.
func (f *FS) Rename(oldname, newname string) error {
	if !f.bindAlike(oldname, newname) {
		info, err := f.base.Stat(oldname)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return unsupported("rename to a name of another meaning", oldname)
		}
	}
	return f.base.Rename(oldname, newname)
}

func (f *FS) bindAlike(oldname, newname string) bool {
	return identify(f.base.PathBase(oldname)) == identify(f.base.PathBase(newname))
}

// ReuseForWrite removes oldname and creates newname: a file's key is used for
// one content only.
func (f *FS) ReuseForWrite(
	oldname, newname string, category vfs.DiskWriteCategory,
) (vfs.File, error) {
	if err := f.base.Remove(oldname); err != nil {
		return nil, err
	}
	return f.Create(newname, category)
}

// Stat describes the named file. The size is that of the content; of a file
// written once it follows from the size on disk alone and is vouched for by
// Open only.
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	info, err := f.base.Stat(name)
	if err != nil || info.IsDir() {
		return info, err
	}
	id := identify(f.base.PathBase(name))
	switch {
	case id.kind == kindPlain:
		return info, nil
	case id.kind.appended():
		file, err := f.Open(name)
		if err != nil {
			return nil, err
		}
		logical, err := file.Stat()
		return logical, errors.Join(err, file.Close())
	default:
		size, ok := contentSize(info.Size())
		if !ok {
			return nil, corrupt(name, "no whole last frame")
		}
		return fileInfo{FileInfo: info, size: size}, nil
	}
}

// Unwrap returns nil although there is a base: what lies below is ciphertext,
// and nobody who looks for the root filesystem may read or write there.
func (f *FS) Unwrap() vfs.FS { return nil }

// Remove removes the named file or empty directory.
func (f *FS) Remove(name string) error { return f.base.Remove(name) }

// RemoveAll removes the named file or directory and what it contains.
func (f *FS) RemoveAll(name string) error { return f.base.RemoveAll(name) }

// MkdirAll makes the named directory and its parents.
func (f *FS) MkdirAll(dir string, perm os.FileMode) error { return f.base.MkdirAll(dir, perm) }

// Lock takes the base's lock on the named file, which stays empty.
func (f *FS) Lock(name string) (io.Closer, error) { return f.base.Lock(name) }

// List returns the names in dir, which are not encrypted.
func (f *FS) List(dir string) ([]string, error) { return f.base.List(dir) }

// PathBase returns the last element of path.
func (f *FS) PathBase(path string) string { return f.base.PathBase(path) }

// PathJoin joins path elements.
func (f *FS) PathJoin(elem ...string) string { return f.base.PathJoin(elem...) }

// PathDir returns all but the last element of path.
func (f *FS) PathDir(path string) string { return f.base.PathDir(path) }

// GetDiskUsage describes the disk that holds path.
func (f *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return f.base.GetDiskUsage(path) }

func corrupt(path, why string) error {
	return fmt.Errorf("cryptfs: %s: %s: %w", path, why, ErrCorrupt)
}

func unsupported(operation, path string) error {
	return fmt.Errorf("cryptfs: %s: %s: %w", operation, path, vfs.ErrUnsupported)
}
