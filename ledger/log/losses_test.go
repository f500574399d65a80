package log

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

func lostFrom(from, to uint64, kind pb.LossKind) *pb.LostSegments {
	return &pb.LostSegments{From: from, To: to, Kind: kind}
}

// Whatever is lost, and in how many steps that was accepted: what is lost is known, one by one, and
// behind each acceptance the tree is the one that it was.
func TestTheTreeGoesOnBehindALoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 60).Draw(t, "size")
		leaf := func(sequence uint64) tree.Hash { return tree.Leaf([]byte{byte(sequence)}) }
		var losses Losses
		gone, sealed, said := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "acceptances") {
			at := rapid.IntRange(1, size).Draw(t, "accepted at")
			var lost []*pb.LostSegments
			for range rapid.IntRange(1, 3).Draw(t, "ranges") {
				from := rapid.IntRange(1, at).Draw(t, "from")
				to := rapid.IntRange(from, at).Draw(t, "to")
				kind, of := pb.LossKind_LOSS_KIND_GONE, gone
				if rapid.Bool().Draw(t, "sealed") {
					kind, of = pb.LossKind_LOSS_KIND_SEALED, sealed
				}
				for sequence := from; sequence <= to; sequence++ {
					of[uint64(sequence)] = true
				}
				lost = append(lost, lostFrom(uint64(from), uint64(to), kind))
			}
			frontier := treeOf(uint64(at), leaf)
			b, _ := frontier.MarshalBinary()
			accepted := &pb.LossAccepted{Lost: lost, Tree: b}
			known := losses.Has(accepted)
			if err := losses.Accept(accepted); err != nil {
				t.Fatal(err)
			}
			if !losses.Has(accepted) || known && !said[uint64(at)] {
				t.Fatalf("%v is known: %v", accepted, known)
			}
			said[uint64(at)] = true
		}
		var got tree.Tree
		roots, blind := &tree.Roots{}, false
		losses.AddRoot(&got, roots)
		for sequence := uint64(1); sequence <= uint64(size); sequence++ {
			if losses.Gone(sequence) != gone[sequence] || losses.Sealed(sequence) != sealed[sequence] ||
				losses.Within(Segments{sequence, sequence}) != (gone[sequence] || sealed[sequence]) {
				t.Fatalf("segment %d: gone %v, sealed %v", sequence, losses.Gone(sequence), losses.Sealed(sequence))
			}
			var err error
			if gone[sequence] {
				err = losses.Pass(&got, sequence)
			} else {
				err = losses.Append(&got, sequence, leaf(sequence))
			}
			if err != nil {
				t.Fatal(err)
			}
			losses.AddRoot(&got, roots)
			blind = (blind || gone[sequence]) && !said[sequence]
			want := treeOf(sequence, leaf)
			if losses.Blind(sequence) != blind || !blind && got != want {
				t.Fatalf("segment %d: blind %v, want %v; the right tree %v", sequence, losses.Blind(sequence), blind, got == want)
			}
			if root, ok := roots.At(sequence); ok == blind || ok && root != want.Root() {
				t.Fatalf("segment %d: a root %v", sequence, ok)
			}
		}
	})
}

func treeOf(size uint64, leaf func(uint64) tree.Hash) (t tree.Tree) {
	for sequence := range size {
		t.Append(leaf(sequence + 1))
	}
	return t
}

func TestWhatNobodyHasAcceptedIsNotPassedOver(t *testing.T) {
	var losses Losses
	leaf := func(sequence uint64) tree.Hash { return tree.Leaf([]byte{byte(sequence)}) }
	other := treeOf(5, func(uint64) tree.Hash { return tree.Leaf(nil) })
	b, _ := other.MarshalBinary()
	if err := losses.Accept(&pb.LossAccepted{Lost: []*pb.LostSegments{lostFrom(1, 1, pb.LossKind_LOSS_KIND_SEALED)}, Tree: b}); err != nil {
		t.Fatal(err)
	}
	at := treeOf(3, leaf)
	if err := losses.Append(&at, 5, leaf(5)); !errors.Is(err, ErrLoss) {
		t.Errorf("over segment 4: %v", err)
	}
	if err := losses.Append(&at, 4, leaf(4)); err != nil {
		t.Fatal(err)
	}
	if err := losses.Append(&at, 5, leaf(5)); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("a tree with which the owner does not go on: %v", err)
	}
	if err := losses.Accept(&pb.LossAccepted{Tree: []byte("tree")}); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("no tree: %v", err)
	}
}

// A reader with losses reads the others, and finds what else is missing.
func TestAReaderPassesOverWhatIsLost(t *testing.T) {
	conn, store := startServer(t).connectInProcess(), testStore(1)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: StreamName(store), Subjects: []string{Subject(store)}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, conn, store, 1, 20, constant(100))
	remove := func(sequences ...uint64) {
		for _, sequence := range sequences {
			if err := stream.DeleteMsg(t.Context(), sequence); err != nil {
				t.Fatal(err)
			}
		}
	}
	losses := &Losses{}
	losses.Suppose([]*pb.LostSegments{
		lostFrom(1, 2, pb.LossKind_LOSS_KIND_GONE), lostFrom(5, 5, pb.LossKind_LOSS_KIND_SEALED), lostFrom(7, 9, pb.LossKind_LOSS_KIND_GONE),
		lostFrom(20, 20, pb.LossKind_LOSS_KIND_GONE),
	})
	remove(1, 8, 20)
	reader := NewReader(conn, store).PassOver(losses)
	var got []uint64
	note := func(e Entry) error { got = append(got, e.Sequence); return nil }
	want := []uint64{3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	if err := reader.Read(t.Context(), 1, 20, note); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v", got, err)
	}
	if err := reader.Whole(t.Context()); err != nil {
		t.Error(err)
	}
	got = nil
	next, err := reader.Step(t.Context(), time.Minute, 1, 20, func(e Entry) { got = append(got, e.Sequence) }, func(from, to uint64) { t.Errorf("lost: %d-%d", from, to) })
	if err != nil || next != 21 || !slices.Equal(got, want) {
		t.Errorf("%v, next %d: %v", got, next, err)
	}
	remove(12)
	var loss *LossError
	if err := reader.Whole(t.Context()); !errors.As(err, &loss) || *loss != (LossError{12, 12}) {
		t.Errorf("one more is missing: %v", err)
	}
}

// Only what a log had can be lost of it, and passing over it takes no longer the more it is.
func TestALossIsWithinItsTree(t *testing.T) {
	frontier := tree.Unknown(1 << 62)
	b, _ := frontier.MarshalBinary()
	for _, s := range []Segments{{0, 1}, {3, 2}, {2, 1<<62 + 1}, {2, math.MaxUint64}} {
		var losses Losses
		err := losses.Accept(&pb.LossAccepted{Lost: []*pb.LostSegments{lostFrom(s.From, s.To, pb.LossKind_LOSS_KIND_GONE)}, Tree: b})
		if !errors.Is(err, seal.ErrTampered) || losses.Within(Segments{1, math.MaxUint64}) {
			t.Errorf("%v: %v", s, err)
		}
	}
	var losses Losses
	if err := losses.Accept(&pb.LossAccepted{Lost: []*pb.LostSegments{lostFrom(2, 1<<62, pb.LossKind_LOSS_KIND_GONE)}, Tree: b}); err != nil {
		t.Fatal(err)
	}
	var got tree.Tree
	if err := losses.Append(&got, 1, tree.Leaf(nil)); err != nil {
		t.Fatal(err)
	}
	if err := losses.Pass(&got, 1<<61); err != nil || got.Size() != 1<<61 || !losses.Blind(got.Size()) {
		t.Errorf("%d segments, %v", got.Size(), err)
	}
	if err := losses.Append(&got, 1<<62+1, tree.Leaf(nil)); err != nil || got.Size() != 1<<62+1 || losses.Blind(got.Size()) {
		t.Errorf("%d segments, %v", got.Size(), err)
	}
}
