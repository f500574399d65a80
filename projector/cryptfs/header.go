package cryptfs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
)

// The header of every sealed file; see FORMAT.md.
const (
	magic      = "HLFS"
	version    = 1
	fileIDSize = 16
	headerSize = 8 + fileIDSize

	// keyInfo keeps file keys apart from whatever else is derived from a view
	// key, and from the keys of other format versions.
	keyInfo = "healthledger cryptfs v1 file key"
)

type header [headerSize]byte

func newHeader(k kind, random io.Reader) (header, error) {
	var h header
	copy(h[:], magic)
	h[4], h[5] = version, byte(k)
	_, err := io.ReadFull(random, h[8:])
	return h, err
}

// check reports why the header is not one of a file of kind k, or "".
func (h *header) check(k kind) string {
	switch {
	case string(h[:4]) != magic:
		return "header without magic"
	case h[4] != version:
		return fmt.Sprintf("format version %d is unknown", h[4])
	case kind(h[5]) != k:
		return "header of another kind of file"
	case h[6] != 0 || h[7] != 0:
		return "reserved bytes of the header are in use"
	}
	return ""
}

// sealer seals and opens the frames of one file.
type sealer struct {
	aead   cipher.AEAD
	header header
	// bound is the associated data of every frame: header and name. Growing
	// files append their frame's own header to it.
	bound []byte
}

// newSealer makes the sealer of a new file.
func (f *FS) newSealer(path string, id identity) (*sealer, error) {
	h, err := newHeader(id.kind, f.random)
	if err != nil {
		return nil, fmt.Errorf("cryptfs: create %s: %w", path, err)
	}
	return f.sealerOf(h, path, id)
}

// sealerOf makes the sealer of the file that h heads. That the file is id's
// shows when a frame opens.
func (f *FS) sealerOf(h header, path string, id identity) (*sealer, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.key == nil {
		return nil, fmt.Errorf("cryptfs: open %s: %w", path, ErrKeyWiped)
	}
	var aead cipher.AEAD
	var err error
	// The key schedule is allocated in here.
	f.erase(func() { aead, err = newAEAD(f.key, h[8:]) })
	if err != nil {
		return nil, fmt.Errorf("cryptfs: key of %s: %w", path, err)
	}
	bound := append(make([]byte, 0, headerSize+len(id.name)+recordHeaderSize), h[:]...)
	return &sealer{aead: aead, header: h, bound: append(bound, id.name...)}, nil
}

// proof is the tag that ends the header of a growing file. Without it a file
// of another name or key could not be told from one that was torn at its first
// frame. (Of a file written once, the last frame proves as much.)
func (s *sealer) proof() []byte {
	return s.aead.Seal(nil, proofNonce[:], nil, s.bound)
}

// proves reports whether tag is the proof.
func (s *sealer) proves(tag []byte) bool {
	_, err := s.aead.Open(nil, proofNonce[:], tag, s.bound)
	return err == nil
}

// proofNonce differs from those of frames, whose last byte is 0 or 1.
var proofNonce = [nonceSize]byte{nonceSize - 1: 2}

func newAEAD(viewKey, fileID []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, viewKey, fileID, keyInfo, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
