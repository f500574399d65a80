package authz

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// Erasure is one of the owner's: the keys of the epochs it names are destroyed.
type Erasure struct {
	// Decision is the number of the decision, and Time when it was made, in microseconds
	// since the Unix epoch.
	Decision uint64
	Time     int64
	Epochs   []*pb.ErasedEpoch
	// Signed is the decision.
	Signed *pb.SignedDecision
	// Order says what was erased; nil in a state without details.
	Order *pb.ErasureOrdered
}

// Erasures returns all erasures in order, the first is number 1. They must not be changed.
func (s *State) Erasures() []*Erasure {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.erasures[:len(s.erasures):len(s.erasures)]
}

// Erased returns what stands for the segments of an epoch of class health that was erased.
func (s *State) Erased(epoch uint64) (*pb.ErasedEpoch, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.erased[epoch]
	return e, ok
}

// checkErasure checks a decision that erases, or the detail of one. It needs mu.
func (s *State) checkErasure(d *pb.Decision, detail *pb.DecisionDetail) error {
	erased := d.GetEpochsErased()
	if erased == nil {
		if detail.GetErasureOrdered() != nil {
			return fmt.Errorf("%w: decision %d orders an erasure and erases nothing", ErrForged, d.GetNumber())
		}
		return nil
	}
	if len(d.GetDetailHash()) == 0 || detail.GetNumber() != 0 && detail.GetErasureOrdered() == nil {
		return fmt.Errorf("%w: decision %d erases without an order", ErrForged, d.GetNumber())
	}
	if erased.GetErasure() != uint64(len(s.erasures))+1 || len(erased.GetEpochs()) == 0 {
		return fmt.Errorf("%w: decision %d is not erasure %d", ErrForged, d.GetNumber(), len(s.erasures)+1)
	}
	// What has hidden it is not known without details, nor where one may be lost.
	if order := detail.GetErasureOrdered(); s.details && !s.retention.doubted && order.GetByPolicy() != s.monthOf(order) {
		return fmt.Errorf("%w: decision %d does not say rightly whether it was asked for", ErrForged, d.GetNumber())
	}
	last := uint64(0)
	for _, e := range erased.GetEpochs() {
		if e.GetEpoch() <= last || !s.isErasable(e) {
			return fmt.Errorf("%w: decision %d does not say what stands for epoch %d", ErrForged, d.GetNumber(), e.GetEpoch())
		}
		last = e.GetEpoch()
	}
	return nil
}

// monthOf returns for which month a decision by policy has hidden what an order erases; 0: none
// has. It needs mu.
func (s *State) monthOf(order *pb.ErasureOrdered) int64 {
	if order.GetHidden() == 0 || order.GetHidden() != s.retention.hidden {
		return 0
	}
	return s.retention.month
}

// isErasable tells whether an epoch can be followed by what is said to stand for it.
func (s *State) isErasable(e *pb.ErasedEpoch) bool {
	if before, ok := s.erased[e.GetEpoch()]; ok && string(before.GetWrapHash()) != string(e.GetWrapHash()) {
		return false
	}
	for _, hash := range [][]byte{e.GetWrapHash(), e.GetResealHash(), e.GetDigest()} {
		if len(hash) != sha256.Size {
			return false
		}
	}
	return e.GetReseal() != 0 && e.GetFirst() != 0 && e.GetFirst() <= e.GetLast()
}

// erase applies a decision that was checked. It needs mu.
func (s *State) erase(signed *pb.SignedDecision, d *pb.Decision, detail *pb.DecisionDetail) {
	if erased := d.GetEpochsErased(); erased != nil {
		s.erasures = append(s.erasures, &Erasure{d.GetNumber(), d.GetTime(), erased.GetEpochs(), signed, detail.GetErasureOrdered()})
		for _, e := range erased.GetEpochs() {
			s.erased[e.GetEpoch()] = e
		}
	}
}

// EraseEpochs destroys the keys of epochs; what stands for their segments must be in the log.
// Whether the order is by policy follows from what has hidden it.
func (a *Author) EraseEpochs(now int64, epochs []*pb.ErasedEpoch, order *pb.ErasureOrdered) (*pb.NewDecision, error) {
	order = proto.CloneOf(order)
	a.State.mu.RLock()
	order.ByPolicy = a.State.monthOf(order)
	a.State.mu.RUnlock()
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_EpochsErased{EpochsErased: &pb.EpochsErased{
		Erasure: uint64(len(a.State.Erasures())) + 1, Epochs: epochs,
	}}}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ErasureOrdered{ErasureOrdered: order}})
}
