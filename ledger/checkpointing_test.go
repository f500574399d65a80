package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// checkpoints are those in the log, by whom they are signed.
func (h *home) checkpoints() (all []log.Checkpointed) {
	h.t.Helper()
	for _, e := range h.events() {
		note := e.event.GetCheckpointed()
		if note == nil {
			continue
		}
		c, err := log.OpenCheckpointed(note, h.id, h.live().key().SigningKey(), h.keys.PublicKeys().OwnerKey)
		if err != nil || e.class != seal.Open {
			h.t.Fatal(e.class, err)
		}
		all = append(all, c)
	}
	return all
}

// cosign signs the last checkpoint in the log with the owner's key.
func (h *home) cosign() {
	h.t.Helper()
	device, _ := tree.DeviceKey(h.id.String(), h.live().key().SigningKey())
	owner, _ := tree.OwnerKey(h.id.String(), h.keys.PublicKeys().OwnerKey)
	signed, err := tree.Cosign([]byte(h.live().TakeUncosigned()), device, owner, h.keys.Sign)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.live().WriteCosigned(h.t.Context(), string(signed)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) writeCheckpoint() {
	h.t.Helper()
	if err := h.live().WriteCheckpoint(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func TestCheckpointCommitsToWhatIsBeforeItAndIsNotRepeated(t *testing.T) {
	h := saved(t)
	root := func() string { _, root, _ := h.live().Head(); return root.String() }
	first := root()
	for range 2 {
		h.writeCheckpoint()
	}
	h.cosign()
	h.reopen(nil) // the head remembers
	h.writeCheckpoint()
	if h.live().TakeUncosigned() != "" {
		t.Error("cosigned once more")
	}
	h.save(6)
	second := root()
	h.writeCheckpoint()
	var got []string
	for _, c := range h.checkpoints() {
		got = append(got, c.Root.String(), map[bool]string{true: "cosigned", false: ""}[c.Cosigned])
	}
	if diff := cmp.Diff([]string{first, "", first, "cosigned", second, ""}, got); diff != "" {
		t.Error(diff)
	}
	if size, at := h.live().LastCheckpoint(); size != 11 || time.Since(at).Abs() > time.Hour {
		t.Error(size, at)
	}
	if v := h.verified("", time.Minute); len(v.GetFaults()) > 0 || v.GetCheckpoints() != 3 {
		t.Error(v)
	}
}

// Without a head that remembers, the log says what its last checkpoint commits to.
func TestCatchUpFindsTheCheckpoints(t *testing.T) {
	h := saved(t)
	before := h.read("head")
	h.writeCheckpoint()
	h.cosign()
	h.reopen(func() { h.write("head", before) })
	h.writeCheckpoint()
	if n := len(h.checkpoints()); n != 2 {
		t.Errorf("%d checkpoints", n)
	}
}

// A log that grows gets its checkpoint without anybody asking.
func TestLogThatGrewGetsACheckpointInTime(t *testing.T) {
	h := saved(t)
	h.live().hour()
	for range 100 {
		if size, _ := h.live().LastCheckpoint(); size == 8 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("no checkpoint")
}

func TestOnlyWhatComesAfterACheckpointIsGrowth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h head
		var pending uint64 // since the last checkpoint
		noted := false
		for _, what := range rapid.SliceOf(rapid.SampledFrom([]string{"segment", "own", "cosigned"})).Draw(t, "log") {
			size := h.tree.Size()
			switch {
			case what == "own" && h.grown():
				h.tree.Append(tree.Hash{})
				h.checkpointAt(checkpointed{size: size, note: "n"}, true)
				pending, noted = 0, true
			case what == "cosigned" && noted:
				h.tree.Append(tree.Hash{})
				h.checkpointAt(checkpointed{size: h.checkpoint.size}, true)
			case what == "segment":
				h.tree.Append(tree.Hash{})
				pending++
			}
			if h.grown() != (pending > 0) {
				t.Fatalf("%d segments since the last checkpoint: grown is %v", pending, h.grown())
			}
		}
	})
}

// A checkpoint that the daemon's key has signed of another log is found by whoever reads it.
func TestCheckpointOfAnotherLogIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		note func(h *home, sequence uint64) string
	}{
		"another root": {func(h *home, sequence uint64) string {
			signed, _ := h.live().sign(sequence-1, tree.Hash{1})
			return signed.GetCheckpoint()
		}},
		"more than there is": {func(h *home, sequence uint64) string {
			signed, _ := h.live().sign(sequence, tree.Hash{1})
			return signed.GetCheckpoint()
		}},
		"another key": {func(h *home, sequence uint64) string {
			signed, _ := h.live().sign(sequence-1, tree.Hash{1})
			return strings.Replace(signed.GetCheckpoint(), "— ", "— x", 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := saved(t)
			h.publish(func(sequence uint64) []byte {
				event, _ := proto.Marshal(&pb.Event{Time: 1, Body: &pb.Event_Checkpointed{Checkpointed: &pb.Checkpointed{Note: c.note(h, sequence)}}})
				return h.opened(sequence, event)
			})
			h.reopen(nil)
			if h.live().Damage() == nil {
				t.Error("the daemon goes on")
			}
			h.refusesWrites(h.importer())
			if diff := cmp.Diff([]*pb.LogFault{fault("checkpoint", 9, 9, 1)}, faultsOf(h.verified("", time.Minute)), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
