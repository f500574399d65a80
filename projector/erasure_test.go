package projector

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

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
func (e *eraser) begin(deletions ...*pb.DeletedSamples) error {
	hidden, at, err := e.decide(&pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Hide{Hide: &pb.HideDraft{Deletions: deletions}}})
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
	if err := e.begin(deletions...); err != nil {
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

// erasedTwice is a store in which epochs were erased, and what was left of them lies in an
// epoch that was erased, too.
func erasedTwice(t testing.TB) *eraser {
	t.Helper()
	h := newHouse(t)
	for n := range 4 {
		h.save(t, n*10, 10)
		h.saveObjects(t, n)
		if _, err := h.store.EndEpoch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e := erasing(t, h)
	for n, d := range []*pb.DeletedSamples{
		minutes(t, "stepCount", 3, 12), minutes(t, "bloodPressure", 0, 1), minutes(t, "stepCount", 100, 101),
	} {
		if _, err := e.erase(d); err != nil {
			t.Fatal(n, err)
		}
		h.save(t, 100+n, 1)
		h.save(t, 200+n, 1)
	}
	// Saved after the first erasure, in the epoch that has what is left.
	if samples, err := e.erase(minutes(t, "stepCount", 100, 102), minutes(t, "stepCount", 20, 22)); err != nil || samples == 0 {
		t.Fatal(samples, err)
	}
	return e
}

// A view that is made of the log alone, knowing of the erasures or not, is the same as the one
// that has seen them happen.
func TestTheLogGivesTheSameViewAfterErasures(t *testing.T) {
	e := erasedTwice(t)
	want := mustDump(t, e.service)
	payloads := e.payloads(t)
	for name, known := range map[string][]*pb.SignedDecision{"told": e.house.store.Foreknown(), "found": nil} {
		config := e.house.config(t, e.server, e.folder(t))
		if err := os.Remove(filepath.Join(config.GetDirectory(), "view.key")); err != nil {
			t.Fatal(err)
		}
		config.Decisions = known
		s := open(t, config, payloads)
		waitReady(t, s, payloads)
		if got := mustDump(t, s); got != want {
			t.Errorf("%s: another view: %s, want %s", name, got.counts, want.counts)
		}
	}
}

// Whatever the daemon tells of decisions must be in the log.
func TestDecisionsThatAreToldMustCome(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	payloads := h.payloads(t)
	e := erasing(t, h)
	if _, err := e.erase(minutes(t, "stepCount", 3, 5)); err != nil {
		t.Fatal(err)
	}
	config := h.config(t, h.replica(t, payloads), h.folder(t))
	if err := os.Remove(filepath.Join(config.GetDirectory(), "view.key")); err != nil {
		t.Fatal(err)
	}
	config.Decisions = h.store.Foreknown()
	s := open(t, config, payloads)
	if err := catchUp(s, uint64(len(payloads))); err == nil {
		t.Error("a log without the erasure is served")
	}
}

var errStopped = errors.New("stopped")

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

// pastSteps are how many samples of stepCount a view of the past answers with.
func pastSteps(t testing.TB, s *service, session string) (int, error) {
	t.Helper()
	out, err := s.Read(t.Context(), &pb.ReadRequest{
		Reader: &pb.Reader{Past: session}, Query: &pb.ReadRequest_Samples{Samples: &pb.QuerySamplesRequest{Types: []string{"stepCount"}}},
	})
	if err != nil {
		return 0, err
	}
	return len(answer[pb.QuerySamplesResponse](out).GetSamples()), nil
}

// The past has no more of what is erased, whether it was open before or not.
func TestThePastForgetsWhatIsErased(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	e := erasing(t, h)
	before := &pb.OpenPastRequest{AsOf: &pb.OpenPastRequest_Sequence{Sequence: e.head()}}
	opened, err := opensPast(t, e.service, before)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := pastSteps(t, e.service, opened.GetSession()); err != nil || n != 10 {
		t.Fatal(n, err)
	}
	if samples, err := e.erase(minutes(t, "stepCount", 2, 5)); err != nil || samples != 3 {
		t.Fatal(samples, err)
	}
	if n, err := pastSteps(t, e.service, opened.GetSession()); rpc.Detail(err).GetField() != "session" {
		t.Errorf("the past that was open has %d samples, %v", n, err)
	}
	if opened, err = opensPast(t, e.service, before); err != nil {
		t.Fatal(err)
	}
	if n, err := pastSteps(t, e.service, opened.GetSession()); err != nil || n != 7 {
		t.Errorf("the past has %d samples, %v", n, err)
	}
}

// A view from before an erasure, put back with its key, is not opened: it has what is erased.
func TestAViewFromBeforeAnErasureIsNotOpened(t *testing.T) {
	h := newHouse(t)
	h.save(t, 0, 10)
	e := erasing(t, h)
	viewBefore := viewIn(t, h.store.Path())
	before := h.folder(t)
	if samples, err := e.erase(minutes(t, "stepCount", 2, 5)); err != nil || samples != 3 {
		t.Fatal(samples, err)
	}
	want := mustDump(t, e.service)
	if err := e.shutdown(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(before, "view.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(viewBefore, os.DirFS(filepath.Join(before, filepath.Base(viewBefore)))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.store.Path(), "view.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	e = erasing(t, h)
	if now := viewIn(t, h.store.Path()); now == viewBefore {
		t.Error("the view from before is the live one")
	}
	if got := mustDump(t, e.service); got != want {
		t.Errorf("another view: %s, want %s", got.counts, want.counts)
	}
	// The one that is made then stays.
	now := viewIn(t, h.store.Path())
	if err := e.shutdown(); err != nil {
		t.Fatal(err)
	}
	if erasing(t, h); viewIn(t, h.store.Path()) != now {
		t.Error("the view is made anew without need")
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
