package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/crypto/argon2"
	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// ErrWrongPassphrase means that the keyring does not open with a passphrase.
var ErrWrongPassphrase = errors.New("wrong passphrase")

const (
	keyringVersion = 1
	// rekeyedVersion is of a keyring whose store did not begin with its keys.
	rekeyedVersion = 2
	maxKeyring     = 16 << 10
	saltSize       = 16
	privateSize    = 2 * keySize // sealing key, signing seed

	// The signature is at the end of the file, so that what it signs is every
	// byte before: tag of field 9, length, 64 bytes; of a wrap file field 7.
	signatureTag       = "\x4a\x40"
	rewrapSignatureTag = "\x3a\x40"
)

// Cost is what one try of a passphrase costs: the parameters of Argon2id (RFC
// 9106).
type Cost struct {
	Time      uint32 // passes over the memory
	MemoryKiB uint32
	Threads   uint8
}

// DefaultCost is the second recommendation of RFC 9106, section 4, for machines
// that cannot spare 2 GiB: 80 ms and 64 MiB.
var DefaultCost = Cost{Time: 3, MemoryKiB: 64 << 10, Threads: 4}

// MinCost is the least that is accepted (OWASP's minimum): 20 ms and 19 MiB.
var MinCost = Cost{Time: 2, MemoryKiB: 19 << 10, Threads: 1}

// check bounds the cost from below, so that a keyring protects, and from above,
// so that a foreign file cannot take the machine's memory: at most 2 GiB, which
// is the first recommendation of RFC 9106, and 16 GiB written in all.
func (c Cost) check() error {
	work := uint64(c.Time) * uint64(c.MemoryKiB)
	switch {
	case c.Time < 1 || c.MemoryKiB < 19<<10 || work < 2*(19<<10) || c.Threads < 1:
		return errors.New("Argon2 cost is below the minimum")
	case c.MemoryKiB > 2<<20 || work > 16<<20 || c.Threads > 16:
		return errors.New("Argon2 cost is above the maximum")
	}
	return nil
}

// Keyring is a parsed keyring file: public keys in the clear, private ones
// encrypted under the passphrase and to the recovery key.
type Keyring struct {
	file  *pb.Keyring
	store StoreID
	cost  Cost
	hash  [32]byte
}

// NewKeyring makes the keys of a store, and returns the keyring file that keeps
// them, the 24 recovery words (which exist nowhere else; show them once) and
// the keys themselves, which the caller destroys. The passphrase has 1 to
// [MaxPassphrase] bytes and remains the caller's to wipe.
func NewKeyring(store StoreID, passphrase []byte, cost Cost) (keyring []byte, words string, keys *OwnerKeys, err error) {
	defer func() {
		if err != nil {
			keys.Destroy()
			keyring, words, keys, err = nil, "", nil, fmt.Errorf("make the keyring of %v: %w", store, err)
		}
	}()
	if err = CheckPassphrase(passphrase); err != nil {
		return
	}
	if err = cost.check(); err != nil {
		return
	}
	if keys, err = newOwnerKeys(store, newKey(), newKey()); err != nil {
		return
	}
	entropy := newKey()
	defer entropy.Destroy()
	Do(func() { words, err = wordsOf(entropy.Bytes()) })
	if err != nil {
		return
	}
	recovery, recoveryKey, err := recoveryPair(store, entropy)
	if err != nil {
		return
	}
	recovery.Destroy()

	keyring, err = keys.keyring(recoveryKey, nil, passphrase, cost)
	return
}

// keyring writes the keys to a keyring file, encrypted under the passphrase and to the
// recovery key. The first owner's key is nil in a store that began with these keys.
func (k *OwnerKeys) keyring(recoveryKey, first, passphrase []byte, cost Cost) ([]byte, error) {
	file := &pb.Keyring{
		Version: keyringVersion, Store: k.public.Store[:],
		StoreKey: k.public.StoreKey, OwnerKey: k.public.OwnerKey, RecoveryKey: recoveryKey, FirstOwnerKey: first,
		Argon2: &pb.Argon2{Salt: make([]byte, saltSize), Time: cost.Time, MemoryKib: cost.MemoryKiB, Threads: uint32(cost.Threads)},
	}
	rand.Read(file.Argon2.Salt)
	if first != nil {
		file.Version = rekeyedVersion
	}
	private := NewSecret(privateSize)
	defer private.Destroy()
	copy(private.Bytes(), k.sealing.Bytes())
	copy(private.Bytes()[keySize:], k.signing.Bytes())

	key := passphraseKey(passphrase, file.Argon2.Salt, cost)
	defer key.Destroy()
	var err error
	if file.PassphraseBox, err = Box(key, labelPassphraseBox+binding(file), private.Bytes()); err != nil {
		return nil, err
	}
	if file.RecoveryBox, err = wrapTo(recoveryKey, []byte(labelRecoveryBox+binding(file)), private); err != nil {
		return nil, err
	}
	keyring, err := proto.MarshalOptions{Deterministic: true}.Marshal(file)
	if err != nil {
		return nil, err
	}
	signature := k.Sign(append([]byte(labelKeyring), keyring...))
	return append(append(keyring, signatureTag...), signature...), nil
}

// ParseKeyring checks the form of a keyring file and its owner's signature,
// which shows that the file is whole, not whose it is: the caller compares the
// public keys with those it has pinned. The error is ErrTampered.
func ParseKeyring(content []byte) (*Keyring, error) {
	malformed := func(what string) (*Keyring, error) {
		return nil, fmt.Errorf("keyring with %s: %w", what, ErrTampered)
	}
	file := new(pb.Keyring)
	if len(content) > maxKeyring || proto.Unmarshal(content, file) != nil {
		return malformed("a malformed message")
	}
	first := 0
	switch file.Version {
	case keyringVersion:
	case rekeyedVersion:
		first = ed25519.PublicKeySize
	default:
		return malformed("an unknown version")
	}
	if len(file.ProtoReflect().GetUnknown())+len(file.GetArgon2().ProtoReflect().GetUnknown()) > 0 {
		return malformed("unknown fields")
	}
	k := &Keyring{file: file, hash: sha256.Sum256(content)}
	if copy(k.store[:], file.Store) != len(file.Store) || len(file.Store) != len(k.store) ||
		len(file.StoreKey) != publicKeySize || len(file.OwnerKey) != ed25519.PublicKeySize || len(file.RecoveryKey) != publicKeySize ||
		len(file.FirstOwnerKey) != first ||
		len(file.GetArgon2().GetSalt()) != saltSize ||
		len(file.PassphraseBox) != privateSize+BoxOverhead || len(file.RecoveryBox) != privateSize+hpkeOverhead ||
		len(file.Signature) != signatureSize {
		return malformed("a field of the wrong length")
	}
	threads := file.Argon2.Threads
	k.cost = Cost{Time: file.Argon2.Time, MemoryKiB: file.Argon2.MemoryKib, Threads: uint8(min(threads, 255))}
	if k.cost.check() != nil {
		return malformed("an Argon2 cost that is not allowed")
	}
	end := len(content) - len(signatureTag) - signatureSize
	if !bytes.Equal(content[end:], append([]byte(signatureTag), file.Signature...)) {
		return malformed("its signature not at the end")
	}
	if !ed25519.Verify(file.OwnerKey, append([]byte(labelKeyring), content[:end]...), file.Signature) {
		return malformed("a signature that does not match")
	}
	return k, nil
}

// Store returns whose keyring it is.
func (k *Keyring) Store() StoreID { return k.store }

// StoreKey returns the MLKEM768X25519 public key to which epochs are wrapped.
func (k *Keyring) StoreKey() []byte { return k.file.StoreKey }

// OwnerKey returns the public key that verifies the owner's signatures.
func (k *Keyring) OwnerKey() ed25519.PublicKey { return k.file.OwnerKey }

// FirstOwnerKey returns the public key that verifies the owner's first decisions, up to that which
// gave the store other keys.
func (k *Keyring) FirstOwnerKey() ed25519.PublicKey {
	if k.file.Version == rekeyedVersion {
		return k.file.FirstOwnerKey
	}
	return k.OwnerKey()
}

// PublicKeys returns the store's public keys.
func (k *Keyring) PublicKeys() PublicKeys {
	return PublicKeys{Store: k.store, StoreKey: k.StoreKey(), OwnerKey: k.OwnerKey()}
}

// RecoveryKey returns the MLKEM768X25519 public key derived from the recovery
// words.
func (k *Keyring) RecoveryKey() []byte { return k.file.RecoveryKey }

// Hash returns the SHA-256 of the file.
func (k *Keyring) Hash() [32]byte { return k.hash }

// Open decrypts the private keys with the passphrase, which remains the
// caller's to wipe. The errors are ErrWrongPassphrase, and ErrTampered for
// private keys that do not belong to the public ones.
func (k *Keyring) Open(passphrase []byte) (*OwnerKeys, error) {
	key := passphraseKey(passphrase, k.file.Argon2.Salt, k.cost)
	defer key.Destroy()
	private, err := UnboxSecret(key, labelPassphraseBox+binding(k.file), k.file.PassphraseBox)
	if err != nil {
		return nil, fmt.Errorf("open the keyring of %v: %w", k.store, ErrWrongPassphrase)
	}
	return k.keys(private)
}

// Rewrap returns the keyring file that keeps the same keys under another passphrase of 1 to
// [MaxPassphrase] bytes, which remains the caller's to wipe, at the cost of this one. The
// words stay the same.
func (k *Keyring) Rewrap(keys *OwnerKeys, passphrase []byte) ([]byte, error) {
	err := CheckPassphrase(passphrase)
	if err != nil {
		return nil, fmt.Errorf("change the passphrase of %v: %w", k.store, err)
	}
	if keys.public.Store != k.store || !bytes.Equal(keys.public.StoreKey, k.file.StoreKey) || !keys.public.OwnerKey.Equal(k.OwnerKey()) {
		return nil, fmt.Errorf("change the passphrase of %v: the keys are another keyring's", k.store)
	}
	keyring, err := keys.keyring(k.file.RecoveryKey, k.file.FirstOwnerKey, passphrase, k.cost)
	if err != nil {
		return nil, fmt.Errorf("change the passphrase of %v: %w", k.store, err)
	}
	return keyring, nil
}

// Recover decrypts the private keys with the 24 recovery words, whatever their
// case and white space. They remain the caller's to wipe. The errors are
// ErrWrongWords, and ErrTampered as in Open.
func (k *Keyring) Recover(words []byte) (*OwnerKeys, error) {
	entropy, err := parseWords(words)
	if err != nil {
		return nil, fmt.Errorf("recover the keyring of %v: %w", k.store, err)
	}
	defer entropy.Destroy()
	// The text is garbage that leads to the keys, as in passphraseKey.
	runtime.GC()
	recovery, public, err := recoveryPair(k.store, entropy)
	if err != nil {
		return nil, fmt.Errorf("recover the keyring of %v: %w", k.store, err)
	}
	defer recovery.Destroy()
	if !bytes.Equal(public, k.file.RecoveryKey) {
		return nil, fmt.Errorf("recover the keyring of %v: %w: they belong to another store", k.store, ErrWrongWords)
	}
	private, err := unwrap(recovery, []byte(labelRecoveryBox+binding(k.file)), k.file.RecoveryBox)
	if err != nil {
		return nil, fmt.Errorf("recover the keyring of %v: %w", k.store, ErrTampered)
	}
	return k.keys(private)
}

// keys takes over private and makes the owner's keys of it.
func (k *Keyring) keys(private *Secret) (*OwnerKeys, error) {
	defer private.Destroy()
	mismatch := fmt.Errorf("keyring of %v: the private keys do not belong to the public keys: %w", k.store, ErrTampered)
	b := private.Bytes()
	if len(b) != privateSize {
		return nil, mismatch
	}
	sealing, signing := NewSecret(keySize), NewSecret(keySize)
	copy(sealing.Bytes(), b[:keySize])
	copy(signing.Bytes(), b[keySize:])
	keys, err := newOwnerKeys(k.store, sealing, signing)
	if err != nil {
		return nil, mismatch
	}
	if !bytes.Equal(keys.public.StoreKey, k.file.StoreKey) || !keys.public.OwnerKey.Equal(k.OwnerKey()) {
		keys.Destroy()
		return nil, mismatch
	}
	return keys, nil
}

// passphraseKey runs Argon2id.
func passphraseKey(passphrase, salt []byte, cost Cost) *Secret {
	var key *Secret
	Do(func() {
		key = SecretFrom(argon2.IDKey(passphrase, salt, cost.Time, cost.MemoryKiB, cost.Threads, keySize))
	})
	// Its memory is garbage that leads to the key. Do has it erased when it is
	// collected, so collect it.
	runtime.GC()
	return key
}

// recoveryPair derives the recovery key pair from the entropy of the words.
func recoveryPair(store StoreID, entropy *Secret) (private *Secret, public []byte, err error) {
	if private, err = derive(entropy, store[:], labelRecoveryKey); err != nil {
		return nil, nil, err
	}
	if public, err = publicKeyOf(private); err != nil {
		private.Destroy()
		return nil, nil, err
	}
	return private, public, nil
}

// binding is the SHA-256 of everything about a keyring that is not encrypted.
// Bound to the ciphertexts of the private keys, it makes them useless beside
// other public keys.
func binding(file *pb.Keyring) string {
	h := sha256.New()
	for _, field := range [][]byte{file.Store, file.StoreKey, file.OwnerKey, file.RecoveryKey, file.Argon2.Salt} {
		h.Write(field) // each has a fixed length
	}
	var cost [12]byte
	binary.BigEndian.PutUint32(cost[0:], file.Argon2.Time)
	binary.BigEndian.PutUint32(cost[4:], file.Argon2.MemoryKib)
	binary.BigEndian.PutUint32(cost[8:], file.Argon2.Threads)
	h.Write(cost[:])
	h.Write(file.FirstOwnerKey) // in version 2 alone
	return string(h.Sum(nil))
}
