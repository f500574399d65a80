package apple

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/scripts/genexport/export"
)

// benchRecords make about 45 MB of XML.
const benchRecords = 100_000

var benchXML = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	if _, err := export.WriteXML(&b, export.Options{Seed: 1, Records: benchRecords}); err != nil {
		panic(err)
	}
	return b.Bytes()
})

// accept is a ledger that does nothing.
var accept saveFunc = func(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
	n := 0
	for _, c := range req.Columns {
		n += health.Count(c)
	}
	return &pb.SaveResponse{Accepted: uint32(n)}, nil
}

// BenchmarkScan is the tokenizer alone, on one core.
func BenchmarkScan(b *testing.B) {
	document := benchXML()
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		s := newScanner(bytes.NewReader(document), rootElement)
		if err := s.findRoot(); err != nil {
			b.Fatal(err)
		}
		for {
			e, err := s.next()
			if err != nil {
				b.Fatal(err)
			}
			if e == endDocument {
				break
			}
		}
	}
}

// BenchmarkBuild is tokenizing and building columns, on one core.
func BenchmarkBuild(b *testing.B) {
	document := benchXML()
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		store := newStore(context.Background(), accept, 1)
		r := newReader(bytes.NewReader(document), newReport(), store, &files{})
		if err := r.all(context.Background(), func() {}); err != nil {
			b.Fatal(err)
		}
		if err := store.sender.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkImport is everything but the ledger.
func BenchmarkImport(b *testing.B) {
	dir := b.TempDir()
	plain, packed := filepath.Join(dir, "export.xml"), filepath.Join(dir, "export.zip")
	if err := os.WriteFile(plain, benchXML(), 0o600); err != nil {
		b.Fatal(err)
	}
	write(b, packed, func(w io.Writer) error {
		_, err := export.WriteZip(w, export.Options{Seed: 1, Records: benchRecords})
		return err
	})
	for _, path := range []string{plain, packed} {
		b.Run(filepath.Ext(path)[1:], func(b *testing.B) {
			b.SetBytes(int64(len(benchXML())))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Import(context.Background(), path, accept, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAgainstEncodingXML runs a bare token loop of encoding/xml over the same document
// beside each import, so that the ratio holds on a busy machine too.
func BenchmarkAgainstEncodingXML(b *testing.B) {
	path := filepath.Join(b.TempDir(), "export.xml")
	if err := os.WriteFile(path, benchXML(), 0o600); err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	for b.Loop() {
		started := time.Now()
		if _, err := Import(context.Background(), path, accept, Options{}); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(started)
		started = time.Now()
		if err := tokens(bytes.NewReader(benchXML())); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(started)
	}
	rate := func(took time.Duration) float64 {
		return float64(len(benchXML())) * float64(b.N) / 1e6 / took.Seconds()
	}
	b.ReportMetric(rate(ours), "MB/s")
	b.ReportMetric(rate(theirs), "encoding/xml-MB/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-faster")
}

func tokens(r io.Reader) error {
	d := xml.NewDecoder(r)
	for {
		if _, err := d.RawToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func write(t testing.TB, path string, content func(io.Writer) error) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := content(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
