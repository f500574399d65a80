package view

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math"
)

// Point is where in a feed a reader stands: after the row that it names.
type Point struct {
	// Sequence of the segment that changed something; 0 for the samples of a region.
	Sequence uint64
	// Whole says that the reader stands after everything of the segment.
	Whole bool
	// In a segment samples come before deletions, then sources in the order of compareOrigins,
	// then rows in order of end, start and place in the log. End is that of the key.
	Deleted bool
	Source  uint32
	Place

	// origin is the source; nil: none.
	origin *origin
}

// resolve finds the source of a point that came from outside.
func (s *Snapshot) resolve(p Point) Point {
	if p.origin = nil; int(p.Source) < len(s.state.sources) && !p.Whole && p.Place != Beginning.Place {
		p.origin = s.state.sources[p.Source]
	}
	return p
}

// Beginning is the point before every row.
var Beginning = Point{Place: Place{Start: math.MinInt64, End: math.MinInt64}}

func (p *Point) compare(q *Point) int {
	return cmp.Or(
		cmp.Compare(p.Sequence, q.Sequence), falseFirst(p.Whole, q.Whole), falseFirst(p.Deleted, q.Deleted),
		compareOrigins(p.origin, q.origin), cmp.Compare(p.End, q.End), cmp.Compare(p.Start, q.Start),
		cmp.Compare(p.Place.Sequence, q.Place.Sequence), cmp.Compare(p.Event, q.Event), cmp.Compare(p.Index, q.Index),
	)
}

func falseFirst(p, q bool) int {
	switch {
	case p == q:
		return 0
	case q:
		return -1
	}
	return 1
}

// Region is a part of what may be seen of a source: what ends before a time, which is
// exclusive unless it is the last there is. Of a correlation the last member of the type
// counts.
type Region struct {
	Source *Source
	Before int64
}

func (r *Region) holds(memberEnd int64) bool {
	return memberEnd >= r.Source.since && (memberEnd < r.Before || r.Before == math.MaxInt64)
}

// Feed goes through changes of the samples of one type. It must be closed.
type Feed struct {
	spending
	after   Point
	regions map[draftKey]Region
	streams streams
	// current is the stream that the change is of.
	current *stream
	err     error
}

// Changes opens what segments after a point added and is still there, and what they
// deleted. Spend is called for every row that is read, and ends the feed with its error.
func (s *Snapshot) Changes(sources []Source, after Point, spend func() error) *Feed {
	after = s.resolve(after)
	f := &Feed{spending: spending{view: s.view, ask: spend}, after: after, regions: map[draftKey]Region{}}
	from := max(after.Sequence, 1)
	if after.Whole && after.Sequence > 0 {
		from++
	}
	for i := range sources {
		region := Region{Source: &sources[i], Before: math.MaxInt64}
		f.regions[region.Source.key()] = region
		f.add(&changedRows{region: region, family: familyDeletion, from: from, until: math.MaxUint64, after: after}, Point{Sequence: from, Deleted: true})
		added := from
		if after.Deleted && !after.Whole {
			added++
		}
		f.add(&changedRows{region: region, family: familySample, from: added, until: math.MaxUint64, after: after}, Point{Sequence: added})
	}
	heap.Init(&f.streams)
	return f
}

// Entered opens what is in regions and was added by segments up to one and, if asked to,
// what they deleted there.
func (s *Snapshot) Entered(regions []Region, until uint64, deletions bool, after Point, spend func() error) *Feed {
	after = s.resolve(after)
	f := &Feed{spending: spending{view: s.view, ask: spend}, after: after, regions: map[draftKey]Region{}}
	for _, region := range regions {
		f.regions[region.Source.key()] = region
		if after.Sequence == 0 && compareOrigins(region.Source.entry.origin, after.origin) >= 0 {
			f.add(&regionRows{region: region, until: until, after: after}, Point{})
		}
		if deletions {
			from := max(after.Sequence, 1)
			f.add(&changedRows{region: region, family: familyDeletion, from: from, until: until, after: after}, Point{Sequence: from, Deleted: true})
		}
	}
	heap.Init(&f.streams)
	return f
}

// add adds rows of which none comes before a point.
func (f *Feed) add(rows rows, from Point) {
	from.origin = rows.source().entry.origin
	from.Start, from.End = math.MinInt64, math.MinInt64
	f.streams = append(f.streams, &stream{rows: rows, at: row{Point: from}})
}

// Next moves to the next change and says whether there is one.
func (f *Feed) Next() bool {
	for f.err == nil {
		if f.current != nil {
			f.advance(f.current)
			f.current = nil
			continue
		}
		if len(f.streams) == 0 {
			return false
		}
		st := f.streams[0]
		if !st.open {
			st.open = true
			f.advance(st)
			continue
		}
		f.current = st
		if st.at.compare(&f.after) > 0 {
			if f.after = st.at.Point; !f.told(st) {
				return true
			}
		}
	}
	return false
}

// told says whether the row is of a correlation that the feed has told of already: at a row
// under the type of another member, which ended earlier.
func (f *Feed) told(st *stream) bool {
	source := st.rows.source()
	for _, p := range st.at.earlier {
		other, ok := f.regions[draftKey{Pair(source.Type(), p.typeCode), source.entry.origin.id}]
		if ok && other.holds(p.end) {
			return true
		}
	}
	return false
}

// advance moves the first stream to its next row.
func (f *Feed) advance(st *stream) {
	ok, err := st.rows.next(&st.at, f.spend)
	switch {
	case err != nil:
		f.err = err
	case ok:
		heap.Fix(&f.streams, 0)
	default:
		heap.Pop(&f.streams)
		f.err = st.rows.close()
	}
}

// At returns where a reader stands who has seen the change and all before it.
func (f *Feed) At() Point { return f.after }

// Source returns the source that the change is of. It is good while the feed is open.
func (f *Feed) Source() *Source { return f.current.rows.source() }

// Sample returns the sample that was added, until the next move. Of a deleted one only
// its place in the log, its own UUID and its metadata are there.
func (f *Feed) Sample() *Sample { return f.current.rows.sample() }

// Close ends the feed and returns what went wrong with it.
func (f *Feed) Close() error {
	errs := []error{f.err}
	for _, st := range f.streams {
		errs = append(errs, st.rows.close())
	}
	f.streams = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("read changes: %w", f.damage(err))
	}
	return nil
}

// stream is a part of a feed, and where it is.
type stream struct {
	rows rows
	at   row
	open bool
}

// row is where a row stands, and in which other rows a correlation has come before.
type row struct {
	Point
	earlier []pair
}

// rows are changes of one source in order.
type rows interface {
	// next moves to the next row and sets where that stands.
	next(at *row, spend func() error) (bool, error)
	sample() *Sample
	source() *Source
	close() error
}

type streams []*stream

func (s streams) Len() int           { return len(s) }
func (s streams) Less(i, j int) bool { return s[i].at.compare(&s[j].at.Point) < 0 }
func (s streams) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *streams) Push(x any)        { *s = append(*s, x.(*stream)) }

func (s *streams) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}
