package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrToken means that a token was not made by this key for this context.
var ErrToken = errors.New("not a token of this key")

// tokenText never begins with a hyphen, which a command line would take for an option.
var tokenText = base64.RawStdEncoding.Strict()

// TokenKey seals what a caller carries away and brings back (a receipt), so that it
// tells the caller nothing and cannot be made up. Tokens are made while the store is
// locked, one with every write, so there is no key of its own for each, as there is
// for a [Box]: a nonce of 24 random bytes does not repeat. It is safe for concurrent use.
type TokenKey struct{ key *Secret }

// TokenKey returns the key for tokens of one purpose, which the label names.
func (k *DeviceKey) TokenKey(label string) *TokenKey { return &TokenKey{k.Derive("token " + label)} }

// Seal returns a token as text of unpadded base64. Its length depends on the plaintext's
// alone. Only the same context opens it. The error is ErrDestroyed.
func (t *TokenKey) Seal(context, plaintext []byte) (string, error) {
	token := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plaintext)+chacha20poly1305.Overhead)
	rand.Read(token)
	return t.seal(context, token, plaintext)
}

// seal appends the ciphertext to token, which holds the nonce.
func (t *TokenKey) seal(context, token, plaintext []byte) (string, error) {
	key, err := t.key.hold()
	if err != nil {
		return "", err
	}
	defer t.key.release()
	// Not below: memory that is to be erased costs more.
	data := bound(context)
	Do(func() {
		aead := newXChaCha(key)
		defer wipe(aead)
		token = aead.Seal(token, token, plaintext, data)
	})
	return tokenText.EncodeToString(token), nil
}

// Open returns what [TokenKey.Seal] sealed. The errors are ErrToken and ErrDestroyed.
func (t *TokenKey) Open(context []byte, token string) ([]byte, error) {
	sealed, err := tokenText.DecodeString(token)
	if err != nil || len(sealed) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead || tokenText.EncodeToString(sealed) != token {
		// The decoder skips line breaks: such a text is another token.
		return nil, ErrToken
	}
	key, err := t.key.hold()
	if err != nil {
		return nil, err
	}
	defer t.key.release()
	plaintext, data := make([]byte, 0, len(sealed)), bound(context)
	Do(func() {
		aead := newXChaCha(key)
		defer wipe(aead)
		nonce, ciphertext := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
		plaintext, err = aead.Open(plaintext, nonce, ciphertext, data)
	})
	if err != nil {
		return nil, ErrToken
	}
	return slices.Clip(plaintext), nil
}

// Destroy wipes the key. Calling it again does nothing.
func (t *TokenKey) Destroy() { t.key.Destroy() }

// bound is the associated data of a token.
func bound(context []byte) []byte { return append([]byte(labelToken), context...) }
