package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"

	"healthledger/ledger/serve"
	"healthledger/proto/client"
	"healthledger/scripts/genexport/export"
)

// The program under test is built twice. The race detector watches what runs for long: the
// daemon and its projectors. A command that asks them starts four times faster without it.
var built, watched string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "healthledger-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built, watched = filepath.Join(dir, "healthledger"), filepath.Join(dir, "healthledger-watched")
	races := filepath.Join(dir, "race")
	// A program with the race detector sleeps for a second before it exits.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=10 log_path="+races); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// As the Makefile tests.
	for _, args := range [][]string{{"-o", built}, {"-race", "-gcflags=golang.org/x/crypto/argon2=-race=false", "-o", watched}} {
		cmd := exec.Command("go", append([]string{"build"}, append(args, ".")...)...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the program:", err)
			return 1
		}
	}
	code := m.Run()
	if reports, _ := filepath.Glob(races + ".*"); len(reports) > 0 {
		for _, report := range reports {
			content, _ := os.ReadFile(report)
			fmt.Fprintf(os.Stderr, "a process of the program has raced:\n%s", content)
		}
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(built)+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("HEALTHLEDGER_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("HEALTHLEDGER_PASSPHRASE_FILE", filepath.Join(env.WorkDir, "passphrase"))
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("TZ", "Europe/Berlin")
			env.Setenv("SHARED", sharedTestdata())
			return os.WriteFile(filepath.Join(env.WorkDir, "passphrase"), []byte("tester's passphrase\n"), 0o600)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "shared" {
				return sharedTestdata() != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "daemon": awaitDaemon, "genexport": genexport, "unchanged": unchanged,
			"longroute": longRoute, "longline": longLine, "post": post, "remember": remember, "manifest": writeManifest, "certificate": certificate, "as": as, "natscli": natscli, "weigh": weigh,
			"flipbyte": flipByte, "noteverify": noteVerify,
		},
	})
}

// sharedTestdata finds the inputs that others made, "" where they are missing.
func sharedTestdata() string {
	dir := os.Getenv("HEALTHLEDGER_TESTDATA")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "shared", "testdata")
	}
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// exits N COMMAND... runs a command and wants its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command...")
	}
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(built, args[2:]...)
	if args[1] != "healthledger" {
		ts.Fatalf("exits runs healthledger")
	}
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HEALTHLEDGER_DIR", "HEALTHLEDGER_PASSPHRASE_FILE", "TZ", "HOME", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err = cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		ts.Fatalf("%v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		ts.Fatalf("exit %d, not %d", got, code)
	}
}

// daemon waits for a daemon that was started in the background.
func awaitDaemon(ts *testscript.TestScript, neg bool, _ []string) {
	if err := untilServed(ts.Getenv("HEALTHLEDGER_DIR"), !neg); err != nil {
		ts.Fatalf("%v", err)
	}
}

// post STATUS APP METHOD BODY calls the service as curl would, and prints the answer.
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: post status app method body")
	}
	address, err := serve.ReadAddress(ts.Getenv("HEALTHLEDGER_DIR"))
	ts.Check(err)
	files, err := filepath.Glob(filepath.Join(ts.Getenv("HEALTHLEDGER_DIR"), "credentials", "*", args[1]+".json"))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("credentials of %s: %q", args[1], files)
	}
	credentials, err := client.ReadCredentials(files[0])
	ts.Check(err)
	request, err := http.NewRequest(http.MethodPost, address.HTTP+"/healthledger.v1.HealthService/"+args[2], strings.NewReader(args[3]))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+credentials.Bearer())
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	_, err = io.Copy(ts.Stdout(), answer.Body)
	ts.Check(err)
	if strconv.Itoa(answer.StatusCode) != args[0] {
		ts.Fatalf("status %d, not %s", answer.StatusCode, args[0])
	}
}

func untilServed(dir string, want bool) error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, err := serve.ReadAddress(dir)
		if want == (err == nil) {
			return nil
		}
	}
	return fmt.Errorf("daemon of %s: served is not %v", dir, want)
}

// genexport FILE RECORDS writes an export.
func genexport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: genexport file records")
	}
	records, err := strconv.Atoi(args[1])
	ts.Check(err)
	_, err = writeExport(ts.MkAbs(args[0]), export.Options{Seed: 7, Records: records})
	ts.Check(err)
}

// remember NAME PATTERN keeps what the pattern's group matches in the last output, as a
// variable.
func remember(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: remember name pattern")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// longroute FILE LOCATIONS writes a route as a line of JSON.
func longRoute(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: longroute file locations")
	}
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	line, err := protojson.Marshal(route(count))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(line, '\n'), 0o600))
}

// longline FILE BYTES writes one line without an end.
func longLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: longline file bytes")
	}
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte(" "), count), 0o600))
}

// unchanged FILE wants that a file exists nowhere outside its archive.
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	for _, path := range args {
		if _, err := os.Stat(path); err == nil {
			ts.Fatalf("%s exists", path)
		}
	}
}

// store is a data directory of a test that drives the program from Go.
type store struct {
	t    *testing.T
	dir  string
	work string
}

const passphrase = "tester's passphrase"

func newStore(t *testing.T) *store {
	t.Helper()
	return newStoreIn(t, filepath.Join(t.TempDir(), "data"))
}

// newStoreIn makes a store in a data directory that is not there yet.
func newStoreIn(t *testing.T, dir string) *store {
	t.Helper()
	work := t.TempDir()
	s := &store{t: t, work: work, dir: dir}
	if err := os.WriteFile(filepath.Join(work, "passphrase"), []byte(passphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("init", "--words-file", filepath.Join(work, "words"))
	return s
}

func (s *store) command(args ...string) *exec.Cmd {
	program := built
	if args[0] == "serve" {
		program = watched
	}
	all := append([]string{"--dir", s.dir, "--passphrase-file", filepath.Join(s.work, "passphrase")}, args...)
	return exec.Command(program, all...)
}

// exec runs a command and returns its output and exit code.
func (s *store) exec(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// run wants exit code 0.
func (s *store) run(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.exec(args...)
	if code != 0 {
		s.t.Fatalf("healthledger %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// serve starts a daemon that the test's end stops.
func (s *store) serve(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := s.command(append([]string{"serve"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		}
		if s.t.Failed() && errs.Len() > 0 {
			s.t.Logf("daemon: %s", errs.String())
		}
	})
	if err := untilServed(s.dir, true); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// kill ends a process as a power cut would, and returns when it is gone.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// killPID kills a process that is not a child of the test.
func killPID(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}

// within waits for something to become true.
func within(t *testing.T, d time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", d, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
