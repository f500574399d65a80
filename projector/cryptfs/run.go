package cryptfs

import "encoding/binary"

const (
	// frameSize is the content of every frame of a file written once but the
	// last. A look-up opens the whole frames its block touches, so they are as
	// small as Pebble's blocks; tags add 0.4 %.
	frameSize = 4 << 10
	tagSize   = 16
	nonceSize = 12

	sealedFrameSize = frameSize + tagSize

	// runFrames is how many frames are written, or at most read, in one call.
	runFrames = 8
	// recordSize is the most content of one frame of a growing file.
	recordSize = runFrames * frameSize
)

// run is a buffer for frames that follow each other in a file, sealed or open,
// with room before them for the header that goes out in the same write.
//
// The content of each frame stands where it is sealed, its tag behind it, so
// nothing moves when a frame is sealed or opened in place.
type run struct {
	// nonce is here because on the stack it would be moved to the heap for
	// every call of the cipher.
	nonce  [nonceSize]byte
	start  int64 // of the content in the file's content
	n      int   // bytes of content
	stride int   // content of a frame that is not the file's last
	data   [headerSize + runFrames*sealedFrameSize]byte
}

// frames is the number of frames that hold n bytes of content.
func (r *run) frames() int { return max(1, (r.n+r.stride-1)/r.stride) }

// frame returns frame i of the run as it stands on disk.
func (r *run) frame(i int) []byte {
	at := headerSize + i*(r.stride+tagSize)
	return r.data[at : at+min(r.stride, r.n-i*r.stride)+tagSize]
}

// sealed returns all frames as they stand on disk.
func (r *run) sealed() []byte {
	return r.data[headerSize : headerSize+r.n+r.frames()*tagSize]
}

// content returns the content from pos on up to the end of its frame, and
// nothing if the run ends before.
func (r *run) content(pos int) []byte {
	if pos < 0 || pos >= r.n {
		return nil
	}
	i, in := pos/r.stride, pos%r.stride
	f := r.frame(i)
	return f[in : len(f)-tagSize]
}

// copyAt fills p with the content at off of the file as far as the run has it.
func (r *run) copyAt(p []byte, off int64) int {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.content(int(off-r.start)+n))
		if c == 0 {
			break
		}
		n += c
	}
	return n
}

// seal seals the content that stands in frame i.
func (r *run) seal(s *sealer, i int, number int64, last bool, bound []byte) {
	f := r.frame(i)
	r.setNonce(number, last)
	s.aead.Seal(f[:0], r.nonce[:], f[:len(f)-tagSize], bound)
}

// open opens frame i in place and reports whether it is authentic.
func (r *run) open(s *sealer, i int, number int64, last bool, bound []byte) bool {
	f := r.frame(i)
	r.setNonce(number, last)
	_, err := s.aead.Open(f[:0], r.nonce[:], f, bound)
	return err == nil
}

func (r *run) setNonce(number int64, last bool) {
	binary.BigEndian.PutUint64(r.nonce[3:], uint64(number))
	r.nonce[11] = 0
	if last {
		r.nonce[11] = 1
	}
}

// takeRun returns an empty run for frames of stride bytes of content.
func (f *FS) takeRun(stride int) *run {
	r := f.runs.Get().(*run)
	r.stride = stride
	return r
}

// returnRun wipes what the run may still hold in the clear.
func (f *FS) returnRun(r *run) {
	if r == nil {
		return
	}
	clear(r.sealed())
	r.start, r.n = 0, 0
	f.runs.Put(r)
}
