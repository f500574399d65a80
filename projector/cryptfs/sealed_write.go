package cryptfs

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sealedWriter writes a file that is written once: whole frames as they fill,
// the last one in Close. A frame can be sealed only once and Pebble syncs in
// the middle of a file, so Sync cannot be where a short frame goes out.
type sealedWriter struct {
	fs   *FS
	base vfs.File
	path string
	seal *sealer
	run  *run  // holds what waits, not yet sealed
	next int64 // the number of the run's first frame
	// err is the first failure. The file has no last frame then and never gets
	// one: it stays unreadable rather than wrong.
	err error
}

func newSealedWriter(fs *FS, base vfs.File, path string, s *sealer) *sealedWriter {
	return &sealedWriter{fs: fs, base: base, path: path, seal: s, run: fs.takeRun(frameSize)}
}

func (w *sealedWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) && w.err == nil {
		if w.run.n == recordSize {
			// More follows, so none of these frames is the last.
			w.flush(runFrames, false)
			continue
		}
		pos := w.run.n
		w.run.n = min(pos+len(p)-written, pos-pos%frameSize+frameSize)
		written += copy(w.run.content(pos), p[written:])
	}
	return written, w.err
}

// flush seals and writes the first frames of the run, behind the header if
// they are the first of the file, and keeps the rest.
func (w *sealedWriter) flush(frames int, last bool) {
	r := w.run
	for i := range frames {
		r.seal(w.seal, i, w.next+int64(i), last && i == frames-1, w.seal.bound)
	}
	past := headerSize + min(r.n, frames*frameSize) + frames*tagSize
	out := r.data[headerSize:past]
	if w.next == 0 {
		copy(r.data[:], w.seal.header[:])
		out = r.data[:past]
	}
	_, err := w.base.Write(out)
	w.fail("write", err)
	w.next += int64(frames)
	rest := r.data[past:][:max(0, r.n-frames*frameSize)]
	r.n = copy(r.data[headerSize:], rest)
	clear(rest)
}

func (w *sealedWriter) fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("cryptfs: %s %s: %w", operation, w.path, err)
	if w.err == nil {
		w.err = err
	}
	return err
}

// Sync writes the whole frames that wait and lets the base start on them. It
// promises nothing, because until Close the file cannot be read in any case.
func (w *sealedWriter) Sync() error {
	_, err := w.SyncTo(0)
	return err
}

// SyncData is Sync.
func (w *sealedWriter) SyncData() error { return w.Sync() }

// SyncTo is Sync.
func (w *sealedWriter) SyncTo(int64) (fullSync bool, err error) {
	if w.err != nil {
		return false, w.err
	}
	// The frame that is being filled waits even if it is full: it may be the
	// last.
	if whole := w.run.frames() - 1; whole > 0 {
		w.flush(whole, false)
	}
	if w.err != nil || w.next == 0 {
		return false, w.err
	}
	_, err = w.base.SyncTo(headerSize + w.next*sealedFrameSize)
	return false, w.fail("sync", err)
}

// Close writes the last frame and syncs. The file exists, and is durable, if
// the error is nil.
func (w *sealedWriter) Close() error {
	if w.base == nil {
		return fmt.Errorf("cryptfs: close %s: %w", w.path, os.ErrClosed)
	}
	if w.err == nil {
		w.flush(w.run.frames(), true)
	}
	if w.err == nil {
		w.fail("sync", w.base.Sync())
	}
	err := errors.Join(w.err, w.base.Close())
	w.fs.returnRun(w.run)
	w.base, w.run = nil, nil
	w.err = fmt.Errorf("cryptfs: write %s: %w", w.path, os.ErrClosed)
	return err
}

// Preallocate reserves the room the sealed content takes.
func (w *sealedWriter) Preallocate(offset, length int64) error {
	start := offset + offset/frameSize*tagSize
	return w.base.Preallocate(start, sizeOnDisk(offset+length)-start)
}

// Stat describes the file with the size of what has been written to it.
func (w *sealedWriter) Stat() (vfs.FileInfo, error) {
	info, err := w.base.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{FileInfo: info, size: w.next*frameSize + int64(w.run.n)}, nil
}

func (w *sealedWriter) Read([]byte) (int, error) {
	return 0, unsupported("read while writing", w.path)
}

func (w *sealedWriter) ReadAt([]byte, int64) (int, error) {
	return 0, unsupported("read while writing", w.path)
}

func (w *sealedWriter) WriteAt([]byte, int64) (int, error) { return 0, unsupported("write at", w.path) }
func (w *sealedWriter) Prefetch(int64, int64) error        { return nil }
func (w *sealedWriter) Fd() uintptr                        { return vfs.InvalidFd }

// sizeOnDisk is the size of a file written once that holds size bytes.
func sizeOnDisk(size int64) int64 {
	frames := max(1, (size+frameSize-1)/frameSize)
	return headerSize + size + frames*tagSize
}

// contentSize undoes sizeOnDisk. It is not ok for a size no whole file has.
func contentSize(size int64) (content int64, ok bool) {
	body := size - headerSize
	if body < tagSize {
		return 0, false
	}
	frames := (body + sealedFrameSize - 1) / sealedFrameSize
	if last := body - (frames-1)*sealedFrameSize; last < tagSize || last == tagSize && frames > 1 {
		return 0, false
	}
	return body - frames*tagSize, true
}
