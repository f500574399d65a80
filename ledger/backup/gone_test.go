package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// withLoss is a file of a log that has lost segments 2 to 4.
func withLoss() []byte {
	b := appendHeader(nil, logMagic, store)
	b = appendFrame(b, frame{kindSegment, 1, []byte("one")})
	b = appendFrame(b, frame{kindDecision, 1, encodeDecision(&pb.SignedDecision{Decision: []byte("gone"), Signature: []byte("me")})})
	b = appendFrame(b, frame{kindGone, 2, binary.BigEndian.AppendUint64(nil, 4)})
	b = appendFrame(b, frame{kindSegment, 5, []byte("five")})
	return appendFrame(b, frame{kindCheckpoint, 5, []byte("note")})
}

// A file of the version before knows of no loss, and is one of this version once it has one.
func TestAFileOfTheVersionBeforeIsGoneOnWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	b := appendFrame(appendHeader(nil, logMagic1, store), frame{kindSegment, 1, []byte("one")})
	foreign := appendFrame(bytes.Clone(b), frame{kindGone, 2, binary.BigEndian.AppendUint64(nil, 4)})
	if _, _, _, err := readLog(bytes.NewReader(foreign), passing{}); !errors.Is(err, ErrDamaged) {
		t.Error("a loss in a version that has none:", err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	payloads := [][]byte{[]byte("one"), []byte("two"), []byte("three"), []byte("four")}
	backUp(t, path, payloads[:2])
	l, err := OpenLog(path, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	loss := lossOf(t, payloads, 3)
	if err := errors.Join(l.Gone(3, []*pb.SignedDecision{loss}), l.Append(payloads[3]), l.Commit(checkpointOf(t, payloads)), l.Close()); err != nil {
		t.Fatal(err)
	}
	backUp(t, path, payloads)
	if got, _, err := restored(path); err != nil || !equal(got, [][]byte{payloads[0], payloads[1], nil, payloads[3]}) {
		t.Errorf("%q %v", got, err)
	}
}

// lossOf is a decision by which a segment is gone, and the log goes on from its tree.
func lossOf(t tester, payloads [][]byte, gone uint64) *pb.SignedDecision {
	t.Helper()
	var all tree.Tree
	for _, p := range payloads {
		all.Append(tree.Leaf(p))
	}
	frontier, err := all.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	lost := []*pb.LostSegments{{From: gone, To: gone, Kind: pb.LossKind_LOSS_KIND_GONE}}
	b, err := proto.Marshal(&pb.Decision{Number: 7, Body: &pb.Decision_LossAccepted{LossAccepted: &pb.LossAccepted{Lost: lost, Tree: frontier}}})
	if err != nil {
		t.Fatal(err)
	}
	return &pb.SignedDecision{Decision: b}
}

// What nobody has accepted to be gone is not left out, and nothing is committed before it is known
// how the log goes on.
func TestWhatIsGoneIsNotMadeUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	payloads := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
	loss := lossOf(t, payloads, 2)
	begin := func() *LogFile {
		l, err := OpenLog(path, store, nil)
		if err == nil && l.Size() == 0 {
			err = l.Append(payloads[0])
		}
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := begin()
	if err := l.Gone(2, nil); !errors.Is(err, log.ErrLoss) {
		t.Error("without a decision:", err)
	}
	l.Close()
	l = begin()
	if err := errors.Join(l.Gone(2, []*pb.SignedDecision{loss}), l.Commit(checkpointOf(t, payloads[:2]))); !errors.Is(err, ErrMeanwhile) {
		t.Error("where nobody knows the tree:", err)
	}
	l.Close()
	l = begin()
	if err := errors.Join(l.Gone(2, []*pb.SignedDecision{loss}), l.Append([]byte("other")), l.Commit(checkpointOf(t, [][]byte{{1}, {2}, {3}}))); !errors.Is(err, ErrOtherLog) {
		t.Error("another log:", err)
	}
	l.Close()
}

// A file that somebody has put there is not counted through, however much it says is gone.
func TestAForgedLossIsNotCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	frontier := tree.Unknown(1 << 62)
	b, err := frontier.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for to, damaged := range map[uint64]bool{1 << 62: false, math.MaxUint64: true} {
		loss := &pb.LossAccepted{Lost: []*pb.LostSegments{{From: 1, To: to, Kind: pb.LossKind_LOSS_KIND_GONE}}, Tree: b}
		d, err := proto.Marshal(&pb.Decision{Number: 7, Body: &pb.Decision_LossAccepted{LossAccepted: loss}})
		if err != nil {
			t.Fatal(err)
		}
		file := appendHeader(nil, logMagic, store)
		file = appendFrame(file, frame{kindDecision, 0, encodeDecision(&pb.SignedDecision{Decision: d})})
		file = appendFrame(file, frame{kindGone, 1, binary.BigEndian.AppendUint64(nil, to)})
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLog(path, store, nil)
		if errors.Is(err, ErrDamaged) != damaged || err == nil && l.Size() != to {
			t.Errorf("up to %d: %v", to, err)
		}
		if err == nil {
			l.Close()
		}
	}
}

// rewritten writes a file of what is read, in which decisions stand where they are needed.
type rewritten struct {
	b    []byte
	size uint64
}

func (r *rewritten) Segment(n uint64, payload []byte) error {
	r.size, r.b = n, appendFrame(r.b, frame{kindSegment, n, payload})
	return nil
}

func (r *rewritten) Gone(from, to uint64, decisions []*pb.SignedDecision) error {
	for _, d := range decisions {
		r.b = appendFrame(r.b, frame{kindDecision, r.size, encodeDecision(d)})
	}
	r.size, r.b = to, appendFrame(r.b, frame{kindGone, from, binary.BigEndian.AppendUint64(nil, to)})
	return nil
}

func (r *rewritten) Checkpoint(signed []byte) error {
	r.b = appendFrame(r.b, frame{kindCheckpoint, r.size, signed})
	return nil
}
