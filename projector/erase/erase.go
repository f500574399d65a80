// Package erase makes the log's segments anew without the samples that the owner erases.
//
//	r, err := erase.New(erase.Order{Erasure: k, Deletions: hidden.GetDeletions(), Before: sequence, …})
//	for every segment of the log, in order:
//		err = r.Survey(sequence, events)
//	for every segment of the epochs in which r.Touches(sequence) one, in any order:
//		survivors, err := r.Rewrite(sequence, blocks)
//
// What is erased was hidden before: the owner's decision that deleted it has been applied to
// the view. A sample that is still there is never erased.
package erase

import (
	"errors"
	"io"

	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// Order says what to erase.
type Order struct {
	// Erasure is the number of the erasure: 1, 2, 3, …
	Erasure uint64
	// Deletions are those of the decision that has hidden what is to be erased.
	Deletions []*pb.DeletedSamples
	// Before is the segment of that decision. What was saved in it or later stays.
	Before uint64
	// Hidden is the view, as it is at that segment or later. It is used until the last Rewrite.
	Hidden *view.Snapshot
	// Since returns from when on apps may read a type, of all grants that have such a date.
	// Of what is erased it is the only time that remains: the greatest that is not after its end.
	Since func(typeCode uint32) []int64
	// Random makes names that mean nothing.
	Random io.Reader
}

// Rewriter is one erasure. It is for one goroutine.
type Rewriter struct {
	order Order
}

var errUnbuilt = errors.New("erase: not built yet")

// New begins an erasure.
func New(o Order) (*Rewriter, error) { return &Rewriter{order: o}, nil }

// Survey looks at the events of a segment: all segments of the log come once, in order.
func (r *Rewriter) Survey(sequence uint64, events []*pb.Event) error { return errUnbuilt }

// Touches says, after the survey, whether something of a segment is to be erased.
func (r *Rewriter) Touches(sequence uint64) bool { return false }

// Rewrite returns the events of a segment without what is erased: as many as there were, in
// the same order and blocks. Those that are the same are shared with the argument, which is
// not changed.
func (r *Rewriter) Rewrite(sequence uint64, blocks [][]*pb.Event) ([][]*pb.Event, error) {
	return nil, errUnbuilt
}

// Erased returns, after the survey, how many samples there are to be erased.
func (r *Rewriter) Erased() uint64 { return 0 }
