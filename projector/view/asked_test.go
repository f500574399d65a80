package view

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// drawAsking draws requests of apps, each in a segment of its own.
func drawAsking(t *rapid.T) (log []logged) {
	types := rapid.SliceOfN(rapid.SampledFrom([]uint32{1, 2, 300}), 0, 4)
	for i := range rapid.IntRange(1, 12).Draw(t, "events") {
		log = append(log, logged{uint64(i + 1), 0, &pb.Event{
			Time: rapid.Int64Range(-2, 1000).Draw(t, "time"),
			Body: &pb.Event_AuthorizationRequested{AuthorizationRequested: &pb.AuthorizationRequested{
				App: rapid.SampledFrom([]uint64{1, 2, 900}).Draw(t, "app"), Shares: types.Draw(t, "shares"), Reads: types.Draw(t, "reads"),
			}},
		}})
	}
	return log
}

// askedFor looks for the first request of everything that can be asked for.
func askedFor(log []logged) (all []Asked) {
	for _, app := range []uint64{1, 2, 900} {
		for _, direction := range []Direction{ToWrite, ToRead} {
			for _, typeCode := range []uint32{1, 2, 300} {
				i := slices.IndexFunc(log, func(l logged) bool {
					asked := l.body.GetAuthorizationRequested()
					types := asked.GetShares()
					if direction == ToRead {
						types = asked.GetReads()
					}
					return asked.GetApp() == app && slices.Contains(types, typeCode)
				})
				if i >= 0 {
					all = append(all, Asked{app, direction, typeCode, log[i].body.GetTime()})
				}
			}
		}
	}
	return all
}

func TestRequestsAreKeptFromTheFirstTimeHoweverTheLogIsCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		log := drawAsking(r)
		v := openView(t, vfs.NewMem())
		for rest := log; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(r, "batch")
			commitLog(t, v, rest[:n])
			rest = rest[n:]
		}
		s, err := v.Snapshot()
		if err != nil {
			r.Fatal(err)
		}
		got, err := s.Asked()
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(askedFor(log), got); diff != "" {
			r.Fatal(diff)
		}
		if err := s.Close(); err != nil {
			r.Fatal(err)
		}
		closeView(t, v)
	})
}
