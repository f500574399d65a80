package seal

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// EpochSegments is how many segments one epoch can seal.
const EpochSegments = 1024

// ErrEpochFull means that an epoch has sealed its 1,024 segments.
var ErrEpochFull = errors.New("epoch is full")

// The hash ratchet. From an epoch's root comes a first chain key, and from
// each chain key the key of one segment and the next chain key:
//
//	root ─▶ chain 0 ─▶ chain 1 ─▶ chain 2 ─▶ …
//	           ▼          ▼          ▼
//	         key 0      key 1      key 2
//
// An arrow is HKDF-Expand and cannot be walked backwards: whoever holds chain i
// and has forgotten everything before can seal segment i and open none.

// startChain writes chain key 0 to chain.
func startChain(chain, root []byte, store StoreID, class Class, number uint64) {
	var info [maxInfo]byte
	b := append(info[:0], labelChain...)
	b = append(b, store[:]...)
	b = append(b, byte(class))
	b = binary.BigEndian.AppendUint64(b, number)
	expand(chain, root, b)
}

// segmentKey writes the key of the chain key's segment to key.
func segmentKey(key, chain []byte) { expand(key, chain, []byte(labelSegmentKey)) }

// step replaces a chain key by the next.
func step(chain []byte) { expand(chain, chain, []byte(labelStep)) }

// Epoch is the writing end of an epoch: it can seal, and cannot open what it
// sealed. It is safe for concurrent use, though the order of segments is then
// anybody's.
type Epoch struct {
	store    StoreID
	class    Class
	number   uint64
	wrapHash [hashSize]byte

	mu    sync.Mutex
	chain *Secret // of the next segment
	index uint32  // of the next segment
	// Room for what the AEAD is given and is no secret; passing a local
	// through an interface would put it on the heap each time.
	nonce [12]byte
	bound [len(labelSegment) + 24 + maxHeader]byte
}

// NewEpoch begins an epoch of class health or management with a random root,
// wrapped to the MLKEM768X25519 public key of each recipient. wrap is a
// serialized pb.EpochWrap; it must be durable before a segment of the epoch is
// published, and its SHA-256 stands in each of them.
func NewEpoch(store StoreID, class Class, number uint64, recipients [][]byte) (epoch *Epoch, wrap []byte, err error) {
	root := newKey()
	defer root.Destroy()
	epoch, wrap, err = newEpoch(store, class, number, root, recipients)
	if err != nil {
		return nil, nil, fmt.Errorf("begin %v epoch %d of %v: %w", class, number, store, err)
	}
	return epoch, wrap, nil
}

func newEpoch(store StoreID, class Class, number uint64, root *Secret, recipients [][]byte) (*Epoch, []byte, error) {
	if !class.sealed() {
		return nil, nil, errors.New("segments of this class are not sealed")
	}
	wrap, err := newWrap(store, class, number, root, recipients)
	if err != nil {
		return nil, nil, err
	}
	e := &Epoch{store: store, class: class, number: number, wrapHash: sha256.Sum256(wrap), chain: NewSecret(keySize)}
	Do(func() { startChain(e.chain.Bytes(), root.Bytes(), store, class, number) })
	return e, wrap, nil
}

// Number returns the epoch's number.
func (e *Epoch) Number() uint64 { return e.number }

// Class returns the class of its segments.
func (e *Epoch) Class() Class { return e.class }

// Index returns the index of the next segment, which is also how many have been
// sealed.
func (e *Epoch) Index() uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.index
}

// Full reports whether the epoch has no segment left.
func (e *Epoch) Full() bool { return e.Index() >= EpochSegments }

// Seal appends to dst the segment that holds plaintext at sequence seq of the
// log, signed by the daemon. dst and plaintext must not overlap. Each call uses
// up an index: after a publish that certainly failed, seal the same plaintext
// again, for whatever sequence is next then; readers do not mind the gap.
//
// When Seal returns, the segment's key is wiped, and so is all that it could be
// made of again. The errors are ErrEpochFull and ErrDestroyed.
func (e *Epoch) Seal(seq uint64, device *DeviceKey, dst, plaintext []byte) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.index >= EpochSegments {
		return nil, ErrEpochFull
	}
	chain, err := e.chain.hold()
	if err != nil {
		return nil, err
	}
	defer e.chain.release()
	if device.signing == nil {
		return nil, ErrDestroyed
	}

	begin := len(dst)
	dst = slices.Grow(dst, len(plaintext)+Overhead)
	dst = appendHeader(dst, e.class, e.number, e.index, &e.wrapHash)
	bound := appendBound(e.bound[:0], e.store, seq, dst[begin:])
	putSequenceNonce(&e.nonce, seq)
	Do(func() {
		var key [keySize]byte
		segmentKey(key[:], chain)
		step(chain)
		g := newGCM(key[:])
		clear(key[:])
		dst = g.aead.Seal(dst, e.nonce[:], plaintext, bound)
		g.wipe()
		dst = appendSignature(dst, begin, e.store, seq, device)
	})
	e.index++
	return dst, nil
}

// SealOpen appends to dst a segment of class open: plaintext as it is, signed.
// The error is ErrDestroyed.
func SealOpen(store StoreID, seq uint64, device *DeviceKey, dst, plaintext []byte) ([]byte, error) {
	if device.signing == nil {
		return nil, ErrDestroyed
	}
	begin := len(dst)
	dst = slices.Grow(dst, len(plaintext)+Overhead)
	dst = append(dst, versionAndClass(Open))
	dst = append(dst, plaintext...)
	Do(func() { dst = appendSignature(dst, begin, store, seq, device) })
	return dst, nil
}

// appendSignature signs dst[begin:], which has room for the signature.
func appendSignature(dst []byte, begin int, store StoreID, seq uint64, device *DeviceKey) []byte {
	var message [signedSize]byte
	return append(dst, ed25519.Sign(device.signing, appendSigned(message[:0], store, seq, dst[begin:]))...)
}

// Destroy wipes the chain key: the epoch can seal no more. Calling it again
// does nothing.
func (e *Epoch) Destroy() { e.chain.Destroy() }
