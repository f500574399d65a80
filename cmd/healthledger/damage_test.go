package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

// A place is a kind of file of a data directory.
type place struct {
	name string
	glob string
	// needed files are those of which the loss must be told; the others are made anew.
	needed bool
}

const streamFiles = "jetstream/jetstream/*/streams/*/"

var places = []place{
	{"block of the log", streamFiles + "msgs/*.blk", true},
	{"index of the log", streamFiles + "msgs/index.db", false},
	{"settings of the log", streamFiles + "meta.inf", false},
	{"checksum of the settings", streamFiles + "meta.sum", false},
	{"keyring", "stores/*/keyring", true},
	{"key of an epoch (health)", "stores/*/epochs/health-*", true},
	{"key of an epoch (management)", "stores/*/epochs/management-*", true},
	{"key of what an erasure has left", "stores/*/epochs/resealed-*", true},
	// One of its two slots may be damaged.
	{"head", "stores/*/head", false},
	{"decisions", "stores/*/decisions", false},
	{"key of the view", "stores/*/view.key", false},
	{"table of the view", "stores/*/view-*/*.sst", false},
	{"manifest of the view", "stores/*/view-*/MANIFEST-*", false},
	{"options of the view", "stores/*/view-*/OPTIONS-*", false},
	{"marker of the view", "stores/*/view-*/marker.*", false},
	{"log of the view", "stores/*/view-*/*.log", false},
	{"pin", "pins/*", true},
	// The next unlock enrols another.
	{"key of the device", "device.key", false},
	{"credentials of the importer", "credentials/*/healthledger.importer.json", false},
}

// damages are what may happen to a file.
var damages = []struct {
	name string
	do   func(t *testing.T, path string) (at int64)
}{
	{"flipped bit", func(t *testing.T, path string) int64 {
		content := read(t, path)
		if len(content) == 0 {
			return -1
		}
		at := rand.IntN(len(content))
		content[at] ^= 1 << rand.IntN(8)
		write(t, path, content)
		return int64(at)
	}},
	{"truncated", func(t *testing.T, path string) int64 {
		content := read(t, path)
		if len(content) == 0 {
			return -1
		}
		at := rand.IntN(len(content))
		write(t, path, content[:at])
		return int64(at)
	}},
	{"emptied", func(t *testing.T, path string) int64 { write(t, path, nil); return 0 }},
	{"removed", func(t *testing.T, path string) int64 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return 0
	}},
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A sound store is stopped, and what it holds is known.
type sound struct {
	*store
	template string
	// whole is everything that the owner sees, in the order of the log.
	whole string
	// records are where each segment's record is in the log's one block.
	records []record
}

type record struct {
	sequence uint64
	end      int64
}

// newSound makes a store with two epochs of each class, an import, lone saves, an erasure, and a
// view.
func newSound(t *testing.T) *sound {
	t.Helper()
	d := newDrill(t, filepath.Join(t.TempDir(), "data"))
	d.run("import", d.file())
	for range 2 {
		c := d.dial(drillWriter)
		for range 10 {
			n, request := d.take()
			if err := d.save(t.Context(), c, n, request); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		d.run("grant", drillReader, "--read", "heartRate")
		d.run("lock", "--now")
		d.stop()
		d.daemon = d.serve()
		d.unlock()
	}
	d.chooseErased()
	d.run(d.eraseArgs()...)
	s := &sound{store: d.store, whole: d.inOrder(), template: filepath.Join(d.work, "template")}
	d.run("lock", "--now")
	d.stop()
	if out, err := exec.Command("cp", "-r", d.dir, s.template).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s.records = recordsOf(t, s.blocks()[0])
	return s
}

// stop ends the daemon in order.
func (d *drill) stop() {
	d.t.Helper()
	if err := d.daemon.Process.Signal(os.Interrupt); err != nil {
		d.t.Fatal(err)
	}
	if err := d.daemon.Wait(); err != nil {
		d.t.Fatal(err)
	}
}

// inOrder is what the owner sees, in the order of the log.
func (s *store) inOrder() string {
	s.t.Helper()
	return s.run("--json", "query", "samples", "stepCount", "--owner", "--order", "oldest") +
		s.run("--json", "query", "samples", "heartRate", "--owner", "--order", "oldest")
}

// recordsOf reads where JetStream has put the segments in a block.
func recordsOf(t *testing.T, block string) []record {
	t.Helper()
	content := read(t, block)
	var all []record
	for at := 0; at < len(content); {
		length := binary.LittleEndian.Uint32(content[at:]) &^ (1 << 31)
		all = append(all, record{binary.LittleEndian.Uint64(content[at+4:]), int64(at) + int64(length)})
		at += int(length)
	}
	return all
}

// at is the segment whose record has a place in the block.
func (s *sound) at(offset int64) uint64 {
	i := slices.IndexFunc(s.records, func(r record) bool { return offset < r.end })
	return s.records[i].sequence
}

// dropView removes the view, so that the next unlock reads the log.
func (s *sound) dropView() {
	s.t.Helper()
	views, err := filepath.Glob(filepath.Join(s.dir, "stores", "*", "view-*"))
	if err != nil || len(views) > 1 {
		s.t.Fatalf("views: %v %v", views, err)
	}
	for _, view := range views {
		if err := os.RemoveAll(view); err != nil {
			s.t.Fatal(err)
		}
	}
}

// A finding is what a store with a fault was seen to do.
type finding struct {
	// What the commands said that failed.
	refused, verify, unlock, query string
	faults                         []*pb.LogFault
	content                        string
}

func (f finding) String() string {
	return fmt.Sprintf("serve %q; verify %q %v; unlock %q; query %q", f.refused, f.verify, f.faults, f.unlock, f.query)
}

// try serves the store as it is, verifies it, unlocks it and reads everything.
func (s *sound) try() (f finding) {
	s.t.Helper()
	stop, refused := s.tryToServe()
	if stop == nil {
		return finding{refused: fmt.Sprintf("%q", refused)}
	}
	defer stop()
	out, stderr, code := s.exec("--json", "log", "verify")
	f.verify = failure(stderr, code)
	for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); {
		var resp struct {
			Faults []struct {
				From, To, Segments uint64 `json:",string"`
				Kind, Why          string
			}
		}
		if err := decoder.Decode(&resp); err != nil {
			s.t.Fatal(err)
		}
		for _, fault := range resp.Faults {
			f.faults = append(f.faults, &pb.LogFault{From: fault.From, To: fault.To, Segments: fault.Segments, Kind: fault.Kind, Why: fault.Why})
		}
	}
	_, stderr, code = s.exec("unlock")
	f.unlock = failure(stderr, code)
	steps, stderr, code := s.exec("--json", "query", "samples", "stepCount", "--owner", "--order", "oldest")
	f.query = failure(stderr, code)
	beats, stderr, code := s.exec("--json", "query", "samples", "heartRate", "--owner", "--order", "oldest")
	f.query += failure(stderr, code)
	f.content = steps + beats
	return f
}

// failure is what a command said that failed.
func failure(stderr string, code int) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprintf("exit %d: %s", code, strings.TrimSpace(stderr))
}

// tryToServe starts a daemon and returns what stops it, or says why none starts.
func (s *sound) tryToServe() (stop func(), refused string) {
	s.t.Helper()
	cmd := s.command("serve")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended, served := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	go func() { served <- untilServed(s.dir, true) }()
	select {
	case <-ended:
		return nil, said.String()
	case err := <-served:
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	}, ""
}

// judge says what a store did that has a fault, and what is wrong with that, "" if nothing is.
func (s *sound) judge(p place, damage string, at int64, f finding) (verdict, wrong string) {
	told := f.refused+f.verify+f.unlock+f.query != ""
	switch {
	case f.refused != "":
		verdict = "told, nothing is served"
	case f.query != "":
		verdict = "told, nothing is read"
	case f.content == s.whole:
		verdict = "told, everything is read"
	case strings.HasPrefix(s.whole, f.content):
		verdict = "told, what comes before is read"
	default:
		return "wrong", "something else is read"
	}
	switch {
	case !told && f.content == s.whole && !p.needed:
		return "harmless", ""
	case !told:
		return "silent", "nobody is told"
	case p.name == "block of the log":
		return verdict, s.misses(damage, at, f.faults)
	}
	return verdict, ""
}

// misses says where the faults of the log are not the segments that were hit.
func (s *sound) misses(damage string, at int64, faults []*pb.LogFault) string {
	first, last := s.at(at), s.records[len(s.records)-1].sequence
	if damage == "flipped bit" {
		last = first
	}
	next := first
	for _, f := range faults {
		// With the decision of an erasure is lost why keys are missing.
		if f.GetFrom() == 0 || f.GetKind() == "decision" || f.GetKind() == "key" {
			continue
		}
		if f.GetFrom() != next {
			break
		}
		next = f.GetTo() + 1
	}
	if next != last+1 {
		return fmt.Sprintf("segments %d to %d were hit", first, last)
	}
	return ""
}

// Whatever happens to a file of a data directory, the owner reads everything that was
// acknowledged, or is told.
func TestDamageIsToldOrMended(t *testing.T) {
	times := rounds(0, 10)
	if times == 0 {
		t.Skip("only in a drill (make drill): the packages below have the tests of each place")
	}
	s := newSound(t)
	seen := map[string]int{}
	for range times {
		for _, p := range places {
			for _, damage := range damages {
				if err := os.RemoveAll(s.dir); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.Command("cp", "-r", s.template, s.dir).CombinedOutput(); err != nil {
					t.Fatalf("%v %s", err, out)
				}
				paths, err := filepath.Glob(filepath.Join(s.dir, p.glob))
				if err != nil || len(paths) == 0 {
					t.Fatalf("%s: %v %v", p.name, paths, err)
				}
				path := paths[rand.IntN(len(paths))]
				at := damage.do(t, path)
				if rebuild := rand.IntN(2) == 0; rebuild {
					s.dropView()
				}
				if at < 0 {
					continue
				}
				f := s.try()
				verdict, wrong := s.judge(p, damage.name, at, f)
				seen[p.name+", "+damage.name+": "+verdict]++
				if wrong != "" {
					t.Errorf("%s (%s), %s at %d: %s: %v", p.name, filepath.Base(path), damage.name, at, wrong, f)
				} else {
					t.Logf("%s (%s), %s at %d: %s: %v", p.name, filepath.Base(path), damage.name, at, verdict, f)
				}
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%s: %d", what, seen[what])
	}
}
