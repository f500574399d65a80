package view

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/authz"
	pb "healthledger/proto/healthledger/v1"
)

// state is what one commit left. The writer makes it, so that readers never wait for a
// commit, and it stays open while it is current or in use.
type state struct {
	db        *pebble.Snapshot
	cursor    Cursor
	counts    Counts
	directory directory
	units     []string
	sources   []*origin

	users   int  // under View.mu
	current bool // under View.mu
}

// release closes a state that nobody can reach any more. View.mu is held.
func (s *state) release() error {
	if s.current || s.users > 0 {
		return nil
	}
	return s.close()
}

func (s *state) close() error { return s.db.Close() }

// Snapshot is the view as one commit left it. It must be closed. Several goroutines may
// use it, but not while it is being closed.
type Snapshot struct {
	view   *View
	state  *state
	closed atomic.Bool
}

// Snapshot returns the view as it is now. Errors: ErrClosed.
func (v *View) Snapshot() (*Snapshot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, ErrClosed
	}
	v.inUse++
	v.current.users++
	return &Snapshot{view: v, state: v.current}, nil
}

// Close ends the use of the snapshot.
func (s *Snapshot) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	v := s.view
	v.mu.Lock()
	defer v.mu.Unlock()
	s.state.users--
	v.inUse--
	if v.inUse == 0 {
		v.idle.Broadcast()
	}
	return s.state.release()
}

// Err returns ErrClosed when the view is being closed, which waits for this snapshot.
func (s *Snapshot) Err() error {
	select {
	case <-s.view.closing:
		return ErrClosed
	default:
		return nil
	}
}

// Cursor returns what part of the log the snapshot contains.
func (s *Snapshot) Cursor() Cursor { return s.state.cursor }

// Source is the part of the samples of one type from one source that a reader may see.
// Only Snapshot.Sources makes one.
type Source struct {
	snapshot *Snapshot
	typeCode uint32
	entry    *entry
	since    int64
	// granted is the number of the decision since which it may be seen: see Granted.
	granted uint64
}

// Sources returns what the scope may see of a type, in an order that means nothing. It
// touches memory only, and of what the scope may not see nothing but the app's number.
func (s *Snapshot) Sources(scope authz.Scope, typeCode uint32) []Source {
	access := scope.Access(accessType(typeCode))
	if objects := access.Objects(); objects != nil {
		return s.objects(scope.Reader(), objects, typeCode)
	}
	var sources []Source
	for _, o := range s.state.directory[typeCode] {
		since, ok := access.Since(o.app, o.object)
		if !ok {
			continue
		}
		for _, e := range o.entries {
			if e.maxEnd >= since {
				sources = append(sources, Source{snapshot: s, typeCode: typeCode, entry: e, since: since})
			}
		}
	}
	return sources
}

// objects is Sources for a type that is granted object by object. What is granted is looked
// up by its name, and costs the same whatever else there is.
func (s *Snapshot) objects(reader uint64, objects *authz.Objects, typeCode uint32) []Source {
	var sources []Source
	all := s.state.directory[typeCode]
	add := func(o *owned, granted uint64) {
		for _, e := range o.entries {
			sources = append(sources, Source{snapshot: s, typeCode: typeCode, entry: e, since: math.MinInt64, granted: granted})
		}
	}
	own := reader != 0 && !objects.OwnHidden
	if own {
		for i, _ := findOwned(all, reader, ""); i < len(all) && all[i].app == reader; i++ {
			add(&all[i], objects.OwnSince)
		}
	}
	for _, g := range objects.Granted {
		if own && g.App == reader {
			continue
		}
		if i, ok := findOwned(all, g.App, g.Name); ok {
			add(&all[i], g.Since)
		}
	}
	slices.SortStableFunc(sources, func(a, b Source) int { return cmp.Compare(a.App(), b.App()) })
	return sources
}

// Granted returns the number of the owner's decision since which the reader may see the
// source, of a type that is granted object by object; 0: since ever.
func (s *Source) Granted() uint64 { return s.granted }

// Object returns the name of the object that the samples of the source are about.
func (s *Source) Object() authz.Object {
	return authz.Object{App: s.entry.origin.app, Name: s.entry.origin.object}
}

// App returns the number of the app the source belongs to.
func (s *Source) App() uint64 { return s.entry.origin.app }

// Type returns the code of the type. That of a pair is the correlation's.
func (s *Source) Type() uint32 { return ownType(s.typeCode) }

// key names the part of the directory.
func (s *Source) key() draftKey { return draftKey{s.typeCode, s.entry.origin.id} }

// Locate says where a sample of the source lies.
func (s *Source) Locate(sample *Sample) Locator {
	return Locator{Type: s.typeCode, Source: s.entry.origin.id, Place: sample.Place}
}

// Origin returns who measured; its app only if an import brought it. It is shared and
// must not be changed.
func (s *Source) Origin() *pb.Source { return s.entry.origin.source }

// Spans returns where the source's visible samples can lie that end at low or later and
// start at until or earlier: ranges of ends, ascending, that do not overlap.
func (s *Source) Spans(low, until int64) []Span {
	return s.entry.spans(s.since, low, until)
}

// Unit returns the unit of a sample; empty for categories.
func (s *Snapshot) Unit(sample *Sample) string { return s.state.units[sample.unit] }

// Scan goes through samples of a source in order of end, then start. A correlation stands
// where its last member of the type ends, if that is later than its own end.
type Scan struct {
	source *Source
	family byte
	// prefix of the keys; behind it is room for a time.
	prefix []byte
	fixed  int
	iter   *pebble.Iterator
	sample Sample
	end    int64 // of the key
	ends   ends
	// removed is the segment that deleted the sample, 0 if it is there.
	removed uint64
	err     error
}

// Scan opens the samples of the source that end from first to last, both inclusive. What
// the reader may not see is outside whatever the bounds are. The scan must be closed.
func (s *Source) Scan(first, last int64) (*Scan, error) { return s.scan(familySample, first, last) }

func (s *Source) scan(family byte, first, last int64) (*Scan, error) {
	first = max(first, s.since)
	prefix := appendEntryKey(nil, family, s.typeCode, s.entry.origin.id)
	lower := appendTime(prefix[:len(prefix):len(prefix)], first)
	upper := successor(appendTime(prefix[:len(prefix):len(prefix)], last))
	if first > last {
		upper = lower
	}
	s.snapshot.touch(lower, upper)
	iter, err := s.snapshot.state.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("scan samples: %w", s.snapshot.view.damage(err))
	}
	return &Scan{source: s, family: family, prefix: prefix, fixed: len(prefix), iter: iter}, nil
}

// First, Last, Next and Prev move and say whether there is a sample.
func (s *Scan) First() bool { return s.read(s.iter.First(), false) }

// Last moves to the sample that ends last.
func (s *Scan) Last() bool { return s.read(s.iter.Last(), true) }

// Next moves to a later end.
func (s *Scan) Next() bool { return s.read(s.iter.Next(), false) }

// Prev moves to an earlier end.
func (s *Scan) Prev() bool { return s.read(s.iter.Prev(), true) }

// seek moves to the first sample that ends then or later.
func (s *Scan) seek(end int64) bool {
	s.prefix = appendTime(s.prefix[:s.fixed], end)
	s.source.snapshot.touch(s.prefix, s.prefix)
	return s.read(s.iter.SeekGE(s.prefix), false)
}

// read reads the row the iterator is at, if it is at one.
func (s *Scan) read(valid, back bool) bool {
	for valid && s.err == nil {
		if !s.row() {
			return false
		}
		// Only a correlation that goes on after the last of its members can be in the range
		// and have none of the type that may be seen. It is passed over.
		if s.ends.member >= s.source.since {
			return true
		}
		if back {
			valid = s.iter.Prev()
		} else {
			valid = s.iter.Next()
		}
	}
	// The next seek of the iterator would forget why it has stopped.
	if s.err == nil {
		s.err = s.iter.Error()
	}
	return false
}

// row decodes the row the iterator is at.
func (s *Scan) row() bool {
	s.source.snapshot.step()
	value, err := s.iter.ValueAndErr()
	if err != nil {
		s.err = err
		return false
	}
	ok := false
	if ok = readPlace(s.iter.Key()[s.fixed:], &s.sample.Place); ok {
		s.end = s.sample.End
		if s.family == familyDeletion {
			s.removed, s.ends, ok = readDeletion(value, s.source.typeCode, &s.sample)
		} else {
			s.ends, ok = readRow(value, s.source.typeCode, &s.sample)
		}
	}
	if !ok || int(s.sample.unit) >= len(s.source.snapshot.state.units) {
		s.err = errDamaged
		return false
	}
	return true
}

// End returns the end by which the scan is in order; the sample's own is not later.
func (s *Scan) End() int64 { return s.end }

// Sample returns the sample the scan is at. The next move overwrites it.
func (s *Scan) Sample() *Sample { return &s.sample }

// Close ends the scan and returns what went wrong with it.
func (s *Scan) Close() error {
	if err := errors.Join(s.err, s.iter.Close()); err != nil {
		return fmt.Errorf("scan samples: %w", s.source.snapshot.view.damage(err))
	}
	return nil
}

// Find returns the sample that lies at a place, and its source, if the scope may see it
// and it is there. What may not be seen is not looked for. Pairs have no samples.
func (s *Snapshot) Find(scope authz.Scope, at Locator) (*Source, *Sample, bool, error) {
	if int(at.Source) >= len(s.state.sources) || isPair(at.Type) {
		return nil, nil, false, nil
	}
	o := s.state.sources[at.Source]
	since, ok := scope.Access(at.Type).Since(o.app, o.object)
	if !ok || at.End < since {
		return nil, nil, false, nil
	}
	row, err := s.get(at.appendKey([]byte{familySample}))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("find a sample: %w", s.view.damage(err))
	}
	sample := &Sample{Place: at.Place}
	if !readValue(row, sample) || int(sample.unit) >= len(s.state.units) {
		return nil, nil, false, fmt.Errorf("find a sample: %w", errDamaged)
	}
	return &Source{snapshot: s, typeCode: at.Type, entry: &entry{origin: o}, since: since}, sample, true, nil
}

// get copies the value of a key that a reader looks up.
func (s *Snapshot) get(key []byte) ([]byte, error) {
	s.touch(key, key)
	return get(s.state.db, key)
}

func (s *Snapshot) step() {
	if s.view.stepped != nil {
		s.view.stepped()
	}
}

func (s *Snapshot) touch(lower, upper []byte) {
	if s.view.touched != nil {
		s.view.touched(lower, upper)
	}
}
