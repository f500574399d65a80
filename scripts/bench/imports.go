package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"healthledger/scripts/genexport/export"
)

// imports runs the program itself: an import into a locked store, the catch-up after
// unlock, and what a sample costs on disk.
func imports(ctx context.Context, o Options, dir string, _ *slog.Logger) ([]Row, error) {
	p := &program{dir: filepath.Join(dir, "data"), passphrase: filepath.Join(dir, "passphrase")}
	var err error
	if p.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.passphrase, []byte("bench\n"), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "export.xml")
	if err := generate(file, o.Records); err != nil {
		return nil, err
	}
	if _, err := p.run(ctx, "init", "--words-file", filepath.Join(dir, "words")); err != nil {
		return nil, err
	}
	stop, err := p.serve()
	if err != nil {
		return nil, err
	}
	defer stop()
	answer, err := p.run(ctx, "--json", "import", file)
	if err != nil {
		return nil, err
	}
	var report struct {
		Imported uint64
		Bytes    int64
		Seconds  float64
	}
	if err := json.Unmarshal(answer, &report); err != nil {
		return nil, err
	}
	logSize, err := sizeOf(filepath.Join(p.dir, "jetstream"))
	if err != nil {
		return nil, err
	}
	first, err := p.unlock(ctx)
	if err != nil {
		return nil, err
	}
	// Opening a view waits for the compactions that are due, so let them happen now.
	time.Sleep(settle)
	if _, err := p.run(ctx, "lock", "--now"); err != nil {
		return nil, err
	}
	again, err := p.unlock(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := p.run(ctx, "lock", "--now"); err != nil {
		return nil, err
	}
	viewSize, err := p.viewSize()
	if err != nil {
		return nil, err
	}
	bare, err := tokens(file)
	if err != nil {
		return nil, err
	}
	samples := float64(report.Imported)
	return []Row{
		{Work: "Apple export import, end to end (limit: a bare encoding/xml loop)", Result: float64(report.Bytes) / 1e6 / report.Seconds, Unit: "MB/s", Limit: bare, Target: 150},
		{Work: "the same", Result: samples / report.Seconds, Unit: "records/s"},
		{Work: "catch-up after unlock", Result: samples / (first - again).Seconds(), Unit: "samples/s", Target: 600_000},
		{Work: "unlock with nothing to catch up, whole command", Result: again.Seconds() * 1000, Unit: "ms"},
		{Work: "bytes per sample in the log", Result: float64(logSize) / samples, Unit: "B", Target: 12, Less: true},
		{Work: "bytes per sample in the view", Result: float64(viewSize) / samples, Unit: "B", Target: 20, Less: true},
	}, nil
}

// tokens is the rate in MB/s of nothing but the token loop of encoding/xml over a file.
func tokens(path string) (float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	started := time.Now()
	for d := xml.NewDecoder(bufio.NewReaderSize(f, 1<<20)); ; {
		if _, err = d.RawToken(); err != nil {
			break
		}
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / 1e6 / time.Since(started).Seconds(), nil
}

// settle is how long the view of a large import is compacted at most.
const settle = 10 * time.Second

func generate(path string, records int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = export.WriteXML(f, export.Options{Seed: 1, Records: records})
	return errors.Join(err, f.Close())
}

// program is the command line on a data directory.
type program struct{ self, dir, passphrase string }

func (p *program) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.self, append([]string{"--dir", p.dir, "--passphrase-file", p.passphrase}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("healthledger %v: %w: %s", args, err, stderr.String())
	}
	return out, nil
}

func (p *program) unlock(ctx context.Context) (time.Duration, error) {
	started := time.Now()
	_, err := p.run(ctx, "unlock")
	return time.Since(started), err
}

func (p *program) serve() (stop func(), err error) {
	cmd := exec.Command(p.self, "--dir", p.dir, "serve")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := out.Read(make([]byte, 1024)); err != nil {
		return nil, errors.Join(err, cmd.Wait())
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}, nil
}

func (p *program) viewSize() (int64, error) {
	views, err := filepath.Glob(filepath.Join(p.dir, "stores", "*", "view"))
	if err != nil || len(views) != 1 {
		return 0, fmt.Errorf("%d views in %s", len(views), p.dir)
	}
	return sizeOf(views[0])
}
