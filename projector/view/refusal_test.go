package view

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

func refusals(t *rapid.T, v *View, from, to int64, page int) (all []Refusal) {
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var after []byte
	for {
		n := 0
		err := s.Refusals(from, to, after, func(r *Refusal) bool {
			if n == page {
				return false
			}
			n++
			all, after = append(all, *r), r.Position()
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

// Refusals of one time are told apart, in one segment too.
func TestRefusalsFollowTheLogHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var log, want []logged
		for i := range rapid.IntRange(1, 8).Draw(r, "refusals") {
			log = append(log, logged{uint64(1 + i/2), i % 2, &pb.Event{
				Time: rapid.Int64Range(-2, 2).Draw(r, "time"),
				Body: &pb.Event_RefusalRecorded{RefusalRecorded: &pb.RefusalRecorded{App: 7, Why: fmt.Sprint(i)}},
			}})
		}
		whole, parts := openView(t, vfs.NewMem()), openView(t, vfs.NewMem())
		commitLog(t, whole, log)
		for rest := log; len(rest) > 0; {
			n := min(len(rest), 2*rapid.IntRange(1, 4).Draw(r, "batch"))
			commitLog(t, parts, rest[:n])
			rest = rest[n:]
		}
		if diff := cmp.Diff(dump(t, whole), dump(t, parts)); diff != "" {
			r.Fatalf("the rows depend on the batches:\n%s", diff)
		}
		edges := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
		from, to := rapid.SampledFrom(edges).Draw(r, "from"), rapid.SampledFrom(edges).Draw(r, "to")
		for _, l := range slices.Backward(log) {
			if at := l.body.GetTime(); at >= from && at < to {
				want = append(want, l)
			}
		}
		slices.SortStableFunc(want, func(a, b logged) int { return int(b.body.GetTime() - a.body.GetTime()) })
		got := refusals(r, parts, from, to, rapid.IntRange(1, 9).Draw(r, "page"))
		same := func(l logged, r Refusal) bool {
			return l.body.GetTime() == r.Time && proto.Equal(l.body.GetRefusalRecorded(), r.RefusalRecorded)
		}
		if !slices.EqualFunc(want, got, same) {
			r.Fatalf("%v, want %v", got, want)
		}
		closeView(t, whole)
		closeView(t, parts)
	})
}

func TestRefusalThatIsDamagedIsFound(t *testing.T) {
	for _, row := range [][]byte{{0xff}, bytes.Repeat([]byte{0x12}, 3)} {
		v := openView(t, vfs.NewMem())
		b := v.Begin()
		b.set(appendRefusalKey(nil, 1, 1, 0), row)
		if err := b.Commit(Cursor{Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		s, err := v.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Refusals(math.MinInt64, math.MaxInt64, nil, func(*Refusal) bool { return true }); !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
		s.Close()
		closeView(t, v)
	}
}
