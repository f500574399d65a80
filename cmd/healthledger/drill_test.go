package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "healthledger/proto/healthledger/v1"
)

// A fate is what a drill may find of something after a fault.
type fate int

const (
	// either: it was asked for, and there was no answer.
	either fate = iota
	there
	gone
)

// agrees reports whether what is found is what was answered.
func (f fate) agrees(found bool) bool { return f == either || found == (f == there) }

// A drill is a store to which faults happen, and what it has answered so far.
type drill struct {
	*store
	daemon *exec.Cmd
	// reports count what happened.
	reports map[string]int
	// took is how long a deed took at most where nothing came in between.
	took map[string]time.Duration

	// What the owner was answered: passphrase files of which one opens the store, whether
	// the reader may read, the apps, and whether the import is there.
	open     []string
	readable fate
	apps     map[string]fate
	imported fate
	// erasing is the sample that was to be erased, with no answer yet, and erased are those of
	// which it was answered.
	erasing int64
	erased  []int64
	// retired are the store's keys that others have followed on.
	retired   [][]byte
	replacing []byte
	// backup is what the last one must bring back that was answered, and copying what the one
	// under way must, as far as it does not change meanwhile.
	backup, copying *keptBackup

	mu sync.Mutex
	// beats are the samples of the writer by their numbers, and asked the requests with
	// which they were to be saved and had no answer.
	beats map[int64]fate
	asked map[int64]*pb.SaveRequest
	last  int64
}

const (
	drillWriter = "com.example.writer"
	drillReader = "com.example.reader"
	// drillImport is how many samples the imported file has.
	drillImport = 1500
)

// newDrill makes a store in a data directory, unlocked, with an app that writes heart rates.
func newDrill(t *testing.T, dir string) *drill {
	t.Helper()
	d := &drill{
		store: newStoreIn(t, dir), reports: map[string]int{}, took: map[string]time.Duration{}, readable: gone,
		apps: map[string]fate{}, beats: map[int64]fate{}, asked: map[int64]*pb.SaveRequest{},
	}
	d.open = []string{d.secret("now", passphrase)}
	d.daemon = d.serve()
	d.owns("unlock")
	d.addApp(drillWriter)
	d.addApp(drillReader)
	d.run("grant", drillWriter, "--share", "heartRate")
	var lines strings.Builder
	for i := range drillImport {
		fmt.Fprintf(&lines, `{"type":"stepCount","start":%q,"value":%d,"unit":"count"}`+"\n", minute(i).Format(time.RFC3339), i+1)
	}
	if err := os.WriteFile(d.file(), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { t.Log(d.counts()) })
	return d
}

func (d *drill) file() string { return filepath.Join(d.work, "lines.ndjson") }

// counts says what happened.
func (d *drill) counts() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(d.reports)) {
		all = append(all, fmt.Sprintf("%s: %d", what, d.reports[what]))
	}
	return strings.Join(all, "; ")
}

func (d *drill) counted(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reports[what]
}

func (d *drill) count(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reports[what]++
}

// owner makes a command of the owner's, whose passphrase is the one that was tried first.
func (d *drill) owns(args ...string) (stderr string, ok bool) {
	d.t.Helper()
	_, stderr, code := d.exec(append([]string{"--passphrase-file", d.open[0]}, args...)...)
	return stderr, code == 0
}
