package cryptfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// appendedFrames is the layout of a growing file as it was when it was opened:
// the whole frames from the beginning.
//
// A crash can leave anything behind the last sync: half a frame, blocks of
// zeros, a later block without an earlier one. The content ends there. But if
// anywhere behind the first bad frame stands an authentic one that says the
// bad one was durable, no crash did it, and the file is corrupt.
type appendedFrames struct {
	base  vfs.File
	path  string
	seal  *sealer
	index []record
	mu    sync.Mutex // guards the room behind seal.bound
}

// record is where one frame stands.
type record struct {
	start   int64 // of its content in the file's content
	diskOff int64 // of its header
	n       int   // bytes of content
}

// openAppended opens a growing file and checks every frame. A file whose
// header never reached the disk was never synced: it is empty.
func openAppended(fs *FS, base vfs.File, path string, id identity, info vfs.FileInfo) (vfs.File, error) {
	l := &appendedFrames{base: base, path: path}
	r := &reader{fs: fs, base: base, path: path, layout: l, info: fileInfo{FileInfo: info}}
	disk := info.Size()
	if disk < provenHeaderSize {
		return r, nil
	}
	var proven [provenHeaderSize]byte
	if err := readFull(base, proven[:], 0, path); err != nil {
		return nil, err
	}
	if proven == [provenHeaderSize]byte{} {
		return r, nil
	}
	h := header(proven[:headerSize])
	if why := h.check(id.kind); why != "" {
		return nil, corrupt(path, why)
	}
	var err error
	if l.seal, err = fs.sealerOf(h, path, id); err != nil {
		return nil, err
	}
	if !l.seal.proves(proven[headerSize:]) {
		return nil, corrupt(path, "header is not authentic")
	}
	buf := fs.takeRun(recordSize)
	defer fs.returnRun(buf)
	if r.info.size, err = l.walk(buf, disk); err != nil {
		return nil, err
	}
	return r, nil
}

// walk indexes the frames of a file of disk bytes and returns the size of the
// content.
func (l *appendedFrames) walk(r *run, disk int64) (size int64, err error) {
	in := bufio.NewReaderSize(io.NewSectionReader(l.base, provenHeaderSize, disk-provenHeaderSize), 2*recordSize)
	off := int64(provenHeaderSize)
	for off < disk {
		h, ok, err := l.next(in, r, disk-off)
		if err != nil {
			return 0, fmt.Errorf("cryptfs: read %s: %w", l.path, err)
		}
		if !ok {
			return size, l.torn(r, off, disk)
		}
		if h.end() {
			if off+h.size() != disk {
				return 0, corrupt(l.path, "content after the end")
			}
			return size, nil
		}
		l.index = append(l.index, record{start: size, diskOff: off, n: r.n})
		size += int64(r.n)
		off += h.size()
	}
	return size, nil
}

// next reads the frame that follows on the index. It is not ok if it is not
// whole or not authentic.
func (l *appendedFrames) next(in *bufio.Reader, r *run, left int64) (h recordHeader, ok bool, err error) {
	if left < recordHeaderSize {
		return h, false, nil
	}
	if _, err := io.ReadFull(in, r.recordHeader()); err != nil {
		return h, false, unlessEOF(err)
	}
	h = parseRecordHeader(r.recordHeader())
	if h.length > recordSize || h.size() > left || int64(h.number) != int64(len(l.index)) {
		return h, false, nil
	}
	r.n = int(h.length)
	if _, err := io.ReadFull(in, r.sealed()); err != nil {
		return h, false, unlessEOF(err)
	}
	return h, l.open(r, h), nil
}

// unlessEOF drops the end of the file: that it shrank while it was read is
// nothing else than that its end is missing.
func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// open opens the frame in r, in front of which its header stands.
func (l *appendedFrames) open(r *run, h recordHeader) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.open(l.seal, 0, int64(h.number), h.end(), append(l.seal.bound, r.recordHeader()...))
}

// torn looks behind the first bad frame, which should stand at off, for one
// that was written when the bad one was durable.
func (l *appendedFrames) torn(r *run, off, disk int64) error {
	bad := uint32(len(l.index))
	rest := make([]byte, disk-off)
	if err := readFull(l.base, rest, off, l.path); err != nil {
		return err
	}
	for i := 0; i+recordHeaderSize+tagSize <= len(rest); i++ {
		h := parseRecordHeader(rest[i:])
		if h.durable <= bad || h.durable > h.number || h.length > recordSize || h.size() > int64(len(rest)-i) {
			continue
		}
		r.n = int(h.length)
		copy(r.record(), rest[i:])
		if l.open(r, h) {
			return corrupt(l.path, fmt.Sprintf("frame %d is not authentic", bad))
		}
	}
	return nil
}

// find returns the place in the index of the frame that holds off.
func (l *appendedFrames) find(off int64) int {
	return sort.Search(len(l.index), func(i int) bool { return l.index[i].start > off }) - 1
}

func (l *appendedFrames) load(r *run, off int64, _ int) error {
	i := l.find(off)
	at := l.index[i]
	r.start, r.n = at.start, at.n
	if err := readFull(l.base, r.record(), at.diskOff, l.path); err != nil {
		return err
	}
	h := parseRecordHeader(r.recordHeader())
	if int(h.number) != i || int(h.length) != at.n || !l.open(r, h) {
		return corrupt(l.path, fmt.Sprintf("frame %d is not authentic", i))
	}
	return nil
}

func (l *appendedFrames) span(off, length int64) (diskOff, diskLength int64) {
	first, last := l.index[l.find(off)], l.index[l.find(off+length-1)]
	return first.diskOff, last.diskOff + recordHeaderSize + int64(last.n) + tagSize - first.diskOff
}

func (l *appendedFrames) stride() int { return recordSize }
