package projector

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// history is a house with decisions and saves by turns.
func history(t testing.TB) *house {
	h := newHouse(t)
	for n := range 12 {
		h.save(t, n*10, 3)
		if n%4 == 0 {
			h.saveObjects(t, n/4)
		}
	}
	h.save(t, 30, 3) // again
	return h
}

func TestViewEqualsAfterRestartsAnywhere(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	whole := open(t, h.config(t, h.server, h.folder(t)), payloads)
	waitReady(t, whole, payloads)
	want := mustDump(t, whole)
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		config := h.config(t, h.server, h.folder(t))
		for at := 0; at < len(payloads); {
			at = min(at+random.IntN(7), len(payloads))
			s := open(t, config, payloads[:at])
			waitReady(t, s, payloads[:at])
			if random.IntN(2) == 0 { // the log grows while it is unlocked
				at = min(at+random.IntN(4), len(payloads))
				waitReady(t, s, payloads[:at])
			}
			if at == len(payloads) {
				if got := mustDump(t, s); got != want {
					t.Fatal("another view")
				}
			}
			if err := s.shutdown(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// epochIn begins an epoch whose wrap is in a folder's key directory.
func (h *house) epochIn(t testing.TB, folder string) *seal.Epoch {
	t.Helper()
	epoch, wrap, err := seal.NewEpoch(h.store.ID(), seal.Health, 99, [][]byte{h.store.Keyring().StoreKey()})
	if err != nil {
		t.Fatal(err)
	}
	directory, err := log.OpenKeyDirectory(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := directory.PutWrap(seal.Health, 99, wrap); err != nil {
		t.Fatal(err)
	}
	return epoch
}

// forge makes a segment of class health with these events.
func forge(t testing.TB, h *house, device *seal.DeviceKey, sequence uint64, epoch *seal.Epoch, events ...*pb.Event) []byte {
	t.Helper()
	var block []byte
	for _, e := range events {
		b, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		block = protowire.AppendBytes(protowire.AppendTag(block, 1, protowire.BytesType), b)
	}
	body, err := log.EncodeBody(nil, [][]byte{block})
	if err != nil {
		t.Fatal(err)
	}
	var payload []byte
	if epoch == nil {
		payload, err = seal.SealOpen(h.store.ID(), sequence, device, nil, body)
	} else {
		payload, err = epoch.Seal(sequence, device, nil, body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestFollowerStopsBeforeWhatIsNotTheLog(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	const at = 8 // index of the bad segment; others follow it
	device, err := seal.NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Destroy)
	other := h.neighbour(t)
	for n := range payloads {
		other.save(t, n*10, 3)
	}
	random := rand.New(rand.NewPCG(3, 4))
	want := func() seen {
		s := open(t, h.config(t, h.server, h.folder(t)), payloads[:at])
		waitReady(t, s, payloads[:at])
		return mustDump(t, s)
	}()
	saved := &pb.Event{Body: &pb.Event_SamplesSaved{SamplesSaved: &pb.SamplesSaved{App: h.app.Number, RequestId: make([]byte, 16)}}}
	for name, alter := range map[string]func(log [][]byte, folder string) [][]byte{
		"hole": func(log [][]byte, _ string) [][]byte { log[at] = nil; return log },
		"end":  func(log [][]byte, _ string) [][]byte { return log[:at] },
		"flipped bit": func(log [][]byte, _ string) [][]byte {
			log[at] = bytes.Clone(log[at])
			bit := random.IntN(len(log[at]) * 8)
			log[at][bit/8] ^= 1 << (bit % 8)
			return log
		},
		"repeated": func(log [][]byte, _ string) [][]byte { log[at] = log[at-1]; return log },
		"swapped":  func(log [][]byte, _ string) [][]byte { log[at], log[at+1] = log[at+1], log[at]; return log },
		"dropped":  func(log [][]byte, _ string) [][]byte { return append(log[:at], log[at+1:]...) },
		"garbage":  func(log [][]byte, _ string) [][]byte { log[at] = []byte("garbage"); return log },
		"of another store": func(log [][]byte, _ string) [][]byte {
			// The same daemon has written both.
			log[at] = other.payloads(t)[at]
			return log
		},
		"foreign, open": func(log [][]byte, _ string) [][]byte {
			log[at] = forge(t, h, device, at+1, nil, saved)
			return log
		},
		"foreign, sealed": func(payloads [][]byte, folder string) [][]byte {
			epoch := h.epochIn(t, folder)
			defer epoch.Destroy()
			payloads[at] = forge(t, h, device, at+1, epoch, saved)
			return payloads
		},
		"another wrap": func(payloads [][]byte, _ string) [][]byte {
			segment, err := seal.ParseSegment(payloads[at])
			if err != nil {
				t.Fatal(err)
			}
			payloads[at] = bytes.Replace(payloads[at], segment.WrapHash[:], make([]byte, 32), 1)
			return payloads
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := h.folder(t)
			bad := alter(append([][]byte(nil), payloads...), folder)
			s := open(t, h.config(t, h.replica(t, bad), folder), payloads)
			err := catchUp(s, uint64(len(payloads)))
			if rpc.Reason(err) != rpc.ReasonDataLoss {
				t.Fatal("no fault:", err)
			}
			a, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: uint64(len(payloads))})
			if err != nil || a.GetReady() || a.GetFault() == "" || a.GetApplied() != at {
				t.Fatalf("%v: %v", a, err)
			}
			if _, err := s.Read(t.Context(), &pb.ReadRequest{
				Reader: &pb.Reader{}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}}}, Sequence: uint64(len(payloads)),
			}); rpc.Reason(err) != rpc.ReasonDataLoss {
				t.Fatal("a read that needs the rest:", err)
			}
			if mustDump(t, s) != want {
				t.Fatal("the view is not the log up to there")
			}
		})
	}
}

// The device may write what it likes into class health, but not over the owner's decisions.
func TestDetailOfADecisionThatIsMadeIsTampering(t *testing.T) {
	h := newHouse(t)
	detail, err := proto.Marshal(&pb.DecisionDetail{Number: 2, Salt: make([]byte, 16)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Record(t.Context(), 0, &pb.Event{Body: &pb.Event_DecisionDetail{DecisionDetail: detail}}); err != nil {
		t.Fatal(err)
	}
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	if err := catchUp(s, uint64(len(payloads))); rpc.Reason(err) != rpc.ReasonDataLoss {
		t.Fatal(err)
	}
}

func TestWrongRootNeverBecomesReady(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	config := h.config(t, h.server, h.store.Path())
	for range 2 { // from scratch, and with a view that is there already
		s := begin(t, config)
		if err := unlock(s, passphrase, uint64(len(payloads)), make([]byte, 32)); err != nil {
			t.Fatal(err)
		}
		if err := catchUp(s, uint64(len(payloads))); err == nil || err == errNotReady {
			t.Fatal(err)
		}
		if a, err := s.Advance(t.Context(), &pb.AdvanceRequest{Sequence: uint64(len(payloads))}); err != nil || a.GetReady() {
			t.Fatal("ready", err)
		}
		if err := s.shutdown(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, config, payloads)
	waitReady(t, s, payloads)
}

func TestLogShorterThanTheViewIsDataLoss(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	config := h.config(t, h.server, h.store.Path())
	s := open(t, config, payloads)
	waitReady(t, s, payloads)
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	s = begin(t, config)
	target, root := rootOf(payloads[:len(payloads)-1])
	if err := unlock(s, passphrase, target, root[:]); rpc.Reason(err) != rpc.ReasonDataLoss {
		t.Fatal(err)
	}
}
