package log

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"healthledger/ledger/seal"
)

func newKeyDirectory(t testing.TB) (*KeyDirectory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	d, err := CreateKeyDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

// inventory lists every file below a folder.
func inventory(t testing.TB, path string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(path, p)
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEmptyKeyDirectoryHasNothing(t *testing.T) {
	d, _ := newKeyDirectory(t)
	if _, err := d.Keyring(); !errors.Is(err, ErrNoKeyring) {
		t.Errorf("Keyring: %v", err)
	}
	if _, err := d.Wrap(seal.Health, 1); !errors.Is(err, ErrNoWrap) {
		t.Errorf("Wrap: %v", err)
	}
	if _, err := d.ViewKey(); !errors.Is(err, ErrNoViewKey) {
		t.Errorf("ViewKey: %v", err)
	}
	if last, err := d.LastEpoch(seal.Health); err != nil || last != 0 {
		t.Errorf("LastEpoch = %d, %v", last, err)
	}
}

// The key directory behaves like a map, also when it is opened anew at any time.
func TestKeyDirectoryKeepsWhatItWasGiven(t *testing.T) {
	type wrap struct {
		class seal.Class
		epoch uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp("", "keys")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		path := filepath.Join(folder, "keys")
		d, err := CreateKeyDirectory(path)
		if err != nil {
			t.Fatal(err)
		}
		wraps := map[wrap][]byte{}
		var keyring, viewKey []byte
		content := rapid.SliceOfN(rapid.Byte(), 1, 20)
		which := rapid.Custom(func(t *rapid.T) wrap {
			return wrap{
				rapid.SampledFrom([]seal.Class{seal.Health, seal.Management}).Draw(t, "class"),
				rapid.SampledFrom([]uint64{1, 2, 3, 0x10, 1 << 40, 1<<64 - 1}).Draw(t, "epoch"),
			}
		})
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			w, b := which.Draw(t, "wrap"), content.Draw(t, "content")
			var err error
			switch step := rapid.IntRange(0, 6).Draw(t, "step"); step {
			case 0, 1:
				_, there := wraps[w]
				if err = d.PutWrap(w.class, w.epoch, b); there {
					if !errors.Is(err, fs.ErrExist) {
						t.Fatalf("a wrap was replaced: %v", err)
					}
					err = nil
				} else {
					wraps[w] = b
				}
			case 2:
				err = d.DestroyWraps(w.class, w.epoch)
				delete(wraps, w)
			case 3:
				err = d.PutKeyring(b)
				keyring = b
			case 4:
				err = d.PutViewKey(b)
				viewKey = b
			case 5:
				err = d.DestroyViewKey()
				viewKey = nil
			case 6:
				d, err = OpenKeyDirectory(path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, class := range []seal.Class{seal.Health, seal.Management} {
			last := uint64(0)
			for _, epoch := range []uint64{1, 2, 3, 0x10, 1 << 40, 1<<64 - 1} {
				want, there := wraps[wrap{class, epoch}]
				got, err := d.Wrap(class, epoch)
				if !bytes.Equal(got, want) || there == errors.Is(err, ErrNoWrap) {
					t.Fatalf("%v %x = %x, %v; want %x", class, epoch, got, err, want)
				}
				if there {
					last = epoch
				}
			}
			if got, err := d.LastEpoch(class); err != nil || got != last {
				t.Fatalf("LastEpoch(%v) = %d, %v; want %d", class, got, err, last)
			}
		}
		if got, err := d.Keyring(); !bytes.Equal(got, keyring) || (keyring == nil) != errors.Is(err, ErrNoKeyring) {
			t.Fatalf("keyring = %x, %v; want %x", got, err, keyring)
		}
		if got, err := d.ViewKey(); !bytes.Equal(got, viewKey) || (viewKey == nil) != errors.Is(err, ErrNoViewKey) {
			t.Fatalf("view key = %x, %v; want %x", got, err, viewKey)
		}
	})
}

func TestKeyFilesHaveTheirNames(t *testing.T) {
	d, path := newKeyDirectory(t)
	for _, err := range []error{
		d.PutKeyring([]byte("k")), d.PutViewKey([]byte("v")),
		d.PutWrap(seal.Health, 0x2a, []byte("w")), d.PutWrap(seal.Management, 1, []byte("w")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"epochs/health-000000000000002a", "epochs/management-0000000000000001", "keyring", "view.key",
	}
	if got := inventory(t, path); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestKeyDirectoryIsForItsUserOnly(t *testing.T) {
	d, path := newKeyDirectory(t)
	if err := d.PutKeyring([]byte("k")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyDirectory(path); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "epochs": 0o700, "keyring": 0o600} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %o, want %o", name, got, want)
		}
	}
}

func TestCreateRefusesAFolderInUse(t *testing.T) {
	_, path := newKeyDirectory(t)
	if _, err := CreateKeyDirectory(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("err = %v, want fs.ErrExist", err)
	}
	if _, err := OpenKeyDirectory(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open nothing: %v", err)
	}
}

// A hard link shows what became of the file itself, not only of its name.
func TestDestroyingOneEpochLeavesTheOthers(t *testing.T) {
	d, _ := newKeyDirectory(t)
	for epoch := range uint64(20) {
		if err := d.PutWrap(seal.Health, epoch+1, fmt.Appendf(nil, "wrap %d", epoch+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.DestroyWraps(seal.Health, 1); err != nil {
		t.Fatal(err)
	}
	for epoch := uint64(2); epoch <= 20; epoch++ {
		if got, err := d.Wrap(seal.Health, epoch); err != nil || string(got) != fmt.Sprintf("wrap %d", epoch) {
			t.Errorf("epoch %d: %q, %v", epoch, got, err)
		}
	}
}

func TestLeftoversOfACrashAreIgnoredAndCleaned(t *testing.T) {
	d, path := newKeyDirectory(t)
	if err := d.PutWrap(seal.Health, 1, []byte("wrap")); err != nil {
		t.Fatal(err)
	}
	leftovers := []string{".keyring.00.tmp", "epochs/.health-00000000000000ff.00.tmp"}
	for _, name := range leftovers {
		if err := os.WriteFile(filepath.Join(path, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A crash between naming a wrap and forgetting its temporary name.
	if err := os.Link(filepath.Join(path, "epochs/health-0000000000000001"),
		filepath.Join(path, "epochs/.health-0000000000000001.00.tmp")); err != nil {
		t.Fatal(err)
	}
	if last, err := d.LastEpoch(seal.Health); err != nil || last != 1 {
		t.Errorf("LastEpoch = %d, %v", last, err)
	}
	if _, err := d.Keyring(); !errors.Is(err, ErrNoKeyring) {
		t.Errorf("Keyring: %v", err)
	}
	d, err := OpenKeyDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inventory(t, path), []string{"epochs/health-0000000000000001"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if got, err := d.Wrap(seal.Health, 1); err != nil || string(got) != "wrap" {
		t.Errorf("Wrap = %q, %v", got, err)
	}
}

func TestCleaningSparesAFileThatIsBeingWritten(t *testing.T) {
	_, path := newKeyDirectory(t)
	writer, err := openFolder(path, syscall.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	writing := filepath.Join(path, ".keyring.00.tmp")
	if err := os.WriteFile(writing, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyDirectory(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(writing); err != nil {
		t.Errorf("the file of a writer was taken: %v", err)
	}
	writer.Close()
	if err := CleanFolder(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(writing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a dead writer is left: %v", err)
	}
}

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"a long first content", "short", ""} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	if got := inventory(t, filepath.Dir(path)); !slices.Equal(got, []string{"file"}) {
		t.Errorf("files %q", got)
	}
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, "file"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(blocked, "file"), []byte("x")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if got := inventory(t, blocked); len(got) != 0 {
		t.Errorf("a failed write left %q", got)
	}
}

func BenchmarkOpenWith100kEpochs(b *testing.B) {
	d, path := newKeyDirectory(b)
	for epoch := range uint64(100_000) {
		if err := os.WriteFile(filepath.Join(d.path, WrapFile(seal.Health, epoch+1)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		d, err := OpenKeyDirectory(path)
		if err != nil {
			b.Fatal(err)
		}
		if last, err := d.LastEpoch(seal.Health); err != nil || last != 100_000 {
			b.Fatal(last, err)
		}
	}
}

// Destroying many wraps leaves none of them, no interrupted write of them, and all others.
func TestManyWrapsAreDestroyedAtOnce(t *testing.T) {
	d, path := newKeyDirectory(t)
	for epoch := range uint64(5) {
		for _, class := range []seal.Class{seal.Health, seal.Management, seal.Resealed} {
			ok(t, d.PutWrap(class, epoch+1, []byte("wrap")))
		}
	}
	put(t, filepath.Join(path, "epochs/.health-0000000000000002.0123456789abcdef.tmp"), []byte("wrap"))
	put(t, filepath.Join(path, "epochs/.health-0000000000000003.0123456789abcdef.tmp"), []byte("wrap"))
	ok(t, d.DestroyWraps(seal.Health, 1, 2, 4, 99))
	for class, want := range map[seal.Class][]uint64{seal.Health: {3, 5}, seal.Management: {1, 2, 3, 4, 5}, seal.Resealed: {1, 2, 3, 4, 5}} {
		got, err := d.Wraps(class)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v, %v", class, got, err)
		}
	}
	for name, there := range map[string]bool{"epochs/.health-0000000000000002.0123456789abcdef.tmp": false, "epochs/.health-0000000000000003.0123456789abcdef.tmp": true} {
		if _, err := os.Stat(filepath.Join(path, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}
