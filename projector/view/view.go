// Package view is the disposable Pebble projection of a store's log.
//
//	v, err := view.Open(files, "view", view.Options{AppKey: keyOf})
//	b := v.Begin()
//	err = b.Apply(sequence, ordinal, event)      // for every event, in the log's order
//	err = b.Commit(view.Cursor{Sequence: sequence, Tree: frontier})
//
//	s, err := v.Snapshot()
//	defer s.Close()
//	for _, source := range s.Sources(scope, code) { … }
//
// The log is the write-ahead log: Pebble has none of its own here, the cursor commits in
// one batch with the data it stands for, and after a crash a view is exactly what some
// earlier Commit left. Everything in it is a function of the events applied, not of how
// they were split into batches, so that a rebuilt view has the same keys and values.
//
// Samples are keyed by (type, source, end, start, place in the log), so that what a
// reader may not see is another range of keys and never an entry to skip. What is stored
// of which type and source is also held in memory: a scope with nothing stored is
// answered without touching the database. FORMAT.md describes the rows.
//
// One goroutine writes; any number read.
package view

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of everything FORMAT.md describes. A view of another
// version is rebuilt.
const formatVersion = 9

var (
	// ErrFormat is wrapped by errors that say a view is of another version or damaged.
	// Deleting its folder and rebuilding it from the log is the remedy.
	ErrFormat = errors.New("view is of another format or damaged")
	// ErrClosed is returned for what begins after Close.
	ErrClosed = errors.New("view is closed")

	errDamaged = fmt.Errorf("%w: a row is malformed", ErrFormat)
)

// Options of a view.
type Options struct {
	// AppKey returns the key of an app by its number in the log. UUIDs of samples that come
	// without one are derived with it, so what it returns never changes.
	AppKey func(number uint64) string
	// CacheSize of Pebble's block cache in bytes; 0 means 64 MiB.
	CacheSize int64
	// Touched, if set, is called with the bounds of every range of keys that a reader
	// opens, and with a key twice where it looks one up or seeks it. Stepped, if set, is
	// called for every row of such ranges that is read. Tests of noninterference use them.
	Touched func(lower, upper []byte)
	Stepped func()
}

// SetErasure says that an erasure, the one with this number, ended with a segment: that of the
// last event Resealed. There readers are told that what it erased is gone. The writer calls it
// before it applies a segment that the erasure has changed.
func (v *View) SetErasure(number, last uint64) { v.erasures[number] = last }

// Cursor says what part of the log a view contains.
type Cursor struct {
	// Sequence of the last segment applied, 0 before the first.
	Sequence uint64
	// Tree is the caller's: whatever must be as old as the view.
	Tree []byte
}

// Counts says what became of the samples of the log, members among them. Together the
// counts are all samples.
type Counts struct {
	// Samples are those the view holds.
	Samples uint64
	// Duplicates were there already, as such or as their request, or a later version was.
	Duplicates uint64
	// Incomplete ones were left out: parts of their payload are missing.
	Incomplete uint64
	// Replaced ones have given way to a later version.
	Replaced uint64
	// Deleted ones were taken back by their app or deleted by the owner.
	Deleted uint64
}

// View is an open view.
type View struct {
	db      *pebble.DB
	lock    *pebble.Lock
	touched func(lower, upper []byte)
	stepped func()
	appKey  func(number uint64) string
	failed  chan error
	down    chan struct{} // closed by the first failure
	closing chan struct{} // closed when Close begins

	// Of the writer.
	open      *Batch
	sources   []*origin
	sourceIDs map[string]uint32
	kin       map[string][]*origin // sources by what they share without the device
	unitIDs   map[string]uint32
	erasures  map[uint64]uint64 // by number, the segment that ended it

	mu      sync.Mutex
	idle    sync.Cond // no snapshot is in use
	current *state
	inUse   int
	closed  bool
	err     error
}

// Open opens the view in a folder of the filesystem, and makes an empty one where there
// is none. Only one process at a time can have it open. Errors: ErrFormat, and those of
// the filesystem.
func Open(files vfs.FS, folder string, options Options) (*View, error) {
	if err := files.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("open view: %w", err)
	}
	lock, err := pebble.LockDirectory(folder, files)
	if err != nil {
		return nil, fmt.Errorf("open view: lock: %w", err)
	}
	v := &View{
		lock: lock, appKey: options.AppKey, touched: options.Touched, stepped: options.Stepped, failed: make(chan error, 1), down: make(chan struct{}), closing: make(chan struct{}),
		sourceIDs: map[string]uint32{}, kin: map[string][]*origin{}, unitIDs: map[string]uint32{}, erasures: map[uint64]uint64{},
	}
	v.idle.L = &v.mu
	if v.db, err = pebble.Open(folder, v.pebbleOptions(files, lock, options)); err != nil {
		return nil, errors.Join(fmt.Errorf("open view: %w", v.damage(err)), lock.Close())
	}
	if err := v.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open view: %w", v.damage(err)), v.db.Close(), lock.Close())
	}
	return v, nil
}

// Close waits for the snapshots in use, writes everything to disk and closes the view. An
// open batch is dropped: the writer must have stopped. Readers learn from Snapshot.Err
// that they should end.
func (v *View) Close() error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return ErrClosed
	}
	v.closed = true
	close(v.closing)
	for v.inUse > 0 {
		v.idle.Wait()
	}
	v.mu.Unlock()
	if v.open != nil {
		v.open.Close()
	}
	errs := []error{v.current.close(), v.flush(), v.db.Close(), v.lock.Close()}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close view: %w", err)
	}
	return nil
}

// flush writes the memtables out. After a failure of Pebble's background work it could
// wait forever, and the log has everything anyway.
func (v *View) flush() error {
	if err := v.Err(); err != nil {
		return err
	}
	done, err := v.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-v.down:
		return v.Err()
	}
}

// Failed delivers the first error of Pebble's background work. A view that failed must be
// closed; its cursor says nothing about what is on disk.
func (v *View) Failed() <-chan error { return v.failed }

// Err returns the error that Failed delivered or will deliver.
func (v *View) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

func (v *View) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = err
		v.failed <- err
		close(v.down)
	}
}

// Cursor returns what part of the log the view contains.
func (v *View) Cursor() Cursor {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current.cursor
}

// Counts returns what became of the samples of the log up to the cursor.
func (v *View) Counts() Counts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current.counts
}

// Decisions calls fn with the records that PutDecision kept, by number, until it fails.
func (v *View) Decisions(fn func(number uint64, record []byte) error) error {
	return v.rows(familyDecision, func(key, value []byte) error {
		if len(key) != 9 {
			return errDamaged
		}
		return fn(binary.BigEndian.Uint64(key[1:]), value)
	})
}

// rows calls fn with every committed row of a family, in order.
func (v *View) rows(family byte, fn func(key, value []byte) error) error {
	iter, err := v.db.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
	if err != nil {
		return v.damage(err)
	}
	for iter.First(); iter.Valid() && err == nil; iter.Next() {
		var value []byte
		if value, err = iter.ValueAndErr(); err == nil {
			err = fn(iter.Key(), value)
		}
	}
	return errors.Join(err, v.damage(iter.Close()))
}

// commit writes the batch and makes its state the current one, at once for every reader.
func (v *View) commit(b *Batch, c Cursor) error {
	if err := v.Err(); err != nil {
		return err
	}
	if err := v.db.Apply(b.batch, pebble.NoSync); err != nil {
		return v.damage(err)
	}
	for unit, id := range b.unitIDs {
		v.unitIDs[unit] = id
	}
	for key, id := range b.sourceIDs {
		v.sourceIDs[key] = id
	}
	for key, added := range b.kin {
		v.kin[key] = append(v.kin[key], added...)
	}
	v.sources = append(v.sources, b.sources...)
	next := &state{
		db: v.db.NewSnapshot(), cursor: Cursor{c.Sequence, append([]byte(nil), c.Tree...)}, counts: b.counts,
		directory: v.current.directory.with(b.drafts), units: append(v.current.units, b.units...), sources: v.sources,
	}
	v.mu.Lock()
	last := v.current
	v.current = next
	last.current = false
	next.current = true
	err := last.release()
	v.mu.Unlock()
	return err
}
