package ledger

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func (h *home) remove(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			h.t.Fatal(err)
		}
	}
}

// decisions are the owner's, as the projector finds them in the log.
func (h *home) decisions() (all []*pb.SignedDecision) {
	h.t.Helper()
	directory, err := log.OpenKeyDirectory(h.path(""))
	if err != nil {
		h.t.Fatal(err)
	}
	opener := h.keys.Opener(h.id, directory)
	defer opener.Destroy()
	s := h.live()
	end, _, _ := s.Head()
	err = s.reader.Read(h.t.Context(), 1, end, func(e log.Entry) error {
		segment, err := seal.ParseSegment(e.Payload)
		if err != nil {
			return err
		}
		body, err := opener.Open(segment, e.Sequence, nil)
		if err != nil {
			return err
		}
		blocks, err := log.DecodeBody(body)
		if err != nil {
			return err
		}
		for _, block := range blocks {
			events, err := log.Events(block)
			if err != nil {
				return err
			}
			for _, event := range events {
				if d := event.GetDecision(); d != nil {
					all = append(all, d)
				}
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// sound verifies the log.
func (h *home) sound() {
	h.t.Helper()
	v, err := h.ledger.Verify(h.t.Context(), h.id, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for finished := false; !finished; {
		if finished, err = v.Step(h.t.Context(), 1<<40); err != nil {
			h.t.Fatal(err)
		}
	}
	if faults := v.Result().GetFaults(); len(faults) > 0 {
		h.t.Fatal(faults)
	}
}

// A daemon on a new machine has another key and no cache: it knows no app, writes nothing,
// and believes only the owner's decisions, all of them.
func TestAnotherDaemonWaitsForTheOwnersDecisions(t *testing.T) {
	h := newHome(t)
	h.addApp("org.example.a", code(t, "stepCount"))
	h.save(0)
	old := h.ledger.Device()
	var said bytes.Buffer
	h.logger = slog.New(slog.NewTextHandler(&said, nil))
	h.reopen(func() { h.remove(filepath.Join(h.dir, "device.key"), h.path("decisions")) })
	h.logger = slog.New(slog.DiscardHandler)
	h.reopen(func() {
		if !strings.Contains(said.String(), "takes no writes until its owner has unlocked it") {
			t.Errorf("nobody learns of it: %q", said.String())
		}
	})
	for range 2 {
		s := h.live()
		if _, _, ok := h.ledger.AppByKey(h.genesis.Key); ok || s.Knows() || s.Enrolled() {
			t.Fatal("it knows what it cannot open")
		}
		if _, err := s.Record(t.Context(), 0, &pb.Event{}); !errors.Is(err, ErrNotEnrolled) {
			t.Fatal(err)
		}
		if err := s.WriteCheckpoint(t.Context()); err != nil {
			t.Fatal("a checkpoint that is not its to write:", err)
		}
		h.sound()
		h.reopen(nil)
	}

	all := h.decisions()
	forged := proto.CloneOf(all[1])
	forged.Signature[0] ^= 1
	for what, c := range map[string]struct {
		decisions []*pb.SignedDecision
		want      error
	}{
		"one less": {all[:len(all)-1], ErrDataLoss},
		"none":     {nil, ErrDataLoss},
		"forged":   {[]*pb.SignedDecision{all[0], forged}, authz.ErrForged},
		"another":  {newHome(t).decisions(), authz.ErrForged},
	} {
		if err := h.live().Adopt(c.decisions); !errors.Is(err, c.want) || h.live().Knows() || h.live().State().Device() != nil {
			t.Fatal(what, err)
		}
	}
	if err := h.live().Adopt(all); err != nil {
		t.Fatal(err)
	}
	if _, err := h.live().Save(t.Context(), h.importer(), request(steps(1, 1))); rpc.Reason(err) != rpc.ReasonUnavailable {
		t.Fatal(err)
	}
	stranger := testDevice(t)
	foreign, err := h.author.EnrolDevice(1, enrolment(stranger))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.live().Decide(t.Context(), foreign); !errors.Is(err, ErrNotEnrolled) {
		t.Fatal(err)
	}
	h.decide(h.author.EnrolDevice(1, h.ledger.Device()))
	h.save(1)
	h.addApp("org.example.b", code(t, "stepCount"))
	h.sound()
	h.reopen(nil)
	h.save(2)
	if got := h.live().State().Devices(); len(got) != 2 || !proto.Equal(got[0], old) {
		t.Fatal(got)
	}

	// What it cannot open it knows from its cache only.
	h.reopen(func() { h.remove(h.path("decisions")) })
	if h.live().Knows() {
		t.Fatal("it knows what it cannot open")
	}
	if err := h.live().Adopt(h.decisions()); err != nil {
		t.Fatal(err)
	}
	h.save(3)
	h.sound()
}

// A crash between the two files that Adopt writes leaves a daemon that knows nothing.
func TestCacheWithoutItsHeadIsNotBelieved(t *testing.T) {
	h := newHome(t)
	h.reopen(func() {
		h.remove(filepath.Join(h.dir, "device.key"), h.path("decisions"))
		h.setHead(func(at *head) { at.decision, at.decisionHash = 0, nil })
	})
	before := h.read("head")
	all := h.decisions()
	if err := h.live().Adopt(all); err != nil {
		t.Fatal(err)
	}
	h.reopen(func() { h.write("head", before) })
	if h.live().Knows() {
		t.Fatal("it believes a cache that nothing vouches for")
	}
	if err := h.live().Adopt(all); err != nil {
		t.Fatal(err)
	}
	h.decide(h.author.EnrolDevice(1, h.ledger.Device()))
	h.save(0)
}

// After another device was enrolled, what the one before signs is none of the log.
func TestDeviceThatWasReplacedWritesNoMore(t *testing.T) {
	h := newHome(t)
	old, err := readDevice(filepath.Join(h.dir, deviceFile))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Destroy()
	next, err := h.ledger.ReplaceDevice()
	if err != nil {
		t.Fatal(err)
	}
	h.save(0)
	before, err := h.live().Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	h.decide(h.author.EnrolDevice(1, next))
	h.save(1)
	h.sound()
	if _, err := h.live().ProveConsistency(t.Context(), []byte(before.GetCheckpoint())); err != nil {
		t.Error("a checkpoint of the device before:", err)
	}
	if v, err := h.ledger.Verify(t.Context(), h.id, []byte(before.GetCheckpoint())); err != nil || v.against == nil {
		t.Error("a checkpoint of the device before:", err)
	}
	event, _ := proto.Marshal(&pb.Event{Time: 1})
	body, err := log.EncodeBody(nil, blocks([]*pending{{event: event}}))
	if err != nil {
		t.Fatal(err)
	}
	h.ledger.Close()
	at := h.publish(func(sequence uint64) []byte {
		payload, err := seal.SealOpen(h.id, sequence, old, nil, body)
		if err != nil {
			t.Fatal(err)
		}
		return payload
	})
	h.open()
	if err := h.live().Damage(); !errors.Is(err, seal.ErrTampered) {
		t.Fatal(err)
	}
	h.refusesWrites(h.importer())
	v, err := h.ledger.Verify(t.Context(), h.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Step(t.Context(), 1<<40); err != nil {
		t.Fatal(err)
	}
	if faults := v.Result().GetFaults(); len(faults) != 1 || faults[0].GetFrom() != at || faults[0].GetKind() != faultDamaged {
		t.Fatal(faults)
	}
}

// The key is one for all stores: the one before stays until the last owner has enrolled the
// next, whatever happens in between, and then it is overwritten.
func TestDeviceKeyIsReplacedWhenTheLastStoreHasEnrolledTheNext(t *testing.T) {
	house := newHouse(t)
	a, b := house.store(), house.store()
	path := filepath.Join(house.dir, deviceFile)
	witness := filepath.Join(t.TempDir(), "witness")
	if err := os.Link(path, witness); err != nil {
		t.Fatal(err)
	}
	first := house.ledger.Device()
	restart := func() {
		house.reopen(nil)
		a.save(0)
		b.save(0)
		a.sound()
		b.sound()
	}
	// One that nobody enrols is gone at the next start.
	if _, err := house.ledger.ReplaceDevice(); err != nil {
		t.Fatal(err)
	}
	restart()
	if !proto.Equal(house.ledger.Device(), first) {
		t.Fatal("a key is used that nobody has enrolled")
	}
	next, err := house.ledger.ReplaceDevice()
	if err != nil {
		t.Fatal(err)
	}
	a.decide(a.author.EnrolDevice(1, next))
	if left, err := house.ledger.SettleDevice(); err != nil || left != 1 {
		t.Fatal(left, err)
	}
	restart()
	if again, err := house.ledger.ReplaceDevice(); err != nil || !proto.Equal(again, next) {
		t.Fatal(again, err)
	}
	b.decide(b.author.EnrolDevice(1, next))
	// The next start finishes what a crash leaves here.
	restart()
	if left, err := house.ledger.SettleDevice(); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	if !proto.Equal(house.ledger.Device(), next) {
		t.Fatal("another key")
	}
	content, err := os.ReadFile(witness)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range content {
		if c != 0 {
			t.Fatal("the key before is still on the disk")
		}
	}
	for _, name := range []string{nextDevice, oldDevice} {
		if _, err := os.Stat(filepath.Join(house.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Error(name, err)
		}
	}
}

// Between the link and the rename the key in use has two names.
func TestSecondNameOfTheDeviceKeyIsNoOldKey(t *testing.T) {
	h := newHome(t)
	h.reopen(func() {
		if err := os.Link(filepath.Join(h.dir, deviceFile), filepath.Join(h.dir, oldDevice)); err != nil {
			t.Fatal(err)
		}
	})
	h.reopen(nil)
	h.save(0)
}
