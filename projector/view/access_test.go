package view

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// drawAccess draws reads and their counts. Some counts are lost.
func drawAccess(t *rapid.T) (log []logged) {
	type key struct {
		app       uint64
		typeCode  uint32
		operation string
		minute    int64
	}
	by := map[key]uint32{}
	var keys []key
	sequence := uint64(0)
	for range rapid.IntRange(1, 30).Draw(t, "events") {
		sequence += rapid.Uint64Range(1, 3).Draw(t, "skipped")
		if len(keys) > 0 && rapid.IntRange(0, 2).Draw(t, "counted") == 0 {
			k := rapid.SampledFrom(keys).Draw(t, "which")
			by[k] = 0
			log = append(log, logged{sequence, 0, &pb.Event{Body: &pb.Event_AccessCounted{AccessCounted: &pb.AccessCounted{App: k.app, Counts: []*pb.AccessCount{
				{Type: k.typeCode, Operation: k.operation, Minute: k.minute, Count: rapid.Uint64Range(0, 300).Draw(t, "count")},
			}}}}})
			continue
		}
		k := key{
			rapid.SampledFrom([]uint64{0, 1, 300}).Draw(t, "app"), rapid.SampledFrom([]uint32{1, 300}).Draw(t, "type"),
			rapid.SampledFrom([]string{"", "samples", "sources"}).Draw(t, "operation"), rapid.Int64Range(-1, 1).Draw(t, "minute"),
		}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
		if by[k] == 0 || rapid.IntRange(0, 5).Draw(t, "lost") == 0 {
			by[k] = rapid.Uint32Min(1).Draw(t, "by")
		}
		record := &pb.AccessRecorded{App: k.app, Type: k.typeCode, Operation: k.operation, Minute: k.minute, CountedBy: by[k]}
		if rapid.Bool().Draw(t, "bounded") {
			record.From, record.To = rapid.Int64Range(-9, -1).Draw(t, "from"), rapid.SampledFrom([]int64{5, math.MaxInt64}).Draw(t, "to")
		}
		log = append(log, logged{sequence, 0, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: record}}})
	}
	return log
}

// accessOf says what the log has of an access by going through all of it.
func accessOf(log []logged, like Access) (a Access, there bool) {
	a = like
	a.From, a.To = math.MaxInt64, math.MinInt64
	open, lost := uint32(0), false
	for _, l := range log {
		if r := l.body.GetAccessRecorded(); r != nil && r.App == a.App && r.Type == a.Type && r.Operation == a.Operation && r.Minute == a.Minute {
			there, lost, open = true, lost || open != 0 && open != r.CountedBy, r.CountedBy
			if r.From == 0 && r.To == 0 {
				a.From, a.To = math.MinInt64, math.MaxInt64
			}
			a.From, a.To = min(a.From, r.From), max(a.To, r.To)
		}
		for _, c := range l.body.GetAccessCounted().GetCounts() {
			if l.body.GetAccessCounted().App == a.App && c.Type == a.Type && c.Operation == a.Operation && c.Minute == a.Minute {
				a.Count, open = a.Count+c.Count, 0
			}
		}
	}
	a.Known = open == 0 && !lost
	return a, there
}

// allAccess are all that the log has, the newest minute first.
func allAccess(log []logged) (all []Access) {
	for minute := int64(1); minute >= -1; minute-- {
		for _, app := range []uint64{300, 1, 0} {
			for _, typeCode := range []uint32{300, 1} {
				for _, operation := range []string{"sources", "samples", ""} {
					if a, there := accessOf(log, Access{Minute: minute, App: app, Type: typeCode, Operation: operation}); there {
						all = append(all, a)
					}
				}
			}
		}
	}
	return all
}

func accesses(t *rapid.T, v *View, first, last int64, page int) (all []Access) {
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var after []byte
	for {
		n := 0
		err := s.Accesses(first, last, after, func(a *Access) bool {
			if n == page {
				return false
			}
			n++
			all, after = append(all, *a), a.Position()
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

func TestAccessFollowsTheLogHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawAccess(r)
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
		first, last := rapid.SampledFrom(edges).Draw(r, "first"), rapid.SampledFrom(edges).Draw(r, "last")
		want := slices.DeleteFunc(allAccess(log), func(a Access) bool { return a.Minute < first || a.Minute > last })
		if got := accesses(r, parts, first, last, rapid.IntRange(1, 9).Draw(r, "page")); !slices.Equal(want, got) {
			r.Fatal(cmp.Diff(want, got))
		}
		closeView(t, whole)
		closeView(t, parts)
	})
}

func TestCountWithoutARecordIsRefused(t *testing.T) {
	v := openView(t, vfs.NewMem())
	b := v.Begin()
	err := b.Apply(1, 0, &pb.Event{Body: &pb.Event_AccessCounted{AccessCounted: &pb.AccessCounted{App: 1, Counts: []*pb.AccessCount{{Count: 1}}}}})
	if !errors.Is(err, ErrEvent) {
		t.Error(err)
	}
	b.Close()
	closeView(t, v)
}
