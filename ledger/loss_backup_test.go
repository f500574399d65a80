package ledger

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/backup"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// checked is what a restoration says of a log, in which nil is gone by decisions.
func checked(keys *backup.Keys, payloads [][]byte, decisions []*pb.SignedDecision) error {
	check, err := backup.NewCheck(keys, nil)
	for i := 0; err == nil && i < len(payloads); i++ {
		if sequence := uint64(i) + 1; payloads[i] == nil {
			err = check.Gone(sequence, sequence, decisions)
		} else {
			err = check.Segment(sequence, payloads[i])
		}
	}
	return errors.Join(err, check.Finish())
}

// lossy is a store that goes on without its fifth segment, and what a backup has of it.
func lossy(t *testing.T) (h *home, payloads [][]byte, by []*pb.SignedDecision) {
	h = saved(t)
	h.reopen(func() { h.lose(5) })
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	h.save(7)
	payloads = h.left()
	to, by := h.live().Gone(5)
	if to != 5 || payloads[4] != nil {
		t.Fatalf("gone up to %d", to)
	}
	return h, payloads, by
}

// left are the segments of a log, nil for what is gone.
func (h *home) left() [][]byte {
	h.t.Helper()
	end, _, _ := h.live().Head()
	payloads := make([][]byte, end)
	if err := h.live().Reader().Read(h.t.Context(), 1, end, func(e log.Entry) error {
		payloads[e.Sequence-1] = e.Payload
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return payloads
}

// What is lost may have said what is lost, and who signs: the keys of the owner, the daemon. A backup
// has it all the same.
func TestABackupHasWhatALossHasSaid(t *testing.T) {
	h := saved(t)
	h.rekey()
	h.save(6)
	h.reopen(func() { h.lose(5) })
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	h.save(7)
	lost := []uint64{1, 5}
	for i, payload := range h.left() {
		segment, err := seal.ParseSegment(payload)
		if err != nil || segment.Class != seal.Open {
			continue // also of what is gone
		}
		events, _ := log.AllEvents(segment.Body)
		decision := &pb.Decision{}
		if proto.Unmarshal(events[0].GetDecision().GetDecision(), decision) == nil && (decision.GetLossAccepted() != nil || decision.GetStoreRekeyed() != nil) {
			lost = append(lost, uint64(i)+1)
		}
	}
	if len(lost) != 4 {
		t.Fatal(lost)
	}
	h.reopen(func() { h.lose(lost...) })
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	h.save(8)
	keys, payloads := h.keysNow(), h.left()
	_, by := h.live().Gone(1)
	if err := checked(keys, payloads, by); err != nil {
		t.Fatal(err)
	}
	size, root, _ := h.live().Head()
	there := newHouse(t)
	files := map[string][]byte{}
	for _, f := range keys.Files {
		files[f.Name] = f.Content
	}
	r := h.restore(there, files, nil)
	for i, payload := range payloads {
		var err error
		if payload == nil {
			err = r.Pass(t.Context(), uint64(i)+1, by)
		} else {
			err = r.Append(t.Context(), [][]byte{payload})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(t.Context(), size, root[:]); err != nil {
		t.Fatal(err)
	}
	h.house = there
	if err := errors.Join(h.live().Damage(), h.live().Closed()); err != nil {
		t.Fatal(err)
	}
	h.sound()
	for _, sequence := range lost {
		if !h.live().LostAt(sequence) {
			t.Errorf("segment %d is not lost", sequence)
		}
	}
}

// Only what the owner has accepted to have lost is left out of a log, by a decision that the log has;
// and what is behind it is as it was.
func TestWhatNobodyHasAcceptedToHaveLostIsNotLeftOut(t *testing.T) {
	h, payloads, by := lossy(t)
	keys := h.keysNow()
	if err := checked(keys, payloads, by); err != nil {
		t.Fatal(err)
	}
	without := func(sequences ...int) [][]byte {
		left := append([][]byte(nil), payloads...)
		for _, s := range sequences {
			left[s-1] = nil
		}
		return left
	}
	changed := without()
	changed[5] = append([]byte(nil), changed[5]...)
	changed[5][len(changed[5])-1] ^= 1
	forged := proto.CloneOf(by[len(by)-1])
	decision := &pb.Decision{}
	if err := proto.Unmarshal(forged.GetDecision(), decision); err != nil {
		t.Fatal(err)
	}
	decision.GetLossAccepted().GetLost()[0].To = 6
	forged.Decision, _ = proto.Marshal(decision)
	var all tree.Tree
	for range 12 {
		all.Append(tree.Leaf(nil))
	}
	frontier, _ := all.MarshalBinary()
	signed, err := h.author.AcceptLoss(1, &pb.LossAccepted{Lost: []*pb.LostSegments{{From: 6, To: 6, Kind: pb.LossKind_LOSS_KIND_GONE}}, Tree: frontier}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		payloads [][]byte
		by       []*pb.SignedDecision
		want     error
	}{
		"another one":                {without(6), by, backup.ErrGone},
		"no decision":                {payloads, nil, backup.ErrGone},
		"a forged decision":          {without(6), append(by[:len(by):len(by)], forged), backup.ErrForeign},
		"the log has no decision":    {without(6), append(by[:len(by):len(by)], signed.GetDecision()), backup.ErrGone},
		"a changed segment behind":   {changed, by, backup.ErrForeign},
		"it ends before the loss is": {payloads[:7], by, backup.ErrGone},
	} {
		if err := checked(keys, c.payloads, c.by); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A key that is lost with its owner's word is not looked for in the keys of a backup.
func TestKeysThatAreLostAreNotMissedInABackup(t *testing.T) {
	h := newHome(t)
	h.save(0)
	before := h.keysNow()
	h.reopen(nil) // a new epoch
	h.save(1)
	segment, _, _ := h.live().Head()
	wrap := h.path(h.wrapOf(segment))
	h.reopen(func() { h.remove(wrap) })
	if err := h.acceptLoss(); err != nil {
		t.Fatal(err)
	}
	_, payloads := h.pieces()
	keys := h.keysNow()
	if err := checked(keys, payloads, nil); err != nil {
		t.Error(err)
	}
	// Its checkpoint is from before the key; the others are there.
	keys.Size, keys.Checkpoint = before.Size, before.Checkpoint
	if err := checked(keys, payloads, nil); err != nil {
		t.Error(err)
	}
	if err := checked(keys, payloads[:segment], nil); !errors.Is(err, backup.ErrKeysTooOld) {
		t.Errorf("before that is accepted: %v", err)
	}
}

// wrapOf is the file of the key of a segment.
func (h *home) wrapOf(sequence uint64) string {
	h.t.Helper()
	for _, e := range h.events() {
		if e.sequence == sequence {
			return log.WrapFile(e.class, e.epoch)
		}
	}
	h.t.Fatalf("there is no segment %d", sequence)
	return ""
}
