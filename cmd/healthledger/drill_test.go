package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
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

// A deed is something of which its maker is answered when it is done.
type deed struct {
	name string
	args func(d *drill) []string
	// began and done say what may be, and must be, from then on.
	began, done func(d *drill)
	// first brings the store where the deed is one.
	first func(d *drill)
}

func nothing(*drill) {}

var deeds = []deed{
	{"unlock", func(*drill) []string { return []string{"unlock"} }, nothing, nothing, func(d *drill) { d.run("lock", "--now") }},
	{"lock", func(*drill) []string { return []string{"lock", "--now"} }, nothing, func(d *drill) {
		if left := projectorsOf(d.dir); len(left) > 0 {
			d.t.Errorf("locked, and projectors run: %v", left)
		}
	}, nothing},
	{"grant", func(*drill) []string { return []string{"grant", drillReader, "--read", "heartRate"} },
		func(d *drill) { d.readable = d.readable.or(there) }, func(d *drill) { d.readable = there }, nothing},
	{"revoke", func(*drill) []string { return []string{"revoke", drillReader, "--read", "heartRate"} },
		func(d *drill) { d.readable = d.readable.or(gone) }, func(d *drill) { d.readable = gone }, nothing},
	{"register", func(d *drill) []string {
		return []string{"app", "add", "--manifest", d.secret("manifest", string(manifestOf(d.nextApp())))}
	}, func(d *drill) { d.apps[d.nextApp()] = either }, func(d *drill) { d.apps[fmt.Sprint("com.example.app", len(d.apps))] = there }, nothing},
	{"passphrase", func(d *drill) []string { return []string{"passphrase", "--new-passphrase-file", d.nextPassphrase()} },
		func(d *drill) { d.open = append(d.open, d.nextPassphrase()) }, func(d *drill) { d.open = d.open[1:] }, nothing},
	{"replay", func(*drill) []string { return []string{"replay"} }, nothing, nothing, nothing},
	{"import", func(d *drill) []string { return []string{"import", d.file()} },
		func(d *drill) { d.imported = d.imported.or(there) }, func(d *drill) { d.imported = there }, nothing},
}

// or is what may be when another fate was asked for and not answered.
func (f fate) or(other fate) fate {
	if f == other {
		return f
	}
	return either
}

func (d *drill) nextApp() string { return fmt.Sprint("com.example.app", len(d.apps)+1) }

// nextPassphrase is a file with another passphrase than the one in use.
func (d *drill) nextPassphrase() string {
	now, next := d.secret("now", passphrase), d.secret("next", "the next one")
	if d.open[0] == now {
		return next
	}
	return now
}

// A running deed is a command that was not answered yet.
type running struct {
	deed
	d      *drill
	cmd    *exec.Cmd
	stderr strings.Builder
	since  time.Time
	ended  chan struct{}
}

// begin starts a deed.
func (d *drill) begin(does deed) *running {
	d.t.Helper()
	args := append([]string{"--passphrase-file", d.open[0]}, does.args(d)...)
	does.began(d)
	r := &running{deed: does, d: d, cmd: d.command(args...), since: time.Now(), ended: make(chan struct{})}
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait()
	}()
	return r
}

// moment waits until a random moment of a deed, sometimes until it is over.
func (r *running) moment() {
	most := r.d.took[r.name]
	if most == 0 {
		most = 2 * time.Second
	}
	select {
	case <-r.ended:
	case <-time.After(rand.N(most * 5 / 4)):
	}
}

// end ends a deed that has no answer, and takes note of one that has.
func (r *running) end() {
	r.d.t.Helper()
	_ = r.cmd.Process.Kill()
	r.settle()
}

func (r *running) settle() {
	r.d.t.Helper()
	<-r.ended
	switch {
	case r.cmd.ProcessState.Success():
		r.d.count(r.name + " answered")
		r.d.took[r.name] = max(r.d.took[r.name], time.Since(r.since))
		r.done(r.d)
	case r.cmd.ProcessState.Exited():
		r.d.count(r.name + " failed")
	default:
		r.d.count(r.name + " interrupted")
	}
}

// beat is the request to save a sample of the writer. Half of them bring a UUID.
func beat(n int64) *pb.SaveRequest {
	at, value, id := timestamppb.New(beatTime(n)), 60.0, uuid.New()
	sample := &pb.Sample{Type: "heartRate", Start: at, End: at, Value: &value, Unit: "count/min", Source: &pb.Source{Name: "Watch"}}
	if n%2 == 0 {
		sample.Uuid = beatUUID(n)
	}
	return &pb.SaveRequest{RequestId: id[:], Samples: []*pb.Sample{sample}}
}

func beatTime(n int64) time.Time { return time.Unix(1_700_000_000+n, 0) }

func beatUUID(n int64) string { return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n)).String() }

// write begins to save and delete, and returns what ends that.
func (d *drill) write() (stop func()) {
	d.t.Helper()
	c := d.dial(drillWriter)
	ctx, cancel := context.WithCancel(d.t.Context())
	var writing sync.WaitGroup
	for range 3 {
		writing.Go(func() {
			for ctx.Err() == nil {
				n, request := d.take()
				err := d.save(ctx, c, n, request)
				if err == nil && rand.IntN(10) == 0 {
					err = d.delete(ctx, c)
				}
				if err != nil {
					d.count("writer was answered " + reasonOf(err))
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	return func() {
		cancel()
		writing.Wait()
		c.Close()
	}
}

// reasonOf is what kind of error a caller got.
func reasonOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "nothing"
	}
	return rpc.Reason(err)
}

func (d *drill) take() (int64, *pb.SaveRequest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.beats[d.last], d.asked[d.last] = either, beat(d.last)
	return d.last, d.asked[d.last]
}

func (d *drill) save(ctx context.Context, c *client.Client, n int64, request *pb.SaveRequest) error {
	if _, err := c.Health().Save(ctx, request); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats[n] = there
	delete(d.asked, n)
	d.reports["saves answered"]++
	return nil
}

// delete deletes a sample that was saved.
func (d *drill) delete(ctx context.Context, c *client.Client) error {
	d.mu.Lock()
	n := 2 * (1 + rand.Int64N(d.last))
	if d.beats[n] != there {
		d.mu.Unlock()
		return nil
	}
	d.beats[n] = either
	d.mu.Unlock()
	id := uuid.New()
	_, err := c.Health().Delete(ctx, &pb.DeleteRequest{RequestId: id[:], Deletions: []*pb.Deletion{{Type: "heartRate", Uuids: []string{beatUUID(n)}}}})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats[n] = gone
	d.reports["deletes answered"]++
	return nil
}

// again saves some of what had no answer once more, as a producer does.
func (d *drill) again() {
	d.t.Helper()
	c := d.dial(drillWriter)
	defer c.Close()
	d.mu.Lock()
	asked := maps.Clone(d.asked)
	d.mu.Unlock()
	for n, request := range asked {
		if rand.IntN(2) == 0 {
			continue
		}
		if err := d.save(d.t.Context(), c, n, request); err != nil {
			d.t.Errorf("saved again: %v", err)
		}
		d.count("saved again")
	}
}

// unlock opens the store with one of the passphrases that may open it, and wants no other to.
func (d *drill) unlock() {
	d.t.Helper()
	if len(d.open) > 1 {
		d.open = []string{d.opensWith(d.open[0], d.open[1])}
	}
	if stderr, ok := d.owns("unlock"); !ok {
		d.t.Fatalf("unlock: %s", stderr)
	}
}

// check compares the store, which is unlocked then, with what it has answered.
func (d *drill) check() {
	d.t.Helper()
	d.again()
	d.unlock()
	found := map[int64]bool{}
	for _, row := range d.samples("heartRate", "--owner") {
		n := row.Start.Unix() - 1_700_000_000
		if found[n] {
			d.t.Errorf("sample %d is there twice", n)
		}
		found[n] = true
	}
	for n, fate := range d.beats {
		if !fate.agrees(found[n]) {
			d.t.Errorf("sample %d: found: %v, and what was answered is %d", n, found[n], fate)
		}
		delete(found, n)
	}
	if len(found) > 0 {
		d.t.Errorf("samples that nobody saved: %v", found)
	}
	d.checkImport()
	d.checkDecisions()
	if out, stderr, code := d.exec("log", "verify"); code != 0 {
		d.t.Errorf("the log is not as it was written: %s%s", out, stderr)
	}
	if out, stderr, code := d.exec("--passphrase-file", d.open[0], "replay", "--check"); code != 0 {
		d.t.Errorf("the view is not what the log gives: %s%s", out, stderr)
	}
	if d.t.Failed() {
		d.t.FailNow()
	}
}

func (d *drill) checkImport() {
	d.t.Helper()
	values := map[float64]bool{}
	rows := d.samples("stepCount", "--owner")
	for _, row := range rows {
		if values[row.Value] || row.Value < 1 || row.Value > drillImport || !row.Start.Equal(minute(int(row.Value)-1)) {
			d.t.Errorf("imported twice, or never: %+v", row)
		}
		values[row.Value] = true
	}
	if d.imported == there && len(rows) != drillImport {
		d.t.Errorf("%d samples of an import of %d", len(rows), drillImport)
	}
}

// checkDecisions looks for the owner's decisions in what follows from them. From then on
// what was found is what must be.
func (d *drill) checkDecisions() {
	d.t.Helper()
	reads := len(d.samples("heartRate", "--app", drillReader, "--limit", "1")) > 0
	if any := slices.Contains(slices.Collect(maps.Values(d.beats)), there); any && !d.readable.agrees(reads) {
		d.t.Errorf("the app reads: %v, and what was answered is %d", reads, d.readable)
	} else if any {
		d.readable = map[bool]fate{true: there, false: gone}[reads]
	}
	listed := map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(d.run("--json", "app", "list"))); decoder.More(); {
		var app struct {
			Manifest struct{ BundleId string }
		}
		if err := decoder.Decode(&app); err != nil {
			d.t.Fatal(err)
		}
		listed[app.Manifest.BundleId] = true
	}
	for id, fate := range d.apps {
		if !fate.agrees(listed[id]) {
			d.t.Errorf("app %s is registered: %v, and what was answered is %d", id, listed[id], fate)
		}
	}
}
