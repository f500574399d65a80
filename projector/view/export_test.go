package view

import (
	"testing"

	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

// What tests of the packages around the view need of the generators here.

// Logged is one event of a generated log at its place.
type Logged struct {
	Sequence uint64
	Event    int
	Body     *pb.Event
}

// ModelTypes are the type codes of generated logs.
var ModelTypes = modelTypes

// ExtendLog draws segments that come after one.
func ExtendLog(t *rapid.T, log []Logged, after uint64, segments int) []Logged {
	var all []Logged
	for _, l := range extendLog(t, inner(log), after, segments) {
		all = append(all, Logged{l.sequence, l.event, l.body})
	}
	return all
}

// DrawDeletions draws what the owner deletes.
func DrawDeletions(t *rapid.T, log []Logged) []*pb.DeletedSamples {
	return drawDeletions(t, inner(log), 0)
}

func inner(log []Logged) (all []logged) {
	for _, l := range log {
		all = append(all, logged{l.Sequence, l.Event, l.Body})
	}
	return all
}

// ApplyLogged applies an event; a deletion of app 0 is the owner's.
func ApplyLogged(b *Batch, l Logged) error {
	return applyLogged(b, logged{l.Sequence, l.Event, l.Body})
}

// Dump returns every key and value of the view.
func Dump(t testing.TB, v *View) []string { return dump(t, v) }

// KeyOf stands for the key of an app.
func KeyOf(app uint64) string { return keyOf(app) }
