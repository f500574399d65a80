package projector

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// foreknown are decisions that must be known before they come in the log: which epochs of
// class health were erased, and what stands for their segments; what the log has lost, and the
// decisions that were lost with it. What is told carries the owner's signature, and what is made
// of the log in between is shown to nobody unless it does come, as it was told.
type foreknown struct {
	// losses are what the owner has accepted to have lost.
	losses *log.Losses

	mu sync.Mutex
	// told are those that are still to come, by number.
	told map[uint64]*pb.SignedDecision
	// accepted are the decisions that accept losses, by number, and gone the numbers of those that
	// are lost.
	accepted map[uint64][]byte
	gone     map[uint64]bool
	// of each epoch that was erased, by the last decision.
	erased map[uint64]erasedBy
	// lasts are the last segments of what erasures have left, by the number of the erasure.
	lasts map[uint64]uint64
	// sought: somebody has looked for those that nobody told of.
	sought bool
}

type erasedBy struct {
	decision uint64
	*pb.ErasedEpoch
}

// newForeknown takes what is told of a store whose owner began with a key. The error is
// seal.ErrTampered.
func newForeknown(store seal.StoreID, first []byte, decisions []*pb.SignedDecision) (*foreknown, error) {
	k := &foreknown{
		losses: &log.Losses{}, told: map[uint64]*pb.SignedDecision{}, accepted: map[uint64][]byte{}, gone: map[uint64]bool{},
		erased: map[uint64]erasedBy{}, lasts: map[uint64]uint64{},
	}
	numbered := map[uint64]*pb.SignedDecision{}
	for _, d := range decisions {
		decision := &pb.Decision{}
		if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
			return nil, fmt.Errorf("%w: malformed decision", seal.ErrTampered)
		}
		numbered[decision.GetNumber()] = d
	}
	// Of those that give the store other keys none is left out.
	by := verifier{first, store}
	for _, number := range slices.Sorted(maps.Keys(numbered)) {
		var err error
		if by, err = k.tell(by, numbered[number]); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// tell makes known a decision that the owner has signed with a key, and returns who signs those
// after it. The error is seal.ErrTampered.
func (k *foreknown) tell(by verifier, d *pb.SignedDecision) (verifier, error) {
	if err := by.VerifyDecision(d.GetDecision(), d.GetSignature()); err != nil {
		return by, fmt.Errorf("%w: a decision that its owner has not signed: %w", seal.ErrTampered, err)
	}
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return by, fmt.Errorf("%w: malformed decision", seal.ErrTampered)
	}
	if r := decision.GetStoreRekeyed(); r != nil {
		if _, err := by.Rekeyed(decision.GetPrevious(), r); err != nil {
			return by, fmt.Errorf("%w: %w", seal.ErrTampered, err)
		}
		by.owner = r.GetOwnerKey()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told[decision.GetNumber()] = d
	return by, k.take(decision, d.GetDecision())
}

// take takes what a decision says. It needs mu.
func (k *foreknown) take(decision *pb.Decision, signed []byte) error {
	k.erase(decision)
	loss := decision.GetLossAccepted()
	if loss == nil || k.accepted[decision.GetNumber()] != nil {
		return nil
	}
	k.accepted[decision.GetNumber()] = signed
	for _, number := range loss.GetDecisions() {
		k.gone[number] = true
	}
	return k.losses.Accept(loss)
}

// unheard returns the hashes of the details that bring back lost decisions of which nobody has
// told.
func (k *foreknown) unheard() map[[sha256.Size]byte]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	hashes := map[[sha256.Size]byte]bool{}
	for _, signed := range k.accepted {
		decision := &pb.Decision{}
		if proto.Unmarshal(signed, decision) != nil || len(decision.GetDetailHash()) != sha256.Size {
			continue
		}
		for _, number := range decision.GetLossAccepted().GetDecisions() {
			if k.told[number] == nil {
				hashes[[sha256.Size]byte(decision.GetDetailHash())] = true
			}
		}
	}
	return hashes
}

// remember makes known a decision that the owner has brought back. Its own signature is verified
// where it is followed. The error is seal.ErrTampered.
func (k *foreknown) remember(d *pb.SignedDecision) error {
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return fmt.Errorf("%w: malformed decision", seal.ErrTampered)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.told[decision.GetNumber()] == nil {
		k.told[decision.GetNumber()] = d
	}
	return k.take(decision, d.GetDecision())
}

// lost returns the decision with a number, nil: it is not lost, or nobody has told of it.
func (k *foreknown) lost(number uint64) *pb.SignedDecision {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.gone[number] {
		return nil
	}
	return k.told[number]
}

// accepts is a digest of all losses that are accepted, "": there are none. What is made of the
// log depends on them.
func (k *foreknown) accepts() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.accepted) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, number := range slices.Sorted(maps.Keys(k.accepted)) {
		one := sha256.Sum256(k.accepted[number])
		sum.Write(one[:])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// seek says whether to look for decisions that nobody told of, which is done once.
func (k *foreknown) seek() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	sought := k.sought
	k.sought = true
	return !sought
}

// erase needs mu.
func (k *foreknown) erase(d *pb.Decision) {
	for _, e := range d.GetEpochsErased().GetEpochs() {
		if k.erased[e.GetEpoch()].decision < d.GetNumber() {
			k.erased[e.GetEpoch()] = erasedBy{d.GetNumber(), e}
		}
		number := d.GetEpochsErased().GetErasure()
		k.lasts[number] = max(k.lasts[number], e.GetLast())
	}
}

// each calls fn with the number of every erasure and the last segment of what it has left.
func (k *foreknown) each(fn func(number, last uint64)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for number, last := range k.lasts {
		fn(number, last)
	}
}

// erasures returns how many erasures are known.
func (k *foreknown) erasures() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.lasts)
}

// meet takes note of a decision of the log. The error is seal.ErrTampered.
func (k *foreknown) meet(signed *pb.SignedDecision, d *pb.Decision) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if told, ok := k.told[d.GetNumber()]; ok && !bytes.Equal(told.GetDecision(), signed.GetDecision()) {
		return fmt.Errorf("%w: decision %d is another than the daemon knows", seal.ErrTampered, d.GetNumber())
	}
	return k.take(d, signed.GetDecision())
}

// check tells whether all that was told has come, of a log whose last decision has this
// number. The error is seal.ErrTampered.
func (k *foreknown) check(last uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for number := range k.told {
		if number > last {
			return fmt.Errorf("%w: the daemon knows decision %d, the log does not have it", seal.ErrTampered, number)
		}
	}
	return nil
}

// erasure returns what stands for an epoch of class health, nil: it was not erased.
func (k *foreknown) erasure(epoch uint64) *pb.ErasedEpoch {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.erased[epoch].ErasedEpoch
}

// with returns what is known once an erasure is decided that stands in no log yet.
func (k *foreknown) with(epochs []*pb.ErasedEpoch) *foreknown {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := &foreknown{losses: k.losses, erased: map[uint64]erasedBy{}}
	for epoch, e := range k.erased {
		next.erased[epoch] = e
	}
	for _, e := range epochs {
		next.erased[e.GetEpoch()] = erasedBy{ErasedEpoch: e}
	}
	return next
}
