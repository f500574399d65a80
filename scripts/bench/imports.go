package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"healthledger/scripts/genexport/export"
)

// imports runs the program itself: an import into a locked store, the catch-up after
// unlock, and what a sample costs on disk.
func imports(ctx context.Context, o Options, dir string, _ *slog.Logger) ([]Row, error) {
	p, err := newProgram(ctx, dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "export.xml")
	if err := generate(file, o.Records); err != nil {
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
