package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// Kinds of faults in a log.
const (
	faultMissing    = "missing"
	faultDamaged    = "damaged"
	faultOrder      = "order"
	faultKey        = "key"
	faultDecision   = "decision"
	faultHead       = "head"
	faultCheckpoint = "checkpoint"
)

// maxFaults is how many faults an owner is told of; the rest is counted.
const maxFaults = 1000

// ListFaults returns as many faults as an owner is told of, and how many more there are.
func ListFaults(all []*pb.LogFault) (listed []*pb.LogFault, more uint64) {
	n := min(len(all), maxFaults)
	return all[:n], uint64(len(all) - n)
}

// A Verification recomputes a log from its stream, in steps, and goes on after whatever
// it finds. It opens what a locked daemon may open, and holds no key between steps.
type Verification struct {
	id        seal.StoreID
	owner     verifier
	devices   *devices
	directory *log.KeyDirectory
	reader    *log.Reader

	// known is what the daemon remembers of the log, nil: nothing.
	known *head
	// against is a checkpoint that was kept elsewhere, nil: none.
	against *tree.Checkpoint
	// pins are the store's keys, as they were at first and as they have become meanwhile.
	pins    []pin
	pinPath string
	// keyring is the file in use, nil: it cannot be read.
	keyring []byte

	next, end uint64
	// last is the segment that came last, or was passed over.
	last  uint64
	tree  tree.Tree
	roots tree.Roots
	// whole: the tree is that of every segment so far. lossy: some are lost, wherever the owner has
	// said how the tree goes on. compared: it was, with against.
	whole, lossy, compared bool
	state                  *authz.State
	// enrolled is the device that has to sign the next segment.
	enrolled log.Enrolment
	// remembered are the decisions that the daemon has in its cache. They stand for those in
	// segments that were sealed to a key that it does not have any more.
	remembered []*pb.SignedDecision
	// enrolments say who has signed where segments are lost: they, or what is found in the log.
	enrolments []*pb.SignedDecision
	// hidden: there are such segments.
	hidden bool
	// How many checkpoints there are in the log.
	checkpoints uint64
	// What an audit has said: how many segments it opened, and the first with which time goes back.
	opened, timeBack uint64
	// verified is the file that keeps how it ended.
	verified string
	// chained: every decision so far follows the one before.
	chained bool
	sealed  map[seal.Class]sealedAt
	absents []*absentKey

	// losses are what the owner has accepted to have lost, of the decisions that the daemon
	// remembers or of those in the log.
	losses   *log.Losses
	accepted []*pb.AcceptedLoss
	// bad are the segments that faults are of, and seen the decisions that are in the log.
	bad  []badSegments
	seen map[uint64]bool
	// unopened are the epochs of class health of which the owner has accepted that nothing opens them.
	unopened map[uint64]bool

	faults []*pb.LogFault
	// untold are the segments of which nobody here knows whether they were erased.
	untold uint64
}

// sealedAt is where the last segment of a class was sealed, and what is wrong with its key.
type sealedAt struct {
	epoch    uint64
	index    uint32
	wrapHash [32]byte
	key      string
}

// Verify begins the verification of a store, whether it can be served or not, and of a
// signed checkpoint, if there is one. Errors: ErrNoStore, tree.ErrCheckpoint.
func (l *Ledger) Verify(ctx context.Context, id seal.StoreID, checkpoint []byte) (*Verification, error) {
	v, err := l.verify(ctx, id, checkpoint)
	if err != nil {
		return nil, fmt.Errorf("verify store %s: %w", id, err)
	}
	return v, nil
}

func (l *Ledger) verify(ctx context.Context, id seal.StoreID, checkpoint []byte) (*Verification, error) {
	pinned, err := readPin(l.pinPath(id), id)
	if err != nil {
		return nil, err
	}
	v := &Verification{
		id: id, devices: l.devices, reader: log.NewReader(l.appender, id), next: 1, whole: true, chained: true,
		owner: pinned.chain(), sealed: map[seal.Class]sealedAt{}, pins: []pin{pinned}, pinPath: l.pinPath(id),
		losses: &log.Losses{}, seen: map[uint64]bool{}, unopened: map[uint64]bool{},
	}
	v.reader.PassOver(v.losses)
	v.state, v.verified = authz.NewState(v.owner, false), filepath.Join(l.storePath(id), "verified")
	v.enrolled = log.Enrolment{Owner: v.owner.owner}
	v.remembered = readDecisions(filepath.Join(l.storePath(id), "decisions"))
	if len(checkpoint) > 0 {
		against, err := openCheckpoint(checkpoint, id, v.signers())
		if err != nil {
			return nil, err
		}
		v.against = &against
	}
	if v.directory, err = log.OpenKeyDirectory(l.storePath(id)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDataLoss, err)
	}
	// In this order: what is appended in between is then in the log, and the keyring is not
	// older than the one that the log names.
	v.remember(filepath.Join(l.storePath(id), "head"))
	if v.end, err = v.reader.Last(ctx); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	v.checkKeyring()
	return v, v.takeLosses(ctx)
}

// signers are the devices that may have signed a checkpoint: this daemon, and those before it.
func (v *Verification) signers() []*pb.DeviceEnrolled {
	state := authz.NewState(v.owner, false)
	for _, d := range v.remembered {
		if state.Decide(d, nil) != nil {
			break
		}
	}
	return append(state.Devices(), v.devices.public()...)
}

// isPin tells whether something is so of a pin, as it was at first or is now.
func (v *Verification) isPin(so func(p pin) bool) bool {
	if slices.ContainsFunc(v.pins, so) {
		return true
	}
	now, err := readPin(v.pinPath, v.id)
	if err != nil || slices.ContainsFunc(v.pins, now.equal) {
		return false
	}
	v.pins = append(v.pins, now)
	return so(now)
}

func (v *Verification) checkKeyring() {
	content, err := v.directory.Keyring()
	if err != nil {
		v.fault(faultKey, 0, 0, err.Error())
		return
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		v.fault(faultKey, 0, 0, "the keyring cannot be read")
		return
	}
	if !v.isPin(pinOf(keyring).equal) {
		v.fault(faultKey, 0, 0, ErrNotPinned.Error())
		return
	}
	v.keyring = content
}

// isKeyring tells whether the file in use has a hash, as it was at first or is now: the
// passphrase may change meanwhile.
func (v *Verification) isKeyring(hash []byte) bool {
	now, _ := v.directory.Keyring()
	return slices.ContainsFunc([][]byte{v.keyring, now}, func(content []byte) bool {
		sum := sha256.Sum256(content)
		return bytes.Equal(sum[:], hash)
	})
}

// remember reads the head, which an appender may be writing.
func (v *Verification) remember(path string) {
	content, err := os.ReadFile(path)
	if err == nil {
		var known head
		if known, _, err = newestHead(content); err == nil {
			v.known = &known
			return
		}
	}
	v.fault(faultHead, 0, 0, "what the daemon remembers of the log cannot be read")
}

// Step goes on for about as long as it is told to, and reports whether that was the end.
// An error says nothing about the log: it can be stepped again.
func (v *Verification) Step(ctx context.Context, period time.Duration) (bool, error) {
	opener := v.devices.opener(v.id, v.directory)
	defer opener.Destroy()
	var err error
	v.next, err = v.reader.Step(ctx, period, v.next, v.end,
		func(e log.Entry) { v.segment(opener, e) },
		func(from, to uint64) { v.lose(from, to, "the log does not have it, or cannot read it") })
	if err != nil {
		return false, fmt.Errorf("verify store %s: %w", v.id, err)
	}
	if v.next <= v.end {
		return false, nil
	}
	if v.last < v.end {
		v.pass(v.end)
	}
	v.finish()
	return true, nil
}

// Progress returns how many segments were looked at, and how many there are to be.
func (v *Verification) Progress() (done, total uint64) { return v.next - 1, v.end }

// Result returns what was found, once the last step was made.
func (v *Verification) Result() *pb.VerifyLogResponse {
	resp := &pb.VerifyLogResponse{Done: v.next - 1, Total: v.end, Checkpoints: v.checkpoints}
	if v.whole {
		resp.Root = v.tree.Root().String()
	}
	if v.against != nil {
		resp.CheckpointSize = v.against.Size
	}
	resp.Decisions, _ = v.state.Head()
	resp.Opened, resp.TimeBack, resp.Losses = v.opened, v.timeBack, v.accepted
	resp.Faults, resp.MoreFaults = ListFaults(v.faults)
	resp.Untold = v.untold
	return resp
}

func (v *Verification) lose(from, to uint64, why string) {
	v.bad = append(v.bad, badSegments{v.fault(faultMissing, from, to, why), from, to})
	v.lossy = true
	v.skip(to)
}

// damage notes a segment that is there and is not what was written.
func (v *Verification) damage(sequence uint64, why string) {
	v.bad = append(v.bad, badSegments{v.fault(faultDamaged, sequence, sequence, why), sequence, sequence})
	v.whole, v.lossy = false, true
}

// fault notes what is wrong with segments, and returns what it is noted in. What goes on from segment
// to segment is one fault; so are all segments of a key, between which others may lie, though not
// too many.
func (v *Verification) fault(kind string, from, to uint64, why string) *pb.LogFault {
	for _, f := range slices.Backward(v.faults[max(0, len(v.faults)-maxFaults):]) {
		if from > 0 && f.GetKind() == kind && f.GetWhy() == why && (kind == faultKey || f.GetTo()+1 == from) {
			f.To, f.Segments = to, f.GetSegments()+to-from+1
			return f
		}
	}
	f := &pb.LogFault{From: from, To: to, Kind: kind, Why: why}
	if from > 0 {
		f.Segments = to - from + 1
	}
	v.faults = append(v.faults, f)
	return f
}
