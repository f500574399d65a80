package projector

import (
	"os"
	"path/filepath"
	"testing"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// device returns the daemon's key.
func (h *house) device(t testing.TB) *seal.DeviceKey {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(h.store.Path(), "..", "..", "device.key"))
	if err != nil {
		t.Fatal(err)
	}
	device, err := seal.ParseDeviceKey(content)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Destroy)
	return device
}

// note is a checkpoint that the daemon's key signs.
func (h *house) note(t testing.TB, size uint64, root tree.Hash) string {
	t.Helper()
	device := h.device(t)
	key, err := tree.DeviceKey(h.store.ID().String(), device.SigningKey())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tree.Checkpoint{Origin: key.Name(), Size: size, Root: root}.Sign(key, device.Sign)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func TestOwnerSignsWhatIsHisLogAndNothingElse(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	size, root := rootOf(payloads)
	s := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, s, payloads)
	owner, err := tree.OwnerKey(h.store.ID().String(), h.store.Keyring().OwnerKey())
	if err != nil {
		t.Fatal(err)
	}
	cosign := func(note string) (*pb.CosignCheckpointResponse, error) {
		return s.CosignCheckpoint(t.Context(), &pb.CosignCheckpointRequest{Checkpoint: note})
	}
	for _, n := range []uint64{size - 1, size} {
		_, root := rootOf(payloads[:n])
		resp, err := cosign(h.note(t, n, root))
		if err != nil || !tree.IsSigned([]byte(resp.GetCheckpoint()), owner) {
			t.Errorf("of %d segments: %v", n, err)
		}
	}
	root[0] ^= 1
	if _, err := cosign(h.note(t, size, root)); rpc.Reason(err) != rpc.ReasonDataLoss {
		t.Error("another log:", err)
	}
	if _, err := cosign("hello"); rpc.Reason(err) != rpc.ReasonInvalidArgument {
		t.Error("no checkpoint:", err)
	}
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := cosign(h.note(t, size, root)); rpc.Reason(err) != rpc.ReasonStoreLocked {
		t.Error("locked:", err)
	}
}

// Whether it comes with the log before it or alone, as it does to a store that is open.
func TestFollowerComparesEveryCheckpoint(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	size, root := rootOf(payloads)
	for name, c := range map[string]struct {
		size  uint64
		root  tree.Hash
		sound bool
	}{
		"of the log before it": {size, root, true},
		"of another log":       {size, tree.Hash{1}, false},
		"of more":              {size + 1, root, false},
	} {
		event := &pb.Event{Body: &pb.Event_Checkpointed{Checkpointed: &pb.Checkpointed{Note: h.note(t, c.size, c.root)}}}
		all := append(payloads[:size:size], forge(t, h, h.device(t), size+1, nil, event))
		replica := h.replica(t, all)
		for way, known := range map[string][][]byte{"at once": all, "alone": payloads} {
			t.Run(name+" "+way, func(t *testing.T) {
				s := open(t, h.config(t, replica, h.folder(t)), known)
				if way == "alone" {
					waitReady(t, s, known)
				}
				if err := catchUp(s, size+1); (err == nil) != c.sound {
					t.Fatal(err)
				}
				a, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: size + 1})
				if err != nil || !c.sound && a.GetApplied() != size {
					t.Errorf("%v: %v", a, err)
				}
			})
		}
	}
}
