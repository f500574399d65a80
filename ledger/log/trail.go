package log

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// ErrNoDevice: nobody is enrolled to sign a segment.
var ErrNoDevice = errors.New("its owner has enrolled no device")

// A Trail follows who has to sign the segments of a log that has lost some. What those had said of
// it is told besides, as far as the owner has signed it.
type Trail struct {
	Enrolment
	store  seal.StoreID
	told   []numbered // in order of their numbers
	owners []ownerFrom
}

type numbered struct {
	number uint64
	signed *pb.SignedDecision
}

// ownerFrom is a key of the owner's, which signs the decisions behind one.
type ownerFrom struct {
	number uint64
	key    []byte
}

// NewTrail begins at the beginning of a log, with the owner's first key.
func NewTrail(store seal.StoreID, first []byte) *Trail {
	return &Trail{Enrolment: Enrolment{Owner: first}, store: store, owners: []ownerFrom{{0, first}}}
}

// Tell tells of a decision that may be lost.
func (t *Trail) Tell(d *pb.SignedDecision) {
	decision := &pb.Decision{}
	if proto.Unmarshal(d.GetDecision(), decision) != nil {
		return
	}
	i, _ := slices.BinarySearchFunc(t.told, decision.GetNumber(), func(n numbered, number uint64) int { return cmp.Compare(n.number, number) })
	t.told = slices.Insert(t.told, i, numbered{decision.GetNumber(), d})
}

// Follow takes a decision in the log, and those told of that were made before it. It returns it if
// its owner has signed it there, else nil.
func (t *Trail) Follow(d *pb.SignedDecision) *pb.Decision {
	decision := &pb.Decision{}
	if proto.Unmarshal(d.GetDecision(), decision) != nil {
		return nil
	}
	before := *t
	for _, n := range t.told {
		if n.number < decision.GetNumber() {
			t.take(t.Enrolment.Follow(t.store, n.signed))
		}
	}
	if seal.VerifyDecision(t.Owner, t.store, d.GetDecision(), d.GetSignature()) != nil {
		*t = before
		return nil
	}
	t.take(t.Enrolment.Follow(t.store, d))
	return decision
}

func (t *Trail) take(e Enrolment) {
	if !bytes.Equal(e.Owner, t.Owner) {
		t.owners = append(t.owners, ownerFrom{e.Number, e.Owner})
	}
	t.Enrolment = e
}

// Verify checks that a segment is signed by the device that is enrolled, be it by a decision that was
// only told of.
func (t *Trail) Verify(segment seal.Segment, sequence uint64) error {
	err := t.verify(segment, sequence)
	if err == nil {
		return nil
	}
	before := *t
	for _, n := range t.told {
		t.take(t.Enrolment.Follow(t.store, n.signed))
		if t.verify(segment, sequence) == nil {
			return nil
		}
	}
	*t = before
	return err
}

func (t *Trail) verify(segment seal.Segment, sequence uint64) error {
	if t.Device == nil {
		return ErrNoDevice
	}
	return segment.Verify(t.store, sequence, t.Device.GetSigningKey())
}

// Signed returns a decision if its owner has signed it with the key of when it was made, else nil.
func (t *Trail) Signed(d *pb.SignedDecision) *pb.Decision {
	decision := &pb.Decision{}
	if proto.Unmarshal(d.GetDecision(), decision) != nil {
		return nil
	}
	var by Enrolment
	for _, o := range t.owners {
		if o.number < decision.GetNumber() {
			by = Enrolment{Owner: o.key, Number: o.number}
		}
	}
	for _, n := range t.told {
		if n.number < decision.GetNumber() {
			by = by.Follow(t.store, n.signed)
		}
	}
	if seal.VerifyDecision(by.Owner, t.store, d.GetDecision(), d.GetSignature()) != nil {
		return nil
	}
	return decision
}
