package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"healthledger/scripts/genexport/export"
)

// rounds is how often a crash is tried: few in the tests, many in a drill, of which
// HEALTHLEDGER_ROUNDS may be the number. HEALTHLEDGER_DEEDS names the deeds of the drills.
func rounds(few, many int) int {
	if os.Getenv("HEALTHLEDGER_DRILL") == "" {
		return few
	}
	if n, err := strconv.Atoi(os.Getenv("HEALTHLEDGER_ROUNDS")); err == nil {
		return n
	}
	return many
}

// made writes an export and returns how many records a complete import takes.
func made(t *testing.T, records int) (path string, usable uint64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "export.xml")
	m, err := writeExport(path, export.Options{Seed: 3, Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return path, m.Usable() + m.Nested
}

// content is a digest of what the owner sees of some types, identifiers left out.
func (s *store) content() string {
	s.t.Helper()
	var all strings.Builder
	for _, name := range []string{"stepCount", "sleepAnalysis", "bodyMass", "bloodPressure"} {
		for _, row := range s.samples(name, "--owner") {
			fmt.Fprintln(&all, name, row.Start.UnixMicro(), row.End.UnixMicro(), row.Value, row.Unit, row.Source)
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(all.String())))
}

func TestDaemonKilledInAnImportLosesAndDoublesNothing(t *testing.T) {
	path, usable := made(t, 30_000)
	whole := newStore(t)
	whole.serve()
	whole.imports(path)
	whole.run("unlock")
	want, samples := whole.content(), whole.status().ViewSamples

	s := newStore(t)
	interrupted := 0
	for range rounds(3, 100) {
		daemon := s.serve()
		before := s.logSize()
		importing := s.command("import", path)
		if err := importing.Start(); err != nil {
			t.Fatal(err)
		}
		// Not before something of this import is in the log.
		within(t, time.Minute, "the import writes", func() bool { return s.logSize() > before })
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		kill(t, daemon)
		_ = importing.Process.Kill()
		if importing.Wait() != nil {
			interrupted++
		}
	}
	t.Logf("imports interrupted: %d", interrupted)
	if interrupted == 0 {
		t.Error("every import was done before its daemon was killed: this run shows nothing")
	}
	s.serve()
	if got := s.imports(path); got.Imported != usable {
		t.Fatalf("%d of %d records imported at last", got.Imported, usable)
	}
	s.run("unlock")
	if at := s.status(); at.ViewSamples != samples || samples == 0 {
		t.Errorf("%d samples, %d without crashes", at.ViewSamples, samples)
	}
	if got := s.content(); got != want {
		t.Error("the content differs from that of an import without crashes")
	}
}

// logSize is how many bytes the log's files have.
func (s *store) logSize() (size int64) {
	s.t.Helper()
	for _, path := range s.blocks() {
		if info, err := os.Stat(path); err == nil {
			size += info.Size()
		}
	}
	return size
}

// blocks are the files in which JetStream keeps the log.
func (s *store) blocks() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "jetstream", "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil || len(found) == 0 {
		s.t.Fatalf("the log's files: %v, %v", found, err)
	}
	return found
}

func TestLogThatWasCutShortIsDataLoss(t *testing.T) {
	path, _ := made(t, 500)
	s := newStore(t)
	kill(t, s.serve())
	s.run("import", path)
	s.run("query", "samples", "stepCount", "--owner", "--limit", "1")
	blocks := s.blocks()
	last := blocks[len(blocks)-1]
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(last, info.Size()-100); err != nil {
		t.Fatal(err)
	}
	s.serve()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"import", path}, exitDataLoss, "the end of the log is lost: nothing is written"},
		{[]string{"unlock"}, exitDataLoss, "data loss in the log: segment"},
		{[]string{"import", path}, exitDataLoss, "the end of the log is lost: nothing is written"},
		{[]string{"query", "samples", "stepCount", "--owner"}, exitLocked, "locked"},
	} {
		if _, stderr, code := s.exec(c.args...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d: %s", strings.Join(c.args, " "), code, stderr)
		}
	}
	within(t, 20*time.Second, "the owner is told what is lost", func() bool {
		out := s.run("status")
		return strings.Contains(out, ": missing: ") && strings.Contains(out, "apps cannot write") && strings.Contains(out, "put back a backup")
	})
	s.run("lock", "--now")
	if out := s.run("status"); strings.Contains(out, "missing") || strings.Contains(out, "apps cannot write") {
		t.Errorf("everybody is told: %s", out)
	}
}

func TestProjectorKilledInCatchUpEndsInTheSameView(t *testing.T) {
	path, usable := made(t, 50_000)
	s := newStore(t)
	daemon := s.serve()
	if got := s.imports(path); got.Imported != usable {
		t.Fatalf("%d of %d records imported", got.Imported, usable)
	}
	caught := 0
	for round := range rounds(3, 100) {
		if _, stderr, code := s.exec("unlock", "--no-wait"); code != 0 {
			t.Fatalf("unlock: exit %d: %s", code, stderr)
		}
		// Early at first, since what a catch-up has finished is not caught up again.
		time.Sleep(time.Duration(rand.IntN(min(50*(round+1), 400))) * time.Millisecond)
		if s.status().State == "LOCK_STATE_UNLOCKING" {
			caught++
		}
		for _, pid := range projectorsOf(s.dir) {
			killPID(t, pid)
		}
		within(t, 20*time.Second, "the store is locked when its projector is gone", func() bool {
			return strings.Contains(s.run("status"), "locked") && len(projectorsOf(s.dir)) == 0 && !strings.Contains(s.run("status"), "unlock")
		})
	}
	t.Logf("catch-ups interrupted: %d", caught)
	if caught == 0 {
		t.Error("every catch-up was done before its projector was killed: this run shows nothing")
	}
	s.run("unlock")
	whole := s.status()
	if whole.ViewSamples == 0 {
		t.Error("no samples")
	}
	want := s.content()
	s.run("lock", "--now")
	// It went on; a view that a crash damages would be made anew, which the log says.
	if err := daemon.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()
	if said := fmt.Sprint(daemon.Stderr); strings.Contains(said, "rebuilt") {
		t.Errorf("the view did not survive: %s", said)
	}
	s.serve()
	views, err := filepath.Glob(filepath.Join(s.dir, "stores", "*", "view-*"))
	if err != nil || len(views) != 1 {
		t.Fatalf("views: %v %v", views, err)
	}
	if err := os.RemoveAll(views[0]); err != nil {
		t.Fatal(err)
	}
	s.run("unlock")
	if got, at := s.content(), s.status(); got != want || at.ViewSamples != whole.ViewSamples || at.ViewDuplicates != whole.ViewDuplicates {
		t.Errorf("a rebuilt view has another content: %+v, before %+v", at, whole)
	}
}

func TestWrongPassphraseIsSlowerEachTime(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStore(t)
	daemon := s.serve()
	wrong := filepath.Join(s.work, "wrong")
	if err := os.WriteFile(wrong, []byte("guess\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A command takes longer to start here than the first delays are, so it is the
	// daemon's own record that tells.
	var before time.Duration
	for range 4 {
		if _, stderr, code := s.exec("--passphrase-file", wrong, "unlock"); code != exitFailed || !strings.Contains(stderr, "wrong passphrase") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		delay := s.delay()
		if delay < before*3/2 || delay < 200*time.Millisecond {
			t.Errorf("the next try waits %v, the one before %v", delay, before)
		}
		before = delay
	}
	// The delay is real, and a daemon that is killed does not forget it.
	kill(t, daemon)
	s.serve()
	until := s.until()
	if _, _, code := s.exec("--passphrase-file", wrong, "unlock"); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if now := time.Now(); now.Before(until) {
		t.Errorf("a wrong passphrase was tried %v too early", until.Sub(now))
	}
	if delay := s.delay(); delay < before*3/2 {
		t.Errorf("after a restart the next try waits %v, the one before %v", delay, before)
	}
	s.run("unlock")
	if delay := s.delay(); delay != 0 {
		t.Errorf("after the right passphrase the next try waits %v", delay)
	}
}

func TestOwnersWhoUnlockAtOnceAllGetIn(t *testing.T) {
	s := newStore(t)
	s.serve()
	var unlocking sync.WaitGroup
	for range 4 {
		unlocking.Go(func() {
			if _, stderr, code := s.exec("unlock"); code != 0 {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
	unlocking.Wait()
}

// Without a daemon each command serves itself, one after the other: one that used
// another's daemon would be left alone when that ends.
func TestCommandsWithoutADaemonDoNotDisturbEachOther(t *testing.T) {
	s := newStore(t)
	s.addApp("com.example.watch")
	s.run("grant", "com.example.watch", "--share", "heartRate")
	var saving sync.WaitGroup
	for i := range 6 {
		lines := filepath.Join(s.work, fmt.Sprint("lines", i))
		line := fmt.Sprintf(`{"type":"heartRate","start":"2024-01-01T00:0%d:00Z","value":60,"unit":"count/min"}`, i)
		if err := os.WriteFile(lines, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		saving.Go(func() {
			if _, stderr, code := s.exec("save", "--app", "com.example.watch", lines); code != 0 {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
	saving.Wait()
	if got := len(s.samples("heartRate", "--app", "com.example.watch")); got != 6 {
		t.Errorf("%d samples of 6", got)
	}
}

// delay is how long a try after the last wrong one is put off.
func (s *store) delay() time.Duration {
	s.t.Helper()
	info, err := os.Stat(s.throttle())
	if err != nil {
		s.t.Fatal(err)
	}
	until := s.until()
	if until.IsZero() {
		return 0
	}
	return until.Sub(info.ModTime())
}

// until is when the next try is, zero if it is not put off.
func (s *store) until() time.Time {
	s.t.Helper()
	content, err := os.ReadFile(s.throttle())
	if err != nil {
		s.t.Fatal(err)
	}
	var callers map[string]struct{ Until time.Time }
	if err := json.Unmarshal(content, &callers); err != nil {
		s.t.Fatal(err)
	}
	return callers["local"].Until
}

// throttle is where the daemon remembers wrong passphrases.
func (s *store) throttle() string { return filepath.Join(s.dir, "passphrases.json") }
