package cryptfs

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sealedFrames is the layout of a file written once: header, frames of one
// size, the last one marked and possibly shorter.
type sealedFrames struct {
	base   vfs.File
	path   string
	seal   *sealer
	size   int64 // of the content
	frames int64
}

// openSealed opens a file written once. It opens the last frame too, which
// vouches for the length of the file, and which Pebble wants next: a table's
// footer stands there.
func openSealed(fs *FS, base vfs.File, path string, id identity, info vfs.FileInfo) (vfs.File, error) {
	size, ok := contentSize(info.Size())
	if !ok {
		return nil, corrupt(path, "no whole last frame")
	}
	var h header
	if err := readFull(base, h[:], 0, path); err != nil {
		return nil, err
	}
	if why := h.check(id.kind); why != "" {
		return nil, corrupt(path, why)
	}
	s, err := fs.sealerOf(h, path, id)
	if err != nil {
		return nil, err
	}
	l := &sealedFrames{base: base, path: path, seal: s, size: size, frames: max(1, (size+frameSize-1)/frameSize)}
	last := fs.takeRun(frameSize)
	if err := l.load(last, max(0, size-1), 1); err != nil {
		fs.returnRun(last)
		return nil, err
	}
	return &reader{
		fs: fs, base: base, path: path, layout: l, kept: last,
		info: fileInfo{FileInfo: info, size: size},
	}, nil
}

func (l *sealedFrames) load(r *run, off int64, want int) error {
	first := off / frameSize
	r.start = first * frameSize
	end := off + int64(want) + frameSize - 1
	end = min(end-end%frameSize, r.start+recordSize, l.size)
	r.n = int(end - r.start)
	if err := readFull(l.base, r.sealed(), headerSize+first*sealedFrameSize, l.path); err != nil {
		return err
	}
	for i := range r.frames() {
		number := first + int64(i)
		if !r.open(l.seal, i, number, number == l.frames-1, l.seal.bound) {
			return corrupt(l.path, fmt.Sprintf("frame %d is not authentic", number))
		}
	}
	return nil
}

func (l *sealedFrames) span(off, length int64) (diskOff, diskLength int64) {
	first := off / frameSize
	past := (off + length + frameSize - 1) / frameSize
	return headerSize + first*sealedFrameSize, (past - first) * sealedFrameSize
}

func (l *sealedFrames) stride() int { return frameSize }
