package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sizes in bytes.
const (
	keySize        = 32
	tagSize        = 16
	hashSize       = sha256.Size
	signatureSize  = 64
	publicKeySize  = 1184 + 32 // ML-KEM-768, X25519
	encapsulation  = 1088 + 32
	hpkeOverhead   = encapsulation + tagSize
	wrappedKeySize = keySize + hpkeOverhead
)

// Every key is used for one purpose, and every signature and derivation starts
// with a label that names it. A label ends with a zero byte, so that none is
// the beginning of another. They are part of the formats and never change.
const (
	labelEpoch           = "healthledger/v1 epoch\x00"
	labelRewrap          = "healthledger/v1 rewrap\x00"
	labelChain           = "healthledger/v1 chain\x00"
	labelStep            = "healthledger/v1 step\x00"
	labelSegmentKey      = "healthledger/v1 segment key\x00"
	labelSegment         = "healthledger/v1 segment\x00"
	labelResealed        = "healthledger/v1 resealed\x00"
	labelResealedKey     = "healthledger/v1 resealed key\x00"
	labelKeyring         = "healthledger/v1 keyring\x00"
	labelPassphraseBox   = "healthledger/v1 passphrase box\x00"
	labelRecoveryBox     = "healthledger/v1 recovery box\x00"
	labelRecoveryKey     = "healthledger/v1 recovery key\x00"
	labelDecision        = "healthledger/v1 decision\x00"
	labelRekeying        = "healthledger/v1 rekeying\x00"
	labelOffer           = "healthledger/v1 offer\x00"
	labelBox             = "healthledger/v1 box\x00"
	labelToken           = "healthledger/v1 token\x00"
	labelDerivedOfOwner  = "healthledger/v1 derived of owner\x00"
	labelDerivedOfDaemon = "healthledger/v1 derived of device\x00"
)

// The one HPKE suite (RFC 9180, draft-ietf-hpke-pq): a hybrid, so that a
// recording of today stays closed to a quantum computer of tomorrow.
var (
	suiteKEM  = hpke.MLKEM768X25519
	suiteKDF  = hpke.HKDFSHA256
	suiteAEAD = hpke.AES256GCM
)

// newKey returns 32 random bytes.
func newKey() *Secret {
	s := NewSecret(keySize)
	rand.Read(s.Bytes())
	return s
}

// publicKeyOf returns the HPKE public key of a private one.
func publicKeyOf(private *Secret) ([]byte, error) {
	seed, err := private.hold()
	if err != nil {
		return nil, err
	}
	defer private.release()
	public := make([]byte, publicKeySize)
	Do(func() {
		key, e := suiteKEM().NewPrivateKey(seed)
		if e != nil {
			err = e
			return
		}
		copy(public, key.PublicKey().Bytes())
	})
	return public, err
}

// wrapTo encrypts secret to an HPKE public key.
func wrapTo(public, info []byte, secret *Secret) ([]byte, error) {
	plaintext, err := secret.hold()
	if err != nil {
		return nil, err
	}
	defer secret.release()
	sealed := make([]byte, len(plaintext)+hpkeOverhead)
	Do(func() {
		key, e := suiteKEM().NewPublicKey(public)
		if e != nil {
			err = e
			return
		}
		var b []byte
		if b, err = hpke.Seal(key, suiteKDF(), suiteAEAD(), info, plaintext); err == nil {
			copy(sealed, b)
		}
	})
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

// unwrap decrypts what wrapTo made.
func unwrap(private *Secret, info, sealed []byte) (*Secret, error) {
	seed, err := private.hold()
	if err != nil {
		return nil, err
	}
	defer private.release()
	var secret *Secret
	Do(func() {
		key, e := suiteKEM().NewPrivateKey(seed)
		if e != nil {
			err = e
			return
		}
		plaintext, e := hpke.Open(key, suiteKDF(), suiteAEAD(), info, sealed)
		if e != nil {
			err = e
			return
		}
		if len(plaintext) == 0 {
			err = errors.New("nothing is wrapped")
			return
		}
		secret = SecretFrom(plaintext)
	})
	return secret, err
}

// derive returns 32 bytes of HKDF-SHA256 (RFC 5869).
func derive(key *Secret, salt []byte, info string) (*Secret, error) {
	ikm, err := key.hold()
	if err != nil {
		return nil, err
	}
	defer key.release()
	var secret *Secret
	Do(func() {
		b, e := hkdf.Key(sha256.New, ikm, salt, info, keySize)
		if e != nil {
			err = e
			return
		}
		secret = SecretFrom(b)
	})
	return secret, err
}

// maxInfo is the longest info that expand takes.
const maxInfo = 64

// expand is HKDF-Expand of RFC 5869 with SHA-256 for one block of output. It
// allocates nothing: the ratchet needs three of them per segment, and what is
// not on the heap needs no collector to disappear. It must be called inside Do.
// out and key may be the same.
func expand(out, key []byte, info []byte) {
	if len(key) != keySize || len(out) != keySize || len(info) > maxInfo {
		panic("seal: expand works on 32-byte keys and short infos")
	}
	// HMAC(key, info, 1): the block of the key, then the message.
	var inner [sha256.BlockSize + maxInfo + 1]byte
	var outer [sha256.BlockSize + hashSize]byte
	for i := range sha256.BlockSize {
		inner[i], outer[i] = 0x36, 0x5c
	}
	for i, b := range key {
		inner[i] ^= b
		outer[i] ^= b
	}
	n := sha256.BlockSize + copy(inner[sha256.BlockSize:], info)
	inner[n] = 1
	digest := sha256.Sum256(inner[:n+1])
	copy(outer[sha256.BlockSize:], digest[:])
	digest = sha256.Sum256(outer[:])
	copy(out, digest[:])
	clear(inner[:])
	clear(outer[:])
	clear(digest[:])
}

// gcm is AES-256-GCM under one key, whose schedule can be wiped: the standard
// library keeps it on the heap, and the collector may be minutes away.
type gcm struct {
	block cipher.Block
	aead  cipher.AEAD
}

// newGCM must be called inside Do, and wipe after use.
func newGCM(key []byte) gcm {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: AES-256 takes 32 bytes")
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("seal: GCM takes AES")
	}
	return gcm{block, aead}
}

func (g gcm) wipe() {
	wipe(g.block)
	wipe(g.aead)
}

// newXChaCha returns XChaCha20-Poly1305. It must be called inside Do, and what it
// returned wiped after use: it holds a copy of the key.
func newXChaCha(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("seal: XChaCha20-Poly1305 takes 32 bytes")
	}
	return aead
}

// wipe zeroes what a pointer points to.
func wipe(v any) {
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer {
		p.Elem().SetZero()
	}
}
