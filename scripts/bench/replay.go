package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"healthledger/ledger/log"
)

// ReplayOptions of a run.
type ReplayOptions struct {
	// Samples in the log.
	Samples int
	Out     io.Writer
	// Tell says what is being done.
	Tell func(what string)
}

// rebuildTarget is how long a replay of ten million samples may take.
const rebuildTarget = 17 * time.Second

// Replay measures a replay of a log and its verification, next to how fast this machine
// hashes the same segments and puts the same rows into a plain Pebble, and prints the table.
func Replay(ctx context.Context, o ReplayOptions) error {
	dir, err := os.MkdirTemp("", "healthledger-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := newDecade(o.Samples)
	if err != nil {
		return err
	}
	o.Tell("Filling a store with " + short(o.Samples) + " samples")
	f, err := fill(ctx, dir, d, time.Second)
	if err != nil {
		return err
	}
	m, err := measureReplay(ctx, f, o.Tell)
	f.close()
	if err != nil {
		return err
	}
	if err := m.limits(ctx, f, filepath.Join(dir, "plain"), o.Tell); err != nil {
		return err
	}
	return print(o.Out, m.rows())
}

// replayed is what was measured.
type replayed struct {
	Samples  int     `json:"samples"`
	Segments int     `json:"segments"`
	Seconds  float64 `json:"seconds"`

	verify, hash, ingest float64 // seconds
	bytes, rowsIn        int
}

func measureReplay(ctx context.Context, f *filled, tell func(string)) (*replayed, error) {
	tell("Replaying")
	out, err := f.run(ctx, "--json", "replay")
	if err != nil {
		return nil, err
	}
	m := &replayed{}
	if err := json.Unmarshal(out, m); err != nil {
		return nil, err
	}
	tell("Verifying")
	began := time.Now()
	_, err = f.run(ctx, "log", "verify")
	m.verify = time.Since(began).Seconds()
	return m, err
}

// limits hashes the same segments, and puts the same rows in their order into a database
// without encryption.
func (m *replayed) limits(ctx context.Context, f *filled, folder string, tell func(string)) error {
	w, err := openWithin(ctx, f.dir, []byte("bench"))
	if err != nil {
		return err
	}
	defer w.close()
	tell("Hashing the same segments")
	last, _, _ := w.store.Head()
	err = w.store.Reader().Read(ctx, 1, last, func(e log.Entry) error {
		began := time.Now()
		_ = sha256.Sum256(e.Payload)
		m.hash += time.Since(began).Seconds()
		m.bytes += len(e.Payload)
		return nil
	})
	if err != nil {
		return err
	}
	tell("Putting the same rows into a plain Pebble")
	return m.ingestRows(w, folder)
}

// ingestBatch is how many bytes one batch has.
const ingestBatch = 8 << 20

func (m *replayed) ingestRows(w *within, folder string) error {
	db, err := pebble.Open(folder, &pebble.Options{
		DisableWAL: true, MemTableSize: 16 << 20, MemTableStopWritesThreshold: 4, FormatMajorVersion: pebble.FormatNewest, Logger: silent{},
	})
	if err != nil {
		return err
	}
	defer db.Close()
	snapshot, err := w.view.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	batch := db.NewBatch()
	timed := func(work func() error) error {
		began := time.Now()
		err := work()
		m.ingest += time.Since(began).Seconds()
		return err
	}
	apply := func() error {
		if err := db.Apply(batch, pebble.NoSync); err != nil {
			return err
		}
		batch.Reset()
		return nil
	}
	err = snapshot.Rows(func(key, value []byte) error {
		m.rowsIn++
		return timed(func() error {
			if err := batch.Set(key, value, nil); err != nil || batch.Len() < ingestBatch {
				return err
			}
			return apply()
		})
	})
	if err != nil {
		return err
	}
	return timed(func() error {
		if err := apply(); err != nil {
			return err
		}
		return db.Flush()
	})
}

// silent is a logger of Pebble's that says nothing but what ends it.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (m *replayed) rows() []Row {
	const mb = 1e6
	samples, megabytes := float64(m.Samples), float64(m.bytes)/mb
	return []Row{
		{
			Work: fmt.Sprintf("replay of %s samples", short(m.Samples)), Result: m.Seconds, Unit: "s", Limit: m.ingest,
			Target: rebuildTarget.Seconds() * samples / 10e6, Less: true,
		},
		{Work: fmt.Sprintf("replay; limit: %s rows into a plain Pebble", short(m.rowsIn)), Result: samples / m.Seconds, Unit: "samples/s", Limit: samples / m.ingest, Target: 600e3},
		{Work: fmt.Sprintf("replay of %d segments; limit: SHA-256", m.Segments), Result: megabytes / m.Seconds, Unit: "MB/s", Limit: megabytes / m.hash},
		{Work: "log verify; limit: SHA-256", Result: megabytes / m.verify, Unit: "MB/s", Limit: megabytes / m.hash},
		{Work: "log verify", Result: m.verify, Unit: "s", Limit: m.hash},
	}
}
