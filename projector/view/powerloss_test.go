package view

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"healthledger/projector/cryptfs"
)

// powerCut keeps what a disk would hold if the power failed right before a write or a sync,
// for one in so many of them.
type powerCut struct {
	disk *vfs.MemFS
	one  int

	mu     sync.Mutex
	random *rand.Rand
	left   []*vfs.MemFS
}

func (p *powerCut) String() string { return "powerCut" }

// MaybeError implements errorfs.Injector.
func (p *powerCut) MaybeError(op errorfs.Op) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && p.random.IntN(p.one) == 0 {
		p.left = append(p.left, p.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p.random.IntN(101), RNG: p.random}))
	}
	return nil
}

func encrypted(t testing.TB, disk vfs.FS) vfs.FS {
	t.Helper()
	files, err := cryptfs.New(disk, bytes.Repeat([]byte{7}, 32), func(f func()) { f() })
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Wherever the power fails, in applying, flushing or closing, what an encrypted view holds
// after it is what a replay of some first part of the log gives, and the rest brings it to
// what the whole log gives; or it says that it must be rebuilt.
func TestPowerLossLeavesAnExactPrefixOrARebuild(t *testing.T) {
	prefixes, rebuilds := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		log := drawLog(r, 6)
		whole := openView(t, vfs.NewMem())
		commitLog(t, whole, log)
		disk := vfs.NewCrashableMem()
		cut := &powerCut{disk: disk, one: 30, random: rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))}
		v := openView(t, encrypted(t, errorfs.Wrap(disk, cut)))
		cursors := []uint64{0}
		for _, s := range segments(log) {
			commitLog(t, v, s)
			cursors = append(cursors, s[0].sequence)
			if rapid.IntRange(0, 2).Draw(r, "flush") == 0 {
				if err := v.flush(); err != nil {
					r.Fatal(err)
				}
			}
		}
		closeView(t, v)
		for _, left := range cut.left {
			after, err := Open(encrypted(t, left), "view", Options{AppKey: keyOf, CacheSize: 1 << 20})
			if errors.Is(err, ErrFormat) || errors.Is(err, cryptfs.ErrCorrupt) {
				rebuilds++
				continue
			}
			if err != nil {
				r.Fatal(err)
			}
			prefixes++
			after.SetErasure(1, 70_300)
			after.SetErasure(2, 70_301)
			at := after.Cursor().Sequence
			if !slices.Contains(cursors, at) {
				r.Fatalf("cursor %d is of no commit", at)
			}
			i, _ := slices.BinarySearchFunc(log, at+1, func(l logged, at uint64) int { return int(l.sequence) - int(at) })
			prefix := openView(t, vfs.NewMem())
			commitLog(t, prefix, log[:i])
			if diff := cmp.Diff(dump(t, prefix), dump(t, after)); diff != "" {
				r.Fatal(diff)
			}
			closeView(t, prefix)
			commitLog(t, after, log[i:])
			if diff := cmp.Diff(dump(t, whole), dump(t, after)); diff != "" {
				r.Fatal(diff)
			}
			closeView(t, after)
		}
		closeView(t, whole)
	})
	t.Logf("%d power losses left a prefix, %d a view to rebuild", prefixes, rebuilds)
	if prefixes == 0 {
		t.Error("no view was left by any")
	}
}
