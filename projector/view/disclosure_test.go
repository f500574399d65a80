package view

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// drawDisclosures draws disclosures with few times, some of which end, at once or later.
func drawDisclosures(r *rapid.T) (log []logged, all []Disclosure) {
	add := func(e *pb.Event) { log = append(log, logged{uint64(1 + len(log)), 0, e}) }
	for i := range rapid.IntRange(1, 8).Draw(r, "disclosures") {
		begun := &pb.DisclosureBegun{
			Id: bytes.Repeat([]byte{byte(i)}, idSize), Time: rapid.Int64Range(-2, 2).Draw(r, "time"), Grant: 7, Types: []uint32{1},
		}
		all = append(all, Disclosure{Begun: begun})
		add(&pb.Event{Body: &pb.Event_DisclosureBegun{DisclosureBegun: begun}})
		d := &all[rapid.IntRange(0, i).Draw(r, "which")]
		if d.Ended == nil && rapid.Bool().Draw(r, "ends") {
			d.Ended = &pb.DisclosureEnded{
				Id: d.Begun.Id, Time: d.Begun.Time, Complete: rapid.Bool().Draw(r, "complete"), Counts: []*pb.DisclosureCount{{Type: 1, Count: 3}},
			}
			add(&pb.Event{Body: &pb.Event_DisclosureEnded{DisclosureEnded: d.Ended}})
		}
	}
	slices.SortFunc(all, func(a, b Disclosure) int { return bytes.Compare(b.Position(), a.Position()) })
	return log, all
}

func disclosures(t *rapid.T, v *View, from, to int64, page int) (all []Disclosure) {
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var after []byte
	for {
		n := 0
		err := s.Disclosures(from, to, after, func(d *Disclosure) bool {
			if n == page {
				return false
			}
			n++
			all, after = append(all, *d), d.Position()
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if n < page {
			return all
		}
	}
}

func TestDisclosuresFollowTheLogHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log, want := drawDisclosures(r)
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
		edges := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
		from, to := rapid.SampledFrom(edges).Draw(r, "from"), rapid.SampledFrom(edges).Draw(r, "to")
		want = slices.DeleteFunc(want, func(d Disclosure) bool { return d.Begun.Time < from || d.Begun.Time >= to })
		got := disclosures(r, parts, from, to, rapid.IntRange(1, 9).Draw(r, "page"))
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" && len(want)+len(got) > 0 {
			r.Fatal(diff)
		}
		closeView(t, whole)
		closeView(t, parts)
	})
}

func TestDisclosuresThatMakeNoSenseAreRefused(t *testing.T) {
	for name, event := range map[string]*pb.Event{
		"ended only": {Body: &pb.Event_DisclosureEnded{DisclosureEnded: &pb.DisclosureEnded{Id: make([]byte, idSize)}}},
		"short id":   {Body: &pb.Event_DisclosureBegun{DisclosureBegun: &pb.DisclosureBegun{Id: make([]byte, idSize-1)}}},
	} {
		v := openView(t, vfs.NewMem())
		b := v.Begin()
		if err := b.Apply(1, 0, event); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
		closeView(t, v)
	}
}
