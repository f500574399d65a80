package query

import (
	"container/heap"
	"errors"
	"math"

	"healthledger/projector/view"
)

// feeds yields the entries that overlap a period, the one that ends last first; of those
// that end together, in an order that means nothing.
type feeds struct {
	collection *collection
	period     period
	heap       []*feed // by next
	free       []*counting
}

// feed yields the entries of one span of a source. The entries of a series end when its
// sample does or earlier, so they wait until nothing unread can come before them.
type feed struct {
	sourceRows
	group   int
	span    view.Span
	scan    *view.Scan // nil until the feed's turn comes
	unread  bool       // the scan is at a sample that was not taken yet
	next    int64      // nothing that is left ends later
	waiting waitingEntries
	take    func(*entry) error
}

// rows are the samples that a feed reads: all, those in the figures of quarters, or those
// beside them.
type rows int

const (
	allRows rows = iota
	quarterRows
	besideRows
)

// add adds samples of a source. Those in quarters are short: the long ones of their day
// are beside, and do not make it read far beyond the period.
func (f *feeds) add(group int, of sourceRows) {
	for _, span := range of.source.Spans(f.period.from, f.period.to-1) {
		if last := f.period.to - 1; of.rows == quarterRows && last < math.MaxInt64-quartered {
			span.Last = min(span.Last, last+quartered)
		}
		if span.First <= span.Last {
			f.push(&feed{sourceRows: of, group: group, span: span})
		}
	}
}

func (f *feeds) push(one *feed) {
	one.next = one.span.Last
	one.take = func(e *entry) error {
		c := f.counting()
		*c = counting{entry: *e}
		heap.Push(&one.waiting, c)
		return nil
	}
	heap.Push(f, one)
}

func (f *feeds) counting() *counting {
	if last := len(f.free) - 1; last >= 0 {
		c := f.free[last]
		f.free = f.free[:last]
		return c
	}
	return &counting{}
}

// first returns the entry that ends last, until next.
func (f *feeds) first() (e *counting, ok bool, err error) {
	for len(f.heap) > 0 {
		top := f.heap[0]
		if top.scan != nil {
			return top.waiting[0], true, nil
		}
		scan := top.source.Scan
		if top.rows == besideRows {
			scan = top.source.ScanBeside
		}
		if top.scan, err = scan(top.span.First, top.span.Last); err != nil {
			return nil, false, err
		}
		top.unread = top.scan.Last()
		if err := f.settle(top); err != nil {
			return nil, false, err
		}
	}
	return nil, false, nil
}

// next takes the first entry away; it is not overwritten until it is given to release.
func (f *feeds) next() error {
	top := f.heap[0]
	heap.Pop(&top.waiting)
	return f.settle(top)
}

// release takes an entry back that is not needed any more.
func (f *feeds) release(c *counting) { f.free = append(f.free, c) }

// settle reads on until what waits is certain, and puts the feed where it belongs then;
// one that has ended is closed and left out.
func (f *feeds) settle(top *feed) error {
	for top.unread && (len(top.waiting) == 0 || top.waiting[0].End < top.scan.End()) {
		if err := f.read(top, top.scan.Sample()); err != nil {
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

func (f *feeds) read(top *feed, s *view.Sample) error {
	if top.rows == quarterRows {
		if in, err := f.collection.inQuarters(top.source, s); err != nil || !in {
			return errors.Join(err, f.collection.patience.spend())
		}
	}
	return f.collection.entries(f.period, top.group, top.source, s, top.take)
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

// waitingEntries is a heap, the one that ends last first.
type waitingEntries []*counting

func (w waitingEntries) Len() int           { return len(w) }
func (w waitingEntries) Less(i, j int) bool { return w[i].End > w[j].End }
func (w waitingEntries) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waitingEntries) Push(x any)        { *w = append(*w, x.(*counting)) }

func (w *waitingEntries) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
