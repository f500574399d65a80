package view

import (
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"healthledger/authz"
	"healthledger/authz/statetest"
	pb "healthledger/proto/healthledger/v1"
)

// since makes the scope of an app that may read type 1 since a time.
func since(t testing.TB, time int64) authz.Scope {
	t.Helper()
	return granted(t, &pb.ReadGrant{Type: 1, Extent: pb.ReadExtent_READ_EXTENT_SINCE, Since: time})
}

// granted makes the scope of app 1 with grants.
func granted(t testing.TB, reads ...*pb.ReadGrant) authz.Scope {
	t.Helper()
	state := statetest.New()
	statetest.Decide(t, state,
		&pb.Decision{Body: &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{Key: "k", TokenHash: make([]byte, 32), Explained: &pb.Explained{Read: true}}}},
		&pb.DecisionDetail{Body: &pb.DecisionDetail_ReadsDecided{ReadsDecided: &pb.ReadsDecided{App: 1, Reads: reads}}})
	return state.Scope(1)
}

// Whatever bounds a query asks for, a scan ends at what the scope may see.
func TestScanCannotLeaveTheScope(t *testing.T) {
	v := openView(t, vfs.NewMem())
	made := newSeries()
	commitLog(t, v, []logged{{1, 0, made.event(false, &pb.SampleColumns{Type: 1, Tick: 1, Start: []int64{10, 10, 10}, Mantissa: []int64{1, 1, 1}})}})
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for time, want := range map[int64]int{math.MinInt64: 3, 10: 3, 11: 2, 20: 2, 30: 1, 31: 0} {
		got := 0
		for _, source := range s.Sources(since(t, time), 1) {
			scan, err := source.Scan(math.MinInt64, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			for ok := scan.Last(); ok; ok = scan.Prev() {
				got++
			}
			if err := scan.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("since %d: %d samples, want %d", time, got, want)
		}
	}
	if sources := s.Sources(authz.Scope{}, 1); len(sources) > 0 {
		t.Errorf("the empty scope sees %v", sources)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closeView(t, v)
}

// One sample that never ends must not make a query read all that came after it started.
func TestEndlessSampleDoesNotWidenOtherDays(t *testing.T) {
	e := &entry{maxEnd: 1000 * dayLength, days: []day{{0, 60, 1}, {3, 60, 1}, {999, 1001 * dayLength, 1}}}
	spans := e.spans(math.MinInt64, 0, dayLength)
	if len(spans) != 2 || spans[0].Last != dayLength+60 || spans[1].First != 999*dayLength {
		t.Errorf("spans %v", spans)
	}
}
