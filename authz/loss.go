package authz

import (
	"fmt"
	"slices"

	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// Loss is a decision to go on with a log that has lost segments.
type Loss struct {
	// Signed is the decision, Decision its number, and Time when it was made, in microseconds
	// since the Unix epoch.
	Signed   *pb.SignedDecision
	Decision uint64
	Time     int64
	*pb.LossAccepted
}

// Losses returns all of them in order. They must not be changed.
func (s *State) Losses() []*Loss {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.losses[:len(s.losses):len(s.losses)]
}

// DecideWithout is Decide of a decision whose detail the log has lost. What it may have taken
// away is taken away: until the owner decides again no app reads what others have written, nor
// what is granted object by object, nothing is disclosed, and all is kept for good. Who may write
// stands in the decisions themselves.
func (s *State) DecideWithout(d *pb.SignedDecision) error {
	decision, _, err := s.verify(d, nil, false)
	if err != nil {
		return err
	}
	return s.apply(d, decision, &pb.DecisionDetail{}, s.details && len(decision.GetDetailHash()) > 0)
}

// doubt ends everything that a detail may have ended. It needs mu.
func (s *State) doubt(d *pb.Decision) {
	for number, a := range s.apps {
		if a.Removed {
			continue
		}
		b := a.clone()
		clear(b.reads)
		clear(b.asked)
		for _, t := range catalog.All() {
			if t.PerObject && t.GrantedThrough() == t {
				b.objects[t.Code] = b.objectsOf(t.Code).with(0, &pb.ObjectsDecided{RevokeAll: true, Own: pb.OwnObjects_OWN_OBJECTS_HIDDEN})
			}
		}
		if b.Manifest == nil {
			// The owner has to have a name to remove it by.
			name := fmt.Sprintf("lost.app-%d", number)
			b.Manifest = &pb.Manifest{BundleId: name, Name: "An app whose description is lost"}
		}
		b.settle()
		s.apps[number], s.byKey[b.Key] = b, b
	}
	s.retention.months, s.retention.doubted = nil, true
	for number := range s.disclosures {
		s.end(d, number, "a decision of the owner's is lost")
	}
}

// checkLoss checks a decision that accepts a loss, or the detail of one. It needs mu.
func (s *State) checkLoss(d *pb.Decision, detail *pb.DecisionDetail) error {
	loss := d.GetLossAccepted()
	if loss == nil {
		if detail.GetLostDecisions() != nil {
			return fmt.Errorf("%w: decision %d brings decisions back and accepts no loss", ErrForged, d.GetNumber())
		}
		return nil
	}
	if !inOrder(loss.GetLost()) || len(loss.GetTree()) == 0 {
		return fmt.Errorf("%w: decision %d does not say what is lost", ErrForged, d.GetNumber())
	}
	numbers := loss.GetDecisions()
	if !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) ||
		len(numbers) > 0 && (numbers[0] == 0 || numbers[len(numbers)-1] >= d.GetNumber()) || (len(numbers) > 0) != (len(d.GetDetailHash()) > 0) {
		return fmt.Errorf("%w: decision %d does not say which decisions are lost", ErrForged, d.GetNumber())
	}
	if detail.GetNumber() != 0 && len(detail.GetLostDecisions().GetDecisions()) != len(numbers) {
		return fmt.Errorf("%w: decision %d does not bring back the decisions that are lost", ErrForged, d.GetNumber())
	}
	return nil
}

// inOrder tells whether there are lost segments, each behind those before it.
func inOrder(lost []*pb.LostSegments) bool {
	last := uint64(0)
	for _, l := range lost {
		switch l.GetKind() {
		case pb.LossKind_LOSS_KIND_GONE, pb.LossKind_LOSS_KIND_SEALED:
		default:
			return false
		}
		if l.GetFrom() <= last || l.GetTo() < l.GetFrom() {
			return false
		}
		last = l.GetTo()
	}
	return last > 0
}

// lose applies a decision that was checked. It needs mu.
func (s *State) lose(signed *pb.SignedDecision, d *pb.Decision) {
	if loss := d.GetLossAccepted(); loss != nil {
		s.losses = append(s.losses, &Loss{signed, d.GetNumber(), d.GetTime(), loss})
	}
}

// AcceptLoss goes on with a log that has lost segments, and brings back the decisions that were
// in them, as far as they are remembered.
func (a *Author) AcceptLoss(now int64, loss *pb.LossAccepted, decisions []*pb.SignedDecision) (*pb.NewDecision, error) {
	var detail *pb.DecisionDetail
	if len(decisions) > 0 {
		detail = &pb.DecisionDetail{Body: &pb.DecisionDetail_LostDecisions{LostDecisions: &pb.LostDecisions{Decisions: decisions}}}
	}
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_LossAccepted{LossAccepted: loss}}, detail)
}
