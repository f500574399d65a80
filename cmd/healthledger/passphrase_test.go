package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// secret writes a file that holds a secret.
func (s *store) secret(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.work, name)
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// opensWith wants one of two passphrases to open the store, and the other not.
func (s *store) opensWith(one, other string) string {
	s.t.Helper()
	var opens []string
	for _, p := range []string{one, other} {
		_, stderr, code := s.exec("--passphrase-file", p, "unlock")
		switch {
		case code == 0:
			opens = append(opens, p)
		case !strings.Contains(stderr, "wrong passphrase"):
			s.t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	if len(opens) != 1 {
		s.t.Fatalf("%q open the store", opens)
	}
	return opens[0]
}

// Whenever the daemon is killed in a change of the passphrase, one of the two opens the store,
// and what the key directory has of the other is gone after the start.
func TestADaemonThatIsKilledInAChangeLeavesOnePassphrase(t *testing.T) {
	t.Parallel() // it starts a daemon for each step
	s := newStore(t)
	now, next := s.secret("now", passphrase), s.secret("next", "the next one")
	keys := filepath.Join(s.dir, "stores", s.id())
	for _, step := range []string{".keyring.", "keyring.", "keyring.old", "changed"} {
		daemon := s.serve()
		s.run("--passphrase-file", now, "unlock")
		before, err := os.ReadFile(filepath.Join(keys, "keyring"))
		if err != nil {
			t.Fatal(err)
		}
		change := s.command("--passphrase-file", now, "passphrase", "--new-passphrase-file", next)
		if err := change.Start(); err != nil {
			t.Fatal(err)
		}
		awaitStep(t, keys, step, string(before))
		kill(t, daemon)
		_ = change.Wait()

		daemon = s.serve()
		opens := s.opensWith(now, next)
		t.Logf("killed at %q: %s", step, filepath.Base(opens))
		if step == "changed" && opens != next {
			t.Error("the new keyring is in place, and its passphrase does not open")
		}
		if opens == next {
			now, next = next, now
		}
		left, err := filepath.Glob(filepath.Join(keys, "keyring.*"))
		if err != nil || len(left) > 0 {
			t.Errorf("killed at %q: %q is left, %v", step, left, err)
		}
		kill(t, daemon)
	}
}

// awaitStep returns when a file appears whose name begins so, or the keyring is another. A
// step that takes no longer than to look may be over by then.
func awaitStep(t *testing.T, folder, step, before string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		if content, err := os.ReadFile(filepath.Join(folder, "keyring")); err == nil && string(content) != before {
			return
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), step) {
				return
			}
		}
	}
	t.Fatal("the passphrase was not changed")
}
