package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrResealOrder means that a segment was to be sealed again before one that comes after it.
var ErrResealOrder = errors.New("segments are sealed again in the order of the log")

// Reseal seals what an erasure leaves of the segments of one epoch of class health: each
// under a key of its own, that comes from a random root and the sequence of the segment. It
// is not safe for concurrent use.
type Reseal struct {
	store  StoreID
	number uint64
	epoch  uint64
	root   *Secret
	last   uint64
}

// NewReseal begins with a random root, wrapped to each recipient. number names the wrap among
// those of class [Resealed]; wrap must be durable before anything that Seal returns is.
func NewReseal(store StoreID, number, epoch uint64, recipients [][]byte) (reseal *Reseal, wrap []byte, err error) {
	root := newKey()
	if wrap, err = newWrap(store, Resealed, number, root, recipients); err != nil {
		root.Destroy()
		return nil, nil, fmt.Errorf("reseal epoch %d of %v: %w", epoch, store, err)
	}
	return &Reseal{store: store, number: number, epoch: epoch, root: root}, wrap, nil
}

// Seal seals what is left of the segment at sequence seq, which must be after that of the
// call before: no key is used twice. The errors are ErrResealOrder and ErrDestroyed.
func (r *Reseal) Seal(seq uint64, plaintext []byte) ([]byte, error) {
	if seq <= r.last {
		return nil, ErrResealOrder
	}
	root, err := r.root.hold()
	if err != nil {
		return nil, err
	}
	defer r.root.release()
	r.last = seq
	sealed := make([]byte, 0, len(plaintext)+tagSize)
	nonce, bound := new([12]byte), appendResealed(nil, r.store, r.number, r.epoch, seq)
	putSequenceNonce(nonce, seq)
	Do(func() {
		g := newResealed(root, seq)
		sealed = g.aead.Seal(sealed, nonce[:], plaintext, bound)
		g.wipe()
	})
	return sealed, nil
}

// Destroy wipes the root: nothing can be sealed any more. Calling it again does nothing.
func (r *Reseal) Destroy() { r.root.Destroy() }

// OpenResealed opens what [Reseal.Seal] made of the segment at sequence seq of an epoch of
// class health. wrapHash is the SHA-256 of the wrap that NewReseal made. The errors are those
// of Open.
func (o *Opener) OpenResealed(number uint64, wrapHash [32]byte, epoch, seq uint64, sealed []byte) ([]byte, error) {
	plaintext, err := o.openResealed(number, wrapHash, epoch, seq, sealed)
	if err != nil {
		return nil, fmt.Errorf("open what is left of segment %d of %v (epoch %d): %w", seq, o.store, epoch, err)
	}
	return plaintext, nil
}

func (o *Opener) openResealed(number uint64, wrapHash [32]byte, epoch, seq uint64, sealed []byte) ([]byte, error) {
	if !slices.Contains(o.classes, Health) {
		return nil, ErrNotRecipient
	}
	if len(sealed) < tagSize {
		return nil, ErrTampered
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := o.position(Segment{Class: Resealed, Epoch: number, WrapHash: wrapHash})
	if err != nil {
		return nil, err
	}
	plaintext := make([]byte, 0, len(sealed)-tagSize)
	bound := appendResealed(nil, o.store, number, epoch, seq)
	putSequenceNonce(&o.nonce, seq)
	Do(func() {
		g := newResealed(p.root.Bytes(), seq)
		plaintext, err = g.aead.Open(plaintext, o.nonce[:], sealed, bound)
		g.wipe()
	})
	if err != nil {
		return nil, ErrTampered
	}
	return plaintext, nil
}

// newResealed is the cipher of one segment that is sealed again. It must be called inside Do,
// and wipe after use.
func newResealed(root []byte, seq uint64) gcm {
	var info [maxInfo]byte
	var key [keySize]byte
	expand(key[:], root, binary.BigEndian.AppendUint64(append(info[:0], labelResealedKey...), seq))
	g := newGCM(key[:])
	clear(key[:])
	return g
}

// appendResealed appends the associated data of what is sealed again.
func appendResealed(dst []byte, store StoreID, number, epoch, seq uint64) []byte {
	dst = append(dst, labelResealed...)
	dst = append(dst, store[:]...)
	dst = binary.BigEndian.AppendUint64(dst, number)
	dst = append(dst, byte(Health))
	dst = binary.BigEndian.AppendUint64(dst, epoch)
	return binary.BigEndian.AppendUint64(dst, seq)
}
