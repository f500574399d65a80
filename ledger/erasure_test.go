package ledger

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// resealed seals something again of an epoch of class health and appends it, and returns the
// decision that makes it stand for the epoch.
func (h *home) resealed(epoch, number uint64) *pb.NewDecision {
	h.t.Helper()
	reseal, wrap, err := seal.NewReseal(h.id, number, epoch, [][]byte{h.keys.PublicKeys().StoreKey})
	if err != nil {
		h.t.Fatal(err)
	}
	defer reseal.Destroy()
	s := h.live()
	if err := s.directory.PutWrap(seal.Resealed, number, wrap); err != nil {
		h.t.Fatal(err)
	}
	sealed, err := reseal.Seal(4, []byte("survivor"))
	if err != nil {
		h.t.Fatal(err)
	}
	at, err := s.Reseal(h.t.Context(), []*pb.Resealed{
		{Reseal: number, Sequence: 4, Parts: 2, Sealed: sealed[:5]}, {Reseal: number, Sequence: 4, Part: 1, Parts: 2, Sealed: sealed[5:]},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	content, err := s.directory.Wrap(seal.Health, epoch)
	wrapHash := sum(content)
	if before, again := s.State().Erased(epoch); again {
		wrapHash = before.GetWrapHash()
	} else if err != nil {
		h.t.Fatal(err)
	}
	d, err := h.author.EraseEpochs(1, []*pb.ErasedEpoch{{
		Epoch: epoch, WrapHash: wrapHash, Reseal: number, ResealHash: sum(wrap), First: at[0], Last: at[1], Digest: sum(sealed),
	}}, &pb.ErasureOrdered{Samples: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// erasable are the keys that an erasure may destroy, in their order.
func (h *home) erasable() []string {
	h.t.Helper()
	var there []string
	for _, class := range []seal.Class{seal.Health, seal.Resealed} {
		wraps, err := h.live().directory.Wraps(class)
		if err != nil {
			h.t.Fatal(err)
		}
		slices.Sort(wraps)
		for _, number := range wraps {
			there = append(there, wrapName(class, number))
		}
	}
	if slices.Contains(h.files(), "view.key") {
		there = append(there, "view.key")
	}
	return there
}

func wrapName(class seal.Class, epoch uint64) string { return log.WrapFile(class, epoch) }

// ended ends the epoch that is being written.
func (h *home) ended() uint64 {
	h.t.Helper()
	end, err := h.live().EndEpoch(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return end
}

// Before the decision is in the log the old keys hold, after it the new ones, wherever the
// daemon ends in between.
func TestAnErasureIsFinishedFromEveryPointOfACrash(t *testing.T) {
	old, left, later := wrapName(seal.Health, 1), wrapName(seal.Resealed, 7), wrapName(seal.Health, 2)
	for crash, steps := range [][]string{{}, {"view.key"}, {"view.key", old}} {
		for _, decided := range []bool{false, true} {
			if !decided && crash > 0 {
				continue
			}
			t.Run(fmt.Sprint(decided, crash), func(t *testing.T) {
				h := newHome(t)
				h.save(0)
				h.write("view.key", []byte("key of the view from before"))
				h.ended()
				d := h.resealed(1, 7)
				want := []string{later, left}
				if decided {
					if err := h.live().directory.DestroyViewKey(); err != nil {
						t.Fatal(err)
					}
					// Nothing can be destroyed.
					if err := os.MkdirAll(h.path("view.key/x"), 0o700); err != nil {
						t.Fatal(err)
					}
					if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, ErrErasurePending) {
						t.Fatal(err)
					}
				} else {
					want = []string{old, later, "view.key"}
				}
				h.reopen(func() {
					if decided {
						if err := os.RemoveAll(h.path("view.key")); err != nil {
							t.Fatal(err)
						}
						h.write("view.key", []byte("key of the view from before"))
					}
					for _, name := range steps {
						if err := os.Remove(h.path(name)); err != nil {
							t.Fatal(err)
						}
					}
				})
				if got := h.erasable(); !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
				h.save(1)
			})
		}
	}
}

// What is written after EndEpoch is of other epochs, however many write meanwhile; what an
// erasure that was given up has left is gone then.
func TestEndEpochParts(t *testing.T) {
	h := newHome(t)
	h.ended() // none is being written
	h.save(0)
	h.resealed(1, 7) // and given up
	var writing sync.WaitGroup
	var ends []uint64
	for range 4 {
		writing.Go(func() {
			for n := range 20 {
				if _, err := h.live().Save(t.Context(), h.importer(), request(steps(n, 1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		time.Sleep(time.Millisecond)
		ends = append(ends, h.ended())
	}
	writing.Wait()
	if wraps, err := h.live().directory.Wraps(seal.Resealed); err != nil || len(wraps) > 0 {
		t.Errorf("%v is left, %v", wraps, err)
	}
	for _, end := range ends {
		last := uint64(0)
		for _, e := range h.events() {
			if e.class == seal.Health && e.sequence <= end {
				last = max(last, e.epoch)
			} else if e.class == seal.Health && e.epoch <= last {
				t.Fatalf("segment %d is of epoch %d, which ended with segment %d", e.sequence, e.epoch, end)
			}
		}
	}
}

// An epoch that is erased again loses the key of what was left of it, and only that.
func TestErasingAgainDestroysWhatWasLeft(t *testing.T) {
	h := newHome(t)
	h.save(0)
	h.ended()
	h.save(1)
	for _, number := range []uint64{7, 3} {
		h.write("view.key", []byte("key"))
		h.decide(h.resealed(1, number), nil)
		if got, want := h.erasable(), []string{wrapName(seal.Health, 2), wrapName(seal.Resealed, number)}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	h.write("view.key", []byte("key of the view from after"))
	h.reopen(nil)
	if got, want := h.erasable(), []string{wrapName(seal.Health, 2), wrapName(seal.Resealed, 3), "view.key"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	proof, err := h.live().ProveErasures()
	if err != nil || len(proof.GetErasures()) != 2 {
		t.Fatal(proof, err)
	}
	var files []string
	for _, e := range proof.GetErasures() {
		if err := seal.VerifyDecision(e.GetOwnerKey(), h.id, e.GetDecision().GetDecision(), e.GetDecision().GetSignature()); err != nil {
			t.Error(err)
		}
		for _, k := range e.GetKeys() {
			if files = append(files, k.GetFile()); !k.GetDestroyed() {
				t.Errorf("%s is there", k.GetFile())
			}
		}
	}
	if want := []string{wrapName(seal.Health, 1), wrapName(seal.Health, 1), wrapName(seal.Resealed, 7)}; !slices.Equal(files, want) {
		t.Errorf("%q, want %q", files, want)
	}
	h.write(wrapName(seal.Health, 1), []byte("put back"))
	if proof, err = h.live().ProveErasures(); err != nil || proof.GetErasures()[0].GetKeys()[0].GetDestroyed() {
		t.Error(proof, err)
	}
	if len(h.live().Foreknown()) != 2 {
		t.Error(h.live().Foreknown())
	}
}

// Nothing is destroyed for what nobody could open afterwards.
func TestAnErasureWithoutItsSurvivorsIsRefused(t *testing.T) {
	h := newHome(t)
	h.save(0)
	h.ended()
	d := h.resealed(1, 7)
	path := wrapName(seal.Resealed, 7)
	wrap := h.read(path)
	for _, content := range [][]byte{nil, []byte("another")} {
		if err := os.Remove(h.path(path)); err != nil {
			t.Fatal(err)
		}
		if content != nil {
			h.write(path, content)
		}
		if _, err := h.live().Decide(t.Context(), d); !errors.Is(err, authz.ErrForged) {
			t.Error(err)
		}
		h.write(path, wrap)
	}
	h.decide(d, nil)
}

// A key that is missing is a fault, unless the owner has destroyed it; so is one that he has
// destroyed and that is there again, and the loss of what he kept.
func TestVerifyKnowsWhichKeysWereDestroyed(t *testing.T) {
	h := newHome(t)
	h.save(0)
	h.ended()
	h.save(1)
	h.ended()
	h.save(2)
	first, second := wrapName(seal.Health, 1), h.read(wrapName(seal.Health, 2))
	kept := h.read(first)
	h.decide(h.resealed(1, 7), nil)
	faults := func(want ...*pb.LogFault) {
		t.Helper()
		for _, period := range []time.Duration{0, time.Minute} {
			if diff := cmp.Diff(want, faultsOf(h.verified("", period)), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		}
	}
	faults()
	if err := os.Remove(h.path(wrapName(seal.Health, 2))); err != nil {
		t.Fatal(err)
	}
	faults(fault("key", 5, 5, 1))
	h.write(wrapName(seal.Health, 2), second)
	h.write(first, kept)
	faults(fault("key", 0, 0, 0))
	h.reopen(nil) // destroys it again
	faults()
	if err := os.Remove(h.path(wrapName(seal.Resealed, 7))); err != nil {
		t.Fatal(err)
	}
	faults(fault("key", 7, 7, 1))
}
