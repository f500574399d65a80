package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
	"pgregory.net/rapid"

	"healthledger/scripts/golden"
)

func exampleToken(t testing.TB, k *TokenKey) string {
	token, err := k.seal([]byte("context"), bytes.Repeat([]byte{6}, chacha20poly1305.NonceSizeX), examplePlaintext)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokenFormat(t *testing.T) {
	device := exampleDevice(t)
	defer device.Destroy()
	k := device.TokenKey("example")
	defer k.Destroy()
	token := exampleToken(t, k)
	want := golden.Bytes(t, "token", func() []byte { b, _ := base64.RawStdEncoding.DecodeString(token); return b })
	if token != base64.RawStdEncoding.EncodeToString(want) {
		t.Errorf("got %s, want %s", token, hex.EncodeToString(want))
	}
	page, err := os.ReadFile("FORMAT.md")
	if err != nil || !strings.Contains(string(page), token) {
		t.Errorf("FORMAT.md does not show the token %s: %v", token, err)
	}
	if got, err := k.Open([]byte("context"), token); err != nil || !bytes.Equal(got, examplePlaintext) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTokenOpensWithItsKeyAndContextAlone(t *testing.T) {
	device := exampleDevice(t)
	defer device.Destroy()
	k, other := device.TokenKey("a"), device.TokenKey("b")
	defer k.Destroy()
	defer other.Destroy()
	rapid.Check(t, func(r *rapid.T) {
		plaintext, context := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(r, "plaintext"), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(r, "context")
		token, err := k.Seal(context, plaintext)
		if err != nil {
			r.Fatal(err)
		}
		if again, _ := k.Seal(context, plaintext); again == token || len(again) != len(token) {
			r.Fatal("two tokens of the same are the same, or differ in length")
		}
		if strings.HasPrefix(token, "-") || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != "" {
			r.Fatal(token)
		}
		if got, err := k.Open(context, token); err != nil || !bytes.Equal(got, plaintext) {
			r.Fatalf("%x, %v", got, err)
		}
		at := rapid.IntRange(0, len(token)-1).Draw(r, "at")
		altered := []byte(token)
		altered[at] = rapid.SampledFrom([]byte("ABab01+/-_=\n\x00")).Filter(func(b byte) bool { return b != token[at] }).Draw(r, "byte")
		for what, open := range map[string]func() ([]byte, error){
			"another key":     func() ([]byte, error) { return other.Open(context, token) },
			"another context": func() ([]byte, error) { return k.Open(append(bytes.Clone(context), 0), token) },
			"altered":         func() ([]byte, error) { return k.Open(context, string(altered)) },
			"cut":             func() ([]byte, error) { return k.Open(context, token[:at]) },
			"a line break":    func() ([]byte, error) { return k.Open(context, token[:at]+"\n"+token[at:]) },
		} {
			if got, err := open(); !errors.Is(err, ErrToken) || got != nil {
				r.Fatalf("%s: %x, %v", what, got, err)
			}
		}
	})
}

func TestTokenKeyIsOfNoUseAfterDestroy(t *testing.T) {
	device := exampleDevice(t)
	defer device.Destroy()
	k := device.TokenKey("example")
	token := exampleToken(t, k)
	k.Destroy()
	k.Destroy()
	if _, err := k.Seal(nil, nil); !errors.Is(err, ErrDestroyed) {
		t.Error(err)
	}
	if _, err := k.Open([]byte("context"), token); !errors.Is(err, ErrDestroyed) {
		t.Error(err)
	}
}

func FuzzOpenToken(f *testing.F) {
	device := exampleDevice(f)
	f.Cleanup(device.Destroy)
	k := device.TokenKey("example")
	f.Cleanup(k.Destroy)
	genuine := exampleToken(f, k)
	f.Add(genuine)
	f.Add("")
	f.Add(genuine + "=")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := k.Open([]byte("context"), token); (err == nil) != (token == genuine) {
			t.Errorf("%q: %v", token, err)
		}
	})
}
