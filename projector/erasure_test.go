package projector

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// eraser is what a daemon does to erase: it runs a store and its projector.
type eraser struct {
	t testing.TB
	*house
	*service
	// stop, if it returns an error, ends it before a step.
	stop func(step string) error
}

func (e *eraser) head() uint64 {
	sequence, _, _ := e.house.store.Head()
	return sequence
}

// decide has the projector sign a decision and the store append it.
func (e *eraser) decide(draft *pb.SignDecisionRequest) (decision *pb.NewDecision, sequence uint64, err error) {
	draft.Sequence = e.head()
	signed, err := e.SignDecision(context.Background(), draft)
	if err != nil {
		return nil, 0, err
	}
	sequence, err = e.house.store.Decide(e.t.Context(), signed.GetDecision())
	if err == nil {
		_, err = e.Advance(context.Background(), &pb.AdvanceRequest{Sequence: sequence, Wait: true})
	}
	return signed.GetDecision(), sequence, err
}

// begin hides, and begins to seal again.
func (e *eraser) begin(draft *pb.SignDecisionRequest) error {
	hidden, at, err := e.decide(draft)
	if err != nil {
		return err
	}
	detail := &pb.DecisionDetail{}
	if err := proto.Unmarshal(hidden.GetDetail(), detail); err != nil {
		return err
	}
	end, err := e.house.store.EndEpoch(e.t.Context())
	if err != nil {
		return err
	}
	_, err = e.BeginErasure(context.Background(), &pb.BeginErasureRequest{
		Order: &pb.ErasureOrdered{Hidden: detail.GetNumber(), Deletions: detail.GetOwnerDeleted().GetDeletions()}, Hidden: at, Sequence: end,
	})
	return err
}

// reseal appends what the projector seals again, and returns how it ended.
func (e *eraser) reseal() (*pb.ResealResponse, error) {
	req := &pb.ResealRequest{}
	for {
		if err := e.stop("reseal"); err != nil {
			return nil, err
		}
		step, err := e.Reseal(context.Background(), req)
		if err != nil || step.GetFinished() {
			return step, err
		}
		req = &pb.ResealRequest{}
		if len(step.GetResealed()) > 0 {
			if req.Appended, err = e.house.store.Reseal(e.t.Context(), step.GetResealed()); err != nil {
				return nil, err
			}
		}
	}
}

// finish decides, and makes the view anew.
func (e *eraser) finish() error {
	if err := e.stop("decide"); err != nil {
		return err
	}
	if _, _, err := e.decide(&pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_EraseEpochs{EraseEpochs: &pb.ErasureDraft{}}}); err != nil {
		return err
	}
	if err := e.stop("rebuild"); err != nil {
		return err
	}
	for {
		step, err := e.FinishErasure(context.Background(), nil)
		if err != nil || step.GetFinished() {
			return err
		}
	}
}

func (e *eraser) erase(deletions ...*pb.DeletedSamples) (uint64, error) {
	return e.eraseBy(&pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Hide{Hide: &pb.HideDraft{Deletions: deletions}}})
}

// eraseBy erases what a draft hides.
func (e *eraser) eraseBy(draft *pb.SignDecisionRequest) (uint64, error) {
	if err := e.begin(draft); err != nil {
		return 0, err
	}
	end, err := e.reseal()
	if err != nil || end.GetEpochs() == 0 {
		return 0, err
	}
	return end.GetSamples(), e.finish()
}

// erasing is the store's own projector, on its own key directory.
func erasing(t testing.TB, h *house) *eraser {
	t.Helper()
	config := h.config(t, h.server, h.store.Path())
	config.Decisions = h.store.Foreknown()
	e := &eraser{t: t, house: h, service: open(t, config, h.payloads(t)), stop: func(string) error { return nil }}
	waitReady(t, e.service, h.payloads(t))
	return e
}

func typeCodeOf(t testing.TB, name string) uint32 {
	t.Helper()
	found, ok := catalog.Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	return found.Code
}

// minutes names the samples of a type in the minutes after the first of save.
func minutes(t testing.TB, name string, from, to int64) *pb.DeletedSamples {
	const begin = 1714521600_000_000 // 2024-05-01
	return &pb.DeletedSamples{Type: typeCodeOf(t, name), From: proto.Int64(begin + from*60_000_000), To: proto.Int64(begin + to*60_000_000)}
}

// readable opens every segment of a log with a key directory and the passphrase, without
// knowing of any erasure, and tells how many values of stepCount it finds, by minute.
func readable(t testing.TB, h *house, folder string) map[float64]bool {
	t.Helper()
	directory, err := log.OpenKeyDirectory(folder)
	if err != nil {
		t.Fatal(err)
	}
	content, err := directory.Keyring()
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := seal.ParseKeyring(content)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	opener := keys.Opener(h.store.ID(), directory)
	defer opener.Destroy()
	// Whatever key of what was left there is, it may open.
	reseals, err := directory.Wraps(seal.Resealed)
	if err != nil {
		t.Fatal(err)
	}
	found := map[float64]bool{}
	look := func(blocks [][]byte) {
		for _, block := range blocks {
			events, err := log.Events(block)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range events {
				for _, c := range event.GetSamplesSaved().GetColumns() {
					for _, v := range valuesOf(c) {
						found[v] = true
					}
				}
			}
		}
	}
	known := h.store.State()
	for i, payload := range h.payloads(t) {
		segment, err := seal.ParseSegment(payload)
		if err != nil {
			t.Fatal(err)
		}
		body, err := opener.Open(segment, uint64(i)+1, nil)
		if errors.Is(err, log.ErrNoWrap) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := log.DecodeBody(body)
		if err != nil {
			t.Fatal(err)
		}
		look(blocks)
		for _, block := range blocks {
			events, _ := log.Events(block)
			for _, event := range events {
				r := event.GetResealed()
				if r == nil || !slices.Contains(reseals, r.GetReseal()) || r.GetParts() != 1 {
					continue
				}
				for _, erasure := range known.Erasures() {
					for _, e := range erasure.Epochs {
						if e.GetReseal() != r.GetReseal() {
							continue
						}
						left, err := opener.OpenResealed(r.GetReseal(), [32]byte(e.GetResealHash()), e.GetEpoch(), r.GetSequence(), r.GetSealed())
						if err != nil {
							t.Fatal(err)
						}
						blocks, err := log.DecodeLeft(left)
						if err != nil {
							t.Fatal(err)
						}
						look(blocks)
					}
				}
			}
		}
	}
	return found
}

// With the owner's passphrase, and all old and new files but the keys that the erasure has
// destroyed, what is erased cannot be opened, and everything else can. With those keys it can.
func TestErasedSamplesCannotBeOpenedByAnything(t *testing.T) {
	h := newHouse(t)
	for n := range 6 {
		h.save(t, n*10, 10)
	}
	e := erasing(t, h)
	old := h.folder(t) // with the view
	samples, err := e.erase(minutes(t, "stepCount", 15, 25))
	if err != nil || samples != 10 {
		t.Fatalf("%d samples, %v", samples, err)
	}
	values := func(folder string) (erased, others int) {
		for v := range readable(t, h, folder) {
			if v >= 15 && v < 25 {
				erased++
			} else {
				others++
			}
		}
		return erased, others
	}
	if erased, others := values(h.store.Path()); erased != 0 || others < 50 {
		t.Errorf("the store opens %d of the erased, %d others", erased, others)
	}
	// Everything that was and is, but what was destroyed.
	mixed := h.folder(t)
	destroyed := 0
	err = filepath.WalkDir(old, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(old, path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(h.store.Path(), name)); err != nil && (filepath.Dir(name) == "epochs" || name == "view.key") {
			destroyed++
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(mixed, name)); err == nil {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(mixed, name)), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(mixed, name), content, 0o600)
	})
	if err != nil || destroyed == 0 {
		t.Fatal(destroyed, err)
	}
	if erased, others := values(mixed); erased != 0 || others < 50 {
		t.Errorf("the old files open %d of the erased, %d others", erased, others)
	}
	// So that the test can fail.
	if erased, _ := values(old); erased != 10 {
		t.Errorf("the old key directory opens %d of the erased", erased)
	}
	if now, _ := os.ReadFile(filepath.Join(h.store.Path(), "view.key")); len(now) == 0 {
		t.Error("there is no key of the new view")
	} else if before, _ := os.ReadFile(filepath.Join(old, "view.key")); slices.Equal(now, before) {
		t.Error("the view has its old key")
	}
}

// An erasure that ends before any step leaves the old state or the new one, and erasing again
// finishes it.
func TestAnErasureCanBeRepeatedWhereverItEnded(t *testing.T) {
	for _, at := range []string{"reseal", "reseal again", "decide", "rebuild"} {
		t.Run(at, func(t *testing.T) {
			h := newHouse(t)
			for n := range 3 {
				h.save(t, n*10, 10)
			}
			e := erasing(t, h)
			calls := 0
			e.stop = func(step string) error {
				if calls++; step == at || at == "reseal again" && step == "reseal" && calls == 2 {
					return errStopped
				}
				return nil
			}
			what := minutes(t, "stepCount", 5, 15)
			if _, err := e.erase(what); !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
			if err := e.shutdown(); err != nil {
				t.Fatal(err)
			}
			e = erasing(t, h)
			samples, err := e.erase(what)
			if err != nil || (samples == 10) != (at != "rebuild") {
				t.Fatalf("%d samples, %v", samples, err)
			}
			for v := range readable(t, h, h.store.Path()) {
				if v >= 5 && v < 15 {
					t.Errorf("%v is there", v)
				}
			}
			directory, err := log.OpenKeyDirectory(h.store.Path())
			if err != nil {
				t.Fatal(err)
			}
			if wraps, err := directory.Wraps(seal.Resealed); err != nil || len(wraps) != len(h.store.State().Erasures()) {
				t.Errorf("%d keys of what is left of %d erasures, %v", len(wraps), len(h.store.State().Erasures()), err)
			}
		})
	}
}

// valuesOf are those of columns of stepCount.
func valuesOf(c *pb.SampleColumns) []float64 {
	values, sum := slices.Clone(c.GetReal()), int64(0)
	for _, delta := range c.GetMantissa() {
		sum += delta
		values = append(values, float64(sum)/math.Pow10(int(c.GetExponent())))
	}
	return values
}

// What the daemon has no room to append it does not go on with. The view is made anew all the same.
func TestACancelledErasureKeepsNoView(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	e := erasing(t, h)
	hide := &pb.HideDraft{Deletions: []*pb.DeletedSamples{minutes(t, "stepCount", 2, 5)}}
	if err := e.begin(&pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Hide{Hide: hide}}); err != nil {
		t.Fatal(err)
	}
	for pieces := 0; pieces == 0; {
		step, err := e.Reseal(t.Context(), &pb.ResealRequest{})
		if err != nil || step.GetFinished() {
			t.Fatal(step, err)
		}
		pieces = len(step.GetResealed())
	}
	rebuilt := make(chan error)
	go func() { rebuilt <- e.open.rebuild(t.Context(), func(progress) {}) }()
	if _, err := e.CancelErasure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-rebuilt:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the view is kept")
	}
	if _, err := e.Reseal(t.Context(), &pb.ResealRequest{}); rpc.Reason(err) != rpc.ReasonFailedPrecondition {
		t.Errorf("it goes on: %v", err)
	}
	// It is erased the next time.
	if samples, err := e.erase(minutes(t, "stepCount", 2, 5)); err != nil || samples != 3 {
		t.Errorf("%d samples, %v", samples, err)
	}
}
