package view

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	pb "healthledger/proto/healthledger/v1"
)

// Subscription is an app's wish to be told of changes of a type.
type Subscription struct {
	Type      uint32
	Frequency pb.Frequency
	// After is the segment up to which there is nothing to tell: where the subscription
	// began, or what the app has acknowledged since.
	After uint64
	// Acked is when the app last acknowledged something new, in microseconds since the
	// Unix epoch.
	Acked    int64
	HasAcked bool
}

// setUpdates begins, changes or ends a subscription. Setting one again does not move
// where it stands: what is not acknowledged is told whatever the frequency is.
func (b *Batch) setUpdates(u *pb.UpdatesSet) error {
	if _, known := pb.Frequency_name[int32(u.GetFrequency())]; !known || u.GetFrequency() == pb.Frequency_FREQUENCY_UNSPECIFIED {
		return fmt.Errorf("%w: updates at no known frequency", ErrEvent)
	}
	key := appendUpdatesKey(nil, u.GetApp(), u.GetType())
	s, there, err := b.subscription(key)
	switch {
	case err != nil:
		return err
	case u.GetFrequency() == pb.Frequency_FREQUENCY_NEVER:
		if there {
			b.drop(key)
			b.fresh[string(key)] = nil
		}
		return nil
	case !there:
		s.After = b.sequence
	}
	s.Frequency = u.GetFrequency()
	b.keep(key, s.appendRow(nil))
	return nil
}

// ackUpdates moves a subscription on, never back and never beyond where the log is: a
// token may be older than the last one, and younger than a log that was restored.
func (b *Batch) ackUpdates(time int64, u *pb.UpdatesAcked) error {
	key := appendUpdatesKey(nil, u.GetApp(), u.GetType())
	s, there, err := b.subscription(key)
	if err != nil || !there || u.GetSequence() <= s.After {
		return err
	}
	s.After, s.Acked, s.HasAcked = min(u.GetSequence(), b.sequence), time, true
	b.keep(key, s.appendRow(nil))
	return nil
}

func (b *Batch) subscription(key []byte) (s Subscription, there bool, err error) {
	row, there, err := b.find(key)
	if err != nil || !there {
		return s, false, err
	}
	if s, there = readSubscription(key, row); !there {
		return s, false, errDamaged
	}
	return s, true, nil
}

func (s *Subscription) appendRow(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(s.Frequency)), s.After)
	if s.HasAcked {
		dst = binary.AppendVarint(dst, s.Acked)
	}
	return dst
}

func readSubscription(key, row []byte) (s Subscription, ok bool) {
	_, n := readOrdered(key[1:], 0)
	if n == 0 {
		return s, false
	}
	typeCode, rest, ok := readOrdered32(key[1+n:])
	r := reader{b: row}
	s = Subscription{Type: typeCode, Frequency: pb.Frequency(r.byte()), After: r.uvarint()}
	if len(r.b) > 0 {
		s.Acked, s.HasAcked = r.varint(), true
	}
	return s, ok && len(rest) == 0 && r.done() &&
		s.Frequency > pb.Frequency_FREQUENCY_NEVER && s.Frequency <= pb.Frequency_FREQUENCY_WEEKLY
}

// Subscriptions returns what an app wants to be told of, by type code.
func (s *Snapshot) Subscriptions(app uint64) (all []Subscription, err error) {
	lower := appendOrdered([]byte{familyUpdates}, app)
	upper := successor(lower)
	s.touch(lower, upper)
	iter, err := s.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", s.view.damage(err))
	}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		var row []byte
		if row, err = iter.ValueAndErr(); err != nil {
			break
		}
		subscription, ok := readSubscription(iter.Key(), row)
		if !ok {
			err = errDamaged
			break
		}
		all = append(all, subscription)
	}
	if err = errors.Join(err, iter.Close()); err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", s.view.damage(err))
	}
	return all, nil
}
