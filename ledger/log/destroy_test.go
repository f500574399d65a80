package log

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"healthledger/ledger/seal"
)

func TestDestroyOverwritesInPlace(t *testing.T) {
	secret := bytes.Repeat([]byte("secret "), 3000)
	cases := map[string]struct {
		file    string
		put     func(*KeyDirectory) error
		destroy func(*KeyDirectory) error
	}{
		"wrap": {
			"epochs/health-0000000000000005",
			func(d *KeyDirectory) error { return d.PutWrap(seal.Health, 5, secret) },
			func(d *KeyDirectory) error { return d.DestroyWraps(seal.Health, 5) },
		},
		"view key": {
			"view.key",
			func(d *KeyDirectory) error { return d.PutViewKey(secret) },
			func(d *KeyDirectory) error { return d.DestroyViewKey() },
		},
		"replaced view key": {
			"view.key",
			func(d *KeyDirectory) error { return d.PutViewKey(secret) },
			func(d *KeyDirectory) error { return d.PutViewKey([]byte("other")) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d, path := newKeyDirectory(t)
			if err := c.put(d); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(path, c.file)
			witness := filepath.Join(t.TempDir(), "witness")
			if err := os.Link(file, witness); err != nil {
				t.Fatal(err)
			}
			// What a crash in the middle of writing the same file leaves goes too.
			leftover := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".0011223344556677.tmp")
			if err := os.WriteFile(leftover, secret, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.destroy(d); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(witness)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content, make([]byte, len(secret))) {
				t.Error("the content is still on the disk")
			}
			if _, err := os.Stat(leftover); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a temporary copy is left")
			}
		})
	}
}

// held keeps a file open, and returns what wants it to hold zeros when its name is gone.
func held(t testing.TB, path string) (overwritten func()) {
	t.Helper()
	file, err := os.Open(path)
	ok(t, err)
	t.Cleanup(func() { file.Close() })
	return func() {
		t.Helper()
		content, err := io.ReadAll(file)
		ok(t, err)
		if len(content) == 0 || !bytes.Equal(content, make([]byte, len(content))) {
			t.Errorf("%s still holds %q", filepath.Base(path), content)
		}
	}
}

// Keys that were written and got no name are no less keys: whoever knows their passphrase, or has
// what they are wrapped to, could open them.
func TestWhatHasNoNameIsOverwritten(t *testing.T) {
	d, at := newKeyDirectory(t)
	ok(t, d.PutWrap(seal.Health, 1, []byte("the wrap in use")))
	w := WrapName{seal.Health, 1}
	ok(t, d.StageKeyring(after))
	ok(t, d.StageWrap(theirKeyring, w, []byte("staged")))
	var all []func()
	for _, name := range []string{".keyring.00.tmp", "epochs/.health-00000000000000ff.00.tmp"} {
		put(t, filepath.Join(at, name), []byte("left by a crash"))
		all = append(all, held(t, filepath.Join(at, name)))
	}
	for _, name := range []string{d.staged(sha256.Sum256(after)), filepath.Join(d.stagedWraps(theirKeyring), "health-0000000000000001")} {
		all = append(all, held(t, name))
	}
	ok(t, d.StageKeyring(after))
	ok(t, d.StageWrap(theirKeyring, w, []byte("staged again")))
	_, err := OpenKeyDirectory(at)
	ok(t, err)
	// Where the name is taken, what was to get it goes.
	err = place(filepath.Join(at, keyringFile), []byte("in vain"), func(from, _ string) error {
		all = append(all, held(t, from))
		return errors.New("no name")
	})
	if err == nil {
		t.Error("a file without a name")
	}
	for _, overwritten := range all {
		overwritten()
	}
	if got, err := d.Wrap(seal.Health, 1); err != nil || string(got) != "the wrap in use" {
		t.Errorf("%q %v", got, err)
	}
}

func TestADestroyedKeyDirectoryHoldsZeros(t *testing.T) {
	d, at := newKeyDirectory(t)
	ok(t, d.PutKeyring(before))
	ok(t, d.PutWrap(seal.Health, 1, []byte("wrap")))
	keyring, wrap := held(t, filepath.Join(at, keyringFile)), held(t, filepath.Join(at, WrapFile(seal.Health, 1)))
	for range 2 {
		ok(t, DestroyKeyDirectory(at))
	}
	keyring()
	wrap()
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
