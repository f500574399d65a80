package tree

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrCheckpoint is returned for what is no checkpoint: malformed, or without a signature
// by the key that was asked for.
var ErrCheckpoint = errors.New("not a checkpoint of this log")

// MaxCheckpoint bounds the bytes of a signed checkpoint that is read: one is a few
// hundred bytes, and one with the signatures of many witnesses some thousands.
const MaxCheckpoint = 64 << 10

// A Checkpoint commits to a whole log. Signed, it is a note in the format of C2SP
// tlog-checkpoint, which other tools check with the log's verifier key:
//
//	healthledger/xkhfz3vuq4e5n6o7p2r4s6t7u2          origin: names the log
//	20852163                                         size
//	CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root
//
//	— healthledger/xkhfz3vuq4e5n6o7p2r4s6t7u2 Az3grlgt…
type Checkpoint struct {
	// Origin is also the name of the key that signs.
	Origin string
	Size   uint64
	Root   Hash
}

// text is what is signed.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// A Key checks the signatures of one signer. Text is how other tools are told of it (C2SP
// signed-note).
type Key struct {
	note.Verifier
	Text string
}

// DeviceKey returns the key that checks a daemon's signatures under checkpoints of a store.
// Its name is their origin.
func DeviceKey(store string, public ed25519.PublicKey) (Key, error) {
	return newKey("healthledger/"+store, public)
}

// OwnerKey returns the key that checks the owner's.
func OwnerKey(store string, public ed25519.PublicKey) (Key, error) {
	return newKey("healthledger/"+store+"/owner", public)
}

func newKey(name string, public ed25519.PublicKey) (Key, error) {
	text, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return Key{}, err
	}
	verifier, err := note.NewVerifier(text)
	return Key{verifier, text}, err
}

// noteSigner is a note.Signer whose private key somebody else keeps.
type noteSigner struct {
	note.Verifier
	sign func(message []byte) []byte
}

func (s noteSigner) Sign(message []byte) ([]byte, error) { return s.sign(message), nil }

// Sign returns the signed note. The verifier belongs to the Ed25519 key that sign signs
// with.
func (c Checkpoint) Sign(verifier note.Verifier, sign func(message []byte) []byte) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.text()}, noteSigner{verifier, sign})
}

// Cosign adds a signature to a checkpoint that the first key has signed. The error is
// ErrCheckpoint.
func Cosign(signed []byte, first, by note.Verifier, sign func(message []byte) []byte) ([]byte, error) {
	n, err := note.Open(signed, note.VerifierList(first))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return note.Sign(n, noteSigner{by, sign})
}

// IsSigned reports whether a signed note has a signature by the verifier's key.
func IsSigned(signed []byte, verifier note.Verifier) bool {
	_, err := note.Open(signed, note.VerifierList(verifier))
	return err == nil
}

// OpenCheckpoint returns the checkpoint in a signed note. Other signatures than the
// verifier's, those of witnesses, are let be. The error is ErrCheckpoint.
func OpenCheckpoint(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: more than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return Checkpoint{}, fmt.Errorf("%w: it is not signed by %s+%08x", ErrCheckpoint, verifier.Name(), verifier.KeyHash())
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	c, ok := parseCheckpoint(n.Text)
	if !ok || c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("%w: its text is not an origin, a size and a root", ErrCheckpoint)
	}
	return c, nil
}

// ReadCheckpoint returns the checkpoint in a signed note, whoever has signed it. The error is
// ErrCheckpoint.
func ReadCheckpoint(signed []byte) (Checkpoint, error) {
	text, _, found := strings.Cut(string(signed), "\n\n")
	c, ok := parseCheckpoint(text + "\n")
	if !found || !ok || len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: its text is not an origin, a size and a root", ErrCheckpoint)
	}
	return c, nil
}

// parseCheckpoint reads exactly what text makes.
func parseCheckpoint(text string) (Checkpoint, bool) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, false
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || size > math.MaxInt64 || rootErr != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, false
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
	return c, c.text() == text
}
