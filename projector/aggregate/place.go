package aggregate

import "cmp"

// Place is where a sample stands: its period, then its place in the log. Index counts
// the samples of one type in one request. No two samples of a type share a Place.
type Place struct {
	// Start and End are microseconds since the Unix epoch.
	Start, End int64
	// Sequence of the segment and ordinal of the event in it.
	Sequence uint64
	Event    uint32
	Index    uint32
}

// Compare orders places by start, end and place in the log. It depends on nothing
// that other samples could change, so that hidden ones cannot reorder visible ones.
func (p *Place) Compare(q *Place) int {
	switch {
	case p.Start != q.Start:
		return cmp.Compare(p.Start, q.Start)
	case p.End != q.End:
		return cmp.Compare(p.End, q.End)
	case p.Sequence != q.Sequence:
		return cmp.Compare(p.Sequence, q.Sequence)
	case p.Event != q.Event:
		return cmp.Compare(p.Event, q.Event)
	}
	return cmp.Compare(p.Index, q.Index)
}

// Later orders samples by end; of two that end together the one that starts later, or came
// later, is the more recent.
func (p *Place) Later(q *Place) bool {
	if p.End != q.End {
		return p.End > q.End
	}
	return p.Compare(q) > 0
}
