package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"healthledger/scripts/genexport/export"
)

// rounds is how often a crash is tried: few in the tests, many in a drill.
func rounds(few, many int) int {
	if os.Getenv("HEALTHLEDGER_DRILL") != "" {
		return many
	}
	return few
}

// made writes an export and returns how many samples a complete import stores.
func made(t *testing.T, records int) (path string, usable uint64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "export.xml")
	m, err := writeExport(path, export.Options{Seed: 3, Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return path, m.Usable()
}

// content is a digest of what the owner sees of some types, identifiers left out.
func (s *store) content() string {
	s.t.Helper()
	var all strings.Builder
	for _, name := range []string{"stepCount", "heartRate", "sleepAnalysis", "bodyMass"} {
		for _, row := range s.samples(name, "--owner") {
			fmt.Fprintln(&all, name, row.Start.UnixMicro(), row.End.UnixMicro(), row.Value, row.Unit, row.Source)
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(all.String())))
}

func TestDaemonKilledInAnImportLosesAndDoublesNothing(t *testing.T) {
	path, usable := made(t, 60_000)
	whole := newStore(t)
	whole.serve()
	whole.imports(path)
	whole.run("unlock")
	want := whole.content()

	s := newStore(t)
	for range rounds(3, 100) {
		daemon := s.serve()
		importing := s.command("import", path)
		if err := importing.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(50+rand.IntN(700)) * time.Millisecond)
		kill(t, daemon)
		_ = importing.Process.Kill()
		_ = importing.Wait()
	}
	s.serve()
	if got := s.imports(path); got.Imported != usable {
		t.Fatalf("%d of %d records imported at last", got.Imported, usable)
	}
	s.run("unlock")
	if at := s.status(); at.ViewSamples != usable {
		t.Errorf("%d samples, %d were in the export", at.ViewSamples, usable)
	}
	if got := s.content(); got != want {
		t.Error("the content differs from that of an import without crashes")
	}
}

func TestAcknowledgedSavesSurviveKills(t *testing.T) {
	s := newStore(t)
	s.run("app", "add", "com.example.watch")
	s.run("grant", "com.example.watch", "--share", "heartRate")
	lines := filepath.Join(t.TempDir(), "lines")
	acknowledged := 0
	for round := range rounds(3, 100) {
		daemon := s.serve()
		stop := time.AfterFunc(time.Duration(200+rand.IntN(600))*time.Millisecond, func() { _ = daemon.Process.Kill() })
		for i := 0; ; i++ {
			at := time.Date(2024, 1, 1, 0, round, 0, i*1000, time.UTC).Format(time.RFC3339Nano)
			line := fmt.Sprintf(`{"type":"heartRate","start":%q,"value":60,"unit":"count/min"}`, at)
			if err := os.WriteFile(lines, []byte(line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			// Where the daemon is gone, the command would serve itself.
			if err := served(s.dir); err != nil {
				break
			}
			if _, _, code := s.exec("save", "--app", "com.example.watch", lines); code != 0 {
				break
			}
			acknowledged++
		}
		stop.Stop()
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	}
	s.serve()
	s.run("unlock")
	if got := len(s.samples("heartRate", "--app", "com.example.watch")); got < acknowledged {
		t.Errorf("%d samples are left of %d acknowledged", got, acknowledged)
	}
}

func TestProjectorKilledInCatchUpEndsInTheSameView(t *testing.T) {
	path, usable := made(t, 150_000)
	s := newStore(t)
	s.serve()
	s.imports(path)
	for range rounds(3, 100) {
		if _, stderr, code := s.exec("unlock", "--no-wait"); code != 0 {
			t.Fatalf("unlock: exit %d: %s", code, stderr)
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		for _, pid := range projectorsOf(s.dir) {
			killPID(t, pid)
		}
		within(t, 20*time.Second, "the store is locked when its projector is gone", func() bool {
			return strings.Contains(s.run("status"), "locked") && len(projectorsOf(s.dir)) == 0 && !strings.Contains(s.run("status"), "unlock")
		})
	}
	s.run("unlock")
	if at := s.status(); at.ViewSamples != usable || at.ViewDuplicates != 0 {
		t.Errorf("%d samples and %d duplicates, %d were imported", at.ViewSamples, at.ViewDuplicates, usable)
	}
	want := s.content()
	s.run("lock", "--now")
	views, err := filepath.Glob(filepath.Join(s.dir, "stores", "*", "view"))
	if err != nil || len(views) != 1 {
		t.Fatalf("views: %v %v", views, err)
	}
	if err := os.RemoveAll(views[0]); err != nil {
		t.Fatal(err)
	}
	s.run("unlock")
	if got := s.content(); got != want {
		t.Error("a rebuilt view has another content")
	}
}

func TestWrongPassphraseIsSlowerEachTime(t *testing.T) {
	s := newStore(t)
	s.serve()
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
	s.run("unlock")
	if delay := s.delay(); delay != 0 {
		t.Errorf("after the right passphrase the next try waits %v", delay)
	}
}

// delay is how long a try after the last wrong one is put off.
func (s *store) delay() time.Duration {
	s.t.Helper()
	path := filepath.Join(s.dir, "passphrases.json")
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	var callers map[string]struct{ Until time.Time }
	if err := json.Unmarshal(content, &callers); err != nil {
		s.t.Fatal(err)
	}
	if len(callers) == 0 {
		return 0
	}
	return callers["local"].Until.Sub(info.ModTime())
}
