package view

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// manyChanges is how many are held at a time, but for those of one segment.
const manyChanges = 4096

// changesOf returns the family of what leads to the rows of a family.
func changesOf(family byte) byte {
	if family == familyDeletion {
		return familyRemoval
	}
	return familyAddition
}

// stretch is a range of ends: days that follow each other, or what may be seen of the day
// of the bound.
type stretch struct {
	first, last int64
	cut         bool
}

// stretches returns in which a segment from one on can have changed something visible. The
// day of the bound, if there is one, comes first whatever is in it.
func (s *Source) stretches(from uint64) (all []stretch) {
	days := s.entry.days
	if s.since > math.MinInt64 {
		all, days = append(all, s.cutDay()), s.entry.daysFrom(dayOf(s.since)+1)
	}
	for _, d := range days {
		if d.changed < from {
			continue
		}
		first, last := boundsOf(d.number)
		if n := len(all) - 1; n >= 0 && !all[n].cut && all[n].last == first-1 {
			all[n].last = last
		} else {
			all = append(all, stretch{first: first, last: last})
		}
	}
	return all
}

// cutDay returns what may be seen of the day of the bound.
func (s *Source) cutDay() stretch {
	_, last := boundsOf(dayOf(s.since))
	return stretch{s.since, last, true}
}

// readChanges calls fn with the changes that end in stretches, which are in order. In a day
// that is cut they begin with what may be seen: where one does begin tells of what may not.
func (s *Source) readChanges(family byte, stretches []stretch, fn func(change) error) error {
	prefix := appendEntryKey(nil, family, s.typeCode, s.entry.origin.id)
	iter, err := s.snapshot.state.db.NewIter(&pebble.IterOptions{
		LowerBound: appendTime(slices.Clone(prefix), s.since), UpperBound: successor(prefix),
	})
	if err != nil {
		return err
	}
	for _, st := range stretches {
		key := appendTime(slices.Clone(prefix), st.first)
		s.snapshot.touch(key, key)
		for valid := iter.SeekGE(key); valid && err == nil; valid = iter.Next() {
			s.snapshot.step()
			var value []byte
			if value, err = iter.ValueAndErr(); err != nil {
				break
			}
			c, ok := readChange(iter.Key()[len(prefix):], value)
			if !ok {
				err = errDamaged
				break
			}
			if c.last > st.last {
				break
			}
			if st.cut {
				c.first = st.first
			}
			err = fn(c)
		}
		// The next seek would forget why the iterator has stopped.
		if err = errors.Join(err, iter.Error()); err != nil {
			break
		}
	}
	return errors.Join(err, iter.Close())
}

// changes returns changes of segments from one to another in a region, in order. If some are
// left, it also returns the segment from which these are, else 0.
func (r *Region) changes(family byte, from, until uint64, spend func() error) ([]change, uint64, error) {
	stretches := r.Source.stretches(from)
	if !isPair(r.Source.typeCode) && r.Before < math.MaxInt64 {
		n := len(stretches)
		for n > 0 && stretches[n-1].first >= r.Before {
			n--
		}
		stretches = stretches[:n]
	}
	if len(stretches) == 0 {
		return nil, 0, nil
	}
	l := changeList{from: from, until: until}
	err := r.Source.readChanges(family, stretches, func(c change) error {
		l.add(c)
		return spend()
	})
	l.sort()
	return l.list, l.rest, err
}

// changeList keeps the changes of the first segments.
type changeList struct {
	from, until uint64
	list        []change
	rest        uint64 // the segment from which changes were left out, 0 if none were
}

func (l *changeList) add(c change) {
	if c.sequence < l.from || c.sequence > l.until {
		return
	}
	if l.list = append(l.list, c); len(l.list) < 2*manyChanges || len(l.list) < cap(l.list) {
		return
	}
	l.sort()
	if last := l.list[manyChanges-1].sequence; last < l.list[len(l.list)-1].sequence {
		n := manyChanges
		for l.list[n].sequence == last {
			n++
		}
		l.list, l.until, l.rest = l.list[:n], last, last+1
	}
}

func (l *changeList) sort() {
	slices.SortFunc(l.list, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.first, b.first))
	})
}

// ChangedAfter says whether segments after one have added or deleted samples of the source
// that may be seen, and which was the last. What was added need not be there any more.
func (s *Source) ChangedAfter(sequence uint64) (last uint64, changed bool, err error) {
	bound := s.since > math.MinInt64
	if bound && isPair(s.typeCode) {
		return s.pairsChangedAfter(sequence)
	}
	days := s.entry.days
	if bound {
		days = s.entry.daysFrom(dayOf(s.since) + 1)
		for _, family := range [...]byte{familyAddition, familyRemoval} {
			err := s.readChanges(family, []stretch{s.cutDay()}, func(c change) error {
				last = max(last, c.sequence)
				return nil
			})
			if err != nil {
				return 0, false, s.snapshot.view.damage(err)
			}
		}
	}
	for _, d := range days {
		last = max(last, d.changed)
	}
	if last <= sequence {
		return 0, false, nil
	}
	return last, true, nil
}

// pairsChangedAfter is ChangedAfter for correlations and a bound. Days do not tell: a
// correlation may go on long after the last of its members, which is what counts.
func (s *Source) pairsChangedAfter(sequence uint64) (last uint64, changed bool, err error) {
	f := s.snapshot.Changes([]Source{*s}, Point{Sequence: sequence, Whole: true}, func() error { return nil })
	for f.Next() {
		last, changed = f.At().Sequence, true
	}
	return last, changed, f.Close()
}
