package projector

import (
	"bytes"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// foreknown are decisions that must be known before they come in the log: which epochs of
// class health were erased, and what stands for their segments. Who tells of one is believed
// until it comes; what is made of the log in between is shown to nobody unless it does come,
// as it was told.
type foreknown struct {
	mu sync.Mutex
	// told are the bytes of those that are still to come, by number.
	told map[uint64][]byte
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

func newForeknown(decisions []*pb.SignedDecision) (*foreknown, error) {
	k := &foreknown{told: map[uint64][]byte{}, erased: map[uint64]erasedBy{}, lasts: map[uint64]uint64{}}
	for _, d := range decisions {
		if err := k.tell(d); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// tell makes a decision known. The error is seal.ErrTampered.
func (k *foreknown) tell(d *pb.SignedDecision) error {
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return fmt.Errorf("%w: malformed decision", seal.ErrTampered)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told[decision.GetNumber()] = d.GetDecision()
	k.erase(decision)
	return nil
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
	if told, ok := k.told[d.GetNumber()]; ok && !bytes.Equal(told, signed.GetDecision()) {
		return fmt.Errorf("%w: decision %d is another than the daemon knows", seal.ErrTampered, d.GetNumber())
	}
	k.erase(d)
	return nil
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
	next := &foreknown{told: map[uint64][]byte{}, erased: map[uint64]erasedBy{}}
	for epoch, e := range k.erased {
		next.erased[epoch] = e
	}
	for _, e := range epochs {
		next.erased[e.GetEpoch()] = erasedBy{ErasedEpoch: e}
	}
	return next
}
