package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A volume is a filesystem of its own, in a file, that can lose its power or fill up: ext4.
type volume struct {
	t     *testing.T
	image string
	// Path is where it is mounted, and how.
	path, options string
}

// More than the daemon's reserve; the file has holes.
const volumeSize = 512 << 20

// unforgiving mounts without what makes programs pass that forget to sync: nothing is written
// because time has passed, or because a file was renamed over another, and a file's length may
// reach the disk before its content.
const unforgiving = "loop,noauto_da_alloc,commit=300,data=writeback"

// newVolume makes a volume that is gone after the test; where that needs more rights than
// the test has, or a device that the machine lacks, the test is skipped.
func newVolume(t *testing.T, options string) *volume {
	t.Helper()
	work := t.TempDir()
	v := &volume{t: t, image: filepath.Join(work, "image"), path: filepath.Join(work, "disk"), options: options}
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a volume")
	}
	if err := os.Mkdir(v.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(v.image, volumeSize); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-I", "256", v.image).CombinedOutput(); err != nil {
		t.Skipf("no volume can be made here: %v %s", err, out)
	}
	if out, err := v.mount(); err != nil {
		t.Skipf("no volume can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		// Whoever still uses it has lost it.
		if err := unix.Unmount(v.path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Errorf("unmount: %v", err)
		}
	})
	return v
}

func (v *volume) mount() ([]byte, error) {
	return exec.Command("mount", "-o", v.options, v.image, v.path).CombinedOutput()
}

// cut takes away the power: the volume is then as its disk was when cut was called. Nobody
// may write to it meanwhile: stop is called first, and must hold up whoever might; end is
// called when the disk is copied, and must end them.
func (v *volume) cut(stop, end func()) {
	v.t.Helper()
	stop()
	after := v.image + ".after"
	if out, err := exec.Command("cp", "--sparse=always", v.image, after).CombinedOutput(); err != nil {
		v.t.Fatalf("copy the disk: %v %s", err, out)
	}
	end()
	within(v.t, 20*time.Second, "nobody uses the volume", func() bool { return unix.Unmount(v.path, 0) == nil })
	if err := os.Rename(after, v.image); err != nil {
		v.t.Fatal(err)
	}
	if out, err := v.mount(); err != nil {
		v.t.Fatalf("the disk cannot be mounted after the power was cut: %v %s", err, out)
	}
}

// fill leaves so many bytes free.
func (v *volume) fill(left int64) {
	v.t.Helper()
	var at unix.Statfs_t
	if err := unix.Statfs(v.path, &at); err != nil {
		v.t.Fatal(err)
	}
	ballast, err := os.OpenFile(v.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	defer ballast.Close()
	if size := int64(at.Bavail)*at.Bsize - left; size > 0 {
		// What others take meanwhile may be in the way.
		if err := unix.Fallocate(int(ballast.Fd()), 0, 0, size); err != nil && !errors.Is(err, unix.ENOSPC) {
			v.t.Fatal(err)
		}
	}
}

// free gives back what fill has taken.
func (v *volume) free() {
	v.t.Helper()
	if err := os.Remove(v.ballast()); err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) ballast() string { return filepath.Join(v.path, "ballast") }
