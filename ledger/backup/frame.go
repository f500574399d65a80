package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"healthledger/ledger/seal"
)

// Magics of both files; the last byte is the version.
const (
	logMagic  = "HLBL\x02"
	keysMagic = "HLBK\x01"

	// before segments could be lost
	logMagic1 = "HLBL\x01"

	headerSize  = len(logMagic) + 16 + crcSize
	frameHeader = 1 + 8 + 4
	crcSize     = 4
)

// maxFrame is the most that a frame holds: the largest segment, or key file.
const maxFrame = 1 << 20

// kind says what a frame holds.
type kind byte

const (
	kindSegment    kind = 1
	kindCheckpoint kind = 2
	kindKey        kind = 3
	kindGone       kind = 4
	kindDecision   kind = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is what errors.Is finds in every DamageError.
var ErrDamaged = errors.New("not what was written")

// DamageError says where a file is not what was written, and what is wrong there.
type DamageError struct {
	// Offset of the frame, in bytes.
	Offset int64
	Why    string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%v from byte %d on: %s", ErrDamaged, e.Offset, e.Why)
}

// Is reports whether target is ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// errTorn ends a file within a frame, as a crash leaves it.
var errTorn = errors.New("the file ends within it")

type frame struct {
	kind     kind
	sequence uint64
	payload  []byte
}

func appendHeader(b []byte, magic string, store seal.StoreID) []byte {
	b = append(append(b, magic...), store[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendFrame(b []byte, f frame) []byte {
	start := len(b)
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint64(b, f.sequence)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload)))
	b = append(b, f.payload...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// frames reads a file frame by frame.
type frames struct {
	store  seal.StoreID
	magic  string
	r      *bufio.Reader
	offset int64 // of the next frame
}

// readFrames reads the header, which begins with one of some magics. The error is a *DamageError, or errTorn.
func readFrames(r io.Reader, magics ...string) (*frames, error) {
	f := &frames{r: bufio.NewReaderSize(r, 64<<10)}
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(f.r, header); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errTorn
	} else if err != nil {
		return nil, err
	}
	body := header[:headerSize-crcSize]
	f.magic = string(header[:len(logMagic)])
	switch {
	case !slices.Contains(magics, f.magic):
		return nil, &DamageError{0, "it does not begin like a backup of this kind and version"}
	case binary.BigEndian.Uint32(header[headerSize-crcSize:]) != crc32.Checksum(body, castagnoli):
		return nil, &DamageError{0, "the checksum of the header is wrong"}
	}
	copy(f.store[:], body[len(f.magic):])
	f.offset = int64(headerSize)
	return f, nil
}

// next returns the next frame; its payload is its own. Errors: io.EOF at the end of the last
// one, errTorn, *DamageError.
func (f *frames) next() (frame, error) {
	header := make([]byte, frameHeader)
	if _, err := io.ReadFull(f.r, header); errors.Is(err, io.ErrUnexpectedEOF) {
		return frame{}, errTorn
	} else if err != nil {
		return frame{}, err
	}
	out := frame{kind: kind(header[0]), sequence: binary.BigEndian.Uint64(header[1:])}
	length := binary.BigEndian.Uint32(header[9:])
	if out.kind < kindSegment || out.kind > kindDecision || length > maxFrame {
		return frame{}, f.damage("it is no frame", header)
	}
	rest := make([]byte, length+crcSize)
	if _, err := io.ReadFull(f.r, rest); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return frame{}, errTorn
	} else if err != nil {
		return frame{}, err
	}
	out.payload = rest[:length:length]
	sum := crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, out.payload)
	if binary.BigEndian.Uint32(rest[length:]) != sum {
		return frame{}, f.damage("the checksum of the frame is wrong", rest[len(rest)-1:])
	}
	f.offset += int64(frameHeader) + int64(len(rest))
	return out, nil
}

// damage is a *DamageError, or errTorn where from the tail of what was read on nothing but zeros
// is left: blocks that a crash kept from being written.
func (f *frames) damage(why string, tail []byte) error {
	if !zero(tail) {
		return &DamageError{f.offset, why}
	}
	for buffer := make([]byte, 64<<10); ; {
		n, err := f.r.Read(buffer)
		switch {
		case !zero(buffer[:n]):
			return &DamageError{f.offset, why}
		case errors.Is(err, io.EOF):
			return errTorn
		case err != nil:
			return err
		}
	}
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
