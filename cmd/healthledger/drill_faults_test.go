package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// during strikes at a random moment of a random deed, while an app writes.
func (d *drill) during(strike func(r *running)) {
	d.t.Helper()
	all := chosenDeeds(d.t)
	does := all[rand.IntN(len(all))]
	does.first(d)
	stop := d.write()
	r := d.begin(does)
	r.moment()
	strike(r)
	stop()
	d.count("faults in " + does.name)
}

// restart starts a daemon after one that is gone.
func (d *drill) restart() {
	d.t.Helper()
	_ = d.daemon.Wait()
	within(d.t, 20*time.Second, "no projector outlives its daemon", func() bool { return len(projectorsOf(d.dir)) == 0 })
	d.daemon = d.serve()
	d.checkSettled()
}

func TestWhateverADaemonHasAnsweredSurvivesItsDeath(t *testing.T) {
	d := newDrill(t, t.TempDir()+"/data")
	for range rounds(1, 200) {
		d.during(func(r *running) {
			if err := d.daemon.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			// An answer may be on its way.
			time.Sleep(50 * time.Millisecond)
			r.end()
		})
		d.restart()
		d.check()
	}
}

func TestWhateverADaemonHasAnsweredSurvivesAPowerCut(t *testing.T) {
	v := newVolume(t, unforgiving)
	d := newDrill(t, v.path+"/data")
	for range rounds(1, 200) {
		d.during(func(r *running) {
			var all []string
			v.cut(func() {
				all = append(projectorsOf(d.dir), strconv.Itoa(d.daemon.Process.Pid), strconv.Itoa(r.cmd.Process.Pid))
				signalAll(t, syscall.SIGSTOP, all)
			}, func() {
				// What was answered before may be on its way.
				time.Sleep(50 * time.Millisecond)
				r.end()
				signalAll(t, syscall.SIGKILL, all)
				_ = d.daemon.Wait()
			})
		})
		d.restart()
		d.check()
	}
}

// signalAll signals processes, some of which may be gone.
func signalAll(t *testing.T, s syscall.Signal, pids []string) {
	t.Helper()
	for _, pid := range pids {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		if s == syscall.SIGSTOP {
			// Threads run on for a while, and what they write and answer then is not on the copy.
			within(t, 20*time.Second, "every thread stands still", func() bool { return stopped(pid) })
		}
	}
}

// stopped reports whether no thread of a process runs.
func stopped(pid string) bool {
	threads, _ := filepath.Glob(filepath.Join("/proc", pid, "task", "*", "stat"))
	for _, thread := range threads {
		stat, _ := os.ReadFile(thread)
		// The state comes after the name, which is in parentheses.
		_, state, _ := bytes.Cut(stat, []byte(") "))
		if len(state) > 0 && !bytes.ContainsRune([]byte("TtZX"), rune(state[0])) {
			return false
		}
	}
	return true
}

func TestADaemonGoesOnWhenAFullDiskIsFreed(t *testing.T) {
	v := newVolume(t, unforgiving)
	d := newDrill(t, v.path+"/data")
	for range rounds(1, 100) {
		// Within what nobody may use, of which the last bytes are gone now and then, or
		// within what only the owner may.
		left := []int64{64 << 10, 16 << 20, 256 << 20}[rand.IntN(3)]
		d.during(func(r *running) {
			v.fill(rand.Int64N(left))
			r.settle()
			if said := r.stderr.String(); !r.cmd.ProcessState.Success() && !strings.Contains(said, "disk is full") && !strings.Contains(said, "no space left") {
				t.Errorf("%s failed on a full disk: %s", r.name, said)
			}
			time.Sleep(rand.N(time.Second))
			v.free()
		})
		d.awaitSaves()
		d.count(fmt.Sprintf("less than %d KiB left", left>>10))
		d.check()
	}
}

// awaitSaves returns when the daemon, which nobody restarts, takes saves again.
func (d *drill) awaitSaves() {
	d.t.Helper()
	c := d.dial(drillWriter)
	defer c.Close()
	began := time.Now()
	within(d.t, 90*time.Second, "saves are taken again", func() bool {
		ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
		defer cancel()
		n, request := d.take()
		return d.save(ctx, c, n, request) == nil
	})
	d.t.Logf("saves are taken %v after the disk was freed", time.Since(began))
}
