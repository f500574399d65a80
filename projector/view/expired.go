package view

import (
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Expired returns the types of which the log may have samples that ended before a time: those
// that are there, and those that are deleted and were not erased. Cut returns the time for a
// type, false for one that is not asked for; erased says whether a segment is the last one of
// what an erasure has left. It is for whoever erases, never for a reader, and looks at few rows
// of each source.
//
// Times are those under which rows lie: of a correlation the end of its last member, if that is
// later than its own. What was deleted is told by the day.
func (s *Snapshot) Expired(cut func(typeCode uint32) (int64, bool), erased func(sequence uint64) bool) ([]uint32, error) {
	var types []uint32
	for code, apps := range s.state.directory {
		typeCode := ownType(code)
		before, asked := cut(typeCode)
		if !asked || slices.Contains(types, typeCode) {
			continue
		}
		some, err := s.anyExpired(code, apps, before, erased)
		if err != nil {
			return nil, fmt.Errorf("look for what has expired: %w", s.view.damage(err))
		}
		if some {
			types = append(types, typeCode)
		}
	}
	slices.Sort(types)
	return types, nil
}

func (s *Snapshot) anyExpired(code uint32, apps []owned, before int64, erased func(sequence uint64) bool) (bool, error) {
	for _, o := range apps {
		for _, e := range o.entries {
			for _, family := range [...]byte{familySample, familyRemoval} {
				prefix := appendEntryKey(nil, family, code, e.origin.id)
				some, err := s.anyBefore(prefix, before, func(rest []byte) bool {
					sequence, n := readOrdered(rest, 0)
					return family == familySample || n > 0 && !erased(sequence)
				})
				if some || err != nil {
					return some, err
				}
			}
		}
	}
	return false, nil
}

// anyBefore says whether there is a key with the prefix and an earlier time of which the rest,
// behind the time, counts.
func (s *Snapshot) anyBefore(prefix []byte, before int64, counts func(rest []byte) bool) (some bool, err error) {
	iter, err := s.state.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: appendTime(slices.Clone(prefix), before)})
	if err != nil {
		return false, err
	}
	behind := len(prefix) + 8
	for iter.First(); iter.Valid() && !some; iter.Next() {
		if len(iter.Key()) < behind {
			some, err = false, errDamaged
			break
		}
		some = counts(iter.Key()[behind:])
	}
	if closed := iter.Close(); err == nil {
		err = closed
	}
	return some, err
}
