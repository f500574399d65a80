package serve

import (
	"strconv"
	"testing"
)

// A session of the past is none of the owner's, and the lock ends it.
func TestSessionOfThePastEndsWithTheLock(t *testing.T) {
	w := newWarden(t, newStore(t), 0)
	if _, err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.pasts.Add("then")
	if _, ok := w.Session("then"); ok || !w.pasts.Has("then") || w.pasts.Has("") {
		t.Error("it is not what it should be")
	}
	w.Lock(0)
	if w.pasts.Has("then") {
		t.Error("it outlasts the lock")
	}
	for n := range maxPasts + 1 {
		w.pasts.Add(strconv.Itoa(n))
	}
	if len(w.pasts.open) > maxPasts || !w.pasts.Has(strconv.Itoa(maxPasts)) {
		t.Errorf("%d sessions", len(w.pasts.open))
	}
}
