package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// refusesWrites fails unless a store refuses what an app writes because its log is damaged, and
// the log stays as long as it is. An app that the daemon does not know any more is nobody.
func (h *home) refusesWrites(app *authz.App) {
	h.t.Helper()
	reader := log.NewReader(h.conn, h.id)
	before, err := reader.Last(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if h.live().Closed() == nil {
		h.t.Error("the log is written")
	}
	_, err = h.live().Save(h.t.Context(), app, request(steps(9, 1)))
	want := rpc.ReasonDataLoss
	if h.live().State().Device() == nil {
		want = rpc.ReasonUnavailable
	}
	if rpc.Reason(err) != want {
		h.t.Errorf("a save: %v", err)
	}
	_ = h.live().WriteCheckpoint(h.t.Context())
	if after, err := reader.Last(h.t.Context()); err != nil || after != before {
		h.t.Errorf("the log had %d segments, and has %d: %v", before, after, err)
	}
}

func TestDamagedLogIsOpenedAndNotWritten(t *testing.T) {
	device := testDevice(t)
	body := func() []byte {
		event, _ := proto.Marshal(&pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{}}})
		b, err := log.EncodeBody(nil, blocks([]*pending{{event: event}}))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}()
	for name, c := range map[string]struct {
		between func(*home)
		want    error
	}{
		"log shorter than the head": {func(h *home) {
			h.setHead(func(at *head) { at.tree.Append([32]byte{1}) })
		}, ErrDataLoss},
		"log missing": {func(h *home) {
			if err := h.js().DeleteStream(t.Context(), log.StreamName(h.id)); err != nil {
				t.Fatal(err)
			}
		}, ErrDataLoss},
		"decision lost": {func(h *home) {
			h.setHead(func(at *head) { at.decision++ })
		}, ErrDataLoss},
		"decision changed": {func(h *home) {
			h.setHead(func(at *head) { at.decisionHash[0] ^= 1 })
		}, ErrDataLoss},
		"log is another one": {func(h *home) {
			h.setHead(func(at *head) {
				// As long as the real one, with another leaf at the end.
				var other head
				for range at.tree.Size() {
					other.tree.Append([32]byte{1})
				}
				at.tree = other.tree
			})
			h.write("decisions", nil) // so that the log is read from its beginning
		}, seal.ErrTampered},
		"open segment of a foreign device": {func(h *home) {
			h.publish(func(sequence uint64) []byte {
				b, err := seal.SealOpen(h.id, sequence, device, nil, body)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		}, seal.ErrTampered},
		"health segment of a foreign device": {func(h *home) {
			h.publish(func(sequence uint64) []byte {
				e, _, err := seal.NewEpoch(h.id, seal.Health, 77, [][]byte{h.keys.PublicKeys().StoreKey})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Destroy()
				b, err := e.Seal(sequence, device, nil, body)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		}, seal.ErrTampered},
		"repeated segment": {func(h *home) {
			h.publish(func(sequence uint64) []byte {
				e, err := log.NewReader(h.conn, h.id).Get(t.Context(), sequence-1)
				if err != nil {
					t.Fatal(err)
				}
				return e.Payload
			})
		}, seal.ErrTampered},
		"no segment at all": {func(h *home) {
			h.publish(func(uint64) []byte { return []byte("hello") })
		}, seal.ErrTampered},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.save(0)
			importer, keyring := h.importer(), h.read("keyring")
			h.reopen(func() { c.between(h) })
			for range 2 { // the next start finds it as it was
				if err := h.live().Damage(); !errors.Is(err, c.want) {
					t.Fatal(err)
				}
				h.refusesWrites(importer)
				h.reopen(nil)
			}
			if string(h.read("keyring")) != string(keyring) {
				t.Error("the key directory was touched")
			}
		})
	}
}

// A block that was cut short does not make JetStream begin again where it ends: the next
// segment would get the sequence that it would have got anyway, behind a hole. It would take the
// place of what was acknowledged, so there is none.
func TestNothingIsAppendedWhereTheEndIsLost(t *testing.T) {
	house := newHouse(t)
	h, other := house.store(), house.store()
	for n := range 5 {
		h.save(n)
	}
	at, root, _ := h.live().Head()
	house.stop()
	blocks, err := filepath.Glob(filepath.Join(h.dir, "jetstream", "jetstream", "*", "streams", log.StreamName(h.id), "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	info, err := os.Stat(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(blocks[0], info.Size()-100); err != nil {
		t.Fatal(err)
	}
	house.start()
	if err := h.live().Damage(); !errors.Is(err, ErrDataLoss) {
		t.Fatalf("the log has lost its last segment: %v", err)
	}
	h.refusesWrites(h.importer())
	if now, same, _ := h.live().Head(); now != at || same != root {
		t.Errorf("%d segments were acknowledged, and now %d", at, now)
	}
	other.save(0) // it does not concern the others
}

// remake makes a stream anew. To delete one races with making the next.
func (h *home) remake(config jetstream.StreamConfig) (stream jetstream.Stream) {
	h.t.Helper()
	err := h.js().DeleteStream(h.t.Context(), config.Name)
	for try := 0; err == nil && try < 100; try++ {
		if stream, err = h.js().CreateStream(h.t.Context(), config); err == nil {
			return stream
		}
		time.Sleep(10 * time.Millisecond)
		if try < 99 {
			err = nil
		}
	}
	h.t.Fatal(err)
	return nil
}

// lose makes the log anew without some of its segments, as no client of it can.
func (h *home) lose(sequences ...uint64) {
	h.t.Helper()
	ctx, name := h.t.Context(), log.StreamName(h.id)
	stream, err := h.js().Stream(ctx, name)
	if err != nil {
		h.t.Fatal(err)
	}
	config, last := stream.CachedInfo().Config, stream.CachedInfo().State.LastSeq
	payloads := make([][]byte, last)
	for i := range payloads {
		// What is not there is deleted once more.
		payloads[i] = []byte("lost")
		if e, err := log.NewReader(h.conn, h.id).Get(ctx, uint64(i)+1); err == nil {
			payloads[i] = e.Payload
		}
	}
	config.DenyDelete = false
	stream = h.remake(config)
	publisher := log.NewPublisher(h.conn, h.id)
	for i, payload := range payloads {
		if err := publisher.Publish(ctx, uint64(i)+1, payload); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, sequence := range sequences {
		if err := stream.DeleteMsg(ctx, sequence); err != nil {
			h.t.Fatal(err)
		}
	}
	config.DenyDelete = true
	if _, err := h.js().UpdateStream(ctx, config); err != nil {
		h.t.Fatal(err)
	}
}

// Where the end is what was acknowledged, a segment takes nobody's place. The hole before it shows
// in every verification, and in every root.
func TestLogIsWrittenBehindAHoleThatStays(t *testing.T) {
	h := saved(t)
	checkpoint := h.checkpoint()
	h.reopen(func() { h.lose(5) })
	want := []*pb.LogFault{fault("missing", 5, 5, 1)}
	for n := range uint64(2) {
		if err := h.live().Damage(); !errors.Is(err, ErrDataLoss) {
			t.Fatal(err)
		}
		if at, _, _ := h.live().Head(); at != 8+n || h.live().Closed() != nil {
			t.Fatalf("%d segments: %v", at, h.live().Closed())
		}
		h.save(int(n) + 6)
		survey, err := h.ledger.Survey(t.Context(), h.id)
		if err != nil {
			t.Fatal(err)
		}
		if got := faultsOf(&pb.VerifyLogResponse{Faults: survey.Faults}); !proto.Equal(&pb.VerifyLogResponse{Faults: got}, &pb.VerifyLogResponse{Faults: want}) {
			t.Error(got)
		}
		h.reopen(nil)
	}
	// The end that the head knows is gone, too: now it is closed.
	h.reopen(func() { h.lose(5, 10) })
	h.refusesWrites(h.importer())
	if _, err := h.live().ProveConsistency(t.Context(), []byte(checkpoint)); err == nil {
		t.Error("a proof of a log with a hole")
	}
}

// What a replacement of the device key would destroy may be needed for such a log.
func TestDamagedLogKeepsTheDeviceKeys(t *testing.T) {
	h := newHome(t)
	h.save(0)
	if _, err := h.ledger.ReplaceDevice(); err != nil {
		t.Fatal(err)
	}
	h.reopen(func() { h.setHead(func(at *head) { at.tree.Append([32]byte{1}) }) })
	if n := h.ledger.devices.count(); n != 2 {
		t.Errorf("%d keys are left", n)
	}
}
