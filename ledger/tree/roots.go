package tree

// recentRoots is how many roots are kept: as many as a log may grow by while one of them is
// signed.
const recentRoots = 1024

// Roots are the latest roots of a tree that grows. The zero value has none.
type Roots struct {
	last, count uint64
	ring        [recentRoots]Hash
}

// Add takes the root of a tree. One that is not a leaf larger than the last makes the roots
// before it be forgotten.
func (r *Roots) Add(t *Tree) {
	size := t.Size()
	if r.count > 0 && size != r.last+1 {
		r.count = 0
	}
	r.last, r.count = size, min(r.count+1, recentRoots)
	r.ring[size%recentRoots] = t.Root()
}

// At returns the root of the first size leaves, if it is still known.
func (r *Roots) At(size uint64) (Hash, bool) {
	if size > r.last || r.last-size >= r.count {
		return Hash{}, false
	}
	return r.ring[size%recentRoots], true
}
