package view

import (
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// drawUpdates draws events about what apps want to be told, each in a segment of its own.
func drawUpdates(t *rapid.T) (log []logged) {
	sequence := uint64(0)
	for range rapid.IntRange(1, 20).Draw(t, "events") {
		sequence += rapid.Uint64Range(1, 200).Draw(t, "skipped")
		app, typeCode := rapid.Uint64Range(1, 2).Draw(t, "app"), rapid.SampledFrom([]uint32{1, 300}).Draw(t, "type")
		event := &pb.Event{Time: rapid.Int64Range(-2, 1000).Draw(t, "time")}
		if rapid.Bool().Draw(t, "ack") {
			event.Body = &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{
				App: app, Type: typeCode, Sequence: rapid.Uint64Range(0, sequence+100).Draw(t, "sequence"),
			}}
		} else {
			event.Body = &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{
				App: app, Type: typeCode, Frequency: pb.Frequency(rapid.Int32Range(1, 5).Draw(t, "frequency")),
			}}
		}
		log = append(log, logged{sequence, 0, event})
	}
	return log
}

// subscriptionsOf says what an app is to be told of by going through all events of each
// type once more.
func subscriptionsOf(log []logged, app uint64) (all []Subscription) {
	for _, typeCode := range []uint32{1, 300} {
		var now *Subscription
		for _, l := range log {
			set, ack := l.body.GetUpdatesSet(), l.body.GetUpdatesAcked()
			switch {
			case set != nil && set.App == app && set.Type == typeCode && set.Frequency == pb.Frequency_FREQUENCY_NEVER:
				now = nil
			case set != nil && set.App == app && set.Type == typeCode && now == nil:
				now = &Subscription{Type: typeCode, Frequency: set.Frequency, After: l.sequence}
			case set != nil && set.App == app && set.Type == typeCode:
				now.Frequency = set.Frequency
			case ack != nil && ack.App == app && ack.Type == typeCode && now != nil && ack.Sequence > now.After:
				now.After, now.Acked, now.HasAcked = min(ack.Sequence, l.sequence), l.body.Time, true
			}
		}
		if now != nil {
			all = append(all, *now)
		}
	}
	return all
}

func TestSubscriptionsFollowTheLogHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawUpdates(r)
		whole, parts := openView(t, vfs.NewMem()), openView(t, vfs.NewMem())
		commitLog(t, whole, log)
		for rest := log; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(r, "batch")
			commitLog(t, parts, rest[:n])
			rest = rest[n:]
		}
		if diff := cmp.Diff(dump(t, whole), dump(t, parts)); diff != "" {
			r.Fatalf("the rows depend on the batches:\n%s", diff)
		}
		s, err := parts.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		for _, app := range []uint64{1, 2, 3} {
			got, err := s.Subscriptions(app)
			if err != nil {
				r.Fatal(err)
			}
			if want := subscriptionsOf(log, app); !slices.Equal(want, got) {
				r.Fatalf("app %d: %+v, want %+v", app, got, want)
			}
		}
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
		closeView(t, whole)
		closeView(t, parts)
	})
}

func TestUpdatesOfUnknownFrequencyAreRefused(t *testing.T) {
	for _, frequency := range []pb.Frequency{-1, 0, 6, 258} {
		v := openView(t, vfs.NewMem())
		b := v.Begin()
		err := b.Apply(1, 0, &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{App: 1, Type: 1, Frequency: frequency}}})
		if !errors.Is(err, ErrEvent) {
			t.Errorf("frequency %d: %v", frequency, err)
		}
		b.Close()
		closeView(t, v)
	}
}
