package apple

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

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

// accept is a SaveFunc that does nothing.
func accept(_ context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error) {
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
		s := newScanner(bytes.NewReader(document))
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
		report := Report{NotImported: map[string]uint64{}}
		send := newSender(context.Background(), accept, 1)
		r := newReader(bytes.NewReader(document), &report, send)
		if err := r.all(context.Background(), func() {}); err != nil {
			b.Fatal(err)
		}
		if err := send.close(); err != nil {
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
