package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
)

// deviceMagic starts a device key file; the last byte is the version.
const deviceMagic = "HLDK\x01"

const (
	deviceChecksum = 8
	deviceSize     = len(deviceMagic) + 2*keySize + deviceChecksum
)

// ErrDeviceKey means that a device key file is damaged or of an unknown version.
var ErrDeviceKey = errors.New("not a device key")

// DeviceKey is the daemon's own key. It signs segments, and opens those of
// class management. The owner enrols it; whoever steals it can read what a
// locked daemon knows, and write to the log until it is withdrawn. It is safe
// for concurrent use, but not during or after Destroy.
type DeviceKey struct {
	sealing    *Secret // MLKEM768X25519 private key
	seed       *Secret // Ed25519 seed
	sealingKey []byte
	signingKey ed25519.PublicKey
	// crypto/ed25519 takes keys on the heap only. One that stays keeps its
	// expanded form for the next signature; Do has both erased when it goes.
	signing ed25519.PrivateKey
}

// NewDeviceKey makes a random device key.
func NewDeviceKey() (*DeviceKey, error) { return newDeviceKey(newKey(), newKey()) }

// ParseDeviceKey reads what [DeviceKey.Encode] made, and copies what it needs;
// encoded remains the caller's to wipe. The error is ErrDeviceKey.
func ParseDeviceKey(encoded []byte) (*DeviceKey, error) {
	if len(encoded) != deviceSize || !bytes.HasPrefix(encoded, []byte(deviceMagic)) {
		return nil, fmt.Errorf("%w: wrong length, format or version", ErrDeviceKey)
	}
	body, checksum := encoded[:deviceSize-deviceChecksum], encoded[deviceSize-deviceChecksum:]
	var intact bool
	Do(func() {
		hash := sha256.Sum256(body)
		intact = bytes.Equal(hash[:deviceChecksum], checksum)
	})
	if !intact {
		return nil, fmt.Errorf("%w: damaged", ErrDeviceKey)
	}
	seeds := body[len(deviceMagic):]
	seed, sealing := NewSecret(keySize), NewSecret(keySize)
	copy(seed.Bytes(), seeds[:keySize])
	copy(sealing.Bytes(), seeds[keySize:])
	return newDeviceKey(seed, sealing)
}

// newDeviceKey takes over both secrets, also when it fails.
func newDeviceKey(seed, sealing *Secret) (*DeviceKey, error) {
	k := &DeviceKey{sealing: sealing, seed: seed}
	var err error
	if k.sealingKey, err = publicKeyOf(sealing); err != nil {
		k.Destroy()
		return nil, fmt.Errorf("make a device key: %w", err)
	}
	k.signingKey = verifierOf(seed)
	Do(func() { k.signing = ed25519.NewKeyFromSeed(seed.Bytes()) })
	return k, nil
}

// Encode returns the content of the device key file, for the owner of the
// process only (0600): magic, signing seed, sealing key, checksum.
func (k *DeviceKey) Encode() *Secret {
	encoded := NewSecret(deviceSize)
	b := append(encoded.Bytes()[:0], deviceMagic...)
	b = append(b, k.seed.Bytes()...)
	b = append(b, k.sealing.Bytes()...)
	Do(func() {
		hash := sha256.Sum256(b)
		copy(encoded.Bytes()[len(b):], hash[:deviceChecksum])
	})
	return encoded
}

// SigningKey returns the Ed25519 public key that verifies segments.
func (k *DeviceKey) SigningKey() ed25519.PublicKey { return k.signingKey }

// SealingKey returns the MLKEM768X25519 public key to which the epochs of class
// management are wrapped.
func (k *DeviceKey) SealingKey() []byte { return k.sealingKey }

// Derive returns 32 bytes that only this device key can make, different for
// each label.
func (k *DeviceKey) Derive(label string) *Secret {
	secret, err := derive(k.sealing, nil, labelDerivedOfDaemon+label)
	if err != nil {
		panic("seal: use of a destroyed device key")
	}
	return secret
}

// Sign signs message as it is with Ed25519: a checkpoint, for instance. It
// panics after Destroy.
func (k *DeviceKey) Sign(message []byte) []byte {
	signature := make([]byte, ed25519.SignatureSize)
	Do(func() { copy(signature, ed25519.Sign(k.signing, message)) })
	return signature
}

// Opener returns an Opener for segments of the classes management and open.
// Destroy it before the key.
func (k *DeviceKey) Opener(store StoreID, wraps WrapSource) *Opener {
	return newOpener(store, wraps, k.sealing, k.sealingKey, Management)
}

// Destroy wipes the key. Calling it again does nothing.
func (k *DeviceKey) Destroy() {
	k.sealing.Destroy()
	k.seed.Destroy()
	clear(k.signing)
	k.signing = nil
}
