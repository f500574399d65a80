package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// ErrTampered means that something of the log or the key directory is not what
// was written: altered, malformed, or put in another's place.
var ErrTampered = errors.New("tampered with or damaged")

// ErrNotRecipient means that an epoch was not wrapped to the key that tries to
// open it.
var ErrNotRecipient = errors.New("not sealed to this key")

// A wrap file of version 1 is what an epoch begins with. One of version 2 holds the same root for
// the store's next keys, and says under the owner's signature for which file it stands.
const (
	wrapVersion   = 1
	rewrapVersion = 2
	maxRecipients = 16
	maxWrap       = 64 << 10
)

// newWrap wraps the root of an epoch to each recipient and returns the content
// of the wrap file, a serialized pb.EpochWrap.
func newWrap(store StoreID, class Class, number uint64, root *Secret, recipients [][]byte) ([]byte, error) {
	if len(recipients) == 0 || len(recipients) > maxRecipients {
		return nil, fmt.Errorf("%d recipients, want 1 to %d", len(recipients), maxRecipients)
	}
	wrap := &pb.EpochWrap{Version: wrapVersion, Store: store[:], Class: uint32(class), Epoch: number}
	for i, public := range recipients {
		sealed, err := wrapTo(public, wrapInfo(store, class, number, public), root)
		if err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i, err)
		}
		hash := sha256.Sum256(public)
		wrap.Keys = append(wrap.Keys, &pb.WrappedKey{Recipient: hash[:], Sealed: sealed})
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(wrap)
}

// parseWrap checks everything about a wrap file that needs no key.
func parseWrap(content []byte, store StoreID, class Class, number uint64) (*pb.EpochWrap, error) {
	wrap := new(pb.EpochWrap)
	if len(content) > maxWrap || proto.Unmarshal(content, wrap) != nil || len(wrap.ProtoReflect().GetUnknown()) > 0 {
		return nil, fmt.Errorf("malformed wrap: %w", ErrTampered)
	}
	switch wrap.Version {
	case wrapVersion:
		if len(wrap.Origin)+len(wrap.Signature) > 0 {
			return nil, fmt.Errorf("malformed wrap: %w", ErrTampered)
		}
	case rewrapVersion:
		if len(wrap.Origin) != hashSize || !bytes.HasSuffix(content, append([]byte(rewrapSignatureTag), wrap.Signature...)) || len(wrap.Signature) != signatureSize {
			return nil, fmt.Errorf("malformed wrap: %w", ErrTampered)
		}
	default:
		return nil, fmt.Errorf("wrap version %d is not known: %w", wrap.Version, ErrTampered)
	}
	if !bytes.Equal(wrap.Store, store[:]) || wrap.Class != uint32(class) || wrap.Epoch != number {
		return nil, fmt.Errorf("wrap of another store, class or epoch: %w", ErrTampered)
	}
	if len(wrap.Keys) == 0 || len(wrap.Keys) > maxRecipients {
		return nil, fmt.Errorf("wrap with %d keys: %w", len(wrap.Keys), ErrTampered)
	}
	for _, k := range wrap.Keys {
		if len(k.Recipient) != hashSize || len(k.Sealed) != wrappedKeySize || len(k.ProtoReflect().GetUnknown()) > 0 {
			return nil, fmt.Errorf("malformed wrapped key: %w", ErrTampered)
		}
	}
	return wrap, nil
}

// WrapOrigin returns the SHA-256 of the wrap file that an epoch began with, by which its segments
// name it, of that file or of one that stands for it. Nothing about the file is checked.
func WrapOrigin(content []byte) [32]byte {
	wrap := new(pb.EpochWrap)
	if proto.Unmarshal(content, wrap) == nil && wrap.Version == rewrapVersion && len(wrap.Origin) == hashSize {
		return [32]byte(wrap.Origin)
	}
	return sha256.Sum256(content)
}

// CheckWrap checks, without a key, that content is the wrap which the segment says it was
// sealed under, or stands for it, and is wrapped to the store's keys. The error is ErrTampered.
func (s Segment) CheckWrap(content []byte, keys PublicKeys) error {
	if WrapOrigin(content) != s.WrapHash {
		return fmt.Errorf("another wrap than when it was written: %w", ErrTampered)
	}
	return CheckWrap(content, keys, s.Class, s.Epoch)
}

// CheckWrap checks, without a key, that content is a wrap of an epoch to the store's keys, which
// the owner has signed unless it is the one that the epoch began with. The error is ErrTampered.
func CheckWrap(content []byte, keys PublicKeys, class Class, epoch uint64) error {
	wrap, err := parseWrap(content, keys.Store, class, epoch)
	if err != nil {
		return err
	}
	if recipientOf(wrap, keys.StoreKey) == nil {
		return fmt.Errorf("wrap to other keys than the store's: %w", ErrTampered)
	}
	if wrap.Version != rewrapVersion {
		return nil
	}
	signed := content[:len(content)-len(rewrapSignatureTag)-signatureSize]
	if len(keys.OwnerKey) != ed25519.PublicKeySize || !ed25519.Verify(keys.OwnerKey, append([]byte(labelRewrap), signed...), wrap.Signature) {
		return fmt.Errorf("wrap that the owner has not signed: %w", ErrTampered)
	}
	return nil
}

// recipientOf returns the wrapped key for a public key, nil if there is none.
func recipientOf(wrap *pb.EpochWrap, public []byte) *pb.WrappedKey {
	recipient := sha256.Sum256(public)
	for _, k := range wrap.Keys {
		if bytes.Equal(k.Recipient, recipient[:]) {
			return k
		}
	}
	return nil
}

// openWrap returns the root of an epoch. The errors are ErrTampered,
// ErrNotRecipient and ErrDestroyed.
func openWrap(content []byte, store StoreID, class Class, number uint64, private *Secret, public []byte) (*Secret, error) {
	wrap, err := parseWrap(content, store, class, number)
	if err != nil {
		return nil, err
	}
	k := recipientOf(wrap, public)
	if k == nil {
		return nil, ErrNotRecipient
	}
	root, err := unwrap(private, wrapInfo(store, class, number, public), k.Sealed)
	if errors.Is(err, ErrDestroyed) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("wrapped key does not open: %w", ErrTampered)
	}
	return root, nil
}

// wrapInfo binds a wrapped key to where it belongs.
func wrapInfo(store StoreID, class Class, number uint64, recipient []byte) []byte {
	hash := sha256.Sum256(recipient)
	info := append([]byte(labelEpoch), store[:]...)
	info = append(info, byte(class))
	info = binary.BigEndian.AppendUint64(info, number)
	return append(info, hash[:]...)
}
