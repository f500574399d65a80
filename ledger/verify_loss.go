package ledger

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// badSegments are those that a fault is of, one behind the other.
type badSegments struct {
	fault    *pb.LogFault
	from, to uint64
}

// takeLosses takes what the owner has accepted to have lost, as far as it is remembered; where
// nothing is, the log says it.
func (v *Verification) takeLosses(ctx context.Context) error {
	state := authz.NewState(v.owner, false)
	for _, d := range v.remembered {
		if state.Decide(d, nil) != nil {
			break
		}
	}
	for _, loss := range state.Losses() {
		if err := v.takeLoss(loss.LossAccepted, loss.Time); err != nil {
			return err
		}
	}
	v.enrolments = v.remembered
	if len(v.remembered) > 0 || v.end == 0 {
		return nil
	}
	sought, err := seekLosses(ctx, v.reader, v.id, v.pins[0].first)
	for _, d := range sought {
		v.enrolments = append(v.enrolments, d.signed)
		if loss := d.GetLossAccepted(); loss != nil {
			err = errors.Join(err, v.takeLoss(loss, d.GetTime()))
		}
	}
	return err
}

func (v *Verification) takeLoss(loss *pb.LossAccepted, at int64) error {
	v.accepted = append(v.accepted, acceptedLosses(loss, at)...)
	return v.losses.Accept(loss)
}

// pass takes note of segments up to one that are gone with the owner's knowledge. What was decided in
// them is known of the decisions that the daemon remembers.
func (v *Verification) pass(to uint64) {
	v.hidden, v.lossy = true, true
	v.skip(to)
}

// skip goes on behind segments up to one whose leaves nobody knows.
func (v *Verification) skip(to uint64) {
	for ; v.last < to; v.last++ {
		v.whole = false
		v.grow(tree.Hash{})
	}
}

// grow adds a leaf. Where the owner has said how the tree goes on, it is whole again.
func (v *Verification) grow(leaf tree.Hash) {
	v.tree.Append(leaf)
	size := v.tree.Size()
	if said, ok := v.losses.TreeAt(size); ok {
		if v.whole && v.tree != said {
			v.fault(faultHead, 1, size, "not the log with which its owner goes on")
		}
		v.tree, v.whole = said, true
	}
	if v.whole {
		v.compare(size)
		v.roots.Add(&v.tree)
	}
}

// see takes note of a decision in the log.
func (v *Verification) see(d *pb.SignedDecision) {
	decision := &pb.Decision{}
	if proto.Unmarshal(d.GetDecision(), decision) == nil {
		v.seen[decision.GetNumber()] = true
	}
}

// survey says what the owner can accept.
func (v *Verification) survey() *Survey {
	s := &Survey{Faults: v.faults}
	of, erased := map[*pb.LogFault]bool{}, map[*pb.LogFault]bool{}
	for _, a := range v.absents {
		erased[a.segments] = a.right && !a.lost
	}
	for _, b := range v.bad {
		if erased[b.fault] {
			continue
		}
		of[b.fault] = true
		kind := pb.LossKind_LOSS_KIND_GONE
		if b.fault.GetKind() == faultKey {
			kind = pb.LossKind_LOSS_KIND_SEALED
		}
		s.Lost = append(s.Lost, &pb.LostSegments{From: b.from, To: b.to, Kind: kind})
	}
	s.Lost = joinLost(s.Lost)
	for _, f := range v.faults {
		// What is lost makes what is behind it seem wrong, and so the keys that the decisions lead to
		// where some are lost. The keyring itself has to be right.
		comes := len(s.Lost) > 0 && (f.GetKind() == faultDecision || f.GetKind() == faultOrder ||
			f.GetKind() == faultKey && f.GetFrom() == 0 && v.keyring != nil && v.remembersPin())
		if !of[f] && !comes && !v.isOfReseal(f) {
			s.Others = append(s.Others, f)
		}
	}
	if len(s.Lost) > 0 {
		for number := range uint64(len(v.remembered)) {
			if !v.seen[number+1] {
				s.Decisions = append(s.Decisions, number+1)
			}
		}
	}
	return s
}

// remembersPin tells whether the decisions that the daemon remembers lead to the keys and the
// keyring that are there.
func (v *Verification) remembersPin() bool {
	state := authz.NewState(v.owner, false)
	for _, d := range v.remembered {
		if state.Decide(d, nil) != nil {
			return false
		}
	}
	return v.leadsToPin(state) && (state.Keyring() == nil || v.isKeyring(state.Keyring()))
}

// isOfReseal tells whether a fault is of the key of what was left of erased segments, which are
// lost themselves.
func (v *Verification) isOfReseal(f *pb.LogFault) bool {
	return f.GetKind() == faultKey && f.GetFrom() > 0 && slices.ContainsFunc(v.absents, func(a *absentKey) bool { return a.lost })
}

// joinLost puts together what is lost alike and goes on from segment to segment.
func joinLost(all []*pb.LostSegments) []*pb.LostSegments {
	slices.SortFunc(all, func(a, b *pb.LostSegments) int { return cmp.Compare(a.GetFrom(), b.GetFrom()) })
	var joined []*pb.LostSegments
	for _, l := range all {
		if n := len(joined); n > 0 && joined[n-1].GetKind() == l.GetKind() && joined[n-1].GetTo()+1 >= l.GetFrom() {
			joined[n-1].To = max(joined[n-1].GetTo(), l.GetTo())
			continue
		}
		joined = append(joined, l)
	}
	return joined
}
