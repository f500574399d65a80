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
	pb "healthledger/proto/healthledger/v1"
)

// Why a store cannot be made of a log and a key directory.
var (
	// ErrForeign: a segment is not the log's, or a checkpoint not of it.
	ErrForeign = errors.New("not of this log")
	// ErrTooOld: the log is older than its key directory, or than a checkpoint that was kept.
	ErrTooOld = errors.New("the log is too old")
	// ErrKeysTooOld: the key directory is older than the log, and lacks a key of it.
	ErrKeysTooOld = errors.New("the keys are too old")
	// ErrGone: segments are missing, and its owner has not accepted that, or a checkpoint that was
	// kept cannot be compared for it.
	ErrGone = errors.New("segments are missing")
)

// A Check verifies the segments of a log, in order, without opening them: that each is signed
// by the device which the owner had enrolled there, that the log is the one of which the
// checkpoints were made, and that the key directory has what opens it. What is gone, or has no
// key any more, its owner has accepted to have lost. It needs no secret, and is a Visitor.
type Check struct {
	keys    *Keys
	keyring *seal.Keyring
	against *kept

	tree     tree.Tree
	trail    *log.Trail
	sealed   map[seal.Class][sha256.Size]byte // hash of the wrap that was checked last
	reached  bool                             // the checkpoint of the keys
	compared bool                             // with the one that was kept elsewhere

	// What is gone by decisions that came beside the segments; the decisions that accept losses, by
	// their numbers, as they were told and as the log has them; and those that are lost.
	losses      log.Losses
	told, heard map[uint64][]byte
	forgotten   map[uint64]bool
	// Segments whose key is not there, and what says so of the first.
	unopened []log.Segments
	keyless  error
	accepted log.Losses
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
	c := &Check{
		keys: keys, keyring: keyring, trail: log.NewTrail(keys.Store, keyring.FirstOwnerKey()), sealed: map[seal.Class][sha256.Size]byte{},
		told: map[uint64][]byte{}, heard: map[uint64][]byte{}, forgotten: map[uint64]bool{},
	}
	if len(against) > 0 {
		checkpoint, err := tree.ReadCheckpoint(against)
		if err != nil {
			return nil, err
		}
		c.against = &kept{checkpoint, against}
	}
	return c, nil
}

// Segment checks the next segment. Errors: ErrForeign.
func (c *Check) Segment(sequence uint64, payload []byte) error {
	if sequence != c.tree.Size()+1 {
		return fmt.Errorf("segment %d: %w: it comes after segment %d", sequence, ErrForeign, c.tree.Size())
	}
	segment, err := seal.ParseSegment(payload)
	if err != nil {
		return fmt.Errorf("segment %d: %w: %w", sequence, ErrForeign, err)
	}
	if segment.Class == seal.Open {
		if err := c.hear(segment.Body); err != nil {
			return fmt.Errorf("segment %d: %w", sequence, err)
		}
	}
	if err := c.trail.Verify(segment, sequence); err != nil {
		return fmt.Errorf("segment %d: %w: %w", sequence, ErrForeign, err)
	}
	c.wrapped(segment, sequence)
	if err := c.losses.Append(&c.tree, sequence, tree.Leaf(payload)); err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return c.compare()
}

// hear takes the decisions in an open segment. What its owner has not signed means nothing.
func (c *Check) hear(body []byte) error {
	events, err := log.AllEvents(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	for _, event := range events {
		if d := event.GetDecision(); d != nil {
			if err := c.accept(c.trail.Follow(d), d, c.heard); err != nil {
				return err
			}
		}
	}
	return nil
}

// accept takes note of a decision that accepts a loss.
func (c *Check) accept(decision *pb.Decision, d *pb.SignedDecision, by map[uint64][]byte) error {
	loss := decision.GetLossAccepted()
	if loss == nil {
		return nil
	}
	by[decision.GetNumber()] = d.GetDecision()
	for _, number := range loss.GetDecisions() {
		c.forgotten[number] = true
	}
	if err := c.accepted.Accept(loss); err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return nil
}

// Gone checks that the owner has accepted that the next segments are gone. Whether the log has the
// decisions, or has lost them, too, shows at the end. Errors: ErrForeign, ErrGone.
func (c *Check) Gone(from, to uint64, decisions []*pb.SignedDecision) error {
	for _, d := range decisions {
		c.trail.Tell(d)
	}
	for _, d := range decisions {
		decision := c.trail.Signed(d)
		if decision == nil {
			return fmt.Errorf("behind segment %d: %w: a decision that its owner has not signed", c.tree.Size(), ErrForeign)
		}
		if err := c.accept(decision, d, c.told); err != nil {
			return err
		}
		if loss := decision.GetLossAccepted(); loss != nil {
			if err := c.losses.Accept(loss); err != nil {
				return fmt.Errorf("%w: %w", ErrForeign, err)
			}
		}
	}
	if gone, ok := c.losses.Next(from); !ok || from != c.tree.Size()+1 || gone.From > from || gone.To < to {
		return fmt.Errorf("segments %d to %d: %w, and its owner has not accepted it", from, to, ErrGone)
	}
	for c.tree.Size() < to {
		if err := c.losses.Pass(&c.tree, c.tree.Size()+1); err != nil {
			return fmt.Errorf("%w: %w", ErrForeign, err)
		}
		if err := c.compare(); err != nil {
			return err
		}
	}
	return nil
}

// wrapped checks that the keys of a segment that is newer than the key directory are there.
// What an older one lacks it lacked when the backup was made.
func (c *Check) wrapped(segment seal.Segment, sequence uint64) {
	if segment.Class == seal.Open || sequence <= c.keys.Size || c.sealed[segment.Class] == segment.WrapHash {
		return
	}
	wrap := c.keys.Find(log.WrapFile(segment.Class, segment.Epoch))
	if wrap != nil && segment.CheckWrap(wrap, c.keyring.PublicKeys()) == nil {
		c.sealed[segment.Class] = segment.WrapHash
		return
	}
	if c.keyless == nil {
		c.keyless = fmt.Errorf("%w: they were made at segment %d, and lack the key of %s epoch %d, from segment %d on",
			ErrKeysTooOld, c.keys.Size, segment.Class, segment.Epoch, sequence)
	}
	if n := len(c.unopened); n > 0 && c.unopened[n-1].To+1 == sequence {
		c.unopened[n-1].To = sequence
		return
	}
	c.unopened = append(c.unopened, log.Segments{From: sequence, To: sequence})
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
	if c.losses.Blind(c.tree.Size()) {
		return fmt.Errorf("%w: the checkpoint that was kept, of %d, cannot be compared", ErrGone, c.tree.Size())
	}
	return c.Checkpoint(c.against.signed)
}

// Checkpoint checks a signed checkpoint of exactly the segments so far. Where some of them are gone
// nobody knows the root, but from a size on that the owner has accepted. Errors: ErrForeign.
func (c *Check) Checkpoint(signed []byte) error {
	key, err := tree.DeviceKey(c.keys.Store.String(), c.trail.Device.GetSigningKey())
	if err != nil {
		return fmt.Errorf("checkpoint at segment %d: %w: %w", c.tree.Size(), ErrForeign, err)
	}
	checkpoint, err := tree.OpenCheckpoint(signed, key)
	if err != nil {
		return fmt.Errorf("checkpoint at segment %d: %w: %w", c.tree.Size(), ErrForeign, err)
	}
	if checkpoint.Size != c.tree.Size() || checkpoint.Root != c.tree.Root() && !c.losses.Blind(c.tree.Size()) {
		return fmt.Errorf("checkpoint at segment %d: %w: it was made of another one", c.tree.Size(), ErrForeign)
	}
	return nil
}

// Finish checks that neither the log nor the keys are too old, and that what is lost is accepted.
// Errors: ErrTooOld, ErrKeysTooOld, ErrGone.
func (c *Check) Finish() error {
	for number, decision := range c.told {
		if !bytes.Equal(c.heard[number], decision) && !c.forgotten[number] {
			return fmt.Errorf("%w: the log does not have decision %d, by which they are", ErrGone, number)
		}
	}
	if c.losses.Blind(c.tree.Size()) {
		return fmt.Errorf("%w: it does not end where its owner has accepted that", ErrGone)
	}
	for _, s := range c.unopened {
		for sequence := s.From; sequence <= s.To; sequence++ {
			if !c.accepted.Sealed(sequence) {
				return c.keyless
			}
		}
	}
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
			if k, err := seal.ParseKeyring(f.Content); err == nil && bytes.Equal(k.OwnerKey(), c.trail.Owner) {
				return true
			}
		}
	}
	return false
}

// Lost returns how many segments are gone, as the owner has accepted. Their place in a file that was
// begun before may hold them.
func (c *Check) Lost() (n uint64) {
	for at, ok := c.accepted.Next(1); ok; at, ok = c.accepted.Next(at.To + 1) {
		n += at.To - at.From + 1
	}
	return n
}

// Size returns how many segments there were, and Root their root.
func (c *Check) Size() uint64    { return c.tree.Size() }
func (c *Check) Root() tree.Hash { return c.tree.Root() }
