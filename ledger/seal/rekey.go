package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// A store gets other keys when its owner fears that somebody has the ones it has. What the log
// holds stays as it is: the roots of its epochs are wrapped to the new keys, and the wraps to the
// old ones destroyed.

// Rekey makes new keys for the store, and returns the keyring file that keeps them under the
// passphrase, at the cost of this one, and to the same recovery words, and the keys themselves,
// which the caller destroys. The passphrase has 1 to [MaxPassphrase] bytes and remains the
// caller's to wipe.
func (k *Keyring) Rekey(passphrase []byte) (keyring []byte, keys *OwnerKeys, err error) {
	if err = CheckPassphrase(passphrase); err == nil {
		keys, err = newOwnerKeys(k.store, newKey(), newKey())
	}
	if err == nil {
		keyring, err = keys.keyring(k.file.RecoveryKey, k.FirstOwnerKey(), passphrase, k.cost)
	}
	if err != nil {
		keys.Destroy()
		return nil, nil, fmt.Errorf("make new keys for %v: %w", k.store, err)
	}
	return keyring, keys, nil
}

// Succeeds tells whether a keyring is one that Rekey could have made of another: of the same store,
// opened by the same words, with the same first owner's key, and with other keys.
func (k *Keyring) Succeeds(before *Keyring) bool {
	return k.store == before.store && k.file.Version == rekeyedVersion &&
		bytes.Equal(k.file.RecoveryKey, before.file.RecoveryKey) && k.FirstOwnerKey().Equal(before.FirstOwnerKey()) &&
		!k.OwnerKey().Equal(before.OwnerKey()) && !bytes.Equal(k.StoreKey(), before.StoreKey())
}

// Rewrap returns the wrap file that holds the root of an epoch for a store's next keys, and for the
// device with the given public key where it held it for that. It stands for the file that the epoch
// began with. The errors are ErrTampered, ErrNotRecipient and ErrDestroyed.
func Rewrap(content []byte, class Class, epoch uint64, from, to *OwnerKeys, device []byte) ([]byte, error) {
	next, err := rewrap(content, class, epoch, from, to, device)
	if err != nil {
		return nil, fmt.Errorf("wrap %v epoch %d of %v again: %w", class, epoch, from.public.Store, err)
	}
	return next, nil
}

func rewrap(content []byte, class Class, epoch uint64, from, to *OwnerKeys, device []byte) ([]byte, error) {
	store := from.public.Store
	wrap, err := parseWrap(content, store, class, epoch)
	if err != nil {
		return nil, err
	}
	root, err := openWrap(content, store, class, epoch, from.sealing, from.public.StoreKey)
	if err != nil {
		return nil, err
	}
	defer root.Destroy()
	first, err := newWrap(store, class, epoch, root, [][]byte{to.public.StoreKey})
	if err != nil {
		return nil, err
	}
	next, origin := new(pb.EpochWrap), WrapOrigin(content)
	if err := proto.Unmarshal(first, next); err != nil {
		return nil, err
	}
	next.Version, next.Origin = rewrapVersion, origin[:]
	if k := recipientOf(wrap, device); k != nil {
		next.Keys = append(next.Keys, k)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(next)
	if err != nil {
		return nil, err
	}
	signature := to.Sign(append([]byte(labelRewrap), b...))
	b = append(append(b, rewrapSignatureTag...), signature...)
	// The file that it stands for is to be destroyed.
	again, err := openWrap(b, store, class, epoch, to.sealing, to.public.StoreKey)
	if err != nil {
		return nil, err
	}
	defer again.Destroy()
	if subtle.ConstantTimeCompare(again.Bytes(), root.Bytes()) != 1 {
		return nil, errors.New("another root comes out than went in")
	}
	return b, nil
}

// CheckRewrap checks, without a key, that one wrap can take the place of another when the store
// gets the given keys: for the same file that the epoch began with, and with the key of the device
// if that was there. The error is ErrTampered.
func CheckRewrap(before, after []byte, class Class, epoch uint64, keys PublicKeys, device []byte) error {
	was, err := parseWrap(before, keys.Store, class, epoch)
	if err != nil {
		return err
	}
	if err := CheckWrap(after, keys, class, epoch); err != nil {
		return err
	}
	is, err := parseWrap(after, keys.Store, class, epoch)
	if err != nil {
		return err
	}
	if WrapOrigin(before) != WrapOrigin(after) || !proto.Equal(recipientOf(was, device), recipientOf(is, device)) {
		return fmt.Errorf("wrap that does not stand for the one before: %w", ErrTampered)
	}
	return nil
}

// SignRekeying has a store's next keys sign that they take over from an owner's key, after the
// decision with the given SHA-256. It fills in everything but the hash of the keyring.
func SignRekeying(next *OwnerKeys, from ed25519.PublicKey, previous []byte, r *pb.StoreRekeyed) {
	r.StoreKey, r.OwnerKey = next.public.StoreKey, next.public.OwnerKey
	r.Accepted = next.Sign(rekeyingMessage(next.public.Store, from, previous, r))
}

// VerifyRekeying checks what [SignRekeying] made. The error is ErrSignature.
func VerifyRekeying(from ed25519.PublicKey, store StoreID, previous []byte, r *pb.StoreRekeyed) error {
	if len(from) != ed25519.PublicKeySize || len(previous) != sha256.Size || len(r.GetKeyring()) != sha256.Size ||
		len(r.GetStoreKey()) != publicKeySize || len(r.GetOwnerKey()) != ed25519.PublicKeySize || bytes.Equal(r.GetOwnerKey(), from) ||
		!ed25519.Verify(r.GetOwnerKey(), rekeyingMessage(store, from, previous, r), r.GetAccepted()) {
		return fmt.Errorf("next keys of %v: %w", store, ErrSignature)
	}
	return nil
}

func rekeyingMessage(store StoreID, from ed25519.PublicKey, previous []byte, r *pb.StoreRekeyed) []byte {
	message := append([]byte(labelRekeying), store[:]...)
	for _, field := range [][]byte{from, previous, r.GetKeyring(), r.GetStoreKey(), r.GetOwnerKey()} {
		message = append(message, field...) // each has a fixed length
	}
	return message
}
