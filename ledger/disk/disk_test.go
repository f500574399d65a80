package disk

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fake is a space whose disk and clock are the test's.
type fake struct {
	*Space
	left  uint64
	err   error
	at    time.Time
	looks int
}

func newFake(reserve uint64) *fake {
	f := &fake{at: time.Unix(1_800_000_000, 0)}
	f.Space = New(func() (uint64, error) { f.looks++; return f.left, f.err }, reserve)
	f.now = func() time.Time { return f.at }
	return f
}

// Whoever may write with so much left may with more, what apps may the owner's records may,
// and as soon as there is room the answer is yes again.
func TestReserveIsForRecordsAndDecisions(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		reserve := rapid.Uint64Range(0, 1<<40).Draw(r, "reserve")
		f := newFake(reserve)
		for range 20 {
			f.at = f.at.Add(lookEvery)
			f.left = rapid.OneOf(rapid.Uint64Range(0, 2*reserve), rapid.SampledFrom([]uint64{0, reserve, f.last()})).Draw(r, "left")
			if got, want := f.Admits(Ordinary), f.left >= reserve; got != want {
				r.Fatalf("apps write: %v, with %d left of a reserve of %d", got, f.left, reserve)
			}
			if got, want := f.Admits(Reserved), f.left >= min(reserve/4, 16<<20); got != want {
				r.Fatalf("records are written: %v, with %d left of a reserve of %d", got, f.left, reserve)
			}
		}
	})
}

func TestDiskIsAskedSeldom(t *testing.T) {
	f := newFake(DefaultReserve)
	f.left = 1 << 40
	for range 1000 { // one second
		f.Admits(Ordinary)
		f.at = f.at.Add(time.Millisecond)
	}
	if f.looks > 10 {
		t.Errorf("%d times in a second", f.looks)
	}
	f.left, f.at = 0, f.at.Add(-time.Hour)
	if f.Admits(Ordinary) {
		t.Error("a clock that was set back keeps it from looking")
	}
}

func TestADiskThatSaysNothingStopsNobody(t *testing.T) {
	f := newFake(DefaultReserve)
	f.err = errors.New("no answer")
	if _, known := f.State(); known || !f.Admits(Ordinary) || !f.Admits(Reserved) {
		t.Error("it is taken for full")
	}
	if state, known := New(Free(t.TempDir()), 1).State(); !known || state.Free == 0 {
		t.Error("of a real disk:", state, known)
	}
}

func TestPaceOfTheLastDaySaysHowLongItLasts(t *testing.T) {
	const mib, reserve = 1 << 20, 256 << 20
	f := newFake(reserve)
	f.left = reserve + 1000*mib
	if state, _ := f.State(); state.Lasts != 0 {
		t.Errorf("nothing is known, yet it lasts %s", state.Lasts)
	}
	for range 40 { // hours; only the last 24 count
		f.at, f.left = f.at.Add(time.Hour), f.left-mib
		f.Admits(Ordinary)
	}
	if state, _ := f.State(); state.Lasts.Round(time.Hour) != 960*time.Hour {
		t.Errorf("960 MiB above the reserve, at 1 MiB an hour, last %s", state.Lasts)
	}
	f.at, f.left = f.at.Add(lookEvery), reserve-20*mib
	if state, _ := f.State(); state.Lasts == 0 || state.Last != 16*mib || state.Free != f.left {
		t.Errorf("in the reserve: %+v", state)
	}
	f.at, f.left = f.at.Add(lookEvery), 1<<40
	if state, _ := f.State(); state.Lasts != 0 {
		t.Errorf("there is more than a day ago, yet it lasts %s", state.Lasts)
	}
}
