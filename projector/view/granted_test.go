package view

import (
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"healthledger/authz"
	"healthledger/authz/statetest"
	pb "healthledger/proto/healthledger/v1"
)

// grantedObjects makes the scope of app 1 with decisions about objects.
func grantedObjects(t testing.TB, decided ...*pb.ObjectsDecided) authz.Scope {
	t.Helper()
	state := statetest.New()
	decide := func(d *pb.Decision, detail *pb.DecisionDetail) { statetest.Decide(t, state, d, detail) }
	decide(&pb.Decision{Body: &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{Key: "k", TokenHash: make([]byte, 32), Explained: &pb.Explained{Read: true}}}}, &pb.DecisionDetail{})
	for _, d := range decided {
		decide(&pb.Decision{}, &pb.DecisionDetail{Body: &pb.DecisionDetail_ObjectsDecided{ObjectsDecided: d}})
	}
	return state.Scope(1)
}

// A reader sees the objects that are granted to it and, unless they are hidden, its own: by
// each source, of each type, and of nothing else is there so much as an entry.
func TestAScopeReachesTheObjectsThatItNamesAndNoOther(t *testing.T) {
	through := map[uint32]uint32{2604: 2604, 2607: 2701, 2701: 2701}
	rapid.Check(t, func(r *rapid.T) {
		log := drawLog(r, 8)
		all := newModel(log).samples()
		may := map[uint32]map[authz.Object]bool{2604: {}, 2701: {}}
		hidden := map[uint32]bool{2604: rapid.Bool().Draw(r, "prescriptions"), 2701: rapid.Bool().Draw(r, "medications")}
		var decided []*pb.ObjectsDecided
		for _, s := range all {
			if code := through[s.typeCode]; code != 0 && rapid.Bool().Draw(r, "granted") {
				may[code][authz.Object{App: s.app, Name: s.object}] = true
				decided = append(decided, &pb.ObjectsDecided{App: 1, Type: code, Granted: []*pb.ObjectName{{App: s.app, Name: []byte(s.object)}}})
			}
		}
		for code, hide := range hidden {
			if hide {
				decided = append(decided, &pb.ObjectsDecided{App: 1, Type: code, Own: pb.OwnObjects_OWN_OBJECTS_HIDDEN})
			}
		}
		v := openView(t, vfs.NewMem())
		commitLog(t, v, log)
		snapshot, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		scope := grantedObjects(t, decided...)
		for code, by := range through {
			var want, got []Place
			for _, s := range all {
				if s.typeCode == code && (may[by][authz.Object{App: s.app, Name: s.object}] || s.app == 1 && !hidden[by]) {
					want = append(want, s.sample.Place)
				}
			}
			for _, source := range snapshot.Sources(scope, code) {
				scan, err := source.Scan(math.MinInt64, math.MaxInt64)
				if err != nil {
					r.Fatal(err)
				}
				for ok := scan.First(); ok; ok = scan.Next() {
					got = append(got, scan.Sample().Place)
				}
				if err := scan.Close(); err != nil {
					r.Fatal(err)
				}
			}
			byPlace := func(a, b Place) int { return a.Compare(&b) }
			slices.SortFunc(want, byPlace)
			slices.SortFunc(got, byPlace)
			if !slices.Equal(want, got) {
				r.Fatalf("type %d: %v, want %v", code, got, want)
			}
		}
		if err := snapshot.Close(); err != nil {
			r.Fatal(err)
		}
		closeView(t, v)
	})
}
