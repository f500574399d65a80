package serve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestWrongPassphrasesCostTwiceAsMuchEachUpToTheCap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrases.json")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	slow, err := openThrottle(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	want := firstDelay
	for range 100 {
		slow.Failed("local")
		if got := slow.callers["local"].Until.Sub(now); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
		want = min(2*want, maxDelay)
		// Remembered across restarts.
		if slow, err = openThrottle(path, func() time.Time { return now }); err != nil {
			t.Fatal(err)
		}
	}
	slow.Failed("other")
	if got := slow.callers["other"].Until.Sub(now); got != firstDelay {
		t.Fatal("one caller pays for another")
	}
	slow.Succeeded("local")
	if slow, err = openThrottle(path, func() time.Time { return now }); err != nil || len(slow.callers) != 1 {
		t.Fatal("success is not remembered", err)
	}
	slow.Failed("local")
	slow.Failed("local")
	now = now.Add(forgetAfter + time.Hour)
	slow.Failed("local")
	if got := slow.callers["local"]; got.Count != 1 {
		t.Fatal("a failure of the day before yesterday counts")
	}
}

func TestThrottleMakesItsCallerWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, err := openThrottle(filepath.Join(t.TempDir(), "p"), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		waits := func(caller string, want time.Duration) {
			t.Helper()
			began := time.Now()
			if err := slow.Wait(t.Context(), caller); err != nil || time.Since(began) != want {
				t.Fatal(time.Since(began), err)
			}
		}
		waits("local", 0)
		slow.Failed("local")
		slow.Failed("local")
		waits("other", 0)
		waits("local", 2*firstDelay)
		waits("local", 0)
		slow.Failed("local")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := slow.Wait(ctx, "local"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		// A clock that was set back does not shut the owner out.
		slow.callers["local"] = failures{Count: 1, Until: time.Now().Add(time.Hour)}
		waits("local", maxDelay)
	})
}

// Whatever the file says, nothing panics and no delay is longer than the cap.
func TestDamagedThrottleFileMakesWait(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	open := func(t interface{ Fatal(...any) }, path string, content []byte) *throttle {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		slow, err := openThrottle(path, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return slow
	}
	path := filepath.Join(t.TempDir(), "p")
	for _, content := range []string{"", "null", "{", "[]", `{"local":3}`, "\x00\x00\x00"} {
		slow := open(t, path, []byte(content))
		if got := slow.callers[localCaller].Until.Sub(now); got != maxDelay {
			t.Errorf("%q: %v", content, got)
		}
		slow.Failed(localCaller)
	}
	rapid.Check(t, func(r *rapid.T) {
		slow := open(r, path, []byte(`{"local":{"count":`+rapid.StringMatching(`-?[0-9]{1,18}`).Draw(r, "count")+`}}`))
		slow.Failed(localCaller)
		if got := slow.callers[localCaller].Until.Sub(now); got < firstDelay || got > maxDelay {
			r.Fatal(got)
		}
	})
}
