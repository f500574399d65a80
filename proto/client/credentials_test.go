package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const key = "aaaaaaaaaaaaaaaaaaaaaaaaaa"

var good = Credentials{URL: "nats://127.0.0.1:4222", Store: "k3v9store", Key: key, Token: "the-token"}

func TestCredentialsSurviveTheFile(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := Credentials{
			URL:   fmt.Sprintf("nats://127.0.0.1:%d", rapid.IntRange(1, 65535).Draw(t, "port")),
			Store: rapid.StringMatching(`[a-z0-9]{1,64}`).Draw(t, "store"),
			Key:   rapid.StringMatching(`[a-z2-7]{26}`).Draw(t, "key"),
			Token: rapid.StringMatching(`[!-~]{1,80}`).Draw(t, "token"),
		}
		path := filepath.Join(dir, "app.json")
		if err := WriteCredentials(path, c); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v, %v", info.Mode(), err)
		}
		if got, err := ReadCredentials(path); err != nil || got != c {
			t.Fatalf("read %#v, %v", got, err)
		}
		local := LocalCredentials{URL: c.URL, Key: c.Key, Token: c.Token}
		if err := WriteLocalCredentials(path, local); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadLocalCredentials(path); err != nil || got != local {
			t.Fatalf("read %#v, %v", got, err)
		}
	})
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left", len(left))
	}
}

func TestCredentialsThatOthersCanReadAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	if err := WriteCredentials(path, good); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCredentials(path); !errors.Is(err, ErrReadableByOthers) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := ReadCredentials(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadCredentials(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}

func TestMalformedCredentialsAreRefused(t *testing.T) {
	for what, change := range map[string]func(*Credentials){
		"other scheme":    func(c *Credentials) { c.URL = "http://127.0.0.1:1" },
		"password in url": func(c *Credentials) { c.URL = "nats://a:b@127.0.0.1:1" },
		"no url":          func(c *Credentials) { c.URL = "" },
		"store with dot":  func(c *Credentials) { c.Store = "a.b" },
		"wildcard store":  func(c *Credentials) { c.Store = "*" },
		"no store":        func(c *Credentials) { c.Store = "" },
		"wildcard key":    func(c *Credentials) { c.Key = ">" },
		"bundle id":       func(c *Credentials) { c.Key = "com.example.clinic.aaaaaaa" },
		"no token":        func(c *Credentials) { c.Token = "" },
	} {
		c := good
		change(&c)
		if err := WriteCredentials(filepath.Join(t.TempDir(), "app.json"), c); err == nil {
			t.Errorf("%s: written", what)
		}
		if _, err := Dial(t.Context(), c); err == nil {
			t.Errorf("%s: dialled", what)
		}
		data, _ := json.Marshal(c)
		if _, err := parse[Credentials](data); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

func TestTokensAreNotPrinted(t *testing.T) {
	local := LocalCredentials{URL: good.URL, Key: good.Key, Token: good.Token}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{good, &good, local, &local} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, good.Token) {
				t.Errorf("%s of %T prints the token: %s", format, value, text)
			}
		}
	}
}

func FuzzCredentials(f *testing.F) {
	data, _ := json.Marshal(good)
	f.Add(data)
	f.Add([]byte(`{"url":"nats://x"} {}`))
	f.Add([]byte(`{"extra":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse[Credentials](data)
		if err != nil {
			return
		}
		if err := c.check(); err != nil {
			t.Fatalf("accepted %v: %v", c, err)
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := parse[Credentials](again); err != nil || same != c {
			t.Fatalf("%v became %v, %v", c, same, err)
		}
	})
}
