package healthautoexport

import "maps"

// Report says what became of the elements of a document.
type Report struct {
	// Kinds counts by section and metric: "workouts", "metrics: step_count", "unknown: …".
	Kinds map[string]*Count
	// Samples is how many samples were emitted, imported elements included.
	Samples uint64
	// Saved is how many of them the ledger has acknowledged; Parse leaves it 0.
	Saved uint64
	// Bytes that were read.
	Bytes int64
}

// Count is of one kind of elements. Each that was found was mapped or kept.
type Count struct {
	Found, Mapped, Kept uint64
	// Why they were kept, as they came, instead of becoming samples.
	Why map[string]uint64
}

// Total sums all kinds.
func (r *Report) Total() Count {
	total := Count{Why: map[string]uint64{}}
	for c := range maps.Values(r.Kinds) {
		total.Found += c.Found
		total.Mapped += c.Mapped
		total.Kept += c.Kept
		for why, n := range c.Why {
			total.Why[why] += n
		}
	}
	return total
}

// maxKinds and maxName bound Kinds, whose keys come out of the document.
const (
	maxKinds = 1000
	maxName  = 100
)

// bounded returns a name for a kind: the same, unless there are too many or it is too long.
func (r *Report) bounded(kind string) string {
	if _, ok := r.Kinds[kind]; ok {
		return kind
	}
	if len(r.Kinds) >= maxKinds || len(kind) > maxName {
		return "unknown: others"
	}
	return kind
}

func (r *Report) count(kind string) *Count {
	c := r.Kinds[kind]
	if c == nil {
		c = &Count{Why: map[string]uint64{}}
		r.Kinds[kind] = c
	}
	return c
}
