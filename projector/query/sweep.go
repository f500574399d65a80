package query

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
)

// sweep goes through time from the end to the beginning, as samples lie, and adds up a
// cumulative type whose sources overlap: at each moment the first group that has a sample
// counts, with all its samples (spec/healthkit.md, section 6.1). What has no length is
// counted if it is of the first group at its moment; it takes nothing from those that last.
type sweep struct {
	collection *collection
	bucket     *bucket // the interval that is being swept
	running    running
	// groups are the running entries of each group, present the groups that have some, in
	// order: the first one counts.
	groups  [][]*counting
	present []int
	winner  int  // before the moment that is looked at, -1 if nothing runs
	won     *won // the part of the time since, if it is to be explained
}

// counting is an entry that runs where the sweep is.
type counting struct {
	entry
	from int64 // where it leaves the sweep
	upto int64 // what lies after it is counted, or was another's
	at   int   // where it stands in its group
}

func (c *collection) sweep() error {
	s := &sweep{collection: c, groups: make([][]*counting, len(c.groups)), winner: -1}
	feeds := newFeeds(c)
	err := s.run(feeds)
	return errors.Join(err, feeds.close())
}

func (s *sweep) run(feeds *feeds) error {
	for {
		e, more, err := feeds.first()
		if err != nil {
			return err
		}
		if !more && len(s.running) == 0 {
			return nil
		}
		// The next moment at which something changes.
		var at int64
		switch {
		case len(s.running) == 0:
			at = s.enters(e)
		case more:
			at = max(s.enters(e), s.running[0].from, s.bucket.period.from)
		default:
			at = max(s.running[0].from, s.bucket.period.from)
		}
		if err := s.step(feeds, at); err != nil {
			return err
		}
	}
}

// enters returns where an entry comes into the sweep.
func (s *sweep) enters(e *entry) int64 {
	if e.Start == e.End {
		return e.End
	}
	return min(e.End, s.collection.period().to)
}

// step does all that happens at one moment. What starts then still runs, what ends then
// does not run yet, and what has no length is there.
func (s *sweep) step(feeds *feeds, at int64) error {
	instants, fresh, err := s.arrivals(feeds, at)
	if err != nil {
		return err
	}
	if err := s.instants(instants, at); err != nil {
		return err
	}
	if s.bucket != nil && at == s.bucket.period.from {
		s.settle(at)
		if err := s.close(at); err != nil {
			return err
		}
	}
	for len(s.running) > 0 && s.running[0].from == at {
		s.leave(at)
	}
	for _, e := range fresh {
		s.enter(e)
	}
	return s.turn(at)
}

// arrivals takes what comes into the sweep at a moment.
func (s *sweep) arrivals(feeds *feeds, at int64) (instants []entry, fresh []*counting, err error) {
	for {
		e, more, err := feeds.first()
		if err != nil || !more || s.enters(e) != at {
			return instants, fresh, err
		}
		if err := s.collection.count(e); err != nil {
			return nil, nil, err
		}
		if e.Start == e.End {
			instants = append(instants, *e)
		} else {
			fresh = append(fresh, &counting{entry: *e, from: max(e.Start, s.collection.period().from), upto: at})
		}
		if err := feeds.next(); err != nil {
			return nil, nil, err
		}
	}
}

// instants counts what has no length.
func (s *sweep) instants(entries []entry, at int64) error {
	if len(entries) == 0 {
		return nil
	}
	winner := entries[0].group
	for i := range entries {
		winner = min(winner, entries[i].group)
	}
	over := slices.Clone(s.present)
	if len(over) > 0 {
		winner = min(winner, over[0])
	}
	b, err := s.collection.bucket(at)
	if err != nil {
		return err
	}
	w := &won{group: winner, from: at, to: at}
	for i := range entries {
		e := &entries[i]
		if e.group != winner {
			over = append(over, e.group)
			continue
		}
		b.merged.add(e, at, at)
		w.shares.add(e, at, at)
	}
	if !s.collection.query.explain {
		return nil
	}
	slices.Sort(over)
	w.over = slices.DeleteFunc(slices.Compact(over), func(i int) bool { return i == winner })
	return s.collection.explain(b, w)
}

// credit counts an entry from a moment on.
func (s *sweep) credit(e *counting, at int64) {
	if e.upto == at {
		return
	}
	s.bucket.merged.add(&e.entry, at, e.upto)
	if s.won != nil {
		s.won.shares.add(&e.entry, at, e.upto)
	}
	e.upto = at
}

// settle counts all that counts from a moment on.
func (s *sweep) settle(at int64) {
	if s.winner >= 0 {
		for _, e := range s.groups[s.winner] {
			s.credit(e, at)
		}
	}
}

// enter lets an entry run.
func (s *sweep) enter(e *counting) {
	heap.Push(&s.running, e)
	group := s.groups[e.group]
	if len(group) == 0 {
		i, _ := slices.BinarySearch(s.present, e.group)
		s.present = slices.Insert(s.present, i, e.group)
	}
	e.at = len(group)
	s.groups[e.group] = append(group, e)
}

// leave takes the entry that starts last out of the sweep.
func (s *sweep) leave(at int64) {
	e := heap.Pop(&s.running).(*counting)
	if e.group == s.winner {
		s.credit(e, at)
	}
	group := s.groups[e.group]
	last := group[len(group)-1]
	group[e.at], last.at = last, e.at
	group[len(group)-1] = nil
	s.groups[e.group] = group[:len(group)-1]
	if len(group) == 1 {
		i, _ := slices.BinarySearch(s.present, e.group)
		s.present = slices.Delete(s.present, i, i+1)
	}
}

// turn finds out who counts before a moment, and in which interval.
func (s *sweep) turn(at int64) error {
	winner := -1
	if len(s.present) > 0 {
		winner = s.present[0]
	}
	if winner != s.winner || s.won != nil && !slices.Equal(s.present[1:], s.won.over) {
		s.settle(at)
		if err := s.close(at); err != nil {
			return err
		}
	}
	if winner >= 0 && winner != s.winner {
		for _, e := range s.groups[winner] {
			e.upto = at
		}
	}
	if s.winner = winner; winner < 0 {
		return nil
	}
	var err error
	s.bucket, err = s.collection.bucket(at - 1)
	if s.collection.query.explain && s.won == nil {
		s.won = &won{group: winner, over: slices.Clone(s.present[1:]), to: at}
	}
	return err
}

// close ends the part of the time that is being explained.
func (s *sweep) close(at int64) error {
	if s.won == nil {
		return nil
	}
	w := s.won
	w.from, s.won = at, nil
	return s.collection.explain(s.bucket, w)
}

// explain adds a part of the time to the explanation.
func (c *collection) explain(b *bucket, w *won) error {
	if c.won++; c.won > maxWon {
		return refuse("explain", "", fmt.Sprintf("there are more than %d parts to explain: ask for a shorter period", maxWon))
	}
	b.won = append(b.won, w)
	return nil
}

// running is a heap of entries, the one that starts last first.
type running []*counting

func (r running) Len() int           { return len(r) }
func (r running) Less(i, j int) bool { return r[i].from > r[j].from }
func (r running) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *running) Push(x any)        { *r = append(*r, x.(*counting)) }

func (r *running) Pop() any {
	last := (*r)[len(*r)-1]
	(*r)[len(*r)-1] = nil
	*r = (*r)[:len(*r)-1]
	return last
}
