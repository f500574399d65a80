package query

import (
	"container/heap"
	"errors"
	"math"
	"slices"

	"healthledger/projector/view"
)

// order is the direction of an answer by Place.
type order struct{ newest bool }

// before says whether p comes before q in the answer.
func (o order) before(p, q *view.Place) bool {
	if o.newest {
		return p.Compare(q) > 0
	}
	return p.Compare(q) < 0
}

// first returns the Place before or at every one with this start in the answer.
func (o order) first(start int64) view.Place {
	if o.newest {
		return view.Place{Start: start, End: math.MaxInt64, Sequence: math.MaxUint64, Event: math.MaxUint32, Index: math.MaxUint32}
	}
	return view.Place{Start: start, End: math.MinInt64}
}

// selection is what a page is made of.
type selection struct {
	order  order
	period period
	match  match
	// after is the last sample of the page before, nil for the first page.
	after *view.Place
	// at most so many samples will be taken.
	limit int
}

func (s *selection) holds(p *view.Place) bool {
	return s.match.holds(s.period, p.Start, p.End) && (s.after == nil || s.order.before(s.after, p))
}

// merge yields the samples of several streams in one order.
type merge struct {
	selection *selection
	filter    *filter
	patience  *patience
	streams   []*stream // a heap by next
}

// stream yields the samples of one span of a source. They lie in order of end, so one
// that was read waits until nothing unread can come before it; how far apart start and
// end can be is what the span's longest duration tells.
type stream struct {
	source *view.Source
	span   view.Span
	scan   *view.Scan // nil until the stream's turn comes
	unread bool       // the scan is at a sample that was not taken yet
	// next is the first that waits, or while the stream is not open a Place that none of
	// its samples comes before.
	next    view.Place
	waiting waiting
}

// newMerge prepares the streams of the sources. It reads nothing.
func newMerge(p *patience, s *selection, f *filter, sources []view.Source) *merge {
	m := &merge{selection: s, filter: f, patience: p}
	low, until := s.period.from, s.period.to-1
	if s.after != nil && s.order.newest {
		until = min(until, s.after.Start)
	} else if s.after != nil {
		low = max(low, s.after.Start)
	}
	for i := range sources {
		for _, span := range sources[i].Spans(low, until) {
			st := &stream{source: &sources[i], span: span, waiting: waiting{order: s.order}}
			start := span.Last
			if !s.order.newest {
				start = earliest(span.First, span.Longest)
			}
			st.next = s.order.first(start)
			m.streams = append(m.streams, st)
		}
	}
	heap.Init(m)
	return m
}

// earliest returns when a sample can have started that ends then and is no longer than that.
func earliest(end int64, longest uint64) int64 {
	if longest > uint64(end)-1<<63 {
		return math.MinInt64
	}
	return int64(uint64(end) - longest)
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
	if m.selection.order.newest {
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
		sample := st.scan.Sample()
		fits := m.selection.holds(&sample.Place)
		if fits {
			var err error
			if fits, err = m.filter.matches(st.source, sample); err != nil {
				return err
			}
		}
		if fits {
			heap.Push(&st.waiting, sample)
			st.waiting.cut(m.selection.limit)
		}
		if m.selection.order.newest {
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

// certain says that no unread sample can come before the first that waits.
func (m *merge) certain(st *stream) bool {
	if len(st.waiting.samples) == 0 {
		return false
	}
	first, end := st.waiting.samples[0].Start, st.scan.End()
	if m.selection.order.newest {
		return first > end
	}
	return first < earliest(end, st.span.Longest)
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
	return m.selection.order.before(&m.streams[i].next, &m.streams[j].next)
}
func (m *merge) Swap(i, j int) { m.streams[i], m.streams[j] = m.streams[j], m.streams[i] }
func (m *merge) Push(x any)    { m.streams = append(m.streams, x.(*stream)) }

func (m *merge) Pop() any {
	last := m.streams[len(m.streams)-1]
	m.streams = m.streams[:len(m.streams)-1]
	return last
}

// waiting is a heap of samples by their place in the answer.
type waiting struct {
	order   order
	samples []view.Sample
	popped  view.Sample
}

// cut forgets samples that cannot be among the first limit of the answer.
func (w *waiting) cut(limit int) {
	if len(w.samples) < 2*limit+2 {
		return
	}
	slices.SortFunc(w.samples, func(a, b view.Sample) int {
		if w.order.before(&a.Place, &b.Place) {
			return -1
		}
		return 1
	})
	w.samples = w.samples[:limit+1]
}

func (w *waiting) Len() int { return len(w.samples) }
func (w *waiting) Less(i, j int) bool {
	return w.order.before(&w.samples[i].Place, &w.samples[j].Place)
}
func (w *waiting) Swap(i, j int) { w.samples[i], w.samples[j] = w.samples[j], w.samples[i] }
func (w *waiting) Push(x any)    { w.samples = append(w.samples, *x.(*view.Sample)) }

func (w *waiting) Pop() any {
	w.popped = w.samples[len(w.samples)-1]
	w.samples = w.samples[:len(w.samples)-1]
	return nil
}
