package view

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// A sample is known as a member by whoever sees it among the members of a correlation that
// can be seen, whatever came, went or was replaced, and by nobody else. No row is left of a
// correlation that is gone.
func TestCorrelatedIsWhatMembersSay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := openView(t, vfs.NewMem())
		defer closeView(t, v)
		commitLog(t, v, drawLog(r, 8))
		s, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		scope := drawReader(t, r)
		members := membersSeen(t, s, scope)
		details := s.Details()
		for _, code := range []uint32{13, 14} {
			eachSample(t, s, scope, code, func(source *Source, sample *Sample) {
				got, err := details.Correlated(scope, source, sample, freely)
				if at := source.Locate(sample); err != nil || got != members[at] {
					r.Errorf("%+v: %v, error %v", at, got, err)
				}
			})
		}
		checkMemberships(t, v)
	})
}

// membersSeen returns what a scope sees as members of correlations, from a scan of these.
func membersSeen(t testing.TB, s *Snapshot, scope authz.Scope) map[Locator]bool {
	t.Helper()
	members, details := map[Locator]bool{}, s.Details()
	for _, code := range []uint32{Pair(2001, 13), Pair(2001, 14)} {
		eachSample(t, s, scope, code, func(source *Source, sample *Sample) {
			object, err := details.Object(source.App(), sample)
			if err != nil {
				t.Fatal(err)
			}
			err = details.Members(scope, object, func(of *Source, member *Sample) error {
				members[of.Locate(member)] = true
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	return members
}

func eachSample(t testing.TB, s *Snapshot, scope authz.Scope, code uint32, fn func(*Source, *Sample)) {
	t.Helper()
	for _, source := range s.Sources(scope, code) {
		scan, err := source.Scan(math.MinInt64, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		for ok := scan.First(); ok; ok = scan.Next() {
			fn(&source, scan.Sample())
		}
		if err := scan.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkMemberships(t testing.TB, v *View) {
	t.Helper()
	err := v.rows(familyMembership, func(_, value []byte) error {
		rows, ok := readObjectRows(value)
		if !ok {
			return errDamaged
		}
		for i := range rows {
			if _, err := get(v.db, rows[i].appendKey([]byte{familySample})); err == pebble.ErrNotFound {
				t.Errorf("a member of %+v, which is gone", rows[i].Locator)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A later version can bring a member into the time that a reader may see. That it is one is
// told to who sees the correlation by way of another.
func TestCorrelationsBeforeAGrantAreNotTold(t *testing.T) {
	systolic := pressure("bloodPressureSystolic", 120, nil, syncMetadata[0].Entries...)
	next := pressure("bloodPressureSystolic", 121, &pb.Source{Name: "cuff"}, syncMetadata[1].Entries...)
	next.Start, next.End = health.Timestamp(20), health.Timestamp(20)
	v := openView(t, vfs.NewMem())
	defer closeView(t, v)
	commitLog(t, v, imported(t, correlation(systolic, pressure("bloodPressureDiastolic", 80, nil)), next))
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	systolicType, diastolicType := mustType("bloodPressureSystolic"), mustType("bloodPressureDiastolic")
	since := &pb.ReadGrant{Type: systolicType, Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: 10}
	for name, test := range map[string]struct {
		scope authz.Scope
		want  bool
	}{
		"the version":     {granted(t, since), false},
		"another member":  {granted(t, since, &pb.ReadGrant{Type: diastolicType, Extent: pb.ReadExtent_READ_EXTENT_ALL}), true},
		"what was before": {granted(t, &pb.ReadGrant{Type: systolicType, Extent: pb.ReadExtent_READ_EXTENT_ALL}), true},
		"everything":      {owner(), true},
	} {
		seen := 0
		eachSample(t, s, test.scope, systolicType, func(source *Source, sample *Sample) {
			seen++
			if got, err := s.Details().Correlated(test.scope, source, sample, freely); got != test.want || err != nil {
				t.Errorf("who sees %s: %v, error %v", name, got, err)
			}
		})
		if seen != 1 {
			t.Errorf("who sees %s sees %d", name, seen)
		}
	}
}

// An app may name one member in as many correlations as it likes. The last of them, and its
// deletion, cost the view no more than the first.
func TestCorrelationsWithOneMemberCostTheSame(t *testing.T) {
	const correlations = 100
	var whole []*pb.Sample
	for i := range correlations {
		whole = append(whole, correlation(pressure("bloodPressureSystolic", 120, nil, syncMetadata[0].Entries...),
			pressure("bloodPressureDiastolic", float64(1000+i), nil)))
	}
	log := imported(t, whole...)
	for i := range uint64(correlations) {
		log = append(log, logged{correlations + 1 + i, 0, &pb.Event{Body: &pb.Event_SamplesDeleted{SamplesDeleted: &pb.SamplesDeleted{
			App: 7, RequestId: fmt.Appendf(nil, "deletion %7d", i), Deletions: []*pb.DeletedSamples{
				{Type: mustType("bloodPressure"), Uuids: [][]byte{derivedID(log[i], mustType("bloodPressure"))}},
			},
		}}}})
	}
	v := openView(t, vfs.NewMem())
	defer closeView(t, v)
	b := v.Begin()
	defer b.Close()
	var cost []int
	for _, l := range log {
		before := b.Len()
		if err := b.Apply(l.sequence, l.event, l.body); err != nil {
			t.Fatal(err)
		}
		cost = append(cost, b.Len()-before)
	}
	if b.counts.Deleted != correlations {
		t.Fatalf("%d are deleted", b.counts.Deleted)
	}
	const slack = 64 // numbers grow
	saving, deleting := cost[1:correlations], cost[correlations+1:]
	for name, bytes := range map[string][]int{"saving": saving, "deleting": deleting} {
		if slices.Max(bytes) > bytes[0]+slack {
			t.Errorf("%s: from %d to %d bytes", name, bytes[0], slices.Max(bytes))
		}
	}
}

// derivedID is the UUID of the first sample of a type that an event brings.
func derivedID(l logged, typeCode uint32) []byte {
	saved := l.body.GetSamplesSaved()
	id := health.DeriveUUID([16]byte(saved.GetRequestId()), keyOf(saved.GetApp()), typeCode, 0)
	return id[:]
}
