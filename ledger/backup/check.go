package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
)

// Why a store cannot be made of a log and a key directory.
var (
	// ErrForeign: a segment is not the log's, or a checkpoint not of it.
	ErrForeign = errors.New("not of this log")
	// ErrTooOld: the log is older than its key directory, or than a checkpoint that was kept.
	ErrTooOld = errors.New("the log is too old")
	// ErrKeysTooOld: the key directory is older than the log, and lacks a key of it.
	ErrKeysTooOld = errors.New("the keys are too old")
)

// A Check verifies the segments of a log, in order, without opening them: that each is signed
// by the device which the owner had enrolled there, that the log is the one of which the
// checkpoints were made, and that the key directory has what opens it. It needs no secret.
type Check struct {
	keys    *Keys
	keyring *seal.Keyring
	against *kept

	tree     tree.Tree
	device   log.Enrolment
	sealed   map[seal.Class][sha256.Size]byte // hash of the wrap that was checked last
	reached  bool                             // the checkpoint of the keys
	compared bool                             // with the one that was kept elsewhere
}

// kept is a checkpoint that was kept elsewhere.
type kept struct {
	tree.Checkpoint
	signed []byte
}

// NewCheck begins to check a log against its key directory, and a signed checkpoint that was
// kept elsewhere (empty: none). Errors: tree.ErrCheckpoint, and what says that the keyring is none.
func NewCheck(keys *Keys, against []byte) (*Check, error) {
	keyring, err := seal.ParseKeyring(keys.Find("keyring"))
	if err != nil {
		return nil, fmt.Errorf("the keyring of the backup: %w", err)
	}
	if keyring.Store() != keys.Store {
		return nil, fmt.Errorf("the keyring of the backup: %w", ErrOtherStore)
	}
	c := &Check{keys: keys, keyring: keyring, device: log.Enrolment{Owner: keyring.FirstOwnerKey()}, sealed: map[seal.Class][sha256.Size]byte{}}
	if len(against) > 0 {
		checkpoint, err := tree.ReadCheckpoint(against)
		if err != nil {
			return nil, err
		}
		c.against = &kept{checkpoint, against}
	}
	return c, nil
}

// Segment checks the next segment. Errors: ErrForeign, ErrKeysTooOld.
func (c *Check) Segment(sequence uint64, payload []byte) error {
	if sequence != c.tree.Size()+1 {
		return fmt.Errorf("segment %d: %w: it comes after segment %d", sequence, ErrForeign, c.tree.Size())
	}
	segment, err := seal.ParseSegment(payload)
	if err != nil {
		return fmt.Errorf("segment %d: %w: %w", sequence, ErrForeign, err)
	}
	if segment.Class == seal.Open {
		c.device = c.device.Next(c.keys.Store, segment.Body)
	}
	if c.device.Device == nil {
		return fmt.Errorf("segment %d: %w: its owner has enrolled no device", sequence, ErrForeign)
	}
	if err := segment.Verify(c.keys.Store, sequence, c.device.Device.GetSigningKey()); err != nil {
		return fmt.Errorf("segment %d: %w: %w", sequence, ErrForeign, err)
	}
	if err := c.wrapped(segment, sequence); err != nil {
		return err
	}
	c.tree.Append(tree.Leaf(payload))
	return c.compare()
}

// wrapped checks that the keys of a segment that is newer than the key directory are there.
// What an older one lacks it lacked when the backup was made.
func (c *Check) wrapped(segment seal.Segment, sequence uint64) error {
	if segment.Class == seal.Open || sequence <= c.keys.Size || c.sealed[segment.Class] == segment.WrapHash {
		return nil
	}
	wrap := c.keys.Find(log.WrapFile(segment.Class, segment.Epoch))
	if wrap == nil || segment.CheckWrap(wrap, c.keyring.PublicKeys()) != nil {
		return fmt.Errorf("%w: they were made at segment %d, and lack the key of %s epoch %d, from segment %d on",
			ErrKeysTooOld, c.keys.Size, segment.Class, segment.Epoch, sequence)
	}
	c.sealed[segment.Class] = segment.WrapHash
	return nil
}

// compare compares the log with the checkpoints that are of as many segments.
func (c *Check) compare() error {
	if c.tree.Size() == c.keys.Size {
		if err := c.Checkpoint(c.keys.Checkpoint); err != nil {
			return fmt.Errorf("the keys are of another log: %w", err)
		}
		c.reached = true
	}
	if c.against == nil || c.against.Size != c.tree.Size() {
		return nil
	}
	c.compared = true
	return c.Checkpoint(c.against.signed)
}

// Checkpoint checks a signed checkpoint of exactly the segments so far. Errors: ErrForeign.
func (c *Check) Checkpoint(signed []byte) error {
	key, err := tree.DeviceKey(c.keys.Store.String(), c.device.Device.GetSigningKey())
	if err != nil {
		return fmt.Errorf("checkpoint at segment %d: %w: %w", c.tree.Size(), ErrForeign, err)
	}
	checkpoint, err := tree.OpenCheckpoint(signed, key)
	if err != nil {
		return fmt.Errorf("checkpoint at segment %d: %w: %w", c.tree.Size(), ErrForeign, err)
	}
	if checkpoint.Size != c.tree.Size() || checkpoint.Root != c.tree.Root() {
		return fmt.Errorf("checkpoint at segment %d: %w: it was made of another one", c.tree.Size(), ErrForeign)
	}
	return nil
}

// Finish checks that neither the log nor the keys are too old. Errors: ErrTooOld, ErrKeysTooOld.
func (c *Check) Finish() error {
	if !c.reached {
		return fmt.Errorf("%w: it ends with segment %d, its keys were made at segment %d", ErrTooOld, c.tree.Size(), c.keys.Size)
	}
	if !c.owned() {
		return fmt.Errorf("%w: they were made at segment %d, and the store was given other keys since", ErrKeysTooOld, c.keys.Size)
	}
	if c.against == nil || c.compared {
		return nil
	}
	return fmt.Errorf("%w: it ends with segment %d, the checkpoint that was kept is of %d", ErrTooOld, c.tree.Size(), c.against.Size)
}

// owned tells whether the key directory has the keys to which the log's decisions lead, in use or
// staged.
func (c *Check) owned() bool {
	for _, f := range c.keys.Files {
		if strings.HasPrefix(f.Name, "keyring") {
			if k, err := seal.ParseKeyring(f.Content); err == nil && bytes.Equal(k.OwnerKey(), c.device.Owner) {
				return true
			}
		}
	}
	return false
}

// Size returns how many segments there were, and Root their root.
func (c *Check) Size() uint64    { return c.tree.Size() }
func (c *Check) Root() tree.Hash { return c.tree.Root() }
