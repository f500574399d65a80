package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// segment checks one segment: its leaf, its form and signature, its place among those of
// its class, its key, and the decisions in it.
func (v *Verification) segment(opener deviceOpener, e log.Entry) {
	if e.Sequence > v.last+1 {
		v.pass(e.Sequence - 1)
	}
	v.last = e.Sequence
	before := v.whole
	v.grow(tree.Leaf(e.Payload))
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		v.damage(e.Sequence, "it is no segment")
		return
	}
	if segment.Class == seal.Open {
		v.enrolled = v.enrolled.Next(v.id, segment.Body)
	}
	if !v.signed(segment, e.Sequence) {
		v.damage(e.Sequence, "the daemon that was enrolled has not signed it for this place")
		return
	}
	if v.losses.Sealed(e.Sequence) {
		v.hidden, v.lossy = true, true
		if segment.Class == seal.Health {
			v.unopened[segment.Epoch] = true
		}
		return
	}
	if segment.Class != seal.Open && !v.checkSealing(segment, e.Sequence) || segment.Class == seal.Health {
		return
	}
	v.public(opener, segment, e.Sequence, before)
}

// signed reports whether the daemon that was enrolled has signed a segment. Who that is may be
// said in segments that are lost; then the decisions that the daemon remembers, or has found, say it.
func (v *Verification) signed(segment seal.Segment, sequence uint64) bool {
	by := v.enrolled
	for i := 0; ; i++ {
		if by.Device != nil && segment.Verify(v.id, sequence, by.Device.GetSigningKey()) == nil {
			v.enrolled = by
			return true
		}
		if !v.lossy || i == len(v.enrolments) {
			return false
		}
		by = by.Follow(v.id, v.enrolments[i])
	}
}

// compare compares the tree, where it is as large as they are, with the head and with the
// checkpoint.
func (v *Verification) compare(size uint64) {
	if v.known != nil && v.known.tree.Size() == size && v.tree != v.known.tree {
		v.fault(faultHead, 1, size, "not the log that was acknowledged")
	}
	if v.against == nil || v.against.Size != size {
		return
	}
	if v.compared = true; v.tree.Root() != v.against.Root {
		v.fault(faultCheckpoint, 1, size, "not the log that the checkpoint was made of")
	}
}

// checkSealing checks the epoch and the index of a sealed segment, and that its key is
// there. It reports whether it is.
func (v *Verification) checkSealing(segment seal.Segment, sequence uint64) bool {
	last, ok := v.sealed[segment.Class]
	now := sealedAt{epoch: segment.Epoch, index: segment.Index, wrapHash: segment.WrapHash, key: last.key}
	if ok && (now.epoch < last.epoch || now.epoch == last.epoch && now.index <= last.index) {
		v.fault(faultOrder, sequence, sequence, fmt.Sprintf("%s epoch %d, index %d comes after epoch %d, index %d",
			segment.Class, now.epoch, now.index, last.epoch, last.index))
	}
	if !ok || now.epoch != last.epoch || now.wrapHash != last.wrapHash {
		now.key = v.checkWrap(segment)
	}
	v.sealed[segment.Class] = now
	if now.key == keyMissing && segment.Class == seal.Health {
		v.absent(segment, sequence)
		return false
	}
	if now.key != "" {
		v.bad = append(v.bad, badSegments{v.fault(faultKey, sequence, sequence, fmt.Sprintf("the key of %s epoch %d %s", segment.Class, segment.Epoch, now.key)), sequence, sequence})
	}
	return now.key == ""
}

// checkWrap says what is wrong with the wrapped key of a segment.
func (v *Verification) checkWrap(segment seal.Segment) string {
	wrap, err := v.directory.Wrap(segment.Class, segment.Epoch)
	switch {
	case errors.Is(err, log.ErrNoWrap):
		return keyMissing
	case err != nil:
		return "cannot be read"
	case v.isPin(func(p pin) bool { return segment.CheckWrap(wrap, p.keys) == nil }):
		return ""
	case seal.WrapOrigin(wrap) == segment.WrapHash:
		return "is not wrapped to the store's keys, or not by its owner"
	}
	return "is another than when it was written"
}

// public checks the events in a segment that a locked daemon can open: that the decisions
// follow one another, and that the checkpoints are of the log before them.
func (v *Verification) public(opener deviceOpener, segment seal.Segment, sequence uint64, whole bool) {
	body, err := opener.Open(segment, sequence)
	if errors.Is(err, seal.ErrNotRecipient) {
		v.hidden = true
		return
	}
	if err != nil {
		v.damage(sequence, "it does not open")
		return
	}
	events, err := log.AllEvents(body)
	if err != nil {
		v.damage(sequence, "what is sealed in it is malformed")
		return
	}
	for _, event := range events {
		switch body := event.GetBody().(type) {
		case *pb.Event_Decision:
			v.see(body.Decision)
			// After one that does not follow, none can.
			if v.chained && v.decide(body.Decision) != nil {
				v.chained = false
				v.fault(faultDecision, sequence, sequence, "a decision that does not follow the one before; later ones cannot be checked")
			}
		case *pb.Event_Checkpointed:
			v.checkpoint(body.Checkpointed, sequence, whole)
		}
	}
}

// checkpoint compares a checkpoint in the log with what is before it. Behind a hole only its
// signature can be checked.
func (v *Verification) checkpoint(signed *pb.Checkpointed, sequence uint64, whole bool) {
	c, err := log.OpenCheckpointed(signed, v.id, v.enrolled.Device.GetSigningKey(), v.enrolled.Owner)
	if err == nil && whole {
		err = c.Check(sequence, &v.roots)
	}
	if err != nil {
		v.fault(faultCheckpoint, sequence, sequence, "a checkpoint that is not of the log before it")
		return
	}
	v.checkpoints++
}

// decide takes the next decision. Those before it that stand in hidden segments are taken from
// what the daemon remembers.
func (v *Verification) decide(d *pb.SignedDecision) error {
	decision := &pb.Decision{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return err
	}
	v.recall(decision.GetNumber() - 1)
	if number, _ := v.state.Head(); v.hidden && number+1 < decision.GetNumber() {
		// Those between are known to nobody here before the owner has unlocked.
		v.chained = false
		return nil
	}
	return v.state.Decide(d, nil)
}

// recall takes remembered decisions up to a number.
func (v *Verification) recall(to uint64) {
	for v.hidden {
		number, _ := v.state.Head()
		if number >= min(to, uint64(len(v.remembered))) || v.state.Decide(v.remembered[number], nil) != nil {
			return
		}
	}
}

// finish checks what only the end shows.
func (v *Verification) finish() {
	if v.known != nil && v.known.tree.Size() > v.end {
		v.lose(v.end+1, v.known.tree.Size(), "acknowledged, and the log ends before")
	}
	if v.against != nil {
		switch {
		case v.against.Size > v.end:
			v.fault(faultCheckpoint, v.end+1, v.against.Size, "in the checkpoint, and the log ends before")
		case !v.compared && v.against.Size > 0:
			v.fault(faultCheckpoint, 1, v.against.Size, "cannot be compared: segments are missing")
		}
	}
	if v.known != nil {
		v.recall(v.known.decision)
	}
	v.checkErasures()
	number, hash := v.state.Head()
	switch {
	case !v.chained || v.known == nil || v.undecided():
	case number < v.known.decision:
		v.fault(faultDecision, 0, 0, fmt.Sprintf("decision %d was acknowledged, the log has %d", v.known.decision, number))
	case number == v.known.decision && !bytes.Equal(hash, v.known.decisionHash):
		v.fault(faultDecision, 0, 0, fmt.Sprintf("decision %d is another than was acknowledged", number))
	}
	if v.chained && !v.leadsToPin(v.state) {
		v.fault(faultKey, 0, 0, ErrNotPinned.Error())
	}
	if hash := v.state.Keyring(); v.chained && hash != nil && v.keyring != nil && !v.isKeyring(hash) {
		v.fault(faultKey, 0, 0, ErrOldKeyring.Error())
	}
}

// undecided tells whether this daemon does not know what the owner has decided: that is sealed to
// another one, which was before it, and it was not told yet.
func (v *Verification) undecided() bool { return v.hidden && len(v.remembered) == 0 }

// leadsToPin tells whether decisions end with the keys that are pinned.
func (v *Verification) leadsToPin(state *authz.State) bool {
	all := state.Rekeyings()
	return v.isPin(func(p pin) bool {
		if len(all) == 0 {
			return p.first.Equal(p.keys.OwnerKey)
		}
		return p.holds(all[len(all)-1].StoreRekeyed)
	})
}
