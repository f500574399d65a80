package log

import (
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// An Enrolment is who has to sign the segments from one place of a log on: the device, and the
// owner who says so. Both are decided in the open, so that whoever reads the log needs no key.
type Enrolment struct {
	// Owner is the owner's public key; of an empty log, the one that the store began with.
	Owner []byte
	// Device is nil before the first one is enrolled.
	Device *pb.DeviceEnrolled
	// Number of the decision that said it last.
	Number uint64
}

// Next returns who has to sign from an open segment with this body on; the segment that enrols a
// device is the first that it signs. What the owner has not signed, or an older decision again,
// means nothing.
func (e Enrolment) Next(store seal.StoreID, body []byte) Enrolment {
	blocks, err := DecodeBody(body)
	if err != nil {
		return e
	}
	for _, block := range blocks {
		events, err := Events(block)
		if err != nil {
			return e
		}
		for _, event := range events {
			if d := event.GetDecision(); d != nil {
				e = e.Follow(store, d)
			}
		}
	}
	return e
}

// Follow returns who has to sign from a decision on.
func (e Enrolment) Follow(store seal.StoreID, d *pb.SignedDecision) Enrolment {
	decision := &pb.Decision{}
	if proto.Unmarshal(d.GetDecision(), decision) != nil || decision.GetNumber() <= e.Number ||
		seal.VerifyDecision(e.Owner, store, d.GetDecision(), d.GetSignature()) != nil {
		return e
	}
	if device := decision.GetDeviceEnrolled(); device != nil {
		e.Device, e.Number = device, decision.GetNumber()
	}
	if r := decision.GetStoreRekeyed(); r != nil && seal.VerifyRekeying(e.Owner, store, decision.GetPrevious(), r) == nil {
		e.Owner, e.Number = r.GetOwnerKey(), decision.GetNumber()
	}
	return e
}
