package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// keyMissing is what is wrong with a key that is not in the key directory. Of class health
// that is right where a decision, which comes later, has erased the epoch.
const keyMissing = "is missing"

// absentKey is a key of class health that is missing.
type absentKey struct {
	epoch    uint64
	wrapHash [32]byte
	segments *pb.LogFault
	// right: the epoch was erased. lost: nothing opens what was left of it, either.
	right, lost bool
}

// absent notes a segment whose key is missing.
func (v *Verification) absent(segment seal.Segment, sequence uint64) {
	if n := len(v.absents); n > 0 {
		if last := v.absents[n-1]; last.epoch == segment.Epoch && last.wrapHash == segment.WrapHash {
			last.segments.To, last.segments.Segments = sequence, last.segments.GetSegments()+1
			v.bad = append(v.bad, badSegments{last.segments, sequence, sequence})
			return
		}
	}
	f := &pb.LogFault{
		From: sequence, To: sequence, Segments: 1, Kind: faultKey, Why: fmt.Sprintf("the key of health epoch %d %s", segment.Epoch, keyMissing),
	}
	v.absents, v.faults = append(v.absents, &absentKey{epoch: segment.Epoch, wrapHash: segment.WrapHash, segments: f}), append(v.faults, f)
	v.bad = append(v.bad, badSegments{f, sequence, sequence})
}

// checkErasures compares the keys that are missing with those that the owner has destroyed, where
// this daemon knows what the owner has decided.
func (v *Verification) checkErasures() {
	right := map[*pb.LogFault]bool{}
	for _, a := range v.absents {
		e, erased := v.state.Erased(a.epoch)
		a.right = erased && bytes.Equal(e.GetWrapHash(), a.wrapHash[:])
		right[a.segments] = a.right
		if !a.right && v.undecided() {
			right[a.segments] = true
			v.untold += a.segments.GetSegments()
		}
	}
	v.faults = slices.DeleteFunc(v.faults, func(f *pb.LogFault) bool { return right[f] })
	for _, erasure := range v.state.Erasures() {
		for _, e := range erasure.Epochs {
			if now, _ := v.state.Erased(e.GetEpoch()); now == e {
				v.checkErased(e)
			}
		}
	}
}

// checkErased checks that the key of an epoch is destroyed, and that of what is left of it is
// there.
func (v *Verification) checkErased(e *pb.ErasedEpoch) {
	if _, err := v.directory.Wrap(seal.Health, e.GetEpoch()); !errors.Is(err, log.ErrNoWrap) {
		v.fault(faultKey, 0, 0, fmt.Sprintf("the key of health epoch %d was erased and is there again", e.GetEpoch()))
	}
	if v.unopened[e.GetEpoch()] {
		return
	}
	wrap, err := v.directory.Wrap(seal.Resealed, e.GetReseal())
	named := seal.WrapOrigin(wrap)
	if err != nil || !bytes.Equal(named[:], e.GetResealHash()) ||
		!v.isPin(func(p pin) bool { return seal.CheckWrap(wrap, p.keys, seal.Resealed, e.GetReseal()) == nil }) {
		for _, a := range v.absents {
			a.lost = a.lost || a.right && a.epoch == e.GetEpoch()
		}
		v.fault(faultKey, e.GetFirst(), e.GetLast(), fmt.Sprintf("the key of what is left of health epoch %d is missing or another", e.GetEpoch()))
	}
}
