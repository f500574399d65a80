package seal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// ErrSignature means that a signature is not the expected key's over exactly
// these bytes.
var ErrSignature = errors.New("signature does not match")

// OwnerKeys are the private keys of a store: one opens its segments, one signs
// the owner's decisions. Only a projector holds them, and init for a moment.
// They are safe for concurrent use; after Destroy every operation either
// returns ErrDestroyed or, where there is no error to return, panics.
type OwnerKeys struct {
	public  PublicKeys
	sealing *Secret // MLKEM768X25519 private key
	signing *Secret // Ed25519 seed
}

// PublicKeys are the public halves, which anyone may know.
type PublicKeys struct {
	Store StoreID
	// StoreKey is the MLKEM768X25519 public key to which epochs are wrapped.
	StoreKey []byte
	// OwnerKey verifies the owner's signatures.
	OwnerKey ed25519.PublicKey
}

// newOwnerKeys takes over both secrets, also when it fails.
func newOwnerKeys(store StoreID, sealing, signing *Secret) (*OwnerKeys, error) {
	k := &OwnerKeys{sealing: sealing, signing: signing}
	storeKey, err := publicKeyOf(sealing)
	if err != nil {
		k.Destroy()
		return nil, err
	}
	k.public = PublicKeys{Store: store, StoreKey: storeKey, OwnerKey: verifierOf(signing)}
	return k, nil
}

// verifierOf returns the public key of an Ed25519 seed.
func verifierOf(seed *Secret) ed25519.PublicKey {
	public := make([]byte, ed25519.PublicKeySize)
	Do(func() {
		private := ed25519.NewKeyFromSeed(seed.Bytes())
		copy(public, private[ed25519.SeedSize:])
		clear(private)
	})
	return public
}

// PublicKeys returns the public halves.
func (k *OwnerKeys) PublicKeys() PublicKeys { return k.public }

// Sign signs message as it is with Ed25519: a checkpoint, for instance. A
// decision is signed with [SignDecision].
func (k *OwnerKeys) Sign(message []byte) []byte {
	seed, err := k.signing.hold()
	if err != nil {
		panic("seal: use of destroyed owner keys")
	}
	defer k.signing.release()
	signature := make([]byte, ed25519.SignatureSize)
	Do(func() {
		// crypto/ed25519 takes a key on the heap only, and remembers its
		// expanded form until the collector has seen the key go; Do has both
		// erased then.
		private := append(append(make(ed25519.PrivateKey, 0, ed25519.PrivateKeySize), seed...), k.public.OwnerKey...)
		copy(signature, ed25519.Sign(private, message))
		clear(private)
	})
	return signature
}

// Derive returns 32 bytes that only the owner's keys can make, different for
// each label.
func (k *OwnerKeys) Derive(label string) *Secret {
	secret, err := derive(k.sealing, k.public.Store[:], labelDerivedOfOwner+label)
	if err != nil {
		panic("seal: use of destroyed owner keys")
	}
	return secret
}

// Opener returns an Opener for segments of every class. Destroy it before the
// keys.
func (k *OwnerKeys) Opener(store StoreID, wraps WrapSource) *Opener {
	return newOpener(store, wraps, k.sealing, k.public.StoreKey, Health, Management)
}

// Destroy wipes the keys. Calling it again, or on nil, does nothing.
func (k *OwnerKeys) Destroy() {
	if k == nil {
		return
	}
	k.sealing.Destroy()
	k.signing.Destroy()
}

// SignDecision signs a decision of the owner for one store. What makes a replay
// visible, the number and the hash of the decision before, is part of decision.
func SignDecision(keys *OwnerKeys, store StoreID, decision []byte) []byte {
	return keys.Sign(decisionMessage(store, decision))
}

// VerifyDecision checks what [SignDecision] made. The error is ErrSignature.
func VerifyDecision(ownerKey ed25519.PublicKey, store StoreID, decision, signature []byte) error {
	if len(ownerKey) != ed25519.PublicKeySize || !ed25519.Verify(ownerKey, decisionMessage(store, decision), signature) {
		return fmt.Errorf("decision of the owner of %v: %w", store, ErrSignature)
	}
	return nil
}

func decisionMessage(store StoreID, decision []byte) []byte {
	message := make([]byte, 0, len(labelDecision)+len(store)+len(decision))
	message = append(message, labelDecision...)
	message = append(message, store[:]...)
	return append(message, decision...)
}
