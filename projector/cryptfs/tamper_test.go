package cryptfs

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// secretText stands in every file that is tampered with, and may not stand in
// any error.
const secretText = "resting heart rate 48"

func tamperContent(n int) []byte {
	return append([]byte(secretText), random(9, n)...)
}

// mustBeCorrupt asserts that the file does not open, or not read, and that the
// error says which file and nothing of what is in it.
func mustBeCorrupt(t *testing.T, f *FS, name, what string) {
	t.Helper()
	got, err := readFile(f, name)
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("%s, %s: read %d bytes, error %v", name, what, len(got), err)
		return
	}
	if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), secretText) {
		t.Errorf("%s, %s: error %q", name, what, err)
	}
}

// sealedNames are files written once, of a size that takes several runs' worth
// of interesting places while every byte can still be flipped.
var sealedNames = []string{"000123.sst", "000007.blob", "OPTIONS-000004", "anything"}

func TestEveryFlippedByteOfAFileWrittenOnceIsFound(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	for i, name := range sealedNames {
		size := []int{0, 300, frameSize + 50 - len(secretText), frameSize - len(secretText)}[i]
		write(t, f, name, tamperContent(size))
		whole := onDisk(t, base, name)
		for at := range whole {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			put(t, base, name, damaged)
			mustBeCorrupt(t, f, name, "flipped")
		}
	}
}

func TestEveryTruncationOfAFileWrittenOnceIsFoundAtOpen(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	for i, name := range sealedNames {
		size := []int{0, 300, 2*frameSize + 50, 2*frameSize - len(secretText)}[i]
		write(t, f, name, tamperContent(size))
		whole := onDisk(t, base, name)
		for n := range whole {
			put(t, base, name, whole[:n])
			if file, err := f.Open(name); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s cut to %d of %d bytes opens: %v, %v", name, n, len(whole), file, err)
			}
		}
		for _, tail := range [][]byte{{0}, make([]byte, tagSize), make([]byte, sealedFrameSize), whole} {
			put(t, base, name, append(bytes.Clone(whole), tail...))
			if _, err := f.Open(name); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s with %d bytes appended opens: %v", name, len(tail), err)
			}
		}
	}
}

func TestSwappedFramesAreFound(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	const name = "000123.sst"
	write(t, f, name, tamperContent(4*frameSize))
	whole := onDisk(t, base, name)
	frame := func(b []byte, i int) []byte { return b[headerSize+i*sealedFrameSize:][:sealedFrameSize] }
	swapped := bytes.Clone(whole)
	copy(frame(swapped, 1), frame(whole, 2))
	copy(frame(swapped, 2), frame(whole, 1))
	put(t, base, name, swapped)
	mustBeCorrupt(t, f, name, "frames swapped")
	put(t, base, name, append(bytes.Clone(whole[:headerSize+sealedFrameSize]), whole[headerSize+2*sealedFrameSize:]...))
	mustBeCorrupt(t, f, name, "frame removed")
}

func TestFilesUnderOtherNamesOrKeysAreFound(t *testing.T) {
	base := vfs.NewMem()
	f, other := newTestFS(t, base, viewKey(1)), newTestFS(t, base, viewKey(2))
	all := append([]string{"000124.sst", "MANIFEST-000002", "OPTIONS-000005", "else"}, names...)
	for _, name := range all {
		write(t, f, name, tamperContent(100), tamperContent(50))
	}
	written := map[string][]byte{}
	for _, name := range all {
		written[name] = onDisk(t, base, name)
	}
	for _, name := range all {
		mustBeCorrupt(t, other, name, "another view key")
		for _, from := range all {
			if from == name {
				continue
			}
			put(t, base, name, written[from])
			mustBeCorrupt(t, f, name, "with the content of "+from)
		}
		put(t, base, name, written[name])
	}
}

func TestDamageInAClosedGrowingFileIsFound(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	const endMark = recordHeaderSize + tagSize
	for _, name := range []string{"MANIFEST-000001", "000012.log"} {
		write(t, f, name, tamperContent(40), tamperContent(600), tamperContent(3))
		whole, content := onDisk(t, base, name), mustRead(t, f, name)
		for at := range whole {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			put(t, base, name, damaged)
			if at < len(whole)-endMark {
				mustBeCorrupt(t, f, name, "flipped")
			} else if got, err := readFile(f, name); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s with a torn end mark: %d bytes, %v", name, len(got), err)
			}
		}
		put(t, base, name, append(bytes.Clone(whole), 0))
		mustBeCorrupt(t, f, name, "appended")
	}
}

// A growing file that is cut is what a crash leaves: a prefix of its writes.
func TestCutGrowingFileIsAPrefixOfItsWrites(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	const name = "MANIFEST-000001"
	chunks := [][]byte{tamperContent(40), tamperContent(600), tamperContent(3)}
	write(t, f, name, chunks...)
	whole := onDisk(t, base, name)
	prefixes := map[string]bool{"": true}
	for i := range chunks {
		prefixes[string(bytes.Join(chunks[:i+1], nil))] = true
	}
	longest := 0
	for n := range whole {
		put(t, base, name, whole[:n])
		got, err := readFile(f, name)
		if err != nil || !prefixes[string(got)] || len(got) < longest {
			t.Fatalf("cut to %d of %d: %d bytes, %v", n, len(whole), len(got), err)
		}
		longest = len(got)
	}
	if longest != len(bytes.Join(chunks, nil)) {
		t.Errorf("without its end mark the file ends at %d", longest)
	}
}

// Frames behind the last sync may be torn in any way; what was durable when a
// later frame was written may not.
func TestTornEndIsToleratedOnlyBehindTheLastSync(t *testing.T) {
	const name = "MANIFEST-000001"
	cases := []struct {
		what    string
		sync    []bool // after each of the writes
		damage  int    // the frame that is zeroed
		corrupt bool
	}{
		{"last frame, nothing synced", []bool{false, false, false}, 2, false},
		{"middle frame, nothing synced", []bool{false, false, false}, 1, false},
		{"middle frame behind the sync", []bool{true, false, false}, 1, false},
		{"middle frame before the sync", []bool{false, true, false}, 1, true},
		{"first frame before the sync", []bool{true, false, false}, 0, true},
		{"last frame, which nothing vouches for", []bool{true, true, true}, 2, false},
	}
	for _, c := range cases {
		base := vfs.NewMem()
		f := newTestFS(t, base, viewKey(1))
		file, err := f.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		for _, sync := range c.sync {
			if _, err := file.Write(tamperContent(79)); err != nil {
				t.Fatal(err)
			}
			if sync {
				if err := file.Sync(); err != nil {
					t.Fatal(err)
				}
			}
		}
		// Not closed: the writer is gone with the crash.
		size := recordHeaderSize + len(tamperContent(79)) + tagSize
		disk := onDisk(t, base, name)
		clear(disk[provenHeaderSize+c.damage*size:][:size])
		put(t, base, name, disk)
		if c.corrupt {
			mustBeCorrupt(t, f, name, c.what)
		} else if got, err := readFile(f, name); err != nil || len(got) != c.damage*len(tamperContent(79)) {
			t.Errorf("%s: %d bytes, %v", c.what, len(got), err)
		}
	}
}

func TestUnclosedFileWrittenOnceDoesNotOpen(t *testing.T) {
	base := vfs.NewMem()
	f := newTestFS(t, base, viewKey(1))
	for _, size := range []int{0, 10, frameSize, 3 * frameSize, recordSize + 1} {
		file, err := f.Create("000001.sst", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(random(1, size)); err != nil {
			t.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Open("000001.sst"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes, not closed: %v", size, err)
		}
		file.Close()
	}
}

func mustRead(t *testing.T, f vfs.FS, name string) []byte {
	t.Helper()
	b, err := readFile(f, name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
