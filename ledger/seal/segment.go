package seal

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A segment is
//
//	version and class ‖ epoch ‖ index ‖ wrap hash ‖ ciphertext and tag ‖ signature
//
// with the numbers as varints; see FORMAT.md. Store and sequence are bound, and
// not transmitted: the log already says them.
const (
	segmentVersion = 1
	maxHeader      = 1 + binary.MaxVarintLen64 + 2 + hashSize
	signedSize     = len(labelSegment) + 16 + 8 + hashSize

	// Overhead is the most bytes that a segment has more than its plaintext.
	// With the small numbers of a real log it is 117.
	Overhead = maxHeader + tagSize + signatureSize
)

// Segment is a parsed segment: what can be said of it without a key. Its slices
// point into the payload it was parsed from. Nothing in it is true before
// [Segment.Verify] has said so.
type Segment struct {
	Class Class
	// Epoch, Index and WrapHash say which key opens the segment. They are zero
	// for class open.
	Epoch    uint64
	Index    uint32
	WrapHash [32]byte
	// Body is ciphertext and tag; for class open it is the plaintext.
	Body []byte

	header    []byte
	signed    []byte // header and body
	signature []byte
}

// ParseSegment takes a log message apart. The error is ErrTampered.
func ParseSegment(payload []byte) (Segment, error) {
	malformed := func(what string) (Segment, error) {
		return Segment{}, fmt.Errorf("segment with %s: %w", what, ErrTampered)
	}
	if len(payload) < 1+signatureSize {
		return malformed("too few bytes")
	}
	if payload[0]>>4 != segmentVersion {
		return malformed("an unknown version")
	}
	s := Segment{Class: Class(payload[0] & 0xf)}
	if !s.Class.valid() {
		return malformed("an unknown class")
	}
	end := len(payload) - signatureSize
	s.signed, s.signature = payload[:end:end], payload[end:]
	rest := s.signed[1:]
	if s.Class.sealed() {
		var index uint64
		var ok bool
		if s.Epoch, rest, ok = cutVarint(rest); !ok {
			return malformed("a malformed epoch")
		}
		if index, rest, ok = cutVarint(rest); !ok || index >= EpochSegments {
			return malformed("a malformed index")
		}
		s.Index = uint32(index)
		if len(rest) < hashSize+tagSize {
			return malformed("too few bytes")
		}
		rest = rest[copy(s.WrapHash[:], rest):]
	}
	s.header, s.Body = s.signed[:end-len(rest)], rest
	return s, nil
}

// Verify reports whether signer, an enrolled device key, wrote this segment for
// this place of this store's log. The error is ErrTampered.
func (s Segment) Verify(store StoreID, seq uint64, signer ed25519.PublicKey) error {
	message := appendSigned(make([]byte, 0, signedSize), store, seq, s.signed)
	if len(signer) != ed25519.PublicKeySize || !ed25519.Verify(signer, message, s.signature) {
		return fmt.Errorf("signature of segment %d of %v: %w", seq, store, ErrTampered)
	}
	return nil
}

func versionAndClass(class Class) byte { return segmentVersion<<4 | byte(class) }

func appendHeader(dst []byte, class Class, epoch uint64, index uint32, wrapHash *[hashSize]byte) []byte {
	dst = append(dst, versionAndClass(class))
	dst = binary.AppendUvarint(dst, epoch)
	dst = binary.AppendUvarint(dst, uint64(index))
	return append(dst, wrapHash[:]...)
}

// appendBound appends the associated data of a segment's ciphertext.
func appendBound(dst []byte, store StoreID, seq uint64, header []byte) []byte {
	dst = append(dst, labelSegment...)
	dst = append(dst, store[:]...)
	dst = binary.BigEndian.AppendUint64(dst, seq)
	return append(dst, header...)
}

// appendSigned appends the message that a device signs for a segment. Ed25519
// reads its message twice, with a slower hash; of a large segment it gets the
// SHA-256.
func appendSigned(dst []byte, store StoreID, seq uint64, signed []byte) []byte {
	hash := sha256.Sum256(signed)
	return appendBound(dst, store, seq, hash[:])
}

// cutVarint takes a varint off b; ok is false unless it is in its shortest form.
func cutVarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// putSequenceNonce writes the GCM nonce of a segment. Its key is used once;
// should a restored snapshot of a machine use it again, then at another place
// of the log at least not with the same nonce.
func putSequenceNonce(nonce *[12]byte, seq uint64) {
	binary.BigEndian.PutUint64(nonce[4:], seq)
}
