package cryptfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// names has one of each kind of file that holds content.
var names = []string{
	"000123.sst", "000007.blob", "OPTIONS-000004", "temporary.000009.dbtmp",
	"MANIFEST-000001", "000012.log", "anything",
}

// atOnce leaves what a function leaves: these tests look at files, not at memory.
func atOnce(f func()) { f() }

func newTestFS(t testing.TB, base vfs.FS, key []byte) *FS {
	t.Helper()
	f, err := New(base, key, atOnce)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// random returns n bytes that differ from frame to frame.
func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// write makes a file of the chunks, synced after each.
func write(t testing.TB, f vfs.FS, name string, chunks ...[]byte) {
	t.Helper()
	file, err := f.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if _, err := file.Write(bytes.Clone(c)); err != nil {
			t.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFile(f vfs.FS, name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(file)
	return b, errors.Join(err, file.Close())
}

func onDisk(t testing.TB, base vfs.FS, name string) []byte {
	t.Helper()
	b, err := readFile(base, name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, base vfs.FS, name string, content []byte) {
	t.Helper()
	file, err := base.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(bytes.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadsEqualMemFS(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := vfs.NewMem()
		crypt, err := New(vfs.NewMem(), viewKey(1), atOnce)
		if err != nil {
			t.Fatal(err)
		}
		name := rapid.SampledFrom(names).Draw(t, "name")
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(frameSize-20, frameSize+20),
			rapid.IntRange(recordSize-20, recordSize+20), rapid.IntRange(0, 5*frameSize))
		chunks := rapid.SliceOfN(size, 0, 6).Draw(t, "chunks")
		syncs := rapid.Uint8().Draw(t, "syncs")
		for _, f := range []vfs.FS{model, crypt} {
			file, err := f.Create(name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range chunks {
				if written, err := file.Write(random(uint64(i), n)); written != n || err != nil {
					t.Fatal(written, err)
				}
				if syncs>>i&1 == 1 {
					if err := file.Sync(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}
		want, err := model.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := crypt.Open(name, vfs.SequentialReadsOption)
		if err != nil {
			t.Fatal(err)
		}
		wantInfo, _ := want.Stat()
		gotInfo, _ := got.Stat()
		byName, err := crypt.Stat(name)
		if err != nil || gotInfo.Size() != wantInfo.Size() || byName.Size() != wantInfo.Size() {
			t.Fatalf("size %d and %d, want %d (%v)", gotInfo.Size(), byName.Size(), wantInfo.Size(), err)
		}
		for range rapid.IntRange(1, 20).Draw(t, "reads") {
			off := rapid.Int64Range(0, wantInfo.Size()+10).Draw(t, "off")
			w := make([]byte, rapid.OneOf(rapid.IntRange(1, 30), rapid.IntRange(1, 2*recordSize)).Draw(t, "len"))
			g := bytes.Clone(w)
			if rapid.Bool().Draw(t, "prefetch") {
				if err := got.Prefetch(off, int64(len(w))); err != nil {
					t.Fatal(err)
				}
			}
			var wn, gn int
			var wantErr, gotErr error
			if rapid.Bool().Draw(t, "at") {
				wn, wantErr = want.ReadAt(w, off)
				gn, gotErr = got.ReadAt(g, off)
			} else {
				wn, wantErr = want.Read(w)
				gn, gotErr = got.Read(g)
			}
			if wn != gn || wantErr != gotErr || !bytes.Equal(w, g) {
				t.Fatalf("read %d %v, want %d %v", gn, gotErr, wn, wantErr)
			}
		}
		if err := got.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConcurrentReadsOfOneHandleAgree(t *testing.T) {
	for _, name := range names {
		f := newTestFS(t, vfs.NewMem(), viewKey(1))
		content := random(1, 9*frameSize+5)
		write(t, f, name, content[:frameSize], content[frameSize:])
		file, err := f.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				source := rand.New(rand.NewPCG(uint64(g), 7))
				p := make([]byte, 2*frameSize)
				for range 200 {
					off := source.IntN(len(content))
					n, err := file.ReadAt(p, int64(off))
					if err != nil && err != io.EOF || !bytes.Equal(p[:n], content[off:min(off+len(p), len(content))]) {
						t.Errorf("%s at %d: %d bytes, %v", name, off, n, err)
						return
					}
				}
			}()
		}
		wg.Wait()
		file.Close()
	}
}

func TestSizeOnDiskIsOneToOne(t *testing.T) {
	whole := map[int64]int64{}
	for size := int64(0); size < 3*frameSize+3; size++ {
		whole[sizeOnDisk(size)] = size
	}
	for disk := int64(0); disk < sizeOnDisk(3*frameSize+3); disk++ {
		got, ok := contentSize(disk)
		want, wantOK := whole[disk]
		if got != want && ok || ok != wantOK {
			t.Fatalf("contentSize(%d) = %d, %v, want %d, %v", disk, got, ok, want, wantOK)
		}
	}
}

func TestNamesOfOneMeaningLinkAndRename(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	if err := f.MkdirAll("checkpoint", 0o755); err != nil {
		t.Fatal(err)
	}
	content := random(1, 3*frameSize)
	write(t, f, "temporary.000004.dbtmp", content)
	if err := f.Rename("temporary.000004.dbtmp", "OPTIONS-000004"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "000005.sst", content)
	if err := f.Link("000005.sst", "checkpoint/000005.sst"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(onDisk(t, base, "000005.sst"), onDisk(t, base, "checkpoint/000005.sst")) {
		t.Error("a checkpoint's table was copied, not linked")
	}
	if err := f.Rename("checkpoint", "archive"); err != nil {
		t.Fatal(err)
	}
	// Ingesting gives an external table its number.
	if err := f.Link("archive/000005.sst", "000006.sst"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"OPTIONS-000004", "000005.sst", "archive/000005.sst", "000006.sst"} {
		if got, err := readFile(f, name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if err := f.Link("000005.sst", "000006.sst"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link over a file: %v", err)
	}
	if err := f.Link("000099.sst", "000098.sst"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("link of nothing: %v", err)
	}
	if err := f.Rename("000005.sst", "000007.sst"); !errors.Is(err, vfs.ErrUnsupported) {
		t.Errorf("rename to another number: %v", err)
	}
}

func TestFilesWithoutContentStayEmpty(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	const marker = "marker.manifest.000001.MANIFEST-000001"
	file, err := f.Create(marker, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("x")); !errors.Is(err, vfs.ErrUnsupported) {
		t.Errorf("write: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := f.Lock("LOCK")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := f.Lock("LOCK"); err == nil {
		t.Error("locked twice")
	}
	for _, name := range []string{marker, "LOCK"} {
		if b := onDisk(t, base, name); len(b) != 0 {
			t.Errorf("%s has %d bytes", name, len(b))
		}
		if got, err := readFile(f, name); err != nil || len(got) != 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	put(t, base, marker, []byte("content"))
	if _, err := f.Open(marker); !errors.Is(err, ErrCorrupt) {
		t.Errorf("marker with content: %v", err)
	}
}

func TestNothingBypassesEncryption(t *testing.T) {
	f := newTestFS(t, vfs.NewMem(), viewKey(1))
	write(t, f, "000001.sst", []byte("content"))
	if _, err := f.OpenReadWrite("000001.sst", vfs.WriteCategoryUnspecified); !errors.Is(err, vfs.ErrUnsupported) {
		t.Errorf("OpenReadWrite: %v", err)
	}
	if _, err := f.OpenDir("000001.sst"); !errors.Is(err, vfs.ErrUnsupported) {
		t.Errorf("OpenDir of a file: %v", err)
	}
	if vfs.Root(f) != vfs.FS(f) {
		t.Error("the base can be reached through Unwrap")
	}
	for _, name := range names {
		file, err := f.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if file.Fd() != vfs.InvalidFd {
			t.Errorf("%s: descriptor of the base", name)
		}
		if _, err := file.WriteAt([]byte("x"), 0); !errors.Is(err, vfs.ErrUnsupported) {
			t.Errorf("%s: WriteAt: %v", name, err)
		}
		file.Close()
	}
	file, err := f.ReuseForWrite("000012.log", "000013.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if _, err := f.Stat("000012.log"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reused file is still there: %v", err)
	}
}

func TestWipedKeyOpensNothing(t *testing.T) {
	if _, err := New(vfs.NewMem(), make([]byte, 16), atOnce); err == nil {
		t.Error("short key accepted")
	}
	key := viewKey(1)
	f := newTestFS(t, vfs.NewMem(), key)
	clear(key) // New has its own copy
	write(t, f, "000001.sst", []byte("content"))
	held := f.key
	f.Close()
	if !bytes.Equal(held, make([]byte, KeySize)) {
		t.Error("the key is still in memory")
	}
	if _, err := f.Open("000001.sst"); !errors.Is(err, ErrKeyWiped) {
		t.Errorf("open: %v", err)
	}
	if _, err := f.Create("000002.sst", vfs.WriteCategoryUnspecified); !errors.Is(err, ErrKeyWiped) {
		t.Errorf("create: %v", err)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	f := newTestFS(t, vfs.NewMem(), viewKey(1))
	for _, name := range []string{"000001.sst", "MANIFEST-000001"} {
		content := random(1, 40*frameSize)
		write(t, f, name, content[:recordSize], content[recordSize:])
		file, err := f.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 3000)
		var off int64
		allocs := testing.AllocsPerRun(500, func() {
			off = (off + 7*frameSize + 11) % int64(len(content)-len(p))
			if _, err := file.ReadAt(p, off); err != nil {
				t.Fatal(err)
			}
		})
		// The pool may lose a buffer to a collection.
		if allocs >= 1 {
			t.Errorf("%s: %v allocations per read", name, allocs)
		}
		file.Close()
	}
}
