package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxPassphrase is the longest passphrase in bytes: what an offer can carry.
const MaxPassphrase = offerSize - 2

// offerSize is the length every passphrase is padded to, so that the ciphertext
// does not tell its length.
const offerSize = 256

// ErrOffer means that what came back for an offer was not sealed to it, or was
// altered.
var ErrOffer = errors.New("sealed passphrase does not open")

// Offer is a one-time key pair to which a client encrypts the passphrase, so
// that the daemon relays nothing but ciphertext between client and projector.
type Offer struct {
	private *Secret
	public  []byte
}

// NewOffer makes the key pair. The caller must open or destroy it.
func NewOffer() (*Offer, error) {
	private := newKey()
	public, err := publicKeyOf(private)
	if err != nil {
		private.Destroy()
		return nil, fmt.Errorf("make an offer: %w", err)
	}
	return &Offer{private, public}, nil
}

// PublicKey returns the MLKEM768X25519 public key, 1,216 bytes.
func (o *Offer) PublicKey() []byte { return o.public }

// Open decrypts the passphrase and destroys the key. What was not sealed to this offer
// is ErrOffer and leaves the key, since who has several offers out cannot tell for which
// of them an answer is. After it has opened one passphrase the error is ErrDestroyed.
func (o *Offer) Open(sealed []byte) (*Secret, error) {
	padded, err := unwrap(o.private, offerInfo(o.public), sealed)
	if errors.Is(err, ErrDestroyed) {
		return nil, err
	}
	if err != nil {
		return nil, ErrOffer
	}
	defer o.Destroy()
	defer padded.Destroy()
	b := padded.Bytes()
	if len(b) != offerSize {
		return nil, ErrOffer
	}
	n := int(binary.BigEndian.Uint16(b))
	if n == 0 || n > MaxPassphrase {
		return nil, ErrOffer
	}
	passphrase := NewSecret(n)
	copy(passphrase.Bytes(), b[2:])
	return passphrase, nil
}

// Destroy wipes the private key. Calling it again does nothing.
func (o *Offer) Destroy() { o.private.Destroy() }

// SealPassphrase encrypts a passphrase of 1 to 254 bytes to an offer's public
// key. Every result has the same length. The caller still owns, and wipes,
// passphrase.
func SealPassphrase(publicKey, passphrase []byte) ([]byte, error) {
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	padded := NewSecret(offerSize)
	defer padded.Destroy()
	binary.BigEndian.PutUint16(padded.Bytes(), uint16(len(passphrase)))
	copy(padded.Bytes()[2:], passphrase)
	sealed, err := wrapTo(publicKey, offerInfo(publicKey), padded)
	if err != nil {
		return nil, fmt.Errorf("seal the passphrase: %w", err)
	}
	return sealed, nil
}

// CheckPassphrase refuses an empty passphrase and one that is too long to travel.
func CheckPassphrase(passphrase []byte) error {
	switch {
	case len(passphrase) == 0:
		return errors.New("the passphrase is empty")
	case len(passphrase) > MaxPassphrase:
		return fmt.Errorf("the passphrase has more than %d bytes", MaxPassphrase)
	}
	return nil
}

func offerInfo(publicKey []byte) []byte {
	hash := sha256.Sum256(publicKey)
	return append([]byte(labelOffer), hash[:]...)
}
