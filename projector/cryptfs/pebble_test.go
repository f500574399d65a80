package cryptfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// options make files small and many, so that a short test flushes, compacts
// and rotates its MANIFEST.
func options(fs vfs.FS) *pebble.Options {
	return &pebble.Options{
		FS: fs, DisableWAL: true, FormatMajorVersion: pebble.FormatNewest,
		MemTableSize: 256 << 10, MaxManifestFileSize: 8 << 10, L0CompactionThreshold: 2,
		LBaseMaxBytes: 1 << 20, Logger: quiet{},
	}
}

func openDB(t testing.TB, fs vfs.FS) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("view", options(fs))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func dump(t testing.TB, db *pebble.DB) map[string]string {
	t.Helper()
	m, err := contents(db)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func contents(db *pebble.DB) (map[string]string, error) {
	m := map[string]string{}
	it, err := db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid(); it.Next() {
		m[string(it.Key())] = string(it.Value())
	}
	return m, it.Close()
}

// plaintext is in every key and value, so that it is easy to look for.
const plaintext = "plaintext-of-a-sample"

func load(t testing.TB, db *pebble.DB, keys int) {
	t.Helper()
	source := rand.New(rand.NewPCG(5, 6))
	for i := 0; i < keys; {
		batch := db.NewBatch()
		for range 500 {
			key := binary.BigEndian.AppendUint64([]byte(plaintext), source.Uint64N(uint64(keys)))
			value := fmt.Appendf(nil, "%s %d", plaintext, i)
			if source.IntN(10) == 0 {
				batch.Delete(key, nil)
			} else {
				batch.Set(key, value, nil)
			}
			i++
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPebbleEqualsPebbleOnPlainFS(t *testing.T) {
	keys := 150_000 / effort
	base := vfs.NewMem()
	crypt := newTestFS(t, base, viewKey(1))
	plain, sealed := openDB(t, vfs.NewMem()), openDB(t, crypt)
	load(t, plain, keys)
	load(t, sealed, keys)
	want := dump(t, plain)
	equal := func(when string) {
		t.Helper()
		got := dump(t, sealed)
		if len(got) != len(want) {
			t.Fatalf("%s: %d keys, want %d", when, len(got), len(want))
		}
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("%s: %x differs", when, k)
			}
		}
	}
	equal("loaded")
	if err := sealed.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := sealed.Compact(t.Context(), []byte("a"), []byte("z"), true); err != nil {
		t.Fatal(err)
	}
	equal("compacted")
	if err := sealed.Close(); err != nil {
		t.Fatal(err)
	}
	sealed = openDB(t, crypt)
	equal("reopened")

	// A checkpoint is links; an ingested table is sealed under its number.
	if err := sealed.Checkpoint("checkpoint"); err != nil {
		t.Fatal(err)
	}
	file, err := crypt.Create("external.sst", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(file), sstable.WriterOptions{
		TableFormat: sealed.TableFormat(),
	})
	if err := w.Set([]byte("zz"), []byte("ingested "+plaintext)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sealed.Ingest(t.Context(), []string{"external.sst"}); err != nil {
		t.Fatal(err)
	}
	want["zz"] = "ingested " + plaintext
	equal("ingested")
	if err := sealed.Close(); err != nil {
		t.Fatal(err)
	}
	delete(want, "zz")
	if sealed, err = pebble.Open("checkpoint", options(crypt)); err != nil {
		t.Fatal(err)
	}
	equal("checkpoint")
	if err := errors.Join(sealed.Close(), plain.Close()); err != nil {
		t.Fatal(err)
	}

	noPlaintext(t, base, "")
	if _, err := pebble.Open("view", options(newTestFS(t, base, viewKey(2)))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opened with another key: %v", err)
	}
}

func noPlaintext(t *testing.T, base vfs.FS, dir string) {
	t.Helper()
	list, err := base.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range list {
		path := base.PathJoin(dir, name)
		info, err := base.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			noPlaintext(t, base, path)
			continue
		}
		b := onDisk(t, base, path)
		// Pebble writes the first into OPTIONS, the second into tables.
		for _, text := range []string{plaintext, "[Version]", "pebble", "leveldb", "rocksdb"} {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s holds %q in the clear", path, text)
			}
		}
		checked++
	}
	if dir == "view" && checked < 4 {
		t.Errorf("only %d files in the view", checked)
	}
}

// Pebble checks the size of a table itself, so the two that are swapped here
// are of one size.
func TestPebbleNeverReadsSwappedTables(t *testing.T) {
	base := vfs.NewMem()
	crypt := newTestFS(t, base, viewKey(1))
	o := options(crypt)
	o.DisableAutomaticCompactions = true
	db, err := pebble.Open("view", o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(2) {
		err := errors.Join(db.Set([]byte("key"), []byte{'0' + i}, pebble.NoSync), db.Flush())
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := base.List("view")
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for _, name := range list {
		if strings.HasSuffix(name, ".sst") {
			tables = append(tables, "view/"+name)
		}
	}
	if len(tables) != 2 {
		t.Fatalf("%d tables", len(tables))
	}
	a, b := onDisk(t, base, tables[0]), onDisk(t, base, tables[1])
	if len(a) != len(b) {
		t.Fatalf("tables of %d and %d bytes", len(a), len(b))
	}
	put(t, base, tables[0], b)
	put(t, base, tables[1], a)
	db, err = pebble.Open("view", o)
	if err == nil {
		_, err = contents(db)
		db.Close()
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("swapped tables: %v", err)
	}
}
