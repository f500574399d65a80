package view

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Memory of one open view: so much in memtables, and by default so much of block cache.
const (
	memTableSize     = 16 << 20
	memTables        = 4
	defaultCacheSize = 64 << 20
)

// comparer orders keys by their bytes. What it adds is silence: keys hold types and times,
// and Pebble puts keys into messages.
func comparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = fmt.Sprintf("healthledger.view.%d", formatVersion)
	c.FormatKey = func([]byte) fmt.Formatter { return hidden{} }
	return &c
}

type hidden struct{}

func (hidden) Format(s fmt.State, _ rune) { fmt.Fprint(s, "(key)") }

func (v *View) pebbleOptions(files vfs.FS, lock *pebble.Lock, options Options) *pebble.Options {
	o := &pebble.Options{
		FS:                          files,
		Lock:                        lock,
		Comparer:                    comparer(),
		FormatMajorVersion:          pebble.FormatNewest,
		DisableWAL:                  true,
		CacheSize:                   options.CacheSize,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTables,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      quiet{v},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { v.fail(fmt.Errorf("view: background work: %w", v.damage(err))) },
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				v.fail(fmt.Errorf("view: %w: table %s", ErrFormat, info.Path))
			},
		},
	}
	if o.CacheSize <= 0 {
		o.CacheSize = defaultCacheSize
	}
	// Filters keep the look-up of a request or a UUID that is new from reading tables.
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.BalancedCompression }
	}
	// Most data lies in the last level, and is written there once. Above it, level 1 of
	// zstd costs no more time here than snappy and saves a quarter of the bytes.
	o.Levels[len(o.Levels)-1].Compression = func() *sstable.CompressionProfile { return sstable.ZstdCompression }
	return o
}

// quiet is Pebble's logger. Messages may hold keys, so none is printed.
type quiet struct{ v *View }

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf must not return: Pebble's own state is unknown when it calls this, which it
// does when it can no longer write its manifest.
func (q quiet) Fatalf(format string, _ ...any) {
	err := fmt.Errorf("view: Pebble cannot go on: %q", format)
	q.v.fail(err)
	panic(err.Error())
}

// damage marks an error of the database that a rebuilt view would not have.
func (v *View) damage(err error) error {
	if err == nil || errors.Is(err, ErrFormat) || !damaged(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// spending is what a caller lets a reader spend. Its refusal is no error of the database.
type spending struct {
	view    *View
	ask     func() error
	refused error
}

func (s *spending) spend() error {
	s.refused = s.ask()
	return s.refused
}

// damage is View.damage, but for the refusal.
func (s *spending) damage(err error) error {
	if s.refused != nil {
		return err
	}
	return s.view.damage(err)
}

// damaged tells what is wrong with the content of files from what is wrong with the
// machine: the system's own errors, except that a file is missing.
func damaged(err error) bool {
	if pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) {
		return true
	}
	var system syscall.Errno
	return !errors.As(err, &system) && !errors.Is(err, vfs.ErrUnsupported) && !errors.Is(err, pebble.ErrClosed)
}
