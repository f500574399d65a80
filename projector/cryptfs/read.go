package cryptfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// layout says where the frames of a file stand. Its methods are safe for
// concurrent use.
type layout interface {
	// load reads and opens frames into the run, beginning with the one that
	// holds the content at off, which lies inside the file: as many as hold
	// want bytes from there, as far as file and run reach. The error wraps
	// ErrCorrupt if one is not authentic.
	load(r *run, off int64, want int) error
	// span returns where the frames that hold length bytes at off stand on disk.
	span(off, length int64) (diskOff, diskLength int64)
	// stride is the content of a frame, or the most it can be.
	stride() int
}

// reader reads the content of a file. It keeps the frames it opened last, which
// spares a scan that asks block by block from opening each frame again, and
// opens twice as many each time the reads go on where those end.
// ReadAt is safe for concurrent use; Read has one position.
type reader struct {
	fs     *FS
	base   vfs.File
	path   string
	info   fileInfo
	layout layout
	pos    int64

	mu     sync.Mutex
	kept   *run
	closed bool
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.ReadAt(p, r.pos)
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("cryptfs: read %s: negative offset", r.path)
	}
	read := 0
	for read < len(p) {
		if off >= r.info.size {
			return read, io.EOF
		}
		n, ahead, err := r.readKept(p[read:], off)
		if n == 0 && err == nil {
			n, err = r.readBase(p[read:], off, ahead)
		}
		if err != nil {
			return read, err
		}
		read += n
		off += int64(n)
	}
	return read, nil
}

// readKept copies what the kept frames hold of p. If they hold nothing, ahead
// is how much to open because the reads go on where the kept frames end.
func (r *reader) readKept(p []byte, off int64) (n, ahead int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, 0, fmt.Errorf("cryptfs: read %s: %w", r.path, os.ErrClosed)
	}
	if r.kept == nil {
		return 0, 0, nil
	}
	if off == r.kept.start+int64(r.kept.n) {
		return 0, 2 * r.kept.n, nil
	}
	return r.kept.copyAt(p, off), 0, nil
}

// readBase opens the frames at off and copies what they hold of p. Others may
// read meanwhile: the run is this call's own until it is kept.
func (r *reader) readBase(p []byte, off int64, ahead int) (int, error) {
	fresh := r.fs.takeRun(r.layout.stride())
	if err := r.layout.load(fresh, off, max(len(p), ahead)); err != nil {
		r.fs.returnRun(fresh)
		return 0, err
	}
	n := fresh.copyAt(p, off)
	r.mu.Lock()
	if !r.closed {
		r.kept, fresh = fresh, r.kept
	}
	r.mu.Unlock()
	r.fs.returnRun(fresh)
	return n, nil
}

func (r *reader) Close() error {
	r.mu.Lock()
	kept, closed := r.kept, r.closed
	r.kept, r.closed = nil, true
	r.mu.Unlock()
	if closed {
		return fmt.Errorf("cryptfs: close %s: %w", r.path, os.ErrClosed)
	}
	r.fs.returnRun(kept)
	return r.base.Close()
}

func (r *reader) Stat() (vfs.FileInfo, error) { return r.info, nil }

// Prefetch asks the base for the frames that hold the range.
func (r *reader) Prefetch(offset, length int64) error {
	length = min(length, r.info.size-offset)
	if offset < 0 || length <= 0 {
		return nil
	}
	return r.base.Prefetch(r.layout.span(offset, length))
}

func (r *reader) Write([]byte) (int, error) {
	return 0, unsupported("write to a file opened for reading", r.path)
}
func (r *reader) WriteAt([]byte, int64) (int, error) { return 0, unsupported("write at", r.path) }
func (r *reader) Preallocate(int64, int64) error     { return nil }
func (r *reader) Sync() error                        { return r.base.Sync() }
func (r *reader) SyncData() error                    { return r.base.SyncData() }
func (r *reader) SyncTo(int64) (bool, error)         { return false, nil }
func (r *reader) Fd() uintptr                        { return vfs.InvalidFd }

// readFull fills p from the base at off. A file that ends before that is
// corrupt, because it was longer when it was opened.
func readFull(base io.ReaderAt, p []byte, off int64, path string) error {
	n, err := base.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return corrupt(path, "it ends early")
	default:
		return fmt.Errorf("cryptfs: read %s: %w", path, err)
	}
}
