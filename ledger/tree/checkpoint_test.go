package tree

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

const origin = "healthledger/aaaaaaaaaaaaaaaaaaaaaaaaaa"

// key returns a verifier and how to sign for it.
func key(t interface{ Fatal(...any) }, seed byte, name string) (note.Verifier, func([]byte) []byte) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return verifier, func(message []byte) []byte { return ed25519.Sign(private, message) }
}

func TestSignedCheckpointIsWhatWasSigned(t *testing.T) {
	verifier, sign := key(t, 1, origin)
	rapid.Check(t, func(t *rapid.T) {
		c := Checkpoint{Origin: origin, Size: rapid.Uint64Max(1<<63-1).Draw(t, "size")}
		copy(c.Root[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
		signed, err := c.Sign(verifier, sign)
		if err != nil {
			t.Fatal(err)
		}
		// What any tool for C2SP notes makes of it.
		if n, err := note.Open(signed, note.VerifierList(verifier)); err != nil || len(n.Sigs) != 1 {
			t.Fatalf("note.Open: %v", err)
		}
		if got, err := OpenCheckpoint(signed, verifier); err != nil || got != c {
			t.Fatalf("got %+v, %v; want %+v", got, err, c)
		}
		changed := bytes.Clone(signed)
		changed[rapid.IntRange(0, len(changed)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		// Base64 has bits to spare at its end, which say nothing.
		if got, err := OpenCheckpoint(changed, verifier); got != c && !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("changed to %q: %+v, %v", changed, got, err)
		}
	})
}

func TestOtherNotesAreNoCheckpoints(t *testing.T) {
	verifier, sign := key(t, 1, origin)
	for name, text := range map[string]string{
		"another log":       strings.Replace(Checkpoint{Origin: origin, Size: 3}.text(), "aaa", "bbb", 1),
		"no root":           origin + "\n3\n",
		"a short root":      origin + "\n3\nAAAA\n",
		"an extension":      Checkpoint{Origin: origin, Size: 3}.text() + "more\n",
		"a leading zero":    strings.Replace(Checkpoint{Origin: origin, Size: 3}.text(), "\n3\n", "\n03\n", 1),
		"a sign":            strings.Replace(Checkpoint{Origin: origin, Size: 3}.text(), "\n3\n", "\n+3\n", 1),
		"more than counted": Checkpoint{Origin: origin, Size: 1 << 63}.text(),
	} {
		signed, err := note.Sign(&note.Note{Text: text}, noteSigner{verifier, sign})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := OpenCheckpoint(signed, verifier); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	signed, err := Checkpoint{Origin: origin, Size: 3}.Sign(verifier, sign)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := key(t, 2, origin)
	if _, err := OpenCheckpoint(signed, other); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("another key: %v", err)
	}
	if _, err := OpenCheckpoint(append(signed, make([]byte, MaxCheckpoint)...), verifier); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("too large: %v", err)
	}
}

func TestCosignedCheckpointIsStillOne(t *testing.T) {
	verifier, sign := key(t, 1, origin)
	witness, cosign := key(t, 2, "witness.example")
	c := Checkpoint{Origin: origin, Size: 3, Root: grown(3).Root()}
	signed, err := note.Sign(&note.Note{Text: c.text()}, noteSigner{verifier, sign}, noteSigner{witness, cosign})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCheckpoint(signed, verifier); err != nil || got != c {
		t.Fatalf("%+v, %v", got, err)
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	verifier, sign := key(f, 1, origin)
	signed, _ := Checkpoint{Origin: origin, Size: 3}.Sign(verifier, sign)
	f.Add(signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := OpenCheckpoint(b, verifier); err == nil && !strings.HasPrefix(string(b), c.text()) {
			t.Fatal("a checkpoint that was not written there")
		}
	})
}

func TestCosignedCheckpointHasBothSignatures(t *testing.T) {
	device, sign := key(t, 1, origin)
	owner, cosign := key(t, 2, origin+"/owner")
	c := Checkpoint{Origin: origin, Size: 7}
	signed, err := c.Sign(device, sign)
	if err != nil {
		t.Fatal(err)
	}
	if IsSigned(signed, owner) {
		t.Error("the owner has signed it already")
	}
	both, err := Cosign(signed, device, owner, cosign)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCheckpoint(both, device); err != nil || got != c || !IsSigned(both, device) || !IsSigned(both, owner) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Cosign(signed, owner, owner, cosign); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("cosigned what the device has not signed: %v", err)
	}
}
