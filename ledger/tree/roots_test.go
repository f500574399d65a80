package tree

import (
	"testing"

	"pgregory.net/rapid"
)

// A root that is known is the right one, and the latest are known.
func TestRootsAreThoseOfTheLatestSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all Tree
		roots, first := &Roots{}, rapid.IntRange(0, 5).Draw(t, "first")
		var want []Hash
		for n := range rapid.IntRange(0, 3*recentRoots).Draw(t, "leaves") {
			want = append(want, all.Root())
			if n >= first {
				roots.Add(&all)
			}
			all.Append(Leaf([]byte{byte(n), byte(n >> 8)}))
		}
		for size, root := range want {
			got, known := roots.At(uint64(size))
			if should := size >= first && size >= len(want)-recentRoots; known != should || known && got != root {
				t.Fatalf("root of %d of %d: %v, %v", size, len(want), got, known)
			}
		}
		if _, known := roots.At(uint64(len(want))); known {
			t.Fatal("a root that was never added")
		}
	})
}
