package query

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
)

// sweep goes through a stretch of time from the end to the beginning, as samples lie, and
// corrects the sums of a cumulative type whose sources overlap: at each moment the first
// group that has a sample counts, with all its samples (spec/healthkit.md, section 6.1). What
// has no length is counted if it is of the first group at its moment; it takes nothing from
// those that last.
type sweep struct {
	collection *collection
	feeds      *feeds
	bucket     *bucket // the interval that is being swept
	running    running
	// groups are the running entries of each group, present the groups that have some, in
	// order: the first one counts.
	groups  [][]*counting
	present []int
	winner  int  // before the moment that is looked at, -1 if nothing runs
	won     *won // the part of the time since, if it is to be explained
	// instants and fresh are what comes at one moment.
	instants, fresh []*counting
	over            []int // the groups that give way at that moment
}

// counting is an entry that runs where the sweep is.
type counting struct {
	entry
	from int64 // where it leaves the sweep
	upto int64 // what lies after it is counted, or was another's
	at   int   // where it stands in its group
}

func (c *collection) newSweep() *sweep {
	return &sweep{collection: c, feeds: &feeds{collection: c}, groups: make([][]*counting, len(c.groups)), winner: -1}
}

// sweepAll counts every sample of the period.
func (c *collection) sweepAll() error {
	s := c.newSweep()
	s.feeds.period = c.period()
	for i, g := range c.groups {
		for j := range g.sources {
			s.feeds.add(i, sourceRows{&g.sources[j], allRows})
		}
	}
	return s.run()
}

// run sweeps the period of the feeds.
func (s *sweep) run() error { return errors.Join(s.steps(), s.feeds.close()) }

func (s *sweep) steps() error {
	s.bucket = nil
	for {
		e, more, err := s.feeds.first()
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
		if err := s.step(at); err != nil {
			return err
		}
	}
}

// enters returns where an entry comes into the sweep.
func (s *sweep) enters(e *counting) int64 {
	if e.Start == e.End {
		return e.End
	}
	return min(e.End, s.feeds.period.to)
}

// step does all that happens at one moment. What starts then still runs, what ends then
// does not run yet, and what has no length is there.
func (s *sweep) step(at int64) error {
	if err := s.arrivals(at); err != nil {
		return err
	}
	if err := s.count(at); err != nil {
		return err
	}
	if s.bucket != nil && at == s.bucket.period.from {
		if err := s.settle(at); err != nil {
			return err
		}
		s.close(at)
	}
	for len(s.running) > 0 && s.running[0].from == at {
		s.leave(at)
	}
	for _, e := range s.fresh {
		s.enter(e)
	}
	return s.turn(at)
}

// arrivals takes what comes into the sweep at a moment, and takes it back from the sums:
// what counts of it is added again.
func (s *sweep) arrivals(at int64) error {
	s.instants, s.fresh = s.instants[:0], s.fresh[:0]
	for {
		e, more, err := s.feeds.first()
		if err != nil || !more || s.enters(e) != at {
			return err
		}
		if s.collection.way == bySamples {
			if err := s.collection.count(&e.entry); err != nil {
				return err
			}
		}
		if err := s.withdraw(&e.entry); err != nil {
			return err
		}
		if e.Start == e.End {
			s.instants = append(s.instants, e)
		} else {
			e.from, e.upto = max(e.Start, s.feeds.period.from), at
			s.fresh = append(s.fresh, e)
		}
		if err := s.feeds.next(); err != nil {
			return err
		}
	}
}

// withdraw takes an entry back from the sums of every interval that it overlaps.
func (s *sweep) withdraw(e *entry) error {
	p := s.feeds.period
	for at := max(e.Start, p.from); ; {
		b, err := s.collection.interval(at)
		if err != nil {
			return err
		}
		to := min(b.period.to, p.to)
		b.merged.withdraw(e, at, to)
		if at = to; at >= e.End || at >= p.to {
			return nil
		}
	}
}

// count counts what has no length.
func (s *sweep) count(at int64) error {
	if len(s.instants) == 0 {
		return nil
	}
	winner := s.instants[0].group
	for _, e := range s.instants {
		winner = min(winner, e.group)
	}
	if len(s.present) > 0 {
		winner = min(winner, s.present[0])
	}
	b, err := s.collection.bucket(at)
	if err != nil {
		return err
	}
	var w *won
	if s.collection.query.explain {
		if w, err = s.collection.explain(winner, s.overAt(winner)); err != nil {
			return err
		}
		w.from, w.to = at, at
		b.won = append(b.won, w)
	}
	for _, e := range s.instants {
		if e.group == winner {
			b.merged.add(&e.entry, at, at)
			if w != nil {
				w.shares.add(&e.entry, at, at)
			}
		}
		s.feeds.release(e)
	}
	return nil
}

// overAt returns the groups that give way to one at the moment, until it is called again.
func (s *sweep) overAt(winner int) []int {
	s.over = append(s.over[:0], s.present...)
	for _, e := range s.instants {
		s.over = append(s.over, e.group)
	}
	slices.Sort(s.over)
	s.over = slices.DeleteFunc(slices.Compact(s.over), func(i int) bool { return i == winner })
	return s.over
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
func (s *sweep) settle(at int64) error {
	if s.winner < 0 {
		return nil
	}
	for _, e := range s.groups[s.winner] {
		if err := s.collection.patience.spend(); err != nil {
			return err
		}
		s.credit(e, at)
	}
	return nil
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
	s.feeds.release(e)
}

// turn finds out who counts before a moment, and in which interval.
func (s *sweep) turn(at int64) error {
	winner := -1
	if len(s.present) > 0 {
		winner = s.present[0]
	}
	if winner != s.winner || s.won != nil && !slices.Equal(s.present[1:], s.won.over) {
		if err := s.settle(at); err != nil {
			return err
		}
		s.close(at)
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
	if s.bucket, err = s.collection.bucket(at - 1); err != nil {
		return err
	}
	if s.collection.query.explain && s.won == nil {
		if s.won, err = s.collection.explain(winner, s.present[1:]); err != nil {
			return err
		}
		s.won.to = at
	}
	return nil
}

// close ends the part of the time that is being explained.
func (s *sweep) close(at int64) {
	if w := s.won; w != nil {
		w.from, s.won = at, nil
		s.bucket.won = append(s.bucket.won, w)
	}
}

// explain begins a part of the time, if the answer has room for all that it names.
func (c *collection) explain(group int, over []int) (*won, error) {
	if c.won++; c.won > maxWon {
		return nil, refuse("explain", "", fmt.Sprintf("there are more than %d parts to explain: ask for a shorter period", maxWon))
	}
	bytes := c.groups[group].bytes
	for _, i := range over {
		bytes += c.groups[i].bytes
	}
	if err := c.grow(bytes); err != nil {
		return nil, err
	}
	return &won{group: group, over: slices.Clone(over)}, nil
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
