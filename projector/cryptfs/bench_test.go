package cryptfs

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The benchmarks load the shape of a view: 22-byte keys, 10-byte values, in
// batches of a thousand, into a real directory. Each has plain and crypt, and
// ratio, which runs the two by turns and reports the median of crypt/plain:
// absolute times drift on a shared machine.

const benchKeys = 1_000_000

type benchStore struct {
	fs  vfs.FS
	dir string
}

func newBenchStore(b *testing.B, crypt bool) benchStore {
	s := benchStore{fs: vfs.Default, dir: b.TempDir()}
	if crypt {
		fs, err := New(vfs.Default, viewKey(1), atOnce)
		if err != nil {
			b.Fatal(err)
		}
		s.fs = fs
	}
	return s
}

func (s benchStore) open(b *testing.B, cache int64) *pebble.DB {
	db, err := pebble.Open(s.dir, benchOptions(s.fs, cache))
	if err != nil {
		b.Fatal(err)
	}
	return db
}

func benchOptions(fs vfs.FS, cache int64) *pebble.Options {
	o := &pebble.Options{
		FS: fs, DisableWAL: true, FormatMajorVersion: pebble.FormatNewest,
		MemTableSize: 16 << 20, CacheSize: cache, Logger: quiet{},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

func benchKey(key []byte, i uint64) []byte {
	key = append(key[:0], "hr/source7/"...)
	key = binary.BigEndian.AppendUint64(key, i*5000)
	return append(key, 0, 0, 1)
}

func (s benchStore) load(b *testing.B) {
	db := s.open(b, 8<<20)
	random := rand.New(rand.NewPCG(1, 2))
	var key, value []byte
	for i := uint64(0); i < benchKeys; {
		batch := db.NewBatch()
		for range 1000 {
			// Three sources interleave, so that compaction has something to do.
			key = benchKey(key, (i%3)*benchKeys+i)
			value = binary.BigEndian.AppendUint64(value[:0], random.Uint64N(1<<20))
			value = append(value, 1, 2)
			if err := batch.Set(key, value, nil); err != nil {
				b.Fatal(err)
			}
			i++
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := db.Compact(b.Context(), []byte("a"), []byte("z"), false); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

func (s benchStore) bytes(b *testing.B) (sum int64) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".sst" {
			sum += info.Size()
		}
	}
	return sum
}

func scan(b *testing.B, db *pebble.DB) {
	it, err := db.NewIter(nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	if err := it.Close(); err != nil || n != benchKeys {
		b.Fatal(n, err)
	}
}

// coldLookups seeks to random places with a block cache that holds next to
// nothing, and reads a hundred samples at each.
func coldLookups(b *testing.B, db *pebble.DB, random *rand.Rand, lookups, samples int) {
	var key []byte
	for range lookups {
		i := random.Uint64N(benchKeys)
		key = benchKey(key, (i%3)*benchKeys+i)
		if samples == 0 {
			_, closer, err := db.Get(key)
			if err != nil {
				b.Fatal(err)
			}
			closer.Close()
			continue
		}
		it, err := db.NewIter(nil)
		if err != nil {
			b.Fatal(err)
		}
		it.SeekGE(key)
		for j := 0; j < samples && it.Valid(); j++ {
			it.Next()
		}
		if err := it.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	compare(b, func(b *testing.B, crypt bool) func() {
		return func() { newBenchStore(b, crypt).load(b) }
	})
	b.Run("bytes", func(b *testing.B) {
		plain, crypt := newBenchStore(b, false), newBenchStore(b, true)
		for b.Loop() {
			plain.load(b)
			crypt.load(b)
		}
		b.ReportMetric(float64(crypt.bytes(b))/float64(plain.bytes(b)), "crypt/plain")
		b.ReportMetric(float64(crypt.bytes(b))/benchKeys, "B/key")
	})
}

func BenchmarkScan(b *testing.B) {
	compareReads(b, 64<<10, func(b *testing.B, db *pebble.DB, _ *rand.Rand) { scan(b, db) })
}

func BenchmarkColdGet(b *testing.B) {
	for _, cache := range []int64{64 << 10, 2 << 20} {
		b.Run(fmt.Sprintf("cache=%dK", cache>>10), func(b *testing.B) {
			compareReads(b, cache, func(b *testing.B, db *pebble.DB, random *rand.Rand) {
				coldLookups(b, db, random, 2000, 0)
			})
		})
	}
}

func BenchmarkColdSeek100(b *testing.B) {
	for _, cache := range []int64{64 << 10, 2 << 20} {
		b.Run(fmt.Sprintf("cache=%dK", cache>>10), func(b *testing.B) {
			compareReads(b, cache, func(b *testing.B, db *pebble.DB, random *rand.Rand) {
				coldLookups(b, db, random, 1000, 100)
			})
		})
	}
}

func compareReads(b *testing.B, cache int64, read func(*testing.B, *pebble.DB, *rand.Rand)) {
	stores := map[bool]benchStore{false: newBenchStore(b, false), true: newBenchStore(b, true)}
	for _, s := range stores {
		s.load(b)
	}
	compare(b, func(b *testing.B, crypt bool) func() {
		db := stores[crypt].open(b, cache)
		b.Cleanup(func() { db.Close() })
		random := rand.New(rand.NewPCG(3, 4))
		return func() { read(b, db, random) }
	})
}

// compare runs what prepare returns for a plain and an encrypted filesystem.
func compare(b *testing.B, prepare func(b *testing.B, crypt bool) func()) {
	for _, crypt := range []bool{false, true} {
		name := "plain"
		if crypt {
			name = "crypt"
		}
		b.Run(name, func(b *testing.B) {
			work := prepare(b, crypt)
			for b.Loop() {
				work()
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		plain, crypt := prepare(b, false), prepare(b, true)
		var ratios []float64
		for b.Loop() {
			p, c := timed(plain), timed(crypt)
			ratios = append(ratios, float64(c)/float64(p))
		}
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], "crypt/plain")
	})
}

func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func viewKey(seed byte) []byte {
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = seed + byte(i)
	}
	return key
}
