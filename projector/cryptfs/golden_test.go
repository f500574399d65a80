package cryptfs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens are files of one content each, under view key 01 02 … 20 and file
// id 40 41 … 4f.
var goldens = []struct {
	name   string
	chunks [][]byte
}{
	{"000123.sst", [][]byte{[]byte("hello")}},
	{"000007.blob", [][]byte{random(1, frameSize), random(2, 5)}},
	{"OPTIONS-000004", nil},
	{"MANIFEST-000001", [][]byte{[]byte("one"), []byte("three")}},
	{"000012.log", [][]byte{random(3, recordSize+1)}},
	{"external", [][]byte{[]byte("unknown to Pebble")}},
}

func goldenFS(t testing.TB, base vfs.FS) *FS {
	t.Helper()
	var id []byte
	for i := range byte(fileIDSize) {
		id = append(id, 0x40+i)
	}
	f, err := newFS(base, viewKey(1), atOnce, bytes.NewReader(id))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFormatIsThatOfTheGoldenFiles(t *testing.T) {
	for _, g := range goldens {
		base := vfs.NewMem()
		write(t, goldenFS(t, base), g.name, g.chunks...)
		got := onDisk(t, base, g.name)
		path := filepath.Join("testdata", "golden", g.name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from its golden file", g.name)
		}
		put(t, base, g.name, want)
		content, err := readFile(newTestFS(t, base, viewKey(1)), g.name)
		if err != nil || !bytes.Equal(content, bytes.Join(g.chunks, nil)) {
			t.Errorf("%s: %d bytes, %v", g.name, len(content), err)
		}
	}
}

// The examples in FORMAT.md are the golden files.
func TestFormatDocumentShowsTheGoldenFiles(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\s*[0-9a-f]{4}  ((?:[0-9a-f]{2} ?)+)`)
	for _, name := range []string{"000123.sst", "MANIFEST-000001"} {
		want, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		if err != nil {
			t.Fatal(err)
		}
		_, example, found := strings.Cut(string(doc), "Example: `"+name+"`")
		example, _, _ = strings.Cut(example, "\n## ")
		var got []byte
		for _, m := range row.FindAllStringSubmatch(example, -1) {
			b, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
		}
		if !found || !bytes.Equal(got, want) {
			t.Errorf("%s: the document shows\n%x\nthe golden file is\n%x", name, got, want)
		}
	}
}

// FuzzOpen reads arbitrary bytes as a file of each kind. Unless they are the
// golden file (or, of a growing one, a prefix of its frames), nothing may come
// out, and no error but ErrCorrupt.
func FuzzOpen(f *testing.F) {
	for i, g := range goldens {
		b, err := os.ReadFile(filepath.Join("testdata", "golden", g.name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b)
		f.Add(byte(i), b[:len(b)/2])
		f.Add(byte(i+1), b)
	}
	f.Fuzz(func(t *testing.T, which byte, disk []byte) {
		g := goldens[int(which)%len(goldens)]
		base := vfs.NewMem()
		put(t, base, g.name, disk)
		fs := newTestFS(t, base, viewKey(1))
		info, statErr := fs.Stat(g.name)
		got, err := readFile(fs, g.name)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		whole := bytes.Join(g.chunks, nil)
		if identify(g.name).kind.appended() {
			if !onlyPrefix(got, whole) {
				t.Fatalf("%s: read what was never written", g.name)
			}
		} else if !bytes.Equal(got, whole) {
			t.Fatalf("%s: read what was never written", g.name)
		}
		if statErr != nil || info.Size() != int64(len(got)) {
			t.Fatalf("%s: Stat says %v, %v", g.name, info, statErr)
		}
	})
}
