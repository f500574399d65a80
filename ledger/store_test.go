package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

func code(t testing.TB, name string) uint32 {
	t.Helper()
	found, ok := catalog.Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	return found.Code
}

func TestConcurrentSavesShareSegmentsAndAreAllInTheLogOnce(t *testing.T) {
	h := newHome(t)
	store, app := h.live(), h.importer()
	before, _, _ := store.Head()
	const callers, each = 64, 5
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var saving sync.WaitGroup
	for range callers {
		saving.Go(func() {
			for n := range each {
				req := request(steps(n, 1))
				if resp, err := store.Save(t.Context(), app, req); err != nil || resp.GetAccepted() != 1 {
					t.Error(resp, err)
				}
				mu.Lock()
				acknowledged[string(req.GetRequestId())] = true
				mu.Unlock()
			}
		})
	}
	saving.Wait()
	after, _, _ := store.Head()
	if segments := after - before; segments > callers*each/4 {
		t.Errorf("%d segments for %d saves", segments, callers*each)
	}
	for _, e := range h.events() {
		if saved := e.event.GetSamplesSaved(); saved != nil {
			if !acknowledged[string(saved.GetRequestId())] || saved.GetApp() != app.Number || e.class != seal.Health {
				t.Fatal("an event that nobody saved, or twice")
			}
			delete(acknowledged, string(saved.GetRequestId()))
		}
	}
	if len(acknowledged) > 0 {
		t.Fatalf("%d acknowledged saves are not in the log", len(acknowledged))
	}
}

func TestOneBadObjectStoresNothingAndIsNamed(t *testing.T) {
	h := newHome(t)
	bad := steps(2, 1)
	bad.Unit = "kg"
	backwards := steps(2, 1)
	backwards.Start, backwards.End = backwards.GetEnd(), backwards.GetStart()
	before := h.face()
	for field, sample := range map[string]*pb.Sample{"unit": bad, "end": backwards} {
		_, err := h.live().Save(t.Context(), h.importer(), request(steps(0, 1), steps(1, 1), sample, steps(3, 1)))
		detail := rpc.Detail(err)
		if detail.GetReason() != rpc.ReasonInvalidSample || detail.GetIndex() != 2 || detail.GetField() != field || detail.GetWhy() == "" {
			t.Errorf("%s: %v %v", field, err, detail)
		}
	}
	for _, req := range []*pb.SaveRequest{{}, {RequestId: make([]byte, 15), Samples: []*pb.Sample{steps(0, 1)}}, request()} {
		if _, err := h.live().Save(t.Context(), h.importer(), req); err == nil {
			t.Error("saved")
		}
	}
	if h.face() != before {
		t.Error("something was stored")
	}
}

func TestShareIsAskedOfEveryTypeInTheRequest(t *testing.T) {
	h := newHome(t)
	weight := &pb.Sample{Type: "bodyMass", Start: steps(0, 1).GetStart(), Value: proto.Float64(70), Unit: "kg"}
	app := h.addApp("org.example.a", code(t, "stepCount"))
	before := h.face()
	refused := func(reason string) {
		t.Helper()
		_, err := h.live().Save(t.Context(), app, request(steps(0, 1), weight))
		if detail := rpc.Detail(err); detail.GetReason() != reason || detail.GetValue() != "bodyMass" {
			t.Fatal(err)
		}
	}
	refused(rpc.ReasonShareNotDetermined)
	if h.face() != before {
		t.Fatal("a half was stored")
	}
	if _, err := h.live().Save(t.Context(), app, request(steps(0, 1))); err != nil {
		t.Fatal(err)
	}
	h.decide(h.author.Grant(1, &pb.DecideRequest{BundleId: "org.example.a", Shares: []*pb.ShareGrant{{Type: code(t, "bodyMass")}}}))
	app, _ = h.live().State().AppByNumber(app.Number)
	refused(rpc.ReasonShareDenied)
	h.decide(h.author.RemoveApp(1, "org.example.a"))
	app, _ = h.live().State().AppByNumber(app.Number)
	if _, err := h.live().Save(t.Context(), app, request(steps(0, 1))); rpc.Reason(err) != rpc.ReasonShareNotDetermined {
		t.Fatal("a removed app writes:", err)
	}
}

func TestSaveLargerThanASegmentIsRefusedWhole(t *testing.T) {
	h := newHome(t)
	before := h.face()
	columns := &pb.SampleColumns{Type: code(t, "stepCount"), Unit: "count", Tick: 1}
	ids := noise(16*60_000, 3)
	for i := 0; i < len(ids); i += 16 {
		ids[i+6], ids[i+8] = ids[i+6]&0x0f|0x40, ids[i+8]&0x3f|0x80
		columns.Start, columns.Mantissa = append(columns.Start, 1_000_000), append(columns.Mantissa, 0)
	}
	columns.Start[0], columns.Mantissa[0], columns.Uuid = epoch.UnixMicro(), 1, ids
	req := request()
	req.Columns = []*pb.SampleColumns{columns}
	if _, err := h.live().Save(t.Context(), h.importer(), req); rpc.Reason(err) != rpc.ReasonTooLarge {
		t.Fatal(err)
	}
	if h.face() != before {
		t.Fatal("something was stored")
	}
	h.save(0)
}

func TestSaveThatWasGivenUpBeforeIsNotStored(t *testing.T) {
	h := newHome(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := request(steps(0, 1))
	_, err := h.live().Save(ctx, h.importer(), req)
	stored := false
	for _, e := range h.events() {
		stored = stored || bytes.Equal(e.event.GetSamplesSaved().GetRequestId(), req.GetRequestId())
	}
	if stored != (err == nil) {
		t.Fatalf("stored: %v, but %v", stored, err)
	}
}

func TestHeadThatLagsIsCaughtUp(t *testing.T) {
	h := newHome(t)
	for lag := range 3 {
		early := map[string][]byte{}
		h.reopen(func() { early["head"], early["decisions"] = h.read("head"), h.read("decisions") })
		for n := range lag {
			h.save(n)
			h.addApp("org.example.a"+NewAppKey(), 1)
		}
		want := h.face()
		h.reopen(func() { h.write("head", early["head"]) })
		if got := h.face(); got != want {
			t.Fatalf("was\n%s\nis\n%s", want, got)
		}
		// Both behind.
		h.reopen(func() { h.write("head", early["head"]); h.write("decisions", early["decisions"]) })
		if got := h.face(); got != want {
			t.Fatalf("was\n%s\nis\n%s", want, got)
		}
	}
	h.save(9)
}

// setHead puts a head of the test's making into both slots.
func (h *home) setHead(change func(*head)) {
	h.t.Helper()
	newest, _, err := newestHead(h.read("head"))
	if err != nil {
		h.t.Fatal(err)
	}
	change(&newest)
	slot, err := newest.encode()
	if err != nil {
		h.t.Fatal(err)
	}
	slot = append(slot, make([]byte, headSlot-len(slot))...)
	h.write("head", append(bytes.Clone(slot), slot...))
}

func TestStoreIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		between func(*home)
		want    error
	}{
		"head missing": {func(h *home) {
			if err := os.Remove(h.path("head")); err != nil {
				t.Fatal(err)
			}
		}, ErrDataLoss},
		"head damaged": {func(h *home) { h.write("head", make([]byte, 2*headSlot)) }, ErrDataLoss},
		"keyring swapped": {func(h *home) {
			content, _, keys, err := seal.NewKeyring(h.id, []byte("eve"), seal.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			keys.Destroy()
			h.write("keyring", content)
		}, ErrNotPinned},
		"keyring missing": {func(h *home) {
			if err := os.Remove(h.path("keyring")); err != nil {
				t.Fatal(err)
			}
		}, ErrDataLoss},
	} {
		t.Run(name, func(t *testing.T) {
			house := newHouse(t)
			h, other := house.store(), (*home)(nil)
			if name == "head missing" {
				other = house.store()
			}
			h.save(0)
			h.reopen(func() { c.between(h) })
			if _, err := h.ledger.Store(h.id); !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if _, _, ok := h.ledger.AppByKey(h.genesis.Key); ok {
				t.Error("an app of the store gets in")
			}
			if other != nil {
				other.save(0) // it does not concern the others
			}
		})
	}
}

// JetStream does not open a stream whose settings it cannot read; its segments are there.
func TestLogWhoseSettingsAreDamagedIsServed(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			house := newHouse(t)
			h := house.store()
			h.save(0)
			before, root, _ := h.live().Head()
			house.stop()
			settings := filepath.Join(h.dir, "jetstream", "jetstream", "LOG", "streams", log.StreamName(h.id), "meta.inf")
			if err := damage(settings); err != nil {
				t.Fatal(err)
			}
			// The second time they are to be whole.
			for range 2 {
				house.start()
				if at, now, _ := h.live().Head(); at != before || now != root {
					t.Fatalf("the log has %d segments of %d", at, before)
				}
				house.stop()
			}
			if info, err := os.Stat(settings); err != nil || info.Size() < 200 {
				t.Errorf("the settings are not written again: %v, %v", info, err)
			}
			house.start()
			h.save(1)
		})
	}
}

func TestOwnSegmentBehindTheHeadIsTaken(t *testing.T) {
	h := newHome(t)
	h.reopen(func() {
		h.publish(func(sequence uint64) []byte {
			device, err := readDevice(filepath.Join(h.dir, "device.key"))
			if err != nil {
				t.Fatal(err)
			}
			defer device.Destroy()
			event, _ := proto.Marshal(&pb.Event{Time: 1})
			body, err := log.EncodeBody(nil, blocks([]*pending{{event: event}}))
			if err != nil {
				t.Fatal(err)
			}
			payload, err := seal.SealOpen(h.id, sequence, device, nil, body)
			if err != nil {
				t.Fatal(err)
			}
			return payload
		})
	})
	h.save(0)
}

// A store is there when its pin is; whatever fails before leaves none.
func TestCreateIsAllOrNothing(t *testing.T) {
	house := newHouse(t)
	stranger := testDevice(t)
	for name, spoil := range map[string]func(*pb.CreateStoreRequest){
		"no decisions":   func(r *pb.CreateStoreRequest) { r.Decisions = nil },
		"no enrolment":   func(r *pb.CreateStoreRequest) { r.Decisions = r.GetDecisions()[1:] },
		"forged":         func(r *pb.CreateStoreRequest) { r.Decisions[1].Decision.Signature[0] ^= 1 },
		"detail missing": func(r *pb.CreateStoreRequest) { r.Decisions[1].Detail = nil },
		"keyring":        func(r *pb.CreateStoreRequest) { r.Keyring[len(r.GetKeyring())/2] ^= 1 },
		"another daemon": func(r *pb.CreateStoreRequest) {
			g, err := NewGenesis(passphrase, seal.MinCost, &pb.DeviceEnrolled{SigningKey: stranger.SigningKey(), SealingKey: stranger.SealingKey()})
			if err != nil {
				t.Fatal(err)
			}
			proto.Reset(r)
			proto.Merge(r, g.Request)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := NewGenesis(passphrase, seal.MinCost, house.ledger.Device())
			if err != nil {
				t.Fatal(err)
			}
			spoil(g.Request)
			if _, err := house.ledger.Create(t.Context(), g.Request); err == nil {
				t.Fatal("created")
			}
			for range 2 {
				if _, err := house.ledger.Store(g.Store); !errors.Is(err, ErrNoStore) {
					t.Fatal(err)
				}
				if ids, err := Stores(house.dir); err != nil || len(ids) > 0 {
					t.Fatal(ids, err)
				}
				house.reopen(nil)
			}
		})
	}
	h := house.store()
	if _, err := house.ledger.Create(t.Context(), h.genesis.Request); !errors.Is(err, os.ErrExist) {
		t.Fatal("created twice:", err)
	}
	h.save(0)
}

func TestStoreTakesNothingBeforeItsDaemonIsEnrolled(t *testing.T) {
	h := newHome(t)
	h.reopen(func() {
		// A new daemon takes over the folder: it has another key.
		device, err := seal.NewDeviceKey()
		if err != nil {
			t.Fatal(err)
		}
		defer device.Destroy()
		encoded := device.Encode()
		defer encoded.Destroy()
		if err := os.WriteFile(filepath.Join(h.dir, "device.key"), encoded.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	s := h.live()
	if _, err := s.Save(t.Context(), h.importer(), request(steps(0, 1))); rpc.Reason(err) != rpc.ReasonUnavailable {
		t.Error(err)
	}
	if _, err := s.Record(t.Context(), 0, &pb.Event{Body: &pb.Event_AccessRecorded{AccessRecorded: &pb.AccessRecorded{}}}); !errors.Is(err, ErrNotEnrolled) {
		t.Error(err)
	}
}

func TestEpochsAreRenewedAfterADayAndWhenFull(t *testing.T) {
	h := newHome(t)
	path := func(e located) string { return filepath.Join("epochs", e.class.String()+"-*") }
	h.save(0)
	h.clock.move(epochAge - time.Minute)
	h.save(1)
	h.clock.move(2 * time.Minute)
	h.save(2)
	h.clock.move(-48 * time.Hour)
	h.save(3)
	h.reopen(nil)
	h.save(4)
	var epochs []uint64
	for _, e := range h.events() {
		if e.event.GetSamplesSaved() != nil {
			epochs = append(epochs, e.epoch)
		}
		if e.class == seal.Open {
			continue
		}
		wraps, err := filepath.Glob(h.path(path(e)))
		if err != nil || len(wraps) == 0 {
			t.Fatal("an epoch without a wrap")
		}
	}
	if want := []uint64{1, 1, 2, 3, 4}; !equalNumbers(epochs, want) {
		t.Fatalf("epochs %v, want %v", epochs, want)
	}
}

func equalNumbers(a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestFullEpochIsFollowedByTheNext(t *testing.T) {
	p := &scripted{}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	defer b.close()
	for n := range seal.EpochSegments + 2 {
		if _, err := b.Append(t.Context(), event([]byte{byte(n), byte(n >> 8)})); err != nil {
			t.Fatal(err)
		}
	}
	for i, payload := range p.log {
		segment, err := seal.ParseSegment(payload)
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(1 + i/seal.EpochSegments); segment.Epoch != want || segment.Index != uint32(i%seal.EpochSegments) {
			t.Fatalf("segment %d is %d of epoch %d", i, segment.Index, segment.Epoch)
		}
	}
	if got := len(p.count(t, b.opener)); got != seal.EpochSegments+2 {
		t.Fatalf("%d events can be opened", got)
	}
}

// A daemon that was seized cannot open what it wrote a moment ago.
func TestDaemonCannotOpenHealthSegments(t *testing.T) {
	h := newHome(t)
	h.save(0)
	s := h.live()
	opener := s.key().Opener(h.id, s.directory)
	defer opener.Destroy()
	sequence, _, _ := s.Head()
	e, err := s.Reader().Get(t.Context(), sequence)
	if err != nil {
		t.Fatal(err)
	}
	segment, err := seal.ParseSegment(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opener.Open(segment, sequence, nil); !errors.Is(err, seal.ErrNotRecipient) {
		t.Fatal(err)
	}
}

func TestListLogDescribesEverySegment(t *testing.T) {
	h := withApps(t)
	head, _, _ := h.live().Head()
	var got []uint64
	for from := uint64(1); from != 0; {
		page, err := h.live().ListLog(t.Context(), from, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.GetSegments() {
			got = append(got, s.GetSequence())
		}
		from = page.GetNext()
	}
	for i, sequence := range got {
		if sequence != uint64(i)+1 {
			t.Fatal(got)
		}
	}
	if uint64(len(got)) != head {
		t.Fatalf("%d of %d segments", len(got), head)
	}
	if page, err := h.live().ListLog(t.Context(), ^uint64(0), 0); err != nil || len(page.GetSegments()) > 0 {
		t.Fatal(page, err)
	}
}
