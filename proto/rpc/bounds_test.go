package rpc

import (
	"testing"

	"pgregory.net/rapid"
)

// However many callers take whatever they get, all stay within the bounds, one that comes
// later gets as much as each of them has, and what has left has left nothing behind.
func TestGreedyCallersLeaveRoomForOthers(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		requests, bytes := rapid.IntRange(1, 200).Draw(r, "requests"), rapid.Int64Range(1, 10_000).Draw(r, "bytes")
		b := newBounds(requests, bytes)
		greedy := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]`), 0, 8, rapid.ID).Draw(r, "greedy")
		size := rapid.Int64Range(0, 20).Draw(r, "size")
		taken := map[string]int64{}
		for busy := 0; busy < len(greedy); {
			busy = 0
			for _, key := range greedy {
				if b.take(key, size) != nil {
					busy++
					continue
				}
				taken[key]++
			}
		}
		if b.all.requests > int64(requests) || b.all.bytes > bytes {
			r.Fatalf("%+v are under way", b.all)
		}
		least := min(int64(requests)/int64(len(greedy)+1), bytes/max(size, 1)/int64(len(greedy)+1))
		for i := range least / 2 {
			if err := b.take("later", size); err != nil {
				r.Fatalf("one that comes later gets %d, and %d greedy ones have %v", i, len(greedy), taken)
			}
			taken["later"]++
		}
		for key, n := range taken {
			for range n {
				b.settle(key, size, 2*size)
				b.leave(key, 2*size)
			}
		}
		if len(b.byKey) > 0 || b.all != (load{}) {
			r.Fatalf("%+v are left", b.all)
		}
	})
}
