package query

import (
	"cmp"
	"slices"

	"healthledger/projector/view"
)

// bridged is the longest time between two contested stretches that are swept as one: the
// samples in between are read faster than another place is found.
const bridged = microsPerHour

// presence is a stretch of time in which a source has samples. What counts in one stretch
// does not depend on what lies in others (at each moment the first group with a sample
// counts), so that only those have to be swept in which several groups have samples.
type presence struct {
	period
	group int
	rows  sourceRows
}

// sourceRows are such rows of a source.
type sourceRows struct {
	source *view.Source
	rows   rows
}

// note records that there are such rows in a stretch of time.
func (c *collection) note(group int, of sourceRows, p period) {
	if !c.merges() || p.empty() {
		return
	}
	if n := len(c.present); n > 0 {
		last := &c.present[n-1]
		if last.rows == of && last.from <= p.from && p.from <= last.to {
			last.to = max(last.to, p.to)
			return
		}
	}
	c.present = append(c.present, presence{p, group, of})
}

// contested returns the stretches of time in which several groups have samples, and perhaps
// what lies between them. It sorts what is present.
func (c *collection) contested() []period {
	slices.SortFunc(c.present, func(a, b presence) int { return cmp.Compare(a.from, b.from) })
	var all []period
	// Until when the group that is present longest is, and until when the others are.
	longest, until, others := -1, int64(0), int64(0)
	for i := range c.present {
		p := &c.present[i]
		if i == 0 {
			longest, until, others = p.group, p.to, p.from
			continue
		}
		shared := until
		if p.group == longest {
			shared = others
		}
		if shared = min(shared, p.to); p.from < shared {
			if last := len(all) - 1; last >= 0 && p.from-all[last].to <= bridged {
				all[last].to = max(all[last].to, shared)
			} else {
				all = append(all, period{p.from, shared})
			}
		}
		switch {
		case p.group == longest:
			until = max(until, p.to)
		case p.to > until:
			longest, until, others = p.group, p.to, until
		default:
			others = max(others, p.to)
		}
	}
	return all
}

// sweepContested corrects the sums in which several groups counted.
func (c *collection) sweepContested() error {
	s := c.newSweep()
	next := 0
	var there []*presence
	for _, p := range c.contested() {
		for ; next < len(c.present) && c.present[next].from < p.to; next++ {
			there = append(there, &c.present[next])
		}
		there = slices.DeleteFunc(there, func(o *presence) bool { return o.to <= p.from })
		s.feeds.period = p
		added := map[sourceRows]bool{}
		for _, o := range there {
			if err := c.patience.spend(); err != nil {
				return err
			}
			if !added[o.rows] {
				added[o.rows] = true
				s.feeds.add(o.group, o.rows)
			}
		}
		if err := s.run(); err != nil {
			return err
		}
	}
	return nil
}
