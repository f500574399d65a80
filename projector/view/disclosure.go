package view

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// Disclosure says that data was handed to somebody.
type Disclosure struct {
	Begun *pb.DisclosureBegun
	// Ended is nil while it goes on, and for good where the end was lost.
	Ended *pb.DisclosureEnded
}

// The rows of a disclosure.
const (
	disclosureBegun byte = iota
	disclosureEnded
)

// idSize is the length of the id of a disclosure.
const idSize = 16

// appendDisclosureKey has the part last, so that the rows of a disclosure lie together.
func appendDisclosureKey(dst []byte, time int64, id []byte, part byte) []byte {
	return append(append(appendTime(append(dst, familyDisclosure), time), id...), part)
}

func (b *Batch) beginDisclosure(e *pb.DisclosureBegun) error {
	return b.putDisclosure(appendDisclosureKey(nil, e.GetTime(), e.GetId(), disclosureBegun), e)
}

// endDisclosure keeps how much there was of what was begun before.
func (b *Batch) endDisclosure(e *pb.DisclosureEnded) error {
	_, there, err := b.find(appendDisclosureKey(nil, e.GetTime(), e.GetId(), disclosureBegun))
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%w: the end of a disclosure that was not begun", ErrEvent)
	}
	return b.putDisclosure(appendDisclosureKey(nil, e.GetTime(), e.GetId(), disclosureEnded), e)
}

func (b *Batch) putDisclosure(key []byte, e interface {
	proto.Message
	GetId() []byte
}) error {
	if len(e.GetId()) != idSize {
		return fmt.Errorf("%w: the id of a disclosure has %d bytes", ErrEvent, len(e.GetId()))
	}
	row, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: a disclosure that is not UTF-8", ErrEvent)
	}
	b.keep(key, row)
	return nil
}

// Position says where the disclosure stands among all, for a later call of Disclosures.
func (d *Disclosure) Position() []byte {
	return appendDisclosureKey(nil, d.Begun.GetTime(), d.Begun.GetId(), disclosureBegun)[1:]
}

// Disclosures goes through those that began in [from, to), the newest first. It begins after
// a position, unless that is empty, and ends when yield returns false.
func (s *Snapshot) Disclosures(from, to int64, after []byte, yield func(*Disclosure) (more bool)) error {
	lower, upper := appendTime([]byte{familyDisclosure}, from), appendTime([]byte{familyDisclosure}, to)
	// Backwards an end comes before its beginning.
	var ended *pb.DisclosureEnded
	err := s.backwards(lower, upper, after, func(key, row []byte) (more bool, err error) {
		switch key[len(key)-1] {
		case disclosureEnded:
			ended = &pb.DisclosureEnded{}
			if proto.Unmarshal(row, ended) != nil {
				return false, errDamaged
			}
			return true, nil
		case disclosureBegun:
			begun := &pb.DisclosureBegun{}
			if proto.Unmarshal(row, begun) != nil || ended != nil && !bytes.Equal(begun.GetId(), ended.GetId()) {
				return false, errDamaged
			}
			d := &Disclosure{Begun: begun, Ended: ended}
			ended = nil
			return yield(d), nil
		}
		return false, errDamaged
	})
	if err != nil {
		return fmt.Errorf("read disclosures: %w", err)
	}
	return nil
}
