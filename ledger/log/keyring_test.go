package log

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var before, after = []byte("the keyring before"), []byte("the keyring after")

// replacing are the states of the folder that a crash can leave, in order. From the third on
// the decision is in the log.
var replacing = []struct {
	name string
	do   func(t testing.TB, d *KeyDirectory, at string)
}{
	{"nothing", func(testing.TB, *KeyDirectory, string) {}},
	{"half staged", func(t testing.TB, _ *KeyDirectory, at string) {
		put(t, filepath.Join(at, ".keyring.00.0123456789abcdef.tmp"), after[:3])
	}},
	{"staged", func(t testing.TB, d *KeyDirectory, _ string) { ok(t, d.StageKeyring(after)) }},
	{"second name", func(t testing.TB, d *KeyDirectory, at string) {
		ok(t, os.Link(d.keyring(), filepath.Join(at, oldKeyring)))
	}},
	{"renamed", func(t testing.TB, d *KeyDirectory, _ string) {
		ok(t, os.Rename(d.staged(sha256.Sum256(after)), d.keyring()))
	}},
	{"overwritten", func(t testing.TB, _ *KeyDirectory, at string) {
		put(t, filepath.Join(at, oldKeyring), make([]byte, len(before)))
	}},
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, path string, content []byte) {
	t.Helper()
	ok(t, os.WriteFile(path, content, 0o600))
}

// After a crash at any point the next start ends with one whole keyring, the one that the log
// says, and no other file.
func TestReplacingAKeyringIsFinishedFromEveryPointOfACrash(t *testing.T) {
	for crash := range replacing {
		for _, decided := range []bool{false, true} {
			// The decision follows the staging and goes before the rest. A log that was put back
			// from before it must not cost the keyring that is in use.
			if decided && crash < 2 || !decided && crash > 3 {
				continue
			}
			d, at := newKeyDirectory(t)
			ok(t, d.PutKeyring(before))
			for _, step := range replacing[:crash+1] {
				step.do(t, d, at)
			}
			d, err := OpenKeyDirectory(at)
			ok(t, err)
			want := before
			if decided {
				want = after
				err = d.UseKeyring(sha256.Sum256(after))
			} else {
				err = d.DropKeyrings()
			}
			ok(t, err)
			if got, err := d.Keyring(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, decided %v: %q %v", replacing[crash].name, decided, got, err)
			}
			if files := inventory(t, at); !slices.Equal(files, []string{keyringFile}) {
				t.Errorf("%s, decided %v: %q is left", replacing[crash].name, decided, files)
			}
		}
	}
}

// The file that held the keyring before holds zeros when its name is gone.
func TestTheKeyringBeforeIsOverwritten(t *testing.T) {
	d, at := newKeyDirectory(t)
	ok(t, d.PutKeyring(before))
	ok(t, d.StageKeyring([]byte("given up")))
	ok(t, d.StageKeyring(after))
	for _, name := range []string{keyringFile, filepath.Base(d.staged(sha256.Sum256([]byte("given up"))))} {
		held, err := os.Open(filepath.Join(at, name))
		ok(t, err)
		defer held.Close()
		defer func() {
			content := make([]byte, 64)
			n, _ := held.ReadAt(content, 0)
			if n == 0 || !bytes.Equal(content[:n], make([]byte, n)) {
				t.Errorf("%s still holds %q", name, content[:n])
			}
		}()
	}
	ok(t, d.UseKeyring(sha256.Sum256(after)))
	ok(t, d.UseKeyring(sha256.Sum256(after)))
}

func TestAKeyringThatIsNotThereIsNotUsed(t *testing.T) {
	d, _ := newKeyDirectory(t)
	ok(t, d.PutKeyring(before))
	ok(t, d.StageKeyring(after))
	put(t, d.staged(sha256.Sum256(after)), after[1:])
	for _, hash := range [][32]byte{sha256.Sum256([]byte("another")), sha256.Sum256(after)} {
		if err := d.UseKeyring(hash); !errors.Is(err, ErrNoKeyring) {
			t.Error(err)
		}
	}
	if got, err := d.Keyring(); err != nil || !bytes.Equal(got, before) {
		t.Errorf("%q %v", got, err)
	}
}
