package serve

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSessionIsFreshForFiveMinutesAndEndsWithTheLock(t *testing.T) {
	clock := &fakeClock{now: time.Hour}
	s := newSessions(clock)
	a := s.New()
	if fresh, ok := s.Check(a); !fresh || !ok {
		t.Fatal("a new session is not good")
	}
	clock.move(freshFor-1, 0)
	b := s.New()
	if fresh, _ := s.Check(a); !fresh {
		t.Fatal("not fresh for five minutes")
	}
	clock.move(0, 1) // suspended time counts
	if fresh, ok := s.Check(a); fresh || !ok {
		t.Fatal("fresh after five minutes, or over")
	}
	if fresh, _ := s.Check(b); !fresh || a == b {
		t.Fatal("one session ages another")
	}
	for _, token := range []string{"", a[:len(a)-1], a + "x"} {
		if fresh, ok := s.Check(token); fresh || ok {
			t.Fatal("made up:", token)
		}
	}
	s.Clear()
	for _, token := range []string{a, b} {
		if fresh, ok := s.Check(token); fresh || ok {
			t.Fatal("it outlives the lock")
		}
	}
}

func TestDirectoryHasOneDaemon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := ReadAddress(dir); !errors.Is(err, ErrNoDaemon) {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("who looks for a daemon makes its folder")
	}
	unlock, err := lockDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDirectory(dir); !errors.Is(err, ErrInUse) {
		t.Fatal(err)
	}
	if _, err := ReadAddress(dir); !errors.Is(err, ErrStarting) {
		t.Fatal(err)
	}
	want := newLocalAddress()
	want.URL = "nats://127.0.0.1:1"
	release, err := want.write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, addressFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal("others can read the address", err)
	}
	if got, err := ReadAddress(dir); err != nil || got.URL != want.URL || got.Key != want.Key || got.Token != want.Token {
		t.Fatal(got, err)
	}
	unlock()
	release()
	// The daemon was killed: its address stayed.
	if _, err := ReadAddress(dir); !errors.Is(err, ErrNoDaemon) {
		t.Fatal(err)
	}
	if unlock, err = lockDirectory(dir); err != nil {
		t.Fatal(err)
	}
	defer unlock()
	// It is not the address of the next one.
	if _, err := ReadAddress(dir); !errors.Is(err, ErrStarting) {
		t.Fatal(err)
	}
}

// Who looks whether there is a daemon is not taken for one, and keeps none from starting.
func TestLookingForADaemonDisturbsNobody(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	stop := make(chan struct{})
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := ReadAddress(dir); !errors.Is(err, ErrNoDaemon) && !errors.Is(err, ErrStarting) {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 20 {
		unlock, err := lockDirectory(dir)
		if err != nil {
			t.Error(err)
			continue
		}
		unlock()
	}
	close(stop)
	looking.Wait()
}

func TestTwoWhoLookDoNotTakeEachOtherForTheDaemon(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	var looking sync.WaitGroup
	for range 8 {
		looking.Go(func() {
			for range 50 {
				if _, err := ReadAddress(dir); !errors.Is(err, ErrNoDaemon) {
					t.Error(err)
				}
			}
		})
	}
	looking.Wait()
}

func TestAnswersLeaveOnAQuantum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, work := range []time.Duration{0, 1, quantum / 3, quantum - 1, quantum, quantum + 1, 7*quantum + 3} {
			arrived := time.Now()
			time.Sleep(work)
			leave(arrived)
			took := time.Since(arrived)
			if took%quantum != 0 || took <= work || took > work+quantum {
				t.Errorf("%v of work took %v", work, took)
			}
		}
	})
}

func TestSystemClock(t *testing.T) {
	var c systemClock
	before := c.boot()
	time.Sleep(2 * time.Millisecond)
	if c.boot()-before < 2*time.Millisecond || c.away() < -time.Second {
		t.Fatal("it does not run")
	}
}
