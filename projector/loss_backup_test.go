package projector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"healthledger/ledger"
	"healthledger/ledger/backup"
	"healthledger/ledger/log"
	"healthledger/ledger/tree"
	pb "healthledger/proto/healthledger/v1"
)

// backUp brings the file of the log up to the store, and returns the keys that go with it.
func (w *wreck) backUp(path string) *backup.Keys {
	w.t.Helper()
	directory, err := log.OpenKeyDirectory(w.store.Path())
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := backup.CopyKeys(directory, w.store.ID(), func() ([]byte, error) {
		resp, err := w.store.Checkpoint()
		return []byte(resp.GetCheckpoint()), err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	file, err := backup.OpenLog(path, w.store.ID(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for err == nil && file.Size() < keys.Size {
		if to, by := w.store.Gone(file.Size() + 1); to > 0 {
			err = file.Gone(to, by)
			continue
		}
		var payloads [][]byte
		payloads, err = w.store.Segments(w.t.Context(), file.Size()+1, keys.Size)
		for _, p := range payloads {
			err = errors.Join(err, file.Append(p))
		}
	}
	checkpoint, checkpointErr := tree.ReadCheckpoint(keys.Checkpoint)
	if err = errors.Join(err, checkpointErr); err == nil {
		err = file.Commit(checkpoint, keys.Checkpoint)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// refilling is the visitor that makes a store.
type refilling struct {
	t testing.TB
	*ledger.Restoration
}

func (r refilling) Segment(_ uint64, payload []byte) error {
	return r.Append(r.t.Context(), [][]byte{payload})
}
func (r refilling) Checkpoint([]byte) error { return nil }
func (r refilling) Gone(_, to uint64, decisions []*pb.SignedDecision) error {
	return r.Pass(r.t.Context(), to, decisions)
}

// restored is the store of a backup on another machine.
func (w *wreck) restored(source backup.Log, keys *backup.Keys) *wreck {
	w.t.Helper()
	check, err := backup.NewCheck(keys, nil)
	if err == nil {
		err = source.Each(w.t.Context(), check)
	}
	if err == nil {
		err = check.Finish()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	there := &wreck{t: w.t, dir: w.t.TempDir(), before: w.before, lost: w.lost, house: &house{server: startServer(w.t), genesis: w.genesis}}
	there.start()
	r, err := there.ledger.Restore(w.t.Context(), w.store.ID())
	for i := 0; err == nil && i < len(keys.Files); i++ {
		err = r.PutKey(keys.Files[i].Name, keys.Files[i].Content)
	}
	if err == nil {
		err = source.Each(w.t.Context(), refilling{w.t, r})
	}
	if err == nil {
		root := check.Root()
		err = r.Finish(w.t.Context(), check.Size(), root[:])
	}
	if err != nil {
		w.t.Fatal(err)
	}
	there.ledger.Close()
	there.open(w.store.ID())
	return there
}

// settle is what the daemon does when a store is unlocked that was moved.
func (w *wreck) settle(s *service) {
	w.t.Helper()
	decisions, err := s.ReadDecisions(w.t.Context(), &pb.ReadDecisionsRequest{})
	if err == nil {
		err = w.store.Adopt(decisions.GetDecisions())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	sequence, _, _ := w.store.Head()
	device := &pb.SignDecisionRequest_EnrolDevice{EnrolDevice: w.ledger.Device()}
	signed, err := s.SignDecision(w.t.Context(), &pb.SignDecisionRequest{Sequence: sequence, Draft: device})
	if err == nil {
		_, err = w.store.Decide(w.t.Context(), signed.GetDecision())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	_, w.app, _ = w.ledger.AppByKey(w.genesis.Key)
}

// Whatever was lost, a backup that is begun then, or was begun before, makes the store that it is
// of: with the same view and the same losses. It is written, backed up and moved again.
func TestABackupOfALossMakesTheSameStore(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range 4 {
		left, lost := damaged(random, payloads)
		if n == 0 { // who signs is lost, and the first decisions
			left[0], left[1], left[2] = nil, nil, nil
			lost[1], lost[2], lost[3] = true, true, true
		}
		begun := 0
		if n%2 == 1 {
			begun = 1 + random.IntN(len(payloads))
		}
		t.Run(fmt.Sprint(len(left), lost, begun), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if begun > 0 {
				file, err := backup.OpenLog(path, h.store.ID(), nil)
				for i := 0; err == nil && i < begun; i++ {
					err = file.Append(payloads[i])
				}
				if err = errors.Join(err, file.Close()); err != nil {
					t.Fatal(err)
				}
			}
			w := h.wreck(t, left, func(string) {})
			w.lost = lost
			if err := w.accept(); err != nil {
				t.Fatal(err)
			}
			s := w.ready()
			if err := s.shutdown(); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				s := w.ready()
				want, err := dump(s, 0)
				if err := errors.Join(err, s.shutdown()); err != nil {
					t.Fatal(err)
				}
				keys := w.backUp(path)
				source, err := backup.OpenSource(path)
				if err != nil {
					t.Fatal(err)
				}
				w = w.restored(source, keys)
				if err := errors.Join(w.store.Damage(), w.store.Closed()); err != nil {
					t.Fatal(err)
				}
				w.sound()
				s = w.ready()
				if got, err := dump(s, 0); err != nil || got != want {
					t.Error("another view", err)
				}
				w.settle(s)
				w.sound()
				for sequence := range uint64(len(payloads)) {
					if w.store.LostAt(sequence+1) != lost[sequence+1] {
						t.Errorf("segment %d is lost: %v", sequence+1, !lost[sequence+1])
					}
				}
				w.goesOn(s, 1000*(round+1))
				w.reopen()
				w.sound()
			}
		})
	}
}
