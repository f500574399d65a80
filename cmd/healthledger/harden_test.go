package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A dump of memory would hold keys, a passphrase or samples.
func TestNoProcessOfTheProgramDumpsCore(t *testing.T) {
	s := newStore(t)
	daemon := s.serve()
	s.run("unlock")
	// A command that has read no passphrase yet, since nobody has written one.
	pipe := filepath.Join(t.TempDir(), "passphrase")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	waiting := exec.Command(built, "--dir", s.dir, "--passphrase-file", pipe, "unlock")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = waiting.Process.Kill()
		_ = waiting.Wait()
	}()
	// A kernel need not list children; the projector is the same program.
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", daemon.Process.Pid))
	processes := map[string]string{"daemon": fmt.Sprint(daemon.Process.Pid), "command": fmt.Sprint(waiting.Process.Pid)}
	for i, pid := range strings.Fields(string(children)) {
		processes[fmt.Sprint("child ", i)] = pid
	}
	none := regexp.MustCompile(`(?m)^Max core file size +0 +0 `)
	for name, pid := range processes {
		within(t, 10*time.Second, name+" may dump core", func() bool {
			limits, err := os.ReadFile("/proc/" + pid + "/limits")
			return err == nil && none.Match(limits)
		})
	}
}
