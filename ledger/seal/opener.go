package seal

import (
	"fmt"
	"slices"
	"sync"
)

// WrapSource is where the wraps of epochs are kept: the key directory.
type WrapSource interface {
	// Wrap returns the wrap that NewEpoch made for this epoch. Its error comes
	// back from Opener.Open, wrapped.
	Wrap(class Class, epoch uint64) ([]byte, error)
}

// maxPositions is how many epochs an Opener remembers: those that a reader in
// order has open at once (one per class), and a few for going back.
const maxPositions = 8

// Opener opens segments of one store. Read in order, a segment costs two steps
// of the ratchet and one key schedule; going back within an epoch walks its
// ratchet from the root again (at most 1,024 steps, half a millisecond), and an
// epoch that is not remembered costs one HPKE operation. It is safe for
// concurrent use.
type Opener struct {
	store   StoreID
	wraps   WrapSource
	private *Secret // belongs to the keys the Opener is made of
	public  []byte
	classes []Class

	mu        sync.Mutex
	positions []*position // the last used first
	destroyed bool
	nonce     [12]byte
	bound     [len(labelSegment) + 24 + maxHeader]byte
}

// position is how far an epoch's ratchet has been turned.
type position struct {
	class    Class
	epoch    uint64
	wrapHash [hashSize]byte
	root     *Secret
	chain    *Secret
	next     uint32 // the index that chain belongs to
}

func newOpener(store StoreID, wraps WrapSource, private *Secret, public []byte, classes ...Class) *Opener {
	return &Opener{store: store, wraps: wraps, private: private, public: public, classes: classes}
}

// Open appends the plaintext of a segment at sequence seq to dst, which must
// not overlap the payload. It proves that whoever wrote the segment had the
// epoch's key; only [Segment.Verify] proves that a daemon did. A segment of
// class open is returned as it is.
//
// The errors are ErrTampered (altered, misplaced, or the wrap is another than
// the segment's), ErrNotRecipient, ErrDestroyed, and that of the WrapSource.
func (o *Opener) Open(seg Segment, seq uint64, dst []byte) ([]byte, error) {
	dst, err := o.open(seg, seq, dst)
	if err != nil {
		return nil, fmt.Errorf("open segment %d of %v (%v epoch %d, index %d): %w", seq, o.store, seg.Class, seg.Epoch, seg.Index, err)
	}
	return dst, nil
}

func (o *Opener) open(seg Segment, seq uint64, dst []byte) ([]byte, error) {
	if seg.Class == Open {
		return append(dst, seg.Body...), nil
	}
	if !slices.Contains(o.classes, seg.Class) {
		return nil, ErrNotRecipient
	}
	if len(seg.Body) < tagSize || seg.Index >= EpochSegments {
		return nil, ErrTampered
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := o.position(seg)
	if err != nil {
		return nil, err
	}
	dst = slices.Grow(dst, len(seg.Body)-tagSize)
	bound := appendBound(o.bound[:0], o.store, seq, seg.header)
	putSequenceNonce(&o.nonce, seq)
	Do(func() {
		var key [keySize]byte
		p.take(key[:], seg.Index, o.store)
		g := newGCM(key[:])
		clear(key[:])
		dst, err = g.aead.Open(dst, o.nonce[:], seg.Body, bound)
		g.wipe()
	})
	if err != nil {
		return nil, ErrTampered
	}
	return dst, nil
}

// position returns the ratchet of the segment's epoch, from memory or from its
// wrap.
func (o *Opener) position(seg Segment) (*position, error) {
	if o.destroyed {
		return nil, ErrDestroyed
	}
	for i, p := range o.positions {
		if p.class == seg.Class && p.epoch == seg.Epoch && p.wrapHash == seg.WrapHash {
			if i > 0 {
				copy(o.positions[1:i+1], o.positions[:i])
				o.positions[0] = p
			}
			return p, nil
		}
	}
	wrap, err := o.wraps.Wrap(seg.Class, seg.Epoch)
	if err != nil {
		return nil, err
	}
	if WrapOrigin(wrap) != seg.WrapHash {
		return nil, fmt.Errorf("its key file is another than when it was written: %w", ErrTampered)
	}
	root, err := openWrap(wrap, o.store, seg.Class, seg.Epoch, o.private, o.public)
	if err != nil {
		return nil, err
	}
	p := &position{class: seg.Class, epoch: seg.Epoch, wrapHash: seg.WrapHash, root: root, chain: NewSecret(keySize)}
	Do(func() { p.restart(o.store) })
	if len(o.positions) == maxPositions {
		o.positions[maxPositions-1].destroy()
		o.positions = o.positions[:maxPositions-1]
	}
	o.positions = slices.Insert(o.positions, 0, p)
	return p, nil
}

// take writes the key of segment index to key and leaves the ratchet after it.
// It must be called inside Do.
func (p *position) take(key []byte, index uint32, store StoreID) {
	if index < p.next {
		p.restart(store)
	}
	chain := p.chain.Bytes()
	for ; p.next < index; p.next++ {
		step(chain)
	}
	segmentKey(key, chain)
	step(chain)
	p.next++
}

func (p *position) restart(store StoreID) {
	startChain(p.chain.Bytes(), p.root.Bytes(), store, p.class, p.epoch)
	p.next = 0
}

func (p *position) destroy() {
	p.root.Destroy()
	p.chain.Destroy()
}

// Destroy wipes the epoch keys that the Opener remembers. Calling it again does
// nothing.
func (o *Opener) Destroy() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.positions {
		p.destroy()
	}
	o.positions, o.destroyed = nil, true
}
