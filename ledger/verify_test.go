package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// verified verifies the log in steps of the given period.
func (h *home) verified(checkpoint string, period time.Duration) *pb.VerifyLogResponse {
	h.t.Helper()
	v, err := h.ledger.Verify(h.t.Context(), h.id, []byte(checkpoint))
	if err != nil {
		h.t.Fatal(err)
	}
	for {
		finished, err := v.Step(h.t.Context(), period)
		if err != nil {
			h.t.Fatal(err)
		}
		if finished {
			return v.Result()
		}
	}
}

func (h *home) checkpoint() string {
	h.t.Helper()
	resp, err := h.live().Checkpoint()
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.GetCheckpoint()
}

// saved is a store with five saves, the segments 4 to 8.
func saved(t *testing.T) *home {
	h := newHome(t)
	for n := range 5 {
		h.save(n)
	}
	if at, _, _ := h.live().Head(); at != 8 {
		t.Fatalf("the log has %d segments", at)
	}
	return h
}

// faultsOf are faults without their words.
func faultsOf(v *pb.VerifyLogResponse) []*pb.LogFault {
	var all []*pb.LogFault
	for _, f := range v.GetFaults() {
		all = append(all, &pb.LogFault{From: f.GetFrom(), To: f.GetTo(), Segments: f.GetSegments(), Kind: f.GetKind()})
	}
	return all
}

func fault(kind string, from, to, segments uint64) *pb.LogFault {
	return &pb.LogFault{From: from, To: to, Segments: segments, Kind: kind}
}

func TestSoundLogVerifies(t *testing.T) {
	h := saved(t)
	old := h.checkpoint()
	h.reopen(nil) // new epochs
	h.addApp("com.example.app", code(t, "stepCount"))
	h.save(9)
	size, root, _ := h.live().Head()
	want := &pb.VerifyLogResponse{Done: size, Total: size, Root: root.String(), Decisions: 3}
	for _, period := range []time.Duration{0, time.Minute} { // a segment a step, and all at once
		if diff := cmp.Diff(want, h.verified("", period), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
	want.CheckpointSize = 8
	if diff := cmp.Diff(want, h.verified(old, time.Minute), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// sealed makes segments of the store's own daemon, each for the sequence that it stands
// for, of an epoch whose wrap is not in the key directory.
func (h *home) sealed(epoch uint64, sequences ...uint64) map[uint64][]byte {
	h.t.Helper()
	device, err := readDevice(filepath.Join(h.dir, "device.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer device.Destroy()
	e, _, err := seal.NewEpoch(h.id, seal.Health, epoch, [][]byte{h.keys.PublicKeys().StoreKey})
	if err != nil {
		h.t.Fatal(err)
	}
	defer e.Destroy()
	payloads := map[uint64][]byte{}
	for _, sequence := range sequences {
		if payloads[sequence], err = e.Seal(sequence, device, nil, []byte("anything")); err != nil {
			h.t.Fatal(err)
		}
	}
	return payloads
}

// decided makes a segment of the store's own daemon with the first decision once more.
func (h *home) decided(sequence uint64) []byte {
	event, _ := proto.Marshal(&pb.Event{Time: 1, Body: &pb.Event_Decision{Decision: h.genesis.Request.GetDecisions()[0].GetDecision()}})
	return h.opened(sequence, event)
}

// opened makes a segment of class open of the store's own daemon.
func (h *home) opened(sequence uint64, event []byte) []byte {
	device, err := readDevice(filepath.Join(h.dir, "device.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer device.Destroy()
	body, err := log.EncodeBody(nil, blocks([]*pending{{event: event}}))
	if err != nil {
		h.t.Fatal(err)
	}
	payload, err := seal.SealOpen(h.id, sequence, device, nil, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return payload
}

func TestVerifyNamesEachFault(t *testing.T) {
	for name, c := range map[string]struct {
		between func(*home)
		want    []*pb.LogFault
	}{
		"log shorter than the head": {func(h *home) {
			h.setHead(func(at *head) { at.tree.Append([32]byte{1}); at.tree.Append([32]byte{1}) })
		}, []*pb.LogFault{fault("missing", 9, 10, 2)}},
		"log missing": {func(h *home) {
			if err := h.js().DeleteStream(h.t.Context(), log.StreamName(h.id)); err != nil {
				h.t.Fatal(err)
			}
		}, []*pb.LogFault{fault("missing", 1, 8, 8), fault("decision", 0, 0, 0)}},
		"decision lost": {func(h *home) {
			h.setHead(func(at *head) { at.decision++ })
		}, []*pb.LogFault{fault("decision", 0, 0, 0)}},
		"decision changed": {func(h *home) {
			h.setHead(func(at *head) { at.decisionHash[0] ^= 1 })
		}, []*pb.LogFault{fault("decision", 0, 0, 0)}},
		"head missing": {func(h *home) {
			if err := os.Remove(h.path("head")); err != nil {
				h.t.Fatal(err)
			}
		}, []*pb.LogFault{fault("head", 0, 0, 0)}},
		"log is another one": {func(h *home) {
			h.setHead(func(at *head) {
				var other tree.Tree
				for range 7 {
					other.Append([32]byte{1})
				}
				at.tree = other
			})
		}, []*pb.LogFault{fault("head", 1, 7, 7)}},
		"foreign and repeated segments": {func(h *home) {
			h.publish(func(uint64) []byte { return []byte("hello") })
			for range 2 {
				h.publish(func(sequence uint64) []byte {
					e, err := log.NewReader(h.conn, h.id).Get(h.t.Context(), 4)
					if err != nil {
						h.t.Fatal(err)
					}
					return e.Payload
				})
			}
		}, []*pb.LogFault{fault("damaged", 9, 9, 1), fault("damaged", 10, 11, 2)}},
		"key missing": {func(h *home) {
			if err := os.Remove(h.path("epochs/health-0000000000000001")); err != nil {
				h.t.Fatal(err)
			}
		}, []*pb.LogFault{fault("key", 2, 8, 6)}},
		"key of another epoch": {func(h *home) {
			h.write("epochs/management-0000000000000001", h.read("epochs/health-0000000000000001"))
		}, []*pb.LogFault{fault("key", 3, 3, 1), fault("decision", 0, 0, 0)}},
		"index goes back": {func(h *home) {
			payloads := h.sealed(7, 10, 9)
			for range payloads {
				h.publish(func(sequence uint64) []byte { return payloads[sequence] })
			}
		}, []*pb.LogFault{fault("key", 9, 10, 2), fault("order", 10, 10, 1)}},
		"epoch goes back": {func(h *home) {
			h.publish(func(sequence uint64) []byte { return h.sealed(7, sequence)[sequence] })
			h.publish(func(sequence uint64) []byte { return h.sealed(6, sequence)[sequence] })
		}, []*pb.LogFault{fault("key", 9, 9, 1), fault("order", 10, 10, 1), fault("key", 10, 10, 1)}},
		"decision repeated": {func(h *home) {
			h.publish(h.decided)
		}, []*pb.LogFault{fault("decision", 9, 9, 1)}},
		"keyring swapped": {func(h *home) {
			content, _, keys, err := seal.NewKeyring(h.id, []byte("eve"), seal.MinCost)
			if err != nil {
				h.t.Fatal(err)
			}
			keys.Destroy()
			h.write("keyring", content)
		}, []*pb.LogFault{fault("key", 0, 0, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			h := saved(t)
			h.reopen(func() { c.between(h) })
			for _, period := range []time.Duration{0, time.Minute} {
				if diff := cmp.Diff(c.want, faultsOf(h.verified("", period)), protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// With a keyring from before, a passphrase opens the store that its owner has changed.
func TestVerifyFindsAKeyringThatWasPutBack(t *testing.T) {
	h := newHome(t)
	old := h.read("keyring")
	h.decide(h.rekeyed("second"), nil)
	next := h.read("keyring")
	for _, reopened := range []bool{false, true} { // refused or not
		h.write("keyring", old)
		if reopened {
			h.reopen(nil)
		}
		if diff := cmp.Diff([]*pb.LogFault{fault("key", 0, 0, 0)}, faultsOf(h.verified("", time.Minute)), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		h.write("keyring", next)
		if faults := h.verified("", time.Minute).GetFaults(); len(faults) > 0 {
			t.Error(faults)
		}
	}
	// One that changes after the verification has begun is no fault.
	h.reopen(nil)
	v, err := h.ledger.Verify(t.Context(), h.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.decide(h.rekeyed("third"), nil)
	if finished, err := v.Step(t.Context(), time.Minute); err != nil || !finished || len(v.Result().GetFaults()) > 0 {
		t.Error(v.Result(), err)
	}
}

// spoilSegments changes a byte of the payload of each segment in the block file.
func (h *home) spoilSegments(sequences ...uint64) {
	h.t.Helper()
	var payloads [][]byte
	for _, sequence := range sequences {
		e, err := log.NewReader(h.conn, h.id).Get(h.t.Context(), sequence)
		if err != nil {
			h.t.Fatal(err)
		}
		payloads = append(payloads, e.Payload)
	}
	h.stop()
	files, err := filepath.Glob(filepath.Join(h.dir, "jetstream", "jetstream", "*", "streams", log.StreamName(h.id), "msgs", "*.blk"))
	if err != nil || len(files) != 1 {
		h.t.Fatal(files, err)
	}
	block, err := os.ReadFile(files[0])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, payload := range payloads {
		at := bytes.Index(block, payload)
		if at < 0 {
			h.t.Fatal("the segment is not in the block")
		}
		block[at+len(payload)/2] ^= 1
	}
	if err := os.WriteFile(files[0], block, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.start()
}

func TestFlippedByteIsAFaultOfItsSegmentAlone(t *testing.T) {
	h := saved(t)
	checkpoint := h.checkpoint()
	h.spoilSegments(5, 6, 8)
	want := []*pb.LogFault{fault("missing", 5, 6, 2), fault("missing", 8, 8, 1), fault("checkpoint", 1, 8, 8)}
	if diff := cmp.Diff(want, faultsOf(h.verified(checkpoint, time.Minute)), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// The first segment says which daemon has to sign all others. Where it is lost, they are not
// accused.
func TestLostEnrolmentAccusesNoOtherSegment(t *testing.T) {
	h := saved(t)
	h.spoilSegments(1)
	for _, f := range h.verified("", time.Minute).GetFaults() {
		if f.GetKind() != "decision" && (f.GetFrom() != 1 || f.GetTo() != 1) {
			t.Errorf("segment 1 was damaged: %v", f)
		}
	}
}

func TestCheckpointShowsRollbackAndAnotherHistory(t *testing.T) {
	h := saved(t)
	h.stop()
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.save(6)
	h.save(7)
	checkpoint := h.checkpoint()
	h.stop()
	if err := os.RemoveAll(h.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(h.dir, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	h.start()
	if faults := h.verified("", time.Minute).GetFaults(); len(faults) > 0 {
		t.Fatalf("the directory remembers what it was rolled back from: %v", faults)
	}
	want := []*pb.LogFault{fault("checkpoint", 9, 10, 2)}
	if diff := cmp.Diff(want, faultsOf(h.verified(checkpoint, time.Minute)), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if _, err := h.live().ProveConsistency(t.Context(), []byte(checkpoint)); !errors.Is(err, ErrDataLoss) {
		t.Errorf("proof for a shorter log: %v", err)
	}
	for n := range 4 {
		h.save(n) // another history
	}
	want = []*pb.LogFault{fault("checkpoint", 1, 10, 10)}
	if diff := cmp.Diff(want, faultsOf(h.verified(checkpoint, time.Minute)), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if _, err := h.live().ProveConsistency(t.Context(), []byte(checkpoint)); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("proof for another log: %v", err)
	}
}

func TestCheckpointsOfOthersAreRefused(t *testing.T) {
	h := saved(t)
	other := h.house.store()
	for name, checkpoint := range map[string]string{"another store": other.checkpoint(), "no note": "hello"} {
		if _, err := h.ledger.Verify(t.Context(), h.id, []byte(checkpoint)); !errors.Is(err, tree.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := h.live().ProveConsistency(t.Context(), []byte(checkpoint)); !errors.Is(err, tree.ErrCheckpoint) {
			t.Errorf("proof for %s: %v", name, err)
		}
	}
	if _, err := h.ledger.Verify(t.Context(), seal.NewStoreID(), nil); !errors.Is(err, ErrNoStore) {
		t.Errorf("no store: %v", err)
	}
}

// Everything that a verifier with the printed key alone can check.
func TestProofsHoldUnderThePrintedKey(t *testing.T) {
	h := saved(t)
	resp, err := h.live().Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(resp.GetKey())
	if err != nil {
		t.Fatal(err)
	}
	old, err := tree.OpenCheckpoint([]byte(resp.GetCheckpoint()), key)
	if err != nil {
		t.Fatal(err)
	}
	h.save(5)
	hashes := func(p *pb.ProveLogResponse) (proof []tree.Hash, now tree.Checkpoint) {
		t.Helper()
		for _, b := range p.GetHashes() {
			proof = append(proof, tree.Hash(b))
		}
		now, err := tree.OpenCheckpoint([]byte(p.GetCheckpoint()), key)
		if err != nil {
			t.Fatal(err)
		}
		return proof, now
	}
	for sequence := uint64(1); sequence <= 9; sequence++ {
		p, err := h.live().ProveSegment(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		e, err := h.live().Reader().Get(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		proof, now := hashes(p)
		if err := tree.CheckInclusion(proof, now.Size, now.Root, sequence-1, tree.Leaf(e.Payload)); err != nil || p.GetIndex() != sequence-1 {
			t.Errorf("segment %d: %v", sequence, err)
		}
	}
	for _, sequence := range []uint64{0, 10} {
		if _, err := h.live().ProveSegment(t.Context(), sequence); !errors.Is(err, ErrNoSegment) {
			t.Errorf("segment %d: %v", sequence, err)
		}
	}
	p, err := h.live().ProveConsistency(t.Context(), []byte(resp.GetCheckpoint()))
	if err != nil {
		t.Fatal(err)
	}
	proof, now := hashes(p)
	if err := tree.CheckConsistency(proof, now.Size, now.Root, old.Size, old.Root); err != nil || now.Size != 9 || p.GetOldSize() != 8 {
		t.Errorf("%d segments go on from %d: %v", now.Size, old.Size, err)
	}
}
