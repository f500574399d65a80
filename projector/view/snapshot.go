package view

import (
	"errors"
	"fmt"
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
	counters  counters
	directory directory
	units     []string

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
}

// Sources returns what the scope may see of a type, in an order that means nothing. It
// touches memory only, and of what the scope may not see nothing but the app's number.
func (s *Snapshot) Sources(scope authz.Scope, typeCode uint32) []Source {
	access := scope.Access(typeCode)
	var sources []Source
	for _, o := range s.state.directory[typeCode] {
		since, ok := access.Since(o.app)
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

// App returns the number of the app the source belongs to.
func (s *Source) App() uint64 { return s.entry.origin.app }

// Origin returns who measured, without the app. It is shared and must not be changed.
func (s *Source) Origin() *pb.Source { return s.entry.origin.source }

// Spans returns where the source's visible samples can lie that end at low or later and
// start at until or earlier: ranges of ends, ascending, that do not overlap.
func (s *Source) Spans(low, until int64) []Span {
	return s.entry.spans(max(low, s.since), until)
}

// Unit returns the unit of a sample; empty for categories.
func (s *Snapshot) Unit(sample *Sample) string { return s.state.units[sample.unit] }

// Scan goes through samples of a source in order of end, then start.
type Scan struct {
	source *Source
	prefix int
	iter   *pebble.Iterator
	sample Sample
	err    error
}

// Scan opens the samples of the source that end from first to last, both inclusive. What
// the reader may not see is outside whatever the bounds are. The scan must be closed.
func (s *Source) Scan(first, last int64) (*Scan, error) {
	first = max(first, s.since)
	prefix := appendSamplePrefix(nil, s.typeCode, s.entry.origin.id)
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
	return &Scan{source: s, prefix: len(prefix), iter: iter}, nil
}

// First, Last, Next and Prev move and say whether there is a sample.
func (s *Scan) First() bool { return s.read(s.iter.First()) }

// Last moves to the sample that ends last.
func (s *Scan) Last() bool { return s.read(s.iter.Last()) }

// Next moves to a later end.
func (s *Scan) Next() bool { return s.read(s.iter.Next()) }

// Prev moves to an earlier end.
func (s *Scan) Prev() bool { return s.read(s.iter.Prev()) }

func (s *Scan) read(valid bool) bool {
	if !valid || s.err != nil {
		return false
	}
	value, err := s.iter.ValueAndErr()
	if err != nil {
		s.err = err
		return false
	}
	if !readPlace(s.iter.Key()[s.prefix:], &s.sample.Place) || !readValue(value, &s.sample) ||
		int(s.sample.unit) >= len(s.source.snapshot.state.units) {
		s.err = errDamaged
		return false
	}
	return true
}

// Sample returns the sample the scan is at. The next move overwrites it.
func (s *Scan) Sample() *Sample { return &s.sample }

// Close ends the scan and returns what went wrong with it.
func (s *Scan) Close() error {
	if err := errors.Join(s.err, s.iter.Close()); err != nil {
		return fmt.Errorf("scan samples: %w", s.source.snapshot.view.damage(err))
	}
	return nil
}

func (s *Snapshot) touch(lower, upper []byte) {
	if s.view.touched != nil {
		s.view.touched(lower, upper)
	}
}
