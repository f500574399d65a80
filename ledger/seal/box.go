package seal

import (
	"crypto/rand"
	"errors"
	"slices"
)

// BoxOverhead is how many bytes a box has more than its plaintext.
const BoxOverhead = boxSalt + tagSize

const boxSalt = 16

// ErrBox means that a box does not open: wrong key, wrong label, or altered.
var ErrBox = errors.New("box does not open")

// Box encrypts something small (a view key, a page token) under key, which has
// 32 bytes. The label says what it is and for whom; only the same label opens
// it. The result is a random salt and the AES-256-GCM ciphertext under the key
// that HKDF makes of key, label and salt: with a key of its own for each box
// there is no number of boxes after which nonces would repeat.
//
// The errors are ErrDestroyed and one for a key of another length.
func Box(key *Secret, label string, plaintext []byte) ([]byte, error) {
	box := make([]byte, boxSalt, boxSalt+len(plaintext)+tagSize)
	rand.Read(box)
	return sealBox(key, label, box, plaintext)
}

// sealBox appends the ciphertext to box, which holds the salt.
func sealBox(key *Secret, label string, box, plaintext []byte) ([]byte, error) {
	own, err := boxKey(key, label, box)
	if err != nil {
		return nil, err
	}
	defer own.Destroy()
	nonce := make([]byte, 12)
	Do(func() {
		g := newGCM(own.Bytes())
		defer g.wipe()
		box = g.aead.Seal(box, nonce, plaintext, []byte(label))
	})
	return box, nil
}

// Unbox opens what [Box] made. The errors are ErrBox and those of Box.
func Unbox(key *Secret, label string, box []byte) ([]byte, error) {
	if len(box) < BoxOverhead {
		return nil, ErrBox
	}
	return unboxTo(key, label, make([]byte, 0, len(box)-BoxOverhead), box)
}

// UnboxSecret opens a box that holds a key, into a Secret. The errors are those
// of [Unbox]; an empty box is ErrBox.
func UnboxSecret(key *Secret, label string, box []byte) (*Secret, error) {
	if len(box) <= BoxOverhead {
		return nil, ErrBox
	}
	secret := NewSecret(len(box) - BoxOverhead)
	if _, err := unboxTo(key, label, secret.Bytes()[:0], box); err != nil {
		secret.Destroy()
		return nil, err
	}
	return secret, nil
}

// unboxTo appends the plaintext to dst, which has room for it.
func unboxTo(key *Secret, label string, dst, box []byte) ([]byte, error) {
	own, err := boxKey(key, label, box[:boxSalt])
	if err != nil {
		return nil, err
	}
	defer own.Destroy()
	nonce := make([]byte, 12)
	Do(func() {
		g := newGCM(own.Bytes())
		defer g.wipe()
		dst, err = g.aead.Open(dst, nonce, box[boxSalt:], []byte(label))
	})
	if err != nil {
		return nil, ErrBox
	}
	return slices.Clip(dst), nil
}

func boxKey(key *Secret, label string, salt []byte) (*Secret, error) {
	b, err := key.hold()
	if err != nil {
		return nil, err
	}
	n := len(b)
	key.release()
	if n != keySize {
		return nil, errors.New("a box needs a key of 32 bytes")
	}
	return derive(key, salt, labelBox+label)
}
