package cryptfs

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// injected is an error on one in so many operations of the base.
func injected(source *rand.Rand, oneIn int, on *bool, kinds ...errorfs.OpKind) errorfs.Injector {
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !*on || source.IntN(oneIn) != 0 {
			return nil
		}
		for _, k := range kinds {
			if op.Kind == k {
				return errorfs.ErrInjected
			}
		}
		return nil
	})
}

// What fails to be written is missing or cut and says so; what fails to be
// read can be read again.
func TestInjectedErrorsNeverBecomeContent(t *testing.T) {
	for seed := range uint64(200 / effort) {
		for _, name := range names {
			source := rand.New(rand.NewPCG(seed, 13))
			on := true
			base := vfs.NewMem()
			f := newTestFS(t, errorfs.Wrap(base, injected(source, 4, &on,
				errorfs.OpCreate, errorfs.OpOpen, errorfs.OpFileWrite, errorfs.OpFileRead, errorfs.OpFileReadAt,
				errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpFileClose, errorfs.OpFileStat)), viewKey(1))
			content := random(seed, 3*recordSize)
			written, synced, err := tryWrite(f, name, content, source)
			if err != nil && !errors.Is(err, errorfs.ErrInjected) {
				t.Fatal(err)
			}
			for range 5 {
				got, readErr := readFile(f, name)
				if !onlyPrefix(got, content) {
					t.Fatalf("%s, seed %d: read what was not written", name, seed)
				}
				if readErr != nil && !errors.Is(readErr, errorfs.ErrInjected) && err == nil {
					t.Fatalf("%s, seed %d: written without an error, read with %v", name, seed, readErr)
				}
			}
			on = false
			got, readErr := readFile(f, name)
			appended := identify(name).kind.appended()
			switch {
			case err == nil && (readErr != nil || len(got) != written):
				t.Fatalf("%s, seed %d: %d of %d bytes, %v", name, seed, len(got), written, readErr)
			case err != nil && appended && readErr == nil && len(got) < synced:
				t.Fatalf("%s, seed %d: %d bytes, %d were synced", name, seed, len(got), synced)
			case err != nil && !appended && readErr == nil && len(got) != len(content):
				t.Fatalf("%s, seed %d: failed, yet %d of %d bytes can be read", name, seed, len(got), len(content))
			}
		}
	}
}

func tryWrite(f vfs.FS, name string, content []byte, source *rand.Rand) (written, synced int, err error) {
	file, err := f.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, 0, err
	}
	var first error
	for written < len(content) {
		n, err := file.Write(append([]byte(nil), content[written:min(len(content), written+1+source.IntN(3*frameSize))]...))
		if first == nil {
			written += n
			first = err
		} else if err == nil {
			return 0, 0, errors.New("a write succeeds after a failed one")
		}
		if first != nil {
			break
		}
		if source.IntN(5) == 0 {
			if first = file.Sync(); first == nil {
				synced = written
			}
		}
	}
	return written, synced, errors.Join(first, file.Close())
}

func onlyPrefix(got, content []byte) bool {
	return len(got) <= len(content) && string(got) == string(content[:len(got)])
}

// Pebble retries what fails around tables; what it then holds is right.
func TestPebbleSurvivesInjectedErrorsOnTables(t *testing.T) {
	for seed := range uint64(4) {
		source := rand.New(rand.NewPCG(seed, 14))
		base := vfs.NewMem()
		var on atomic.Bool
		hits := 0
		var mu sync.Mutex // Pebble works in several goroutines
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !on.Load() || identify(base.PathBase(op.Path)).kind != kindTable {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			switch op.Kind {
			case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileClose, errorfs.OpFileReadAt, errorfs.OpOpen, errorfs.OpCreate:
				if source.IntN(40) == 0 {
					hits++
					return errorfs.ErrInjected
				}
			}
			return nil
		})
		o := options(newTestFS(t, errorfs.Wrap(base, inject), viewKey(1)))
		db, err := pebble.Open("view", o)
		if err != nil {
			t.Fatal(err)
		}
		on.Store(true)
		for n := uint64(1); n <= 800; n++ {
			if err := commit(db, n); err != nil {
				t.Fatal(err)
			}
			if n%100 == 0 {
				if _, err := prefixOf(db); err != nil && !errors.Is(err, errorfs.ErrInjected) {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
		on.Store(false)
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		if n, err := prefixOf(db); n != 800 || err != nil {
			t.Errorf("seed %d: %d commits, %v", seed, n, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = openDB(t, newTestFS(t, base, viewKey(1)))
		if n, err := prefixOf(db); n != 800 || err != nil {
			t.Errorf("seed %d, reopened: %d commits, %v", seed, n, err)
		}
		db.Close()
		if hits == 0 {
			t.Errorf("seed %d: nothing was injected", seed)
		}
	}
}
