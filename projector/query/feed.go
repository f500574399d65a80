package query

import (
	"container/heap"
	"errors"

	"healthledger/projector/view"
)

// feeds yields the entries of all groups, the one that ends last first; of those that end
// together, in an order that means nothing.
type feeds struct {
	collection *collection
	heap       []*feed // by next
}

// feed yields the entries of one span of a source. The entries of a series end when its
// sample does or earlier, so they wait until nothing unread can come before them.
type feed struct {
	source  *view.Source
	group   int
	span    view.Span
	scan    *view.Scan // nil until the feed's turn comes
	unread  bool       // the scan is at a sample that was not taken yet
	next    int64      // nothing that is left ends later
	waiting entries
}

func newFeeds(c *collection) *feeds {
	f := &feeds{collection: c}
	for i, g := range c.groups {
		for j := range g.sources {
			for _, span := range g.sources[j].Spans(c.period().from, c.period().to-1) {
				f.heap = append(f.heap, &feed{source: &g.sources[j], group: i, span: span, next: span.Last})
			}
		}
	}
	heap.Init(f)
	return f
}

// first returns the entry that ends last, until next.
func (f *feeds) first() (e *entry, ok bool, err error) {
	for len(f.heap) > 0 {
		top := f.heap[0]
		if top.scan != nil {
			return &top.waiting[0], true, nil
		}
		if top.scan, err = top.source.Scan(top.span.First, top.span.Last); err != nil {
			return nil, false, err
		}
		top.unread = top.scan.Last()
		if err := f.settle(top); err != nil {
			return nil, false, err
		}
	}
	return nil, false, nil
}

// next takes the first entry away.
func (f *feeds) next() error {
	top := f.heap[0]
	heap.Pop(&top.waiting)
	return f.settle(top)
}

// settle reads on until what waits is certain, and puts the feed where it belongs then;
// one that has ended is closed and left out.
func (f *feeds) settle(top *feed) error {
	for top.unread && (len(top.waiting) == 0 || top.waiting[0].End < top.scan.End()) {
		err := f.collection.entries(top.group, top.source, top.scan.Sample(), func(e *entry) error {
			heap.Push(&top.waiting, *e)
			return nil
		})
		if err != nil {
			return err
		}
		top.unread = top.scan.Prev()
	}
	if len(top.waiting) > 0 {
		top.next = top.waiting[0].End
		heap.Fix(f, 0)
		return nil
	}
	heap.Pop(f)
	return top.scan.Close()
}

// close ends the scans that are still open.
func (f *feeds) close() error {
	var errs []error
	for _, top := range f.heap {
		if top.scan != nil {
			errs = append(errs, top.scan.Close())
		}
	}
	f.heap = nil
	return errors.Join(errs...)
}

func (f *feeds) Len() int           { return len(f.heap) }
func (f *feeds) Less(i, j int) bool { return f.heap[i].next > f.heap[j].next }
func (f *feeds) Swap(i, j int)      { f.heap[i], f.heap[j] = f.heap[j], f.heap[i] }
func (f *feeds) Push(x any)         { f.heap = append(f.heap, x.(*feed)) }

func (f *feeds) Pop() any {
	last := f.heap[len(f.heap)-1]
	f.heap = f.heap[:len(f.heap)-1]
	return last
}

// entries is a heap, the one that ends last first.
type entries []entry

func (w entries) Len() int           { return len(w) }
func (w entries) Less(i, j int) bool { return w[i].End > w[j].End }
func (w entries) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *entries) Push(x any)        { *w = append(*w, x.(entry)) }

func (w *entries) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
