package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"healthledger/ledger"
	"healthledger/ledger/importer/send"
	"healthledger/ledger/serve"
	"healthledger/proto/client"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// readerID is the app that queries.
const readerID = "com.example.bench"

// readerManifest explains an app that reads and writes.
func readerManifest(id string) *pb.Manifest {
	return &pb.Manifest{
		BundleId: id, Name: "Bench", Version: "1", Purposes: []string{"fitness"},
		ReadUsageDescription: "Measures how fast it can read.", ShareUsageDescription: "Measures how fast it can write.",
		PrivacyPolicy: &pb.PrivacyPolicy{Url: "https://example.com/privacy", Model: "phr", Sha256: strings.Repeat("5e", 32)},
	}
}

// filled is a daemon with a decade in its store, unlocked, and how it got there.
type filled struct {
	*program
	decade *decade
	reader *client.Client
	stop   func()
	// samples there are, and how large log and view are with them.
	samples             int
	logBytes, viewBytes int64
}

// fill starts a daemon and fills its store as an import does, while it is locked. What
// is measured then has the machine for itself: the view was calm for a while.
func fill(ctx context.Context, dir string, d *decade, calm time.Duration) (*filled, error) {
	p, err := newProgram(ctx, dir)
	if err != nil {
		return nil, err
	}
	l := &filled{program: p, decade: d}
	if l.stop, err = p.serve(); err != nil {
		return nil, err
	}
	if err := l.populate(ctx, calm); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *filled) close() {
	if l.reader != nil {
		l.reader.Close()
	}
	l.stop()
}

func (l *filled) populate(ctx context.Context, calm time.Duration) (err error) {
	if l.samples, err = l.save(ctx, l.decade.points(), 0); err != nil {
		return err
	}
	if l.logBytes, err = sizeOf(filepath.Join(l.dir, "jetstream")); err != nil {
		return err
	}
	if _, err := l.unlock(ctx); err != nil {
		return err
	}
	if err := l.calm(ctx, calm); err != nil {
		return err
	}
	// Locking writes everything out.
	if _, err := l.run(ctx, "lock", "--now"); err != nil {
		return err
	}
	if l.viewBytes, err = l.viewSize(); err != nil {
		return err
	}
	if _, err := l.unlock(ctx); err != nil {
		return err
	}
	if err := l.connect(ctx); err != nil {
		return err
	}
	return l.calm(ctx, calm)
}

// connect makes an app that may read everything, and connects it.
func (l *filled) connect(ctx context.Context) error {
	credentials, err := l.register(ctx, readerID)
	if err != nil {
		return err
	}
	if _, err := l.run(ctx, "grant", readerID, "--read", "all"); err != nil {
		return err
	}
	l.reader, err = client.Dial(ctx, credentials)
	return err
}

// credentials is where those of an app are.
func (l *filled) credentials(id string) string { return filepath.Join(filepath.Dir(l.dir), id+".json") }

// register registers an app.
func (l *filled) register(ctx context.Context, id string) (client.Credentials, error) {
	manifest := filepath.Join(filepath.Dir(l.dir), "manifest.json")
	content, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(readerManifest(id))
	if err != nil {
		return client.Credentials{}, err
	}
	if err := os.WriteFile(manifest, content, 0o600); err != nil {
		return client.Credentials{}, err
	}
	if _, err := l.run(ctx, "app", "add", "--manifest", manifest, "--credentials", l.credentials(id)); err != nil {
		return client.Credentials{}, err
	}
	return client.ReadCredentials(l.credentials(id))
}

// inFlight is how many requests the importer has on their way.
const inFlight = 4

func (l *filled) save(ctx context.Context, points iter.Seq[point], together int) (int, error) {
	importer, err := l.importer(ctx)
	if err != nil {
		return 0, err
	}
	defer importer.Close()
	return l.decade.save(ctx, importer, points, together)
}

// save brings points as the importer, so many with each request (0: as many as fit), and
// returns how many there were.
func (d *decade) save(ctx context.Context, importer *client.Client, points iter.Seq[point], together int) (int, error) {
	from := allSources()
	sender := send.New(ctx, importer.Save, inFlight)
	batch, count := send.NewBatch(sender), 0
	var err error
	for at := range points {
		s := &d.series[at.series]
		if err = batch.Add(s.typ, s.unit, from[at.source], &health.Row{Start: at.start, End: at.end, Value: at.value}); err != nil {
			break
		}
		if count++; together > 0 && count%together == 0 {
			if err = batch.Flush(); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = batch.Flush()
	}
	return count, errors.Join(err, sender.Close())
}

func (l *filled) importer(ctx context.Context) (*client.Client, error) {
	files, err := filepath.Glob(filepath.Join(l.dir, "credentials", "*", ledger.ImporterID+".json"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("%d stores with an importer in %s", len(files), l.dir)
	}
	credentials, err := client.ReadCredentials(files[0])
	if err != nil {
		return nil, err
	}
	address, err := serve.ReadAddress(l.dir)
	if err != nil {
		return nil, err
	}
	credentials.URL = address.URL
	return client.Dial(ctx, credentials)
}

func (l *filled) calm(ctx context.Context, while time.Duration) error {
	return calm(ctx, while, l.viewSize)
}

// calm returns when the view has not changed for a while: compactions are over.
func calm(ctx context.Context, while time.Duration, viewSize func() (int64, error)) error {
	const atMost = 2 * time.Minute
	last, since := int64(-1), time.Now()
	for began := time.Now(); time.Since(since) < while && time.Since(began) < atMost; {
		size, err := viewSize()
		if err != nil {
			return err
		}
		if size != last {
			last, since = size, time.Now()
		}
		select {
		case <-time.After(while / 10):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
