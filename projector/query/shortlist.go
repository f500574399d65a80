package query

import (
	"errors"
	"slices"

	"healthledger/projector/view"
)

// shortlist yields samples that come in any order in that of the answer. It holds no more
// than a page of them: when these are taken, it looks through all of them again.
type shortlist struct {
	selection selection
	filter    *filter
	writer    *writer
	// each calls with all samples that may belong to the answer.
	each func(call func(*view.Source, *view.Sample) error) error

	listed []listed
	next   int
	// begun says that there was a round, cut that it left samples out.
	begun, cut bool
}

type listed struct {
	rank   rank
	sample view.Sample
	source *view.Source
}

// take moves the next sample of the answer to s; false at the end.
func (l *shortlist) take(s *view.Sample, source **view.Source) (bool, error) {
	if l.next == len(l.listed) && (!l.begun || l.cut) {
		if err := l.round(); err != nil {
			return false, err
		}
	}
	if l.next == len(l.listed) {
		return false, nil
	}
	*s, *source = l.listed[l.next].sample, l.listed[l.next].source
	l.next++
	return true, nil
}

// round lists the first samples after those that were taken.
func (l *shortlist) round() error {
	if l.begun {
		after := l.listed[len(l.listed)-1].rank
		l.selection.after = &after
	}
	l.listed, l.next, l.begun, l.cut = l.listed[:0], 0, true, false
	if err := l.each(l.add); err != nil {
		return err
	}
	l.sort()
	return nil
}

// add lists a sample if it belongs to the answer and nothing speaks for its being beyond
// the page.
func (l *shortlist) add(source *view.Source, s *view.Sample) error {
	o := &l.selection.order
	if !l.selection.match.holds(l.selection.period, s.Start, s.End) {
		return nil
	}
	r := l.writer.rank(*o, source, s)
	if l.selection.after != nil && !o.before(l.selection.after, &r) || l.cut && !o.before(&r, &l.listed[l.most()-1].rank) {
		return nil
	}
	if fits, err := l.filter.matches(source, s); !fits || err != nil {
		return err
	}
	if l.listed = append(l.listed, listed{r, *s, source}); len(l.listed) >= 2*l.most() {
		l.sort()
	}
	return nil
}

// most is how many are kept: one more than a page takes tells whether there is another.
func (l *shortlist) most() int { return l.selection.limit + 1 }

// sort sorts what is listed, and forgets what is beyond the page.
func (l *shortlist) sort() {
	slices.SortFunc(l.listed, func(a, b listed) int {
		switch o := &l.selection.order; {
		case o.before(&a.rank, &b.rank):
			return -1
		case o.before(&b.rank, &a.rank):
			return 1
		}
		return 0 // a correlation, by way of two types
	})
	if len(l.listed) > l.most() {
		l.listed, l.cut = l.listed[:l.most()], true
	}
}

func (l *shortlist) close() error { return nil }

// scanAll calls with the samples of the sources that may lie in a period.
func scanAll(p *patience, within period, sources []view.Source, call func(*view.Source, *view.Sample) error) error {
	for i := range sources {
		for _, span := range sources[i].Spans(within.from, within.to-1) {
			scan, err := sources[i].Scan(span.First, span.Last)
			if err != nil {
				return err
			}
			for ok := scan.First(); ok && err == nil; ok = scan.Next() {
				if err = p.spend(); err == nil {
					err = call(&sources[i], scan.Sample())
				}
			}
			if err := errors.Join(err, scan.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}
