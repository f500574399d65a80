package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"healthledger/ledger"
	"healthledger/scripts/genexport/export"
)

type demoCmd struct {
	Records int    `help:"Records in the made-up export." default:"250000"`
	Seed    uint64 `help:"Seed of the export." default:"1"`
	Keep    bool   `help:"Keep the data directory."`
}

// demo runs the program the way a person would, and checks what it says.
type demo struct {
	self, dir string
	globals   *globals
}

// Run shows the main job: write while locked, read after unlock, through the filter.
func (c *demoCmd) Run(ctx context.Context, g *globals) error {
	started := time.Now()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "healthledger-demo-")
	if err != nil {
		return err
	}
	if !c.Keep {
		defer os.RemoveAll(work)
	}
	d := &demo{self: self, dir: filepath.Join(work, "data"), globals: g}
	d.title("A made-up Apple Health export")
	archive := filepath.Join(work, "export.zip")
	manifest, err := writeExport(archive, export.Options{Seed: c.Seed, Records: c.Records, Quirks: true})
	if err != nil {
		return err
	}
	d.tell("%d records of %d types from %d sources, %s to %s (%s of XML)",
		manifest.Records, len(manifest.Types), len(manifest.Sources), manifest.First, manifest.Last, byteSize(uint64(manifest.Bytes)))
	if err := os.WriteFile(filepath.Join(work, "passphrase"), []byte("correct horse battery staple\n"), 0o600); err != nil {
		return err
	}
	if err := d.tour(ctx, work, archive, manifest); err != nil {
		return err
	}
	d.title("Done in %.1f s", time.Since(started).Seconds())
	if c.Keep {
		d.tell("The data directory is %s", d.dir)
	}
	return nil
}

func writeExport(path string, o export.Options) (export.Manifest, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return export.Manifest{}, err
	}
	write := export.WriteXML
	if filepath.Ext(path) == ".zip" {
		write = export.WriteZip
	}
	m, err := write(f, o)
	return m, errors.Join(err, f.Close())
}

func (d *demo) tour(ctx context.Context, work, archive string, manifest export.Manifest) error {
	passphrase := "--passphrase-file=" + filepath.Join(work, "passphrase")
	d.title("A store, and the daemon that serves it, locked")
	if _, err := d.run(ctx, 0, passphrase, "init", "--words-file", filepath.Join(work, "recovery-words")); err != nil {
		return err
	}
	stop, err := d.serve()
	if err != nil {
		return err
	}
	defer stop()

	d.title("Importing while the store is locked")
	if _, err := d.run(ctx, 0, "import", archive); err != nil {
		return err
	}
	if _, err := d.run(ctx, 0, "log", "list", "--limit", "5"); err != nil {
		return err
	}

	d.title("Nobody reads a locked store, and its files tell nothing")
	if _, err := d.run(ctx, exitLocked, "query", "samples", "stepCount", "--app", ledger.ImporterID); err != nil {
		return err
	}
	secrets, err := needlesOf(archive, manifest)
	if err != nil {
		return err
	}
	if err := d.search(secrets); err != nil {
		return err
	}

	d.title("Unlocking; one app may read steps, the other may not")
	if _, err := d.run(ctx, 0, passphrase, "unlock"); err != nil {
		return err
	}
	for _, name := range []string{"dashboard.yaml", "game.yaml"} {
		if err := d.register(ctx, work, name); err != nil {
			return err
		}
	}
	if _, err := d.run(ctx, 0, "grant", "com.example.dashboard", "--read", "stepCount"); err != nil {
		return err
	}
	if err := d.compare(ctx, manifest); err != nil {
		return err
	}
	if err := d.search(secrets); err != nil {
		return err
	}

	d.title("Locking: the process that could read is gone")
	if _, err := d.run(ctx, 0, "lock", "--now"); err != nil {
		return err
	}
	if left := projectorsOf(d.dir); len(left) > 0 {
		return fmt.Errorf("a projector is still running: %v", left)
	}
	d.tell("no projector process is left")
	_, err = d.run(ctx, exitLocked, "query", "samples", "stepCount", "--app", "com.example.dashboard")
	return err
}

// compare prints a week of steps as the granted app, checks it against what was
// generated, and shows that the other app sees an empty store.
func (d *demo) compare(ctx context.Context, manifest export.Manifest) error {
	last, err := time.Parse(time.DateOnly, manifest.Last)
	if err != nil {
		return err
	}
	args := []string{"query", "statistics", "stepCount", "--every", "day", "--tz", manifest.Zone,
		"--from", last.AddDate(0, 0, -6).Format(time.DateOnly), "--to", last.AddDate(0, 0, 1).Format(time.DateOnly), "--app"}
	granted := append(slices.Clone(args), "com.example.dashboard")
	if _, err := d.run(ctx, 0, append(slices.Clone(granted), "--by-source")...); err != nil {
		return err
	}
	answer, err := d.output(ctx, 0, append(slices.Clone(granted), "--by-source", "--json")...)
	if err != nil {
		return err
	}
	if err := d.check(answer, manifest); err != nil {
		return err
	}
	if _, err := d.run(ctx, 0, append(slices.Clone(granted), "--chart")...); err != nil {
		return err
	}
	d.show(append(args, "com.example.game"))
	answer, err = d.output(ctx, 0, append(args, "com.example.game")...)
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "" {
		return errors.New("the denied app sees something")
	}
	return nil
}

// check compares days of steps with what was generated: each source alone has its share
// of it, and all together have what is left when nothing is counted twice.
func (d *demo) check(answer string, manifest export.Manifest) error {
	zone, err := time.LoadLocation(manifest.Zone)
	if err != nil {
		return err
	}
	var days int
	var merged, generated float64
	for lines := json.NewDecoder(strings.NewReader(answer)); lines.More(); days++ {
		var row struct {
			Start    time.Time
			Sum      float64
			BySource []struct{ Statistics struct{ Sum float64 } }
		}
		if err := lines.Decode(&row); err != nil {
			return err
		}
		sum := 0.0
		for _, one := range row.BySource {
			sum += one.Statistics.Sum
		}
		day := row.Start.In(zone).Format(time.DateOnly)
		want := manifest.Types["HKQuantityTypeIdentifierStepCount"].Days[day]
		if sum != want.Sum {
			return fmt.Errorf("%s: %v steps read, %v generated", day, sum, want.Sum)
		}
		if row.Sum > sum {
			return fmt.Errorf("%s: %v steps of sources that have %v", day, row.Sum, sum)
		}
		merged, generated = merged+row.Sum, generated+sum
	}
	if days == 0 {
		return errors.New("the granted app sees nothing")
	}
	d.tell("(the sources have exactly what was generated, %s steps; what several of them saw at once counts once: %s)", optional(&generated), optional(&merged))
	return nil
}

func (d *demo) title(format string, args ...any) {
	fmt.Fprintf(d.globals.out, "\n\033[1m%s\033[0m\n", fmt.Sprintf(format, args...))
}

func (d *demo) tell(format string, args ...any) { fmt.Fprintf(d.globals.out, format+"\n", args...) }

func (d *demo) show(args []string) {
	d.tell("$ healthledger %s", strings.Join(args, " "))
}

// run shows a command and what it prints, and fails unless it exits with the code.
func (d *demo) run(ctx context.Context, code int, args ...string) (string, error) {
	d.show(args)
	out, err := d.output(ctx, code, args...)
	fmt.Fprint(d.globals.out, out)
	if code != 0 && err == nil {
		d.tell("(exit %d)", code)
	}
	return out, err
}

func (d *demo) output(ctx context.Context, code int, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.self, append([]string{"--dir", d.dir}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, d.globals.out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return "", err
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		return out.String(), fmt.Errorf("healthledger %s: exit %d, not %d", strings.Join(args, " "), got, code)
	}
	return out.String(), nil
}

// serve starts the daemon and returns when it answers.
func (d *demo) serve() (stop func(), err error) {
	d.show([]string{"serve"})
	cmd := exec.Command(d.self, "--dir", d.dir, "serve")
	cmd.Stderr = d.globals.err
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line := make([]byte, 1024)
	n, err := out.Read(line)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the daemon did not start: %w", err), cmd.Wait())
	}
	fmt.Fprintf(d.globals.out, "%s", line[:n])
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}, nil
}

// search looks for what the export says in every file of the log and of the view.
func (d *demo) search(secrets needles) error {
	files, size := 0, int64(0)
	err := filepath.WalkDir(d.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if !strings.Contains(path, "/jetstream/") && !strings.Contains(path, "/stores/") {
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files, size = files+1, size+int64(len(content))
		if needle := secrets.in(content); needle != nil {
			return fmt.Errorf("%s contains %q in the clear", path, needle)
		}
		return nil
	})
	if err == nil {
		d.tell("%d names and %d forms of numbers of the export: none of them in the %d files (%s) of log and view",
			len(secrets.strings), len(secrets.numbers), files, byteSize(uint64(size)))
	}
	return err
}
