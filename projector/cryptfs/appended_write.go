package cryptfs

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// appendedWriter writes a file that grows while it is in use: a frame per
// Write, so that the content is on its way at once and a Sync makes all of it
// durable. No frame is ever written twice.
type appendedWriter struct {
	fs   *FS
	base vfs.File
	path string
	seal *sealer
	run  *run
	next int64 // the number of the next frame
	// durable is the number of frames that a sync has covered. Each later frame
	// vouches for that, which tells damage from a torn end; see appendedFrames.
	durable int64
	content int64
	disk    int64
	err     error // the first failure; nothing is written after it
}

func newAppendedWriter(fs *FS, base vfs.File, path string, s *sealer) (*appendedWriter, error) {
	// The base may scribble over what it is given.
	if _, err := base.Write(append(s.header[:headerSize:headerSize], s.proof()...)); err != nil {
		err = fmt.Errorf("cryptfs: create %s: %w", path, err)
		return nil, errors.Join(err, base.Close())
	}
	return &appendedWriter{fs: fs, base: base, path: path, seal: s, run: fs.takeRun(recordSize), disk: provenHeaderSize}, nil
}

func (w *appendedWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) && w.err == nil {
		n := min(recordSize, len(p)-written)
		if w.append(p[written:written+n], false); w.err == nil {
			written += n
		}
	}
	return written, w.err
}

func (w *appendedWriter) append(content []byte, end bool) {
	if w.next == math.MaxUint32 {
		w.fail("write", errors.New("no frame number is left"))
		return
	}
	r := w.run
	r.n = len(content)
	copy(r.data[headerSize:], content)
	r.putRecordHeader(recordHeader{uint32(len(content)), uint32(w.next), uint32(w.durable)})
	r.seal(w.seal, 0, w.next, end, append(w.seal.bound, r.recordHeader()...))
	n, err := w.base.Write(r.record())
	w.fail("write", err)
	w.next++
	w.content += int64(len(content))
	w.disk += int64(n)
}

func (w *appendedWriter) fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("cryptfs: %s %s: %w", operation, w.path, err)
	if w.err == nil {
		w.err = err
	}
	return err
}

func (w *appendedWriter) Sync() error { return w.sync(w.base, vfs.File.Sync) }

func (w *appendedWriter) SyncData() error { return w.sync(w.base, vfs.File.SyncData) }

func (w *appendedWriter) sync(base vfs.File, how func(vfs.File) error) error {
	if w.err != nil {
		return w.err
	}
	if err := w.fail("sync", how(base)); err != nil {
		return err
	}
	w.durable = w.next
	return nil
}

// SyncTo syncs at least the frames that hold the first length bytes as the
// base's SyncTo does.
func (w *appendedWriter) SyncTo(int64) (fullSync bool, err error) {
	if w.err != nil {
		return false, w.err
	}
	fullSync, err = w.base.SyncTo(w.disk)
	if fullSync && err == nil {
		w.durable = w.next
	}
	return fullSync, w.fail("sync", err)
}

// Close marks the end, so that every frame of a file that was synced and
// closed is vouched for, and closes the base.
func (w *appendedWriter) Close() error {
	if w.base == nil {
		return fmt.Errorf("cryptfs: close %s: %w", w.path, os.ErrClosed)
	}
	if w.err == nil {
		w.append(nil, true)
	}
	err := errors.Join(w.err, w.base.Close())
	w.fs.returnRun(w.run)
	w.base, w.run = nil, nil
	w.err = fmt.Errorf("cryptfs: write %s: %w", w.path, os.ErrClosed)
	return err
}

// Preallocate reserves about the room the content takes; how much that is
// depends on the writes to come.
func (w *appendedWriter) Preallocate(offset, length int64) error {
	return w.base.Preallocate(offset, length)
}

// Stat describes the file with the size of what has been written to it.
func (w *appendedWriter) Stat() (vfs.FileInfo, error) {
	info, err := w.base.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{FileInfo: info, size: w.content}, nil
}

func (w *appendedWriter) Read([]byte) (int, error) {
	return 0, unsupported("read while writing", w.path)
}

func (w *appendedWriter) ReadAt([]byte, int64) (int, error) {
	return 0, unsupported("read while writing", w.path)
}

func (w *appendedWriter) WriteAt([]byte, int64) (int, error) {
	return 0, unsupported("write at", w.path)
}
func (w *appendedWriter) Prefetch(int64, int64) error { return nil }
func (w *appendedWriter) Fd() uintptr                 { return vfs.InvalidFd }
