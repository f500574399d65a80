package view

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// Refusal says that somebody was refused.
type Refusal struct {
	*pb.RefusalRecorded
	// Time in microseconds since the Unix epoch.
	Time     int64
	position []byte
}

func (b *Batch) recordRefusal(time int64, e *pb.RefusalRecorded) error {
	row, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: a refusal that is not UTF-8", ErrEvent)
	}
	b.keep(appendRefusalKey(nil, time, b.sequence, uint32(b.event)), row)
	return nil
}

func readRefusal(key, row []byte) (r Refusal, ok bool) {
	if len(key) < 9 {
		return r, false
	}
	r.Time, r.position, r.RefusalRecorded = readTime(key[1:]), key[1:], &pb.RefusalRecorded{}
	return r, proto.Unmarshal(row, r.RefusalRecorded) == nil
}

// Position says where the refusal stands among all, for a later call of Refusals.
func (r *Refusal) Position() []byte { return r.position }

// Refusals goes through those in [from, to), the newest first. It begins after a position,
// unless that is empty, and ends when yield returns false.
func (s *Snapshot) Refusals(from, to int64, after []byte, yield func(*Refusal) (more bool)) error {
	lower, upper := appendTime([]byte{familyRefusal}, from), appendTime([]byte{familyRefusal}, to)
	err := s.backwards(lower, upper, after, func(key, row []byte) (more bool, err error) {
		r, ok := readRefusal(bytes.Clone(key), row)
		if !ok {
			return false, errDamaged
		}
		return yield(&r), nil
	})
	if err != nil {
		return fmt.Errorf("read refusals: %w", err)
	}
	return nil
}
