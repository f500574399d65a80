package cryptfs

import "encoding/binary"

const (
	// provenHeaderSize is the header of a growing file with its proof.
	provenHeaderSize = headerSize + tagSize
	// recordHeaderSize is what stands before each frame of a growing file.
	recordHeaderSize = 12
)

// recordHeader says how long a frame of a growing file is, which it is, and
// how many frames were durable when it was written.
type recordHeader struct {
	length, number, durable uint32
}

func parseRecordHeader(b []byte) recordHeader {
	return recordHeader{
		length:  binary.BigEndian.Uint32(b),
		number:  binary.BigEndian.Uint32(b[4:]),
		durable: binary.BigEndian.Uint32(b[8:]),
	}
}

// end reports whether the frame marks the end of a file that was closed. No
// other frame is empty.
func (h recordHeader) end() bool { return h.length == 0 }

// size is that of the frame on disk with its header.
func (h recordHeader) size() int64 { return recordHeaderSize + int64(h.length) + tagSize }

// recordHeader is the room right before the run's frame.
func (r *run) recordHeader() []byte { return r.data[headerSize-recordHeaderSize : headerSize] }

func (r *run) putRecordHeader(h recordHeader) {
	b := r.recordHeader()
	binary.BigEndian.PutUint32(b, h.length)
	binary.BigEndian.PutUint32(b[4:], h.number)
	binary.BigEndian.PutUint32(b[8:], h.durable)
}

// record is the run's one frame with its header, as it stands on disk.
func (r *run) record() []byte { return r.data[headerSize-recordHeaderSize : headerSize+r.n+tagSize] }
