package query

import (
	"container/heap"
	"errors"
	"math"
	"slices"

	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// selection is what a page is made of.
type selection struct {
	order  order
	period period
	match  match
	// after is the last sample of the page before, nil for the first page.
	after *rank
	// at most so many samples will be taken.
	limit int
}

// holds says whether a sample belongs to an answer in order of time, but for the predicate.
func (s *selection) holds(p *view.Place, typeCode uint32) bool {
	return s.match.holds(s.period, p.Start, p.End) &&
		(s.after == nil || s.order.beforeInTime(&s.after.place, p, s.after.typeCode, typeCode))
}

// merge yields the samples of several streams in one order of time.
type merge struct {
	selection *selection
	writer    *writer
	filter    *filter
	patience  *patience
	streams   []*stream // a heap by next
}

// stream yields the samples of one span of a source. They lie in order of end, so for an
// order by start one that was read waits until nothing unread can come before it; how far
// apart start and end can be is what the span's longest duration tells.
type stream struct {
	source *view.Source
	span   view.Span
	// late says that samples may lie at a later end than their own: correlations.
	late   bool
	scan   *view.Scan // nil until the stream's turn comes
	unread bool       // the scan is at a sample that was not taken yet
	// next is the first that waits, or while the stream is not open a Place that none of
	// its samples comes before.
	next    view.Place
	waiting waiting
}

// newMerge prepares the streams of the sources. It reads nothing.
func newMerge(p *patience, s *selection, w *writer, f *filter, sources []view.Source) *merge {
	m := &merge{selection: s, writer: w, filter: f, patience: p}
	for i := range sources {
		m.add(&sources[i])
	}
	heap.Init(m)
	return m
}

// add makes the streams of a source, from where the page before ended.
func (m *merge) add(source *view.Source) {
	s := m.selection
	late, byEnd := isCorrelation(source), s.order.by == pb.SortBy_SORT_BY_END
	low, until, last := s.period.from, s.period.to-1, int64(math.MaxInt64)
	if s.after != nil {
		edge := s.after.place.Start
		if byEnd {
			edge = s.after.place.End
		}
		if !s.order.descending {
			low = max(low, edge)
		} else if until = min(until, edge); byEnd && !late {
			last = edge
		}
	}
	for _, span := range source.Spans(low, until) {
		if span.Last = min(span.Last, last); span.First > span.Last {
			continue
		}
		st := &stream{source: source, span: span, late: late, waiting: waiting{order: s.order, typeCode: source.Type()}}
		t := span.Last
		if !s.order.descending {
			t = m.earliest(st, span.First)
		}
		st.next = s.order.first(t)
		m.streams = append(m.streams, st)
	}
}

// earliest returns by what time of the order a sample that lies at an end or later can come.
func (m *merge) earliest(st *stream, end int64) int64 {
	if m.exact(st) {
		return end
	}
	if st.span.Longest > uint64(end)-1<<63 {
		return math.MinInt64
	}
	return int64(uint64(end) - st.span.Longest)
}

// exact says that the samples lie in the order of the answer.
func (m *merge) exact(st *stream) bool {
	return m.selection.order.by == pb.SortBy_SORT_BY_END && !st.late
}

// take moves the next sample of the answer to s; false at the end.
func (m *merge) take(s *view.Sample, source **view.Source) (bool, error) {
	for len(m.streams) > 0 {
		st := m.streams[0]
		if st.scan == nil {
			if err := m.open(st); err != nil {
				return false, err
			}
		} else {
			heap.Pop(&st.waiting)
			*s, *source = st.waiting.popped, st.source
			if err := m.settle(st); err != nil {
				return false, err
			}
			return true, nil
		}
	}
	return false, nil
}

func (m *merge) open(st *stream) error {
	scan, err := st.source.Scan(st.span.First, st.span.Last)
	if err != nil {
		return err
	}
	st.scan = scan
	if m.selection.order.descending {
		st.unread = scan.Last()
	} else {
		st.unread = scan.First()
	}
	return m.settle(st)
}

// settle reads until the first sample that waits is certain, and puts the stream where it
// belongs then; one that has ended is closed and left out.
func (m *merge) settle(st *stream) error {
	for st.unread && !m.certain(st) {
		if err := m.patience.spend(); err != nil {
			return err
		}
		if err := m.read(st); err != nil {
			return err
		}
		if m.selection.order.descending {
			st.unread = st.scan.Prev()
		} else {
			st.unread = st.scan.Next()
		}
	}
	if len(st.waiting.samples) > 0 {
		st.next = st.waiting.samples[0].Place
		heap.Fix(m, 0)
		return nil
	}
	heap.Pop(m)
	return st.scan.Close()
}

// read lets the sample that the scan is at wait, if it belongs to the answer.
func (m *merge) read(st *stream) error {
	sample := st.scan.Sample()
	if !m.selection.holds(&sample.Place, st.waiting.typeCode) {
		return nil
	}
	fits, err := m.filter.matches(st.source, sample)
	if !fits || err != nil {
		return err
	}
	heap.Push(&st.waiting, sample)
	if most := m.selection.limit + 1; len(st.waiting.samples) >= 2*most {
		return m.cut(st, most)
	}
	return nil
}

// cut forgets samples that wait and cannot be among so many of the answer.
func (m *merge) cut(st *stream, most int) error {
	all := st.waiting.samples
	slices.SortFunc(all, func(a, b view.Sample) int {
		if st.waiting.before(&a, &b) {
			return -1
		}
		return 1
	})
	kept := all[:0]
	for i := range all {
		if len(kept) == most {
			break
		}
		// A correlation without a member left is in no answer, and then others count.
		if st.late {
			if there, err := m.hasMembers(st.source, &all[i]); err != nil {
				return err
			} else if !there {
				continue
			}
		}
		kept = append(kept, all[i])
	}
	st.waiting.samples = kept
	return nil
}

func (m *merge) hasMembers(source *view.Source, s *view.Sample) (bool, error) {
	if err := m.patience.spend(); err != nil {
		return false, err
	}
	return m.writer.hasMembers(source, s)
}

// certain says that no unread sample can come before the first that waits.
func (m *merge) certain(st *stream) bool {
	if len(st.waiting.samples) == 0 {
		return false
	}
	if m.exact(st) {
		return true
	}
	first, end := st.waiting.samples[0].Start, st.scan.End()
	if m.selection.order.by == pb.SortBy_SORT_BY_END {
		first = st.waiting.samples[0].End
	}
	if m.selection.order.descending {
		return first > end
	}
	return first < m.earliest(st, end)
}

// close ends the scans that are still open.
func (m *merge) close() error {
	var errs []error
	for _, st := range m.streams {
		if st.scan != nil {
			errs = append(errs, st.scan.Close())
		}
	}
	m.streams = nil
	return errors.Join(errs...)
}

func (m *merge) Len() int { return len(m.streams) }
func (m *merge) Less(i, j int) bool {
	a, b := m.streams[i], m.streams[j]
	return m.selection.order.beforeInTime(&a.next, &b.next, a.waiting.typeCode, b.waiting.typeCode)
}
func (m *merge) Swap(i, j int) { m.streams[i], m.streams[j] = m.streams[j], m.streams[i] }
func (m *merge) Push(x any)    { m.streams = append(m.streams, x.(*stream)) }

func (m *merge) Pop() any {
	last := m.streams[len(m.streams)-1]
	m.streams = m.streams[:len(m.streams)-1]
	return last
}

// waiting is a heap of samples of a type by their place in the answer.
type waiting struct {
	order    order
	typeCode uint32
	samples  []view.Sample
	popped   view.Sample
}

func (w *waiting) before(a, b *view.Sample) bool {
	return w.order.beforeInTime(&a.Place, &b.Place, w.typeCode, w.typeCode)
}

func (w *waiting) Len() int           { return len(w.samples) }
func (w *waiting) Less(i, j int) bool { return w.before(&w.samples[i], &w.samples[j]) }
func (w *waiting) Swap(i, j int)      { w.samples[i], w.samples[j] = w.samples[j], w.samples[i] }
func (w *waiting) Push(x any)         { w.samples = append(w.samples, *x.(*view.Sample)) }

func (w *waiting) Pop() any {
	w.popped = w.samples[len(w.samples)-1]
	w.samples = w.samples[:len(w.samples)-1]
	return nil
}
