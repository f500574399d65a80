package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
)

// segment checks one segment: its leaf, its form and signature, its place among those of
// its class, its key, and the decisions in it.
func (v *Verification) segment(opener *seal.Opener, e log.Entry) {
	if v.whole {
		v.tree.Append(tree.Leaf(e.Payload))
		v.compare(e.Sequence)
	}
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		v.fault(faultDamaged, e.Sequence, e.Sequence, "it is no segment")
		return
	}
	if err := segment.Verify(v.id, e.Sequence, v.device.SigningKey()); err != nil {
		v.fault(faultDamaged, e.Sequence, e.Sequence, "this daemon has not signed it for this place")
		return
	}
	if segment.Class != seal.Open && !v.checkSealing(segment, e.Sequence) || segment.Class == seal.Health {
		return
	}
	v.decisions(opener, segment, e.Sequence)
}

// compare compares the tree, where it is as large as they are, with the head and with the
// checkpoint.
func (v *Verification) compare(size uint64) {
	if v.known != nil && v.known.tree.Size() == size && v.tree != v.known.tree {
		v.fault(faultHead, 1, size, "not the log that was acknowledged")
	}
	if v.against != nil && v.against.Size == size && v.tree.Root() != v.against.Root {
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
	if now.key != "" {
		v.fault(faultKey, sequence, sequence, fmt.Sprintf("the key of %s epoch %d %s", segment.Class, segment.Epoch, now.key))
	}
	return now.key == ""
}

// checkWrap says what is wrong with the wrapped key of a segment.
func (v *Verification) checkWrap(segment seal.Segment) string {
	wrap, err := v.directory.Wrap(segment.Class, segment.Epoch)
	switch {
	case errors.Is(err, log.ErrNoWrap):
		return "is missing"
	case err != nil:
		return "cannot be read"
	case segment.CheckWrap(wrap, v.id) != nil:
		return "is another than when it was written"
	}
	return ""
}

// decisions checks that the decisions in a segment follow one another. After one that
// does not, none can.
func (v *Verification) decisions(opener *seal.Opener, segment seal.Segment, sequence uint64) {
	body, err := opener.Open(segment, sequence, nil)
	if err != nil {
		v.fault(faultDamaged, sequence, sequence, "it does not open")
		return
	}
	blocks, err := log.DecodeBody(body)
	if err != nil {
		v.fault(faultDamaged, sequence, sequence, "what is sealed in it is malformed")
		return
	}
	for _, block := range blocks {
		events, err := log.Events(block)
		if err != nil {
			v.fault(faultDamaged, sequence, sequence, "what is sealed in it is malformed")
			return
		}
		for _, event := range events {
			if d := event.GetDecision(); d != nil && v.chained && v.state.Decide(d, nil) != nil {
				v.chained = false
				v.fault(faultDecision, sequence, sequence, "a decision that does not follow the one before; later ones cannot be checked")
			}
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
		case v.tree.Size() < v.against.Size:
			v.fault(faultCheckpoint, 1, v.against.Size, "cannot be compared: segments are missing")
		}
	}
	number, hash := v.state.Head()
	switch {
	case !v.chained || v.known == nil:
	case number < v.known.decision:
		v.fault(faultDecision, 0, 0, fmt.Sprintf("decision %d was acknowledged, the log has %d", v.known.decision, number))
	case number == v.known.decision && !bytes.Equal(hash, v.known.decisionHash):
		v.fault(faultDecision, 0, 0, fmt.Sprintf("decision %d is another than was acknowledged", number))
	}
	if hash := v.state.Keyring(); v.chained && hash != nil && v.keyring != nil && !v.isKeyring(hash) {
		v.fault(faultKey, 0, 0, ErrOldKeyring.Error())
	}
	if d := v.state.Device(); v.chained && !isDevice(d, v.device) {
		v.fault(faultDecision, 0, 0, ErrNotEnrolled.Error())
	}
}
