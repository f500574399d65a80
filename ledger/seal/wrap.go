package seal

import (
	"bytes"
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

const (
	wrapVersion   = 1
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
	if wrap.Version != wrapVersion {
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

// CheckWrap checks, without a key, that content is the wrap which the segment says it was
// sealed under. The error is ErrTampered.
func (s Segment) CheckWrap(content []byte, store StoreID) error {
	if sha256.Sum256(content) != s.WrapHash {
		return fmt.Errorf("another wrap than when it was written: %w", ErrTampered)
	}
	_, err := parseWrap(content, store, s.Class, s.Epoch)
	return err
}

// openWrap returns the root of an epoch. The errors are ErrTampered,
// ErrNotRecipient and ErrDestroyed.
func openWrap(content []byte, store StoreID, class Class, number uint64, private *Secret, public []byte) (*Secret, error) {
	wrap, err := parseWrap(content, store, class, number)
	if err != nil {
		return nil, err
	}
	recipient := sha256.Sum256(public)
	for _, k := range wrap.Keys {
		if !bytes.Equal(k.Recipient, recipient[:]) {
			continue
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
	return nil, ErrNotRecipient
}

// wrapInfo binds a wrapped key to where it belongs.
func wrapInfo(store StoreID, class Class, number uint64, recipient []byte) []byte {
	hash := sha256.Sum256(recipient)
	info := append([]byte(labelEpoch), store[:]...)
	info = append(info, byte(class))
	info = binary.BigEndian.AppendUint64(info, number)
	return append(info, hash[:]...)
}
