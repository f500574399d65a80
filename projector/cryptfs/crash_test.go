package cryptfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ledger is a database whose commit n says what every key holds after it:
// key n%keys is set to n, and the applied number with it.
const crashKeys = 97

func commit(db *pebble.DB, n uint64) error {
	batch := db.NewBatch()
	number := binary.BigEndian.AppendUint64(nil, n)
	// Long, incompressible values fill memtables and frames.
	value := append(number, random(n, 2000)...)
	batch.Set(fmt.Appendf(nil, "key %03d", n%crashKeys), value, nil)
	batch.Set([]byte("applied"), number, nil)
	return batch.Commit(pebble.NoSync)
}

// prefixOf returns the number of commits the database is the exact result of.
func prefixOf(db *pebble.DB) (uint64, error) {
	got, err := contents(db)
	if err != nil {
		return 0, err
	}
	if len(got) == 0 {
		return 0, nil
	}
	applied := binary.BigEndian.Uint64([]byte(got["applied"]))
	if want := min(applied, crashKeys) + 1; uint64(len(got)) != want {
		return 0, fmt.Errorf("%d keys after %d commits, want %d", len(got), applied, want)
	}
	for n := applied; n > 0 && n+crashKeys > applied; n-- {
		key := fmt.Sprintf("key %03d", n%crashKeys)
		want := string(append(binary.BigEndian.AppendUint64(nil, n), random(n, 2000)...))
		if got[key] != want {
			return 0, fmt.Errorf("%s is not that of commit %d", key, n)
		}
	}
	return applied, nil
}

func TestCrashLeavesAnExactPrefixOfTheCommits(t *testing.T) {
	for seed := range 20 / effort {
		source := rand.New(rand.NewPCG(uint64(seed), 11))
		base := vfs.NewCrashableMem()
		var n, floor uint64
		for life := range 3 {
			crypt := newTestFS(t, base, viewKey(1))
			db, err := pebble.Open("view", options(crypt))
			if err != nil {
				t.Fatalf("seed %d, life %d: %v", seed, life, err)
			}
			if n, err = prefixOf(db); err != nil || n < floor {
				t.Fatalf("seed %d, life %d: %d commits, want at least %d: %v", seed, life, n, floor, err)
			}
			var clones []*vfs.MemFS
			var floors []uint64
			for range 300 + source.IntN(600) {
				n++
				if err := commit(db, n); err != nil {
					t.Fatal(err)
				}
				switch source.IntN(150) {
				case 0:
					if err := db.Flush(); err != nil {
						t.Fatal(err)
					}
					floor = n
				case 1:
					if err := db.Compact(t.Context(), []byte("a"), []byte("z"), false); err != nil {
						t.Fatal(err)
					}
				case 2, 3:
					clones = append(clones, base.CrashClone(vfs.CrashCloneCfg{
						UnsyncedDataPercent: source.IntN(3) * 50, RNG: source,
					}))
					floors = append(floors, floor)
				}
			}
			clones = append(clones, base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: source}))
			floors = append(floors, floor)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for i, clone := range clones {
				db, err := pebble.Open("view", options(newTestFS(t, clone, viewKey(1))))
				if err != nil {
					t.Errorf("seed %d, life %d, clone %d: %v", seed, life, i, err)
					continue
				}
				got, err := prefixOf(db)
				if err != nil || got < floors[i] || got > n {
					t.Errorf("seed %d, life %d, clone %d: %d commits of %d, at least %d flushed: %v", seed, life, i, got, n, floors[i], err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}
			// The next life goes on from the last crash.
			base = clones[len(clones)-1].CrashClone(vfs.CrashCloneCfg{})
			floor = floors[len(floors)-1]
		}
	}
}

// A writer that stops at any moment leaves a growing file that holds what was
// synced, at the least, and nothing that was not written.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	const name = "000012.log"
	for seed := range uint64(300) {
		source := rand.New(rand.NewPCG(seed, 12))
		base := vfs.NewCrashableMem()
		f := newTestFS(t, base, viewKey(1))
		dir, err := base.OpenDir("/")
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.Sync(); err != nil {
			t.Fatal(err)
		}
		var content []byte
		synced := 0
		for range 1 + source.IntN(12) {
			chunk := random(source.Uint64(), source.IntN(9000))
			content = append(content, chunk...)
			if _, err := file.Write(chunk); err != nil {
				t.Fatal(err)
			}
			if source.IntN(3) == 0 {
				if err := file.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = len(content)
			}
		}
		if source.IntN(4) == 0 {
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}
		clone := base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: source.IntN(101), RNG: source})
		got, err := readFile(newTestFS(t, clone, viewKey(1)), name)
		if err != nil || len(got) < synced || len(got) > len(content) || string(got) != string(content[:len(got)]) {
			t.Fatalf("seed %d: %d bytes of %d, %d synced: %v", seed, len(got), len(content), synced, err)
		}
	}
}

// A file written once is whole after a crash once Close has returned.
func TestClosedFileSurvivesACrash(t *testing.T) {
	base := vfs.NewCrashableMem()
	f := newTestFS(t, base, viewKey(1))
	content := random(1, 5*frameSize+3)
	write(t, f, "000001.sst", content)
	dir, err := base.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := readFile(newTestFS(t, base.CrashClone(vfs.CrashCloneCfg{}), viewKey(1)), "000001.sst")
	if err != nil || string(got) != string(content) {
		t.Errorf("%d bytes of %d, %v", len(got), len(content), err)
	}
}
