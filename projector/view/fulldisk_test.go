package view

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// full lets a disk take some writes, and then none but of manifests and what marks the valid
// one, without which Pebble ends the process.
type full struct{ left atomic.Int64 }

func (f *full) String() string { return "full disk" }

// MaybeError implements errorfs.Injector.
func (f *full) MaybeError(op errorfs.Op) error {
	manifest := strings.Contains(op.Path, "MANIFEST") || strings.Contains(op.Path, "marker.")
	if (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpFileWrite) && !manifest && f.left.Add(-1) < 0 {
		return &fs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
	}
	return nil
}

// Whatever write the disk has no room for, opening a view says so, and not that the view is
// damaged: it opens as it was when there is room again.
func TestOpeningAViewSaysThatTheDiskIsFull(t *testing.T) {
	disk := vfs.NewMem()
	v := openView(t, encrypted(t, disk))
	commitLog(t, v, []logged{{1, 0, newSeries().bulk(1000, false)}})
	counts := v.Counts()
	closeView(t, v)
	failed := 0
	for writes := int64(0); ; writes++ {
		room := &full{}
		room.left.Store(writes)
		v, err := Open(encrypted(t, errorfs.Wrap(disk, room)), "view", Options{AppKey: keyOf})
		if err == nil {
			if err := v.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
			break
		}
		failed++
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFormat) {
			t.Errorf("room for %d writes: %v", writes, err)
		}
	}
	if failed == 0 {
		t.Error("no write failed")
	}
	v = openView(t, encrypted(t, disk))
	defer closeView(t, v)
	if v.Counts() != counts {
		t.Errorf("counts %+v, were %+v", v.Counts(), counts)
	}
}
