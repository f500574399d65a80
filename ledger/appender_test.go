package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// A scripted publisher is a log in memory that fails as it is told to.
type scripted struct {
	mu       sync.Mutex
	log      [][]byte
	attempts [][]byte
	outcomes []outcome
	// entered gets a value at each publish, which then waits for release.
	entered, release chan struct{}
}

type outcome int

const (
	taken outcome = iota
	noSpace
	refused
	unknownTaken
	unknownLost
	outcomes
)

var errRefused = errors.New("refused")

func (p *scripted) Publish(_ context.Context, sequence uint64, payload []byte) error {
	if p.entered != nil {
		p.entered <- struct{}{}
		<-p.release
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts = append(p.attempts, payload)
	what := taken
	if len(p.outcomes) > 0 {
		what, p.outcomes = p.outcomes[0], p.outcomes[1:]
	}
	switch what {
	case noSpace:
		return log.ErrNoSpace
	case refused:
		return errRefused
	case unknownLost:
		return log.ErrUnknown
	}
	switch at := uint64(len(p.log)); {
	case at >= sequence && !bytes.Equal(p.log[sequence-1], payload):
		return log.ErrConflict
	case at+1 < sequence:
		return &log.LossError{From: at + 1, To: sequence - 1}
	case at+1 == sequence:
		p.log = append(p.log, payload)
	}
	if what == unknownTaken {
		return log.ErrUnknown
	}
	return nil
}

// bench is an appender on a scripted publisher; the rest of it is real.
type bench struct {
	*appender
	publisher *scripted
	opener    *seal.Opener
	learned   []*pb.SignedDecision
}

func newBench(t testing.TB, p *scripted, store seal.StoreID, device *seal.DeviceKey) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	directory, err := log.CreateKeyDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	file, at, err := createHead(filepath.Join(path, "head"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{publisher: p, opener: device.Opener(store, directory)}
	b.appender = &appender{
		store: store, device: device, publisher: p, head: file, now: time.Now, at: at,
		epochs: &epochs{
			store: store, directory: directory, open: map[seal.Class]*writing{},
			recipients: map[seal.Class][][]byte{seal.Health: {device.SealingKey()}, seal.Management: {device.SealingKey()}},
		},
		learn:    func(d *pb.SignedDecision) error { b.learned = append(b.learned, d); return nil },
		appended: func(head) {},
		wake:     make(chan struct{}, 1), done: make(chan struct{}),
	}
	go b.run()
	return b
}

func (b *bench) close() {
	b.Close()
	b.epochs.renew(nil)
	b.opener.Destroy()
	_ = b.head.Close()
}

func testDevice(t testing.TB) *seal.DeviceKey {
	t.Helper()
	device, err := seal.NewDeviceKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Destroy)
	return device
}

// place finds an event in the scripted log; 0: it is not there, -1: more than once.
func (p *scripted) count(t testing.TB, o *seal.Opener) map[string][]uint64 {
	t.Helper()
	places := map[string][]uint64{}
	for i, payload := range p.log {
		if len(payload) > log.MaxSegment {
			t.Fatalf("a segment of %d bytes", len(payload))
		}
		segment, err := seal.ParseSegment(payload)
		if err != nil {
			t.Fatal(err)
		}
		body, err := o.Open(segment, uint64(i)+1, nil)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := log.DecodeBody(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks {
			events, err := log.Events(block)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				id := string(e.GetDecisionDetail())
				places[id] = append(places[id], uint64(i)+1)
			}
		}
	}
	return places
}

// event of class management, which the device opens, with content that names it.
func event(content []byte) *pending {
	b := []byte{0x22} // Event.decision_detail
	b = binary.AppendUvarint(b, uint64(len(content)))
	return &pending{class: seal.Management, event: append(b, content...)}
}

func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// What was acknowledged is in the log once, at its sequence; what was not is there at
// most once; whatever the publisher answers, and nothing is lost after it.
func TestAcknowledgedEventsAreInTheLogExactlyOnce(t *testing.T) {
	device, store := testDevice(t), seal.NewStoreID()
	rapid.Check(t, func(r *rapid.T) {
		p := &scripted{}
		b := newBench(t, p, store, device)
		defer b.close()
		acknowledged := map[string]uint64{}
		for n := byte(0); n < byte(rapid.IntRange(1, 12).Draw(r, "events")); n++ {
			for range rapid.IntRange(1, 2).Draw(r, "publishes") {
				p.outcomes = append(p.outcomes, outcome(rapid.IntRange(0, int(outcomes)-1).Draw(r, "outcome")))
			}
			content := []byte{n}
			e := event(content)
			if rapid.Bool().Draw(r, "decision") {
				e.signed, e.decision, e.decisionHash = &pb.SignedDecision{Decision: content}, uint64(n), content
			}
			sequence, err := b.Append(t.Context(), e)
			if err == nil {
				acknowledged[string(content)] = sequence
			}
			if errors.Is(err, log.ErrConflict) {
				r.Fatal("the appender is in its own way:", err)
			}
		}
		p.outcomes = nil
		last, err := b.Append(t.Context(), event([]byte("last")))
		if err != nil {
			r.Fatal("it does not recover:", err)
		}
		acknowledged["last"] = last
		places := p.count(t, b.opener)
		for content, sequence := range acknowledged {
			if got := places[content]; len(got) != 1 || got[0] != sequence {
				r.Fatalf("event %x is at %v, acknowledged at %d", content, got, sequence)
			}
		}
		for content, got := range places {
			if len(got) != 1 {
				r.Fatalf("event %x is at %v", content, got)
			}
		}
		for i, d := range b.learned {
			if len(places[string(d.GetDecision())]) != 1 || i > 0 && bytes.Compare(b.learned[i-1].GetDecision(), d.GetDecision()) >= 0 {
				r.Fatal("a decision was learned that is not in the log, or out of order")
			}
		}
		if b.at.tree.Size() != uint64(len(p.log)) {
			r.Fatalf("the head is at %d, the log at %d", b.at.tree.Size(), len(p.log))
		}
	})
}

func TestUnknownOutcomeIsResolvedBeforeAnythingElse(t *testing.T) {
	for name, first := range map[string]outcome{"taken": unknownTaken, "lost": unknownLost} {
		t.Run(name, func(t *testing.T) {
			p := &scripted{outcomes: []outcome{first}}
			b := newBench(t, p, seal.NewStoreID(), testDevice(t))
			defer b.close()
			e := event([]byte("a"))
			e.signed = &pb.SignedDecision{}
			if _, err := b.Append(t.Context(), e); !errors.Is(err, ErrUnwritable) {
				t.Fatal(err)
			}
			checked := errors.New("it does not follow any more")
			late := event([]byte("late"))
			late.check = func() error {
				if len(b.learned) == 1 {
					return checked
				}
				return nil
			}
			if _, err := b.Append(t.Context(), late); !errors.Is(err, checked) {
				t.Fatal("what was resolved is not known to the check:", err)
			}
			if sequence, err := b.Append(t.Context(), event([]byte("b"))); err != nil || sequence != 2 {
				t.Fatal(sequence, err)
			}
			if !bytes.Equal(p.attempts[0], p.attempts[1]) {
				t.Fatal("another payload was published at the same place")
			}
		})
	}
}

func TestConflictStopsTheAppender(t *testing.T) {
	p := &scripted{log: [][]byte{[]byte("another")}}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	defer b.close()
	for range 2 {
		if _, err := b.Append(t.Context(), event([]byte("a"))); !errors.Is(err, ErrUnwritable) {
			t.Fatal(err)
		}
	}
	if len(p.attempts) != 1 {
		t.Fatal("it went on publishing to a log that is not its own")
	}
}

func TestFailedPublishKeepsTheSequenceAndUsesTheNextIndex(t *testing.T) {
	for name, failure := range map[string]outcome{"no space": noSpace, "refused": refused} {
		t.Run(name, func(t *testing.T) {
			p := &scripted{outcomes: []outcome{taken, failure}}
			b := newBench(t, p, seal.NewStoreID(), testDevice(t))
			defer b.close()
			var errs []error
			for range 3 {
				_, err := b.Append(t.Context(), event([]byte("same")))
				errs = append(errs, err)
			}
			if errs[0] != nil || errs[2] != nil || failure == noSpace && !errors.Is(errs[1], log.ErrNoSpace) || failure == refused && !errors.Is(errs[1], ErrUnwritable) {
				t.Fatal(errs)
			}
			if len(p.log) != 2 || b.at.tree.Size() != 2 {
				t.Fatalf("%d segments", len(p.log))
			}
			for i, payload := range p.attempts {
				segment, err := seal.ParseSegment(payload)
				if err != nil || segment.Index != uint32(i) {
					t.Fatalf("attempt %d has index %d: %v", i, segment.Index, err)
				}
			}
		})
	}
}

func TestAcknowledgementFollowsThePublish(t *testing.T) {
	p := &scripted{entered: make(chan struct{}), release: make(chan struct{})}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	defer b.close()
	answered := make(chan error, 1)
	go func() {
		_, err := b.Append(context.Background(), event([]byte("a")))
		answered <- err
	}()
	<-p.entered
	select {
	case <-answered:
		t.Fatal("answered before the publish has ended")
	case <-time.After(50 * time.Millisecond):
	}
	close(p.release)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func (b *bench) queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

func TestContextEndWithdrawsWhatNoSegmentHasTaken(t *testing.T) {
	p := &scripted{entered: make(chan struct{}, 9), release: make(chan struct{})}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	defer b.close()
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := b.Append(ctx, event([]byte("taken"))); first <- err }()
	<-p.entered
	go func() { _, err := b.Append(ctx, event([]byte("waiting"))); second <- err }()
	eventually(t, "nothing waits", func() bool { return b.queued() == 1 })
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	select {
	case err := <-first:
		t.Fatal("answered while it is being written:", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(p.release)
	if err := <-first; err != nil {
		t.Fatal("it was written, but:", err)
	}
	if _, err := b.Append(t.Context(), event([]byte("later"))); err != nil {
		t.Fatal(err)
	}
	places := p.count(t, b.opener)
	if len(places["taken"]) != 1 || len(places["waiting"]) != 0 || len(places["later"]) != 1 {
		t.Fatal(places)
	}
}

func TestEventsOfOneCallShareASegment(t *testing.T) {
	p := &scripted{entered: make(chan struct{}, 9), release: make(chan struct{})}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	defer b.close()
	ctx, cancel := context.WithCancel(t.Context())
	answered, withdrawn := make(chan error, 2), make(chan error, 1)
	go func() { _, err := b.Append(t.Context(), event([]byte("first"))); answered <- err }()
	<-p.entered
	go func() {
		sequence, err := b.Append(t.Context(), event([]byte("one")), event([]byte("two")), event([]byte("three")))
		if sequence != 2 {
			t.Errorf("at %d", sequence)
		}
		answered <- err
	}()
	eventually(t, "not all wait", func() bool { return b.queued() == 3 })
	go func() { _, err := b.Append(ctx, event([]byte("never")), event([]byte("nor this"))); withdrawn <- err }()
	eventually(t, "not all wait", func() bool { return b.queued() == 5 })
	cancel()
	if err := <-withdrawn; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(p.release)
	for range 2 {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	places := p.count(t, b.opener)
	for _, name := range []string{"one", "two", "three"} {
		if got := places[name]; len(got) != 1 || got[0] != 2 {
			t.Errorf("%s is at %v", name, got)
		}
	}
	if len(places) != 4 {
		t.Error(places)
	}
}

func TestClosingAnswersWhatWaits(t *testing.T) {
	p := &scripted{entered: make(chan struct{}, 99), release: make(chan struct{})}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	answered := make(chan error, 21)
	wait := func(content byte) {
		go func() { _, err := b.Append(context.Background(), event([]byte{content})); answered <- err }()
	}
	wait(0)
	<-p.entered
	for n := range byte(20) {
		wait(n + 1)
	}
	eventually(t, "not all wait", func() bool { return b.queued() == 20 })
	closed := make(chan struct{})
	go func() { b.close(); close(closed) }()
	eventually(t, "it does not close", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.closed })
	if _, err := b.Append(t.Context(), event([]byte("late"))); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	close(p.release)
	for range 21 {
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
	<-closed
	if len(p.log) != 2 {
		t.Fatalf("%d segments for one and twenty waiting events", len(p.log))
	}
}

func TestBatchThatDoesNotFitIsSplit(t *testing.T) {
	p := &scripted{entered: make(chan struct{}, 99), release: make(chan struct{})}
	b := newBench(t, p, seal.NewStoreID(), testDevice(t))
	defer b.close()
	// Noise does not compress, so that three of them are more than a segment.
	const size = 300 << 10
	answered := make(chan error, 9)
	wait := func(content []byte) {
		go func() { _, err := b.Append(context.Background(), event(content)); answered <- err }()
	}
	wait([]byte("first"))
	<-p.entered
	for n := range byte(7) {
		wait(noise(size, n))
	}
	wait(noise(log.MaxSegment, 99))
	eventually(t, "not all wait", func() bool { return b.queued() == 8 })
	close(p.release)
	large := 0
	for range 9 {
		if err := <-answered; errors.Is(err, ErrTooLarge) {
			large++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if large != 1 {
		t.Fatalf("%d of 1 are too large", large)
	}
	places := p.count(t, b.opener)
	for n := range byte(7) {
		if got := places[string(noise(size, n))]; len(got) != 1 {
			t.Fatalf("event %d is at %v", n, got)
		}
	}
	if len(places) != 8 {
		t.Fatalf("%d events in the log", len(places))
	}
}
