package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"healthledger/authz/authztest"
	"healthledger/ledger"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// wreck is a store of which a server and a data directory have a copy that was damaged.
type wreck struct {
	*house
	t   testing.TB
	dir string
	// before are its segments as they were written, and lost those that are not there any more, or
	// that nothing opens.
	before [][]byte
	lost   map[uint64]bool
}

// wreck damages a copy of the store: segments that are nil are gone, those behind the last were
// cut off, and damage may do more to the folder of the store.
func (h *house) wreck(t testing.TB, payloads [][]byte, damage func(folder string)) *wreck {
	t.Helper()
	w := &wreck{t: t, dir: t.TempDir(), before: h.payloads(t), lost: map[uint64]bool{}}
	s := startServer(t)
	if err := os.CopyFS(w.dir, os.DirFS(filepath.Dir(filepath.Dir(h.store.Path())))); err != nil {
		t.Fatal(err)
	}
	w.house = &house{server: s, genesis: h.genesis}
	damage(filepath.Join(w.dir, "stores", h.store.ID().String()))
	original, err := h.admin.Stream(t.Context(), log.StreamName(h.store.ID()))
	if err != nil {
		t.Fatal(err)
	}
	w.fill(original.CachedInfo().Config, h.store.ID(), payloads)
	w.open(h.store.ID())
	return w
}

// fill makes the log of what is left.
func (w *wreck) fill(config jetstream.StreamConfig, id seal.StoreID, payloads [][]byte) {
	w.t.Helper()
	ctx := w.t.Context()
	config.DenyDelete = false
	stream, err := w.admin.CreateStream(ctx, config)
	if err != nil {
		w.t.Fatal(err)
	}
	publisher := log.NewPublisher(w.conn, id)
	for i, p := range payloads {
		if p == nil {
			p = []byte("lost")
		}
		if err := publisher.Publish(ctx, uint64(i)+1, p); err != nil {
			w.t.Fatal(err)
		}
	}
	for i, p := range payloads {
		if p == nil {
			if err := stream.DeleteMsg(ctx, uint64(i)+1); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	config.DenyDelete = true
	if _, err := w.admin.UpdateStream(ctx, config); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wreck) open(id seal.StoreID) {
	w.t.Helper()
	w.start()
	var err error
	if w.store, err = w.ledger.Store(id); err != nil {
		w.t.Fatal(err)
	}
	_, w.app, _ = w.ledger.AppByKey(w.genesis.Key)
}

func (w *wreck) start() {
	w.t.Helper()
	var err error
	w.ledger, err = ledger.Open(w.t.Context(), ledger.Config{
		Dir: w.dir, Admin: w.admin, Appender: w.conn, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.ledger.Close)
}

// reopen is another start of the daemon.
func (w *wreck) reopen() {
	w.t.Helper()
	id := w.store.ID()
	w.ledger.Close()
	w.open(id)
}

// unlock opens the store as its daemon does.
func (w *wreck) unlock() *service {
	w.t.Helper()
	config := w.config(w.t, w.server, w.store.Path())
	config.Decisions = w.store.Foreknown()
	s := begin(w.t, config)
	target, root, _ := w.store.Head()
	if err := unlock(s, passphrase, target, root[:]); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// ready is unlock of a store that can be read.
func (w *wreck) ready() *service {
	w.t.Helper()
	s := w.unlock()
	target, _, _ := w.store.Head()
	if err := catchUp(s, target); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// survey finds out what is lost, which is exactly what is.
func (w *wreck) survey() *ledger.Survey {
	w.t.Helper()
	survey, err := w.ledger.Survey(w.t.Context(), w.store.ID())
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[uint64]bool{}
	for _, l := range survey.Lost {
		for sequence := l.GetFrom(); sequence <= l.GetTo(); sequence++ {
			found[sequence] = true
		}
	}
	if fmt.Sprint(found) != fmt.Sprint(w.lost) || len(survey.Others) > 0 {
		w.t.Fatalf("lost are %v, it finds %v: %v", w.lost, survey.Lost, survey.Others)
	}
	return survey
}

// accept goes on without what is lost.
func (w *wreck) accept() error {
	w.t.Helper()
	s := w.unlock()
	err := w.store.AcceptLoss(w.t.Context(), w.survey(), func(ctx context.Context, draft *pb.LossDraft) (*pb.NewDecision, error) {
		resp, err := s.SignDecision(ctx, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AcceptLoss{AcceptLoss: draft}})
		return resp.GetDecision(), err
	})
	return errors.Join(err, s.shutdown())
}

// sound fails unless verification finds no fault.
func (w *wreck) sound() {
	w.t.Helper()
	survey, err := w.ledger.Survey(w.t.Context(), w.store.ID())
	if err != nil || len(survey.Faults) > 0 {
		w.t.Errorf("faults: %v %v", survey.Faults, err)
	}
}

var asked = []string{"stepCount", "bloodPressure", "bloodPressureSystolic", "workout", "electrocardiogram"}

// samplesOf is what the owner sees of everything that was saved.
func samplesOf(t testing.TB, p *projection) string {
	t.Helper()
	var all string
	for _, name := range asked {
		for query := (&pb.QuerySamplesRequest{Types: []string{name}}); ; {
			resp, err := p.engine.Samples(t.Context(), p.state.OwnerScope(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, sample := range resp.GetSamples() {
				sample.PayloadToken = ""
				all += fmt.Sprintln(sample)
			}
			if query.PageToken = resp.GetNextPageToken(); query.PageToken == "" {
				break
			}
		}
	}
	return all
}

// without is a view of the log as it was written, without what is lost, made by nobody who follows
// a log.
func (w *wreck) without(s *service, original string) string {
	w.t.Helper()
	directory, err := log.OpenKeyDirectory(original)
	if err != nil {
		w.t.Fatal(err)
	}
	opener := s.open.keys.Opener(s.store, directory)
	defer opener.Destroy()
	p, err := s.open.openProjection(filepath.Join(w.t.TempDir(), "view"), passingKey())
	if err != nil {
		w.t.Fatal(err)
	}
	p.state = s.open.live.state // for the names of apps
	batch := p.view.Begin()
	for i, payload := range w.before {
		sequence := uint64(i) + 1
		segment, err := seal.ParseSegment(payload)
		if err != nil {
			w.t.Fatal(err)
		}
		if w.lost[sequence] || segment.Class != seal.Health {
			continue
		}
		body, err := opener.Open(segment, sequence, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		events, err := log.AllEvents(body)
		if err != nil {
			w.t.Fatal(err)
		}
		for at, event := range events {
			if err := batch.Apply(sequence, at, event); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if err := p.follower.commit(batch, uint64(len(w.before))); err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			w.t.Error(err)
		}
	}()
	return samplesOf(w.t, p)
}

// damaged draws what happens to a log, and does it to its payloads.
func damaged(random *rand.Rand, payloads [][]byte) (left [][]byte, lost map[uint64]bool) {
	left, lost = slices.Clone(payloads), map[uint64]bool{}
	for range 1 + random.IntN(3) {
		at, length := random.IntN(len(payloads)), 1+random.IntN(3)
		kind := random.IntN(4)
		for i := at; i < min(at+length, len(left)); i++ {
			lost[uint64(i)+1] = true
			switch kind {
			case 0:
				left[i] = nil
			case 1:
				left[i] = slices.Clone(payloads[i])
				left[i][random.IntN(len(left[i]))] ^= 1 << random.IntN(8)
			case 2: // one that was before
				left[i] = payloads[(i+1)%len(payloads)]
			case 3:
				left = left[:i]
			}
		}
		if kind == 3 && at < len(payloads) {
			for i := at; i < len(payloads); i++ {
				lost[uint64(i)+1] = true
			}
		}
	}
	return left, lost
}

// Wherever a log was damaged, and however, its owner goes on with all the rest: it is served as it
// would be if what is lost had never been written, and is written; nothing else is lost.
func TestALossThatIsAcceptedLosesNothingElse(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 4 {
		left, lost := damaged(random, payloads)
		t.Run(fmt.Sprint(len(left), lost), func(t *testing.T) {
			w := h.wreck(t, left, func(folder string) {
				if random.IntN(2) == 0 { // else the view is from before
					return
				}
				_ = os.Remove(filepath.Join(folder, "view.key"))
			})
			w.lost = lost
			if err := w.accept(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.store.Damage(), w.store.Closed()); err != nil {
				t.Error(err)
			}
			w.sound()
			s := w.ready()
			want := w.without(s, h.store.Path())
			if got := samplesOf(t, s.open.live); got != want {
				t.Errorf("it is\n%s\nwant\n%s", got, want)
			}
			alike(t, s)
			w.goesOn(s, 1000)
			// Once more, and with another loss later.
			w.reopen()
			if err := errors.Join(w.store.Damage(), w.store.Closed()); err != nil {
				t.Error(err)
			}
			w.sound()
			s = w.ready()
			alike(t, s)
			w.goesOn(s, 2000)
		})
	}
}

// alike fails unless a replay is the view.
func alike(t testing.TB, s *service) {
	t.Helper()
	resp, err := replays(t, s, true)
	if err != nil || resp.GetDifference() != nil {
		t.Errorf("a replay is another: %v %v", resp.GetDifference(), err)
	}
}

// goesOn fails unless what is written now is read, and ends the projector.
func (w *wreck) goesOn(s *service, from int) {
	w.t.Helper()
	before := samplesOf(w.t, s.open.live)
	w.save(w.t, from, 3)
	head, _, _ := w.store.Head()
	if _, err := s.Advance(w.t.Context(), &pb.AdvanceRequest{Sequence: head, Wait: true}); err != nil {
		w.t.Fatal(err)
	}
	if samplesOf(w.t, s.open.live) == before {
		w.t.Error("what was saved is not there")
	}
	if err := s.shutdown(); err != nil {
		w.t.Fatal(err)
	}
}

// What the daemon says is lost must be so, the decisions that it knows the owner's, and what was
// signed the owner's for this store: else nothing is signed, or nothing is read.
func TestALossThatIsNoneIsNotAccepted(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	left := slices.Clone(payloads)
	left[9] = nil
	w := h.wreck(t, left, func(string) {})
	w.lost = map[uint64]bool{10: true}
	s := w.unlock()
	var draft *pb.LossDraft
	keep := errors.New("keep")
	err := w.store.AcceptLoss(t.Context(), w.survey(), func(_ context.Context, d *pb.LossDraft) (*pb.NewDecision, error) {
		draft = d
		return nil, keep
	})
	if !errors.Is(err, keep) {
		t.Fatal(err)
	}
	sign := func(s *service, change func(d *pb.LossDraft)) (*pb.NewDecision, error) {
		changed := proto.CloneOf(draft)
		change(changed)
		resp, err := s.SignDecision(t.Context(), &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AcceptLoss{AcceptLoss: changed}})
		return resp.GetDecision(), err
	}
	for name, change := range map[string]func(d *pb.LossDraft){
		"a segment that is there": func(d *pb.LossDraft) { d.Loss.Lost[0].To = 11 },
		"a decision left out":     func(d *pb.LossDraft) { d.Decisions = d.Decisions[1:] },
		"a decision changed":      func(d *pb.LossDraft) { d.Decisions[1].Decision[5] ^= 1 },
		"nothing":                 func(d *pb.LossDraft) { d.Loss.Lost = nil },
		"no tree":                 func(d *pb.LossDraft) { d.Loss.Tree = nil },
	} {
		if d, err := sign(s, change); rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("%s: %v %v", name, d, err)
		}
	}
	good, err := sign(s, func(*pb.LossDraft) {})
	if err != nil {
		t.Fatal(err)
	}
	neighbour := newHouse(t)
	theirs, err := sign(neighbour.opened(t), func(d *pb.LossDraft) {
		d.Decisions, d.Loss.Lost[0] = nil, &pb.LostSegments{From: 99, To: 99, Kind: pb.LossKind_LOSS_KIND_GONE}
		for _, g := range neighbour.genesis.Request.GetDecisions() {
			d.Decisions = append(d.Decisions, g.GetDecision())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	forged := proto.CloneOf(good.GetDecision())
	forged.Signature[0] ^= 1
	for name, told := range map[string]*pb.SignedDecision{
		"forged": forged, "another store's": theirs.GetDecision(), "not in the log": good.GetDecision(),
	} {
		if _, err := w.store.Decide(t.Context(), &pb.NewDecision{Decision: told}); name != "not in the log" && err == nil {
			t.Errorf("%s: the log has it", name)
		}
		config := w.config(t, w.server, w.folder(t))
		if name == "not in the log" {
			config = h.config(t, h.replica(t, left), h.folder(t))
		}
		config.Decisions = []*pb.SignedDecision{told}
		s, target := begin(t, config), uint64(len(payloads))
		_, root := rootOf(payloads)
		err := unlock(s, passphrase, target, root[:])
		if err == nil {
			err = catchUp(s, target)
		}
		if err == nil {
			t.Errorf("%s: it is read", name)
		}
		if err := s.shutdown(); err != nil {
			t.Fatal(err)
		}
	}
}

// A key that is missing is a loss of all that only it opens. The decisions that are lost with it
// are those that the daemon remembers; of what they said to the owner alone, grants and names,
// nothing stands until he decides again.
func TestGrantsEndThatMayHaveEndedInALoss(t *testing.T) {
	for _, class := range []string{"health", "management"} {
		t.Run(class, func(t *testing.T) {
			h := newHouse(t)
			s := h.opened(t)
			h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_AddApp{AddApp: &pb.AppDraft{
				Manifest: authztest.Manifest("org.example.reader"), Key: "abcdefghijklmnopqrstuvwxyz", TokenHash: make([]byte, 32),
			}}})
			h.save(t, 0, 3)
			h.decide(t, s, &pb.SignDecisionRequest{Draft: &pb.SignDecisionRequest_Decide{Decide: &pb.DecideRequest{
				BundleId: "org.example.reader", Reads: []*pb.ReadGrant{{Type: codeOf(t, "stepCount"), Extent: pb.ReadExtent_READ_EXTENT_ALL}},
			}}})
			reader, _ := s.open.live.state.AppByBundle("org.example.reader")
			number := reader.Number
			w := h.wreck(t, h.payloads(t), func(folder string) {
				wraps, err := filepath.Glob(filepath.Join(folder, "epochs", class+"-*"))
				if err != nil || len(wraps) == 0 {
					t.Fatal(wraps, err)
				}
				for _, wrap := range wraps {
					if err := os.Remove(wrap); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Remove(filepath.Join(folder, "view.key")); err != nil {
					t.Fatal(err)
				}
			})
			for i, payload := range w.before {
				if segment, err := seal.ParseSegment(payload); err != nil || segment.Class.String() == class {
					w.lost[uint64(i)+1] = true
				}
			}
			if err := w.accept(); err != nil {
				t.Fatal(err)
			}
			w.sound()
			after := w.ready()
			if got, want := samplesOf(t, after.open.live), w.without(after, h.store.Path()); got != want {
				t.Errorf("it is\n%s\nwant\n%s", got, want)
			}
			alike(t, after)
			app, ok := after.open.live.state.AppByNumber(number)
			if !ok || app.Removed {
				t.Fatal("the app is gone")
			}
			// Where only the decisions were lost, their details are there still.
			name, reads := "org.example.reader", 1
			if class == "health" {
				name, reads = fmt.Sprintf("lost.app-%d", number), 0
			}
			if app.BundleID() != name || len(app.Reads()) != reads {
				t.Errorf("%s reads %v", app.BundleID(), app.Reads())
			}
			w.reopen()
			if apps := w.store.State().Apps(); len(apps) != 2 {
				t.Errorf("the daemon knows %d apps", len(apps))
			}
		})
	}
}

// Where the daemon has forgotten what its owner decided, the log says it: what is lost, and the
// decisions that are lost with it.
func TestALossIsFollowedWhereTheDaemonHasForgottenIt(t *testing.T) {
	h := history(t)
	left := h.payloads(t)
	left[2], left[11] = nil, nil // a decision, and samples or a part of some
	w := h.wreck(t, left, func(string) {})
	w.lost = map[uint64]bool{3: true, 12: true}
	if err := w.accept(); err != nil {
		t.Fatal(err)
	}
	w.ledger.Close()
	if err := os.Remove(filepath.Join(w.store.Path(), "decisions")); err != nil {
		t.Fatal(err)
	}
	w.open(w.store.ID())
	if w.store.Knows() {
		t.Fatal("the daemon knows a decision that nobody has told")
	}
	s := w.ready()
	if got, want := samplesOf(t, s.open.live), w.without(s, h.store.Path()); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	alike(t, s)
	decisions, err := s.ReadDecisions(t.Context(), &pb.ReadDecisionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Adopt(decisions.GetDecisions()); err != nil {
		t.Fatal(err)
	}
	_, w.app, _ = w.ledger.AppByKey(w.genesis.Key)
	w.goesOn(s, 1000)
	s = w.ready()
	alike(t, s)
	w.sound()
}

// What an erasure has left can be lost, too: with it all that it stood for is, and nothing else.
func TestWhatAnErasureHasLeftCanBeLost(t *testing.T) {
	for _, key := range []bool{false, true} {
		t.Run(fmt.Sprintf("key %v", key), func(t *testing.T) {
			h := newHouse(t)
			h.save(t, 0, 10)
			e := erasing(t, h)
			if _, err := e.erase(minutes(t, "stepCount", 5, 7)); err != nil {
				t.Fatal(err)
			}
			h.save(t, 20, 10)
			if _, err := e.erase(minutes(t, "stepCount", 25, 27)); err != nil {
				t.Fatal(err)
			}
			h.save(t, 40, 10)
			if err := e.shutdown(); err != nil {
				t.Fatal(err)
			}
			first := h.store.State().Erasures()[0].Epochs[0]
			left := h.payloads(t)
			if !key {
				left[first.GetFirst()-1] = nil
			}
			w := h.wreck(t, left, func(folder string) {
				if key {
					if err := os.Remove(filepath.Join(folder, log.WrapFile(seal.Resealed, first.GetReseal()))); err != nil {
						t.Fatal(err)
					}
				}
			})
			if key {
				for i, payload := range w.before {
					if segment, err := seal.ParseSegment(payload); err == nil && segment.Class == seal.Health && segment.Epoch == first.GetEpoch() {
						w.lost[uint64(i)+1] = true
					}
				}
			} else {
				w.lost = map[uint64]bool{first.GetFirst(): true}
			}
			if err := w.accept(); err != nil {
				t.Fatal(err)
			}
			w.sound()
			s := w.ready()
			alike(t, s)
			values := map[float64]bool{}
			resp, err := s.open.live.engine.Samples(t.Context(), s.open.live.state.OwnerScope(), &pb.QuerySamplesRequest{Types: []string{"stepCount"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, sample := range resp.GetSamples() {
				values[sample.GetValue()] = true
			}
			for v := range 50 {
				want := v >= 20 && v < 30 && v != 25 && v != 26 || v >= 40
				if values[float64(v)] != want {
					t.Errorf("value %d is there: %v", v, !want)
				}
			}
			w.goesOn(s, 1000)
		})
	}
}
