package projector

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	pb "healthledger/proto/healthledger/v1"
)

func quiet(progress) {}

// What readers see is the same before, during and after, also to the one who waits for
// something to happen, and of the view before nothing is left.
func TestRebuildTakesThePlaceOfTheViewUnderReaders(t *testing.T) {
	h := history(t)
	config := h.config(t, h.server, h.store.Path())
	s := open(t, config, h.payloads(t))
	waitReady(t, s, h.payloads(t))
	want := mustDump(t, s)
	folder, anchor := viewIn(t, h.store.Path()), changesOf(t, s, 0, &pb.QueryChangesRequest{FromNow: true}).GetAnchor()
	old := filepath.Join(t.TempDir(), "key")
	if err := os.Link(filepath.Join(h.store.Path(), "view.key"), old); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if got, err := dump(s, 0); err != nil || got != want {
					t.Error("a reader sees another view:", err)
					return
				}
			}
		})
	}
	told := make(chan int)
	go func() {
		answer := changesOf(t, s, 0, &pb.QueryChangesRequest{Anchor: anchor, WaitMs: 60_000})
		told <- len(answer.GetSamples())
	}()
	for range 3 {
		var last progress
		if err := s.open.rebuild(t.Context(), func(p progress) { last = p }); err != nil {
			t.Fatal(err)
		}
		if last.done == 0 || last.done != last.total || last.samples == 0 {
			t.Errorf("progress ends at %+v", last)
		}
	}
	stop()
	readers.Wait()
	if now := viewIn(t, h.store.Path()); now == folder {
		t.Error("the view has the folder it had")
	}
	if content, err := os.ReadFile(old); err != nil || !bytes.Equal(content, make([]byte, len(content))) {
		t.Error("the key of the view before is left", err)
	}
	h.save(t, 500, 2)
	h.advance(t, s)
	if n := <-told; n != 2 {
		t.Errorf("who waited is told of %d samples", n)
	}
	want = mustDump(t, s)
	if err := s.shutdown(); err != nil {
		t.Fatal(err)
	}
	s = open(t, config, h.payloads(t))
	if applied, _ := s.open.live.follower.Applied(); applied == 0 {
		t.Error("the view was not there any more")
	}
	waitReady(t, s, h.payloads(t))
	if got := mustDump(t, s); got != want {
		t.Error("another view after the next unlock")
	}
}

// Wherever a crash interrupts a rebuild, the next unlock has a whole view and nothing beside it.
func TestInterruptedRebuildLeavesAView(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	want := mustDump(t, s)
	copies := t.TempDir()
	crash := func(at string) {
		if err := os.CopyFS(filepath.Join(copies, at), os.DirFS(h.store.Path())); err != nil {
			t.Error(err)
		}
	}
	o := s.open
	key, keyFile, err := o.newViewKey()
	if err != nil {
		t.Fatal(err)
	}
	next, err := o.beside(t.Context(), o.viewFolder(keyFile), key, o.cursor(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	crash("before the key")
	if err := o.directory.DestroyViewKey(); err != nil {
		t.Fatal(err)
	}
	crash("without a key")
	if err := o.directory.PutViewKey(keyFile); err != nil {
		t.Fatal(err)
	}
	crash("after the key")
	if err := o.swap(next); err != nil {
		t.Fatal(err)
	}
	crash("after it")
	for _, at := range []string{"before the key", "without a key", "after the key", "after it"} {
		t.Run(at, func(t *testing.T) {
			config := h.config(t, h.server, filepath.Join(copies, at))
			s := open(t, config, payloads)
			waitReady(t, s, payloads)
			if got := mustDump(t, s); got != want {
				t.Error("another view")
			}
			viewIn(t, config.GetDirectory())
		})
	}
}

// The view is a function of the log: an older one only has more to catch up with, and one
// whose key is not there any more is nothing.
func TestOldViewPutBackEndsAsTheSameView(t *testing.T) {
	h := history(t)
	config := h.config(t, h.server, h.store.Path())
	unlocked := func() seen {
		s := open(t, config, h.payloads(t))
		waitReady(t, s, h.payloads(t))
		seen := mustDump(t, s)
		if err := s.shutdown(); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	unlocked()
	lastWeek := t.TempDir()
	view := viewIn(t, h.store.Path())
	if err := os.CopyFS(filepath.Join(lastWeek, filepath.Base(view)), os.DirFS(view)); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(h.store.Path(), "view.key"))
	if err != nil {
		t.Fatal(err)
	}
	h.save(t, 700, 5)
	s := open(t, config, h.payloads(t))
	waitReady(t, s, h.payloads(t))
	if err := errors.Join(s.open.rebuild(t.Context(), quiet), s.shutdown()); err != nil {
		t.Fatal(err)
	}
	want := unlocked()
	for _, withKey := range []bool{false, true} {
		if err := os.CopyFS(h.store.Path(), os.DirFS(lastWeek)); err != nil {
			t.Fatal(err)
		}
		if withKey {
			if err := os.WriteFile(filepath.Join(h.store.Path(), "view.key"), key, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if unlocked() != want {
			t.Error("another view")
		}
		viewIn(t, h.store.Path())
	}
}

// A rebuild that does not come to its end leaves the live view, and nothing beside it.
func TestRebuildThatFailsChangesNothing(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	want, folder := mustDump(t, s), viewIn(t, h.store.Path())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.open.rebuild(ctx, quiet); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	inside := s.open.rebuild(t.Context(), func(progress) {
		if len(s.open.building) != cap(s.open.building) {
			t.Error("others may make a view meanwhile")
		}
		s.open.stop() // as a lock does
	})
	if !errors.Is(inside, context.Canceled) {
		t.Error(inside)
	}
	if got := mustDump(t, s); got != want || viewIn(t, h.store.Path()) != folder {
		t.Error("another view")
	}
}

// A lock does not wait for readers of the view that was replaced.
func TestLockEndsReadersOfTheReplacedView(t *testing.T) {
	h := history(t)
	payloads := h.payloads(t)
	s := open(t, h.config(t, h.server, h.store.Path()), payloads)
	waitReady(t, s, payloads)
	o, swapped := s.open, make(chan error)
	err := o.with(func(p *projection) error {
		snapshot, err := p.view.Snapshot()
		if err != nil {
			return err
		}
		go func() { swapped <- o.rebuild(t.Context(), quiet) }()
		for now := p; now == p; {
			_ = o.with(func(p *projection) error { now = p; return nil })
		}
		if err := snapshot.Err(); err != nil {
			t.Error("the swap ends a read:", err)
		}
		if _, err := p.engine.Sources(t.Context(), p.state.OwnerScope(), &pb.QuerySourcesRequest{Type: "stepCount"}); err != nil {
			t.Error("the view before does not answer any more:", err)
		}
		locked := make(chan error)
		go func() { locked <- s.shutdown() }()
		for snapshot.Err() == nil {
		}
		return errors.Join(snapshot.Close(), <-locked)
	})
	if err := errors.Join(err, <-swapped); err != nil {
		t.Fatal(err)
	}
	viewIn(t, h.store.Path())
}
