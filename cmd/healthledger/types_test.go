package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"

	"healthledger/proto/catalog"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
)

// Every row of the catalogue: an import writes it while the store is locked, an export
// reads it as its owner does, and what comes of importing that is the same.
// (Which types an app may write, and why not the others, package ledger tests.)
func TestEveryTypeIsWrittenReadAndExported(t *testing.T) {
	var lines bytes.Buffer
	want := map[string]*pb.Sample{}
	for _, typ := range catalog.All() {
		s := healthtest.Example(typ, 5)
		s.Uuid = uuid.NewSHA1(uuid.NameSpaceOID, []byte(typ.Identifier)).String()
		want[s.Uuid] = s
		line, err := protojson.Marshal(s)
		if err != nil {
			t.Fatal(typ, err)
		}
		lines.Write(append(line, '\n'))
	}
	first, second := newStore(t), newStore(t)
	first.serve()
	second.serve()
	path := filepath.Join(t.TempDir(), "types.ndjson")
	if err := os.WriteFile(path, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	exported := first.throughAnImport(path)
	for line := range bytes.Lines(exported) {
		got := &pb.Sample{}
		if err := protojson.Unmarshal(line, got); err != nil {
			t.Fatal(err)
		}
		s := want[got.GetUuid()]
		if s == nil {
			continue // a member
		}
		delete(want, got.GetUuid())
		if got.GetType() != s.GetType() || got.GetValue() != s.GetValue() || got.GetUnit() != s.GetUnit() ||
			got.GetStart().AsTime() != s.GetStart().AsTime() || len(got.GetMembers()) != len(s.GetMembers()) ||
			len(got.GetPayload()) > 0 != (len(s.GetPayload()) > 0) || len(got.GetMetadata()) != len(s.GetMetadata()) {
			t.Errorf("%s: %v came back as %v", s.GetType(), s, got)
		}
	}
	for _, s := range want {
		t.Errorf("%s is not in the export", s.GetType())
	}
	again := filepath.Join(t.TempDir(), "again.ndjson")
	if err := os.WriteFile(again, exported, 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(second.throughAnImport(again), exported) {
		t.Error("what was exported, imported and exported again is not the same")
	}
}

// throughAnImport imports a file into the locked store, and exports it unlocked.
func (s *store) throughAnImport(path string) []byte {
	s.t.Helper()
	s.run("import", path)
	s.run("unlock")
	out := filepath.Join(s.t.TempDir(), "export.ndjson")
	s.run("export", "-o", out)
	content, err := os.ReadFile(out)
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}
