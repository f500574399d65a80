// Package erase makes the log's segments anew without the samples that the owner erases.
//
//	r, err := erase.New(erase.Order{Erasure: k, Deletions: hidden.GetDeletions(), Before: sequence, …})
//	defer r.Close()
//	for every segment of the log, in order:
//		err = r.Survey(sequence, events)
//	for every segment of the epochs in which r.Touches(sequence) one, in any order:
//		survivors, err := r.Rewrite(sequence, blocks)
//
// What is erased was hidden before: the owner's decision that deleted it has been applied to
// the view. A sample that is still there is never erased. What is erased is everything that
// the deletions name, whatever had become of it, and what of the view's past would come back
// without it: other versions of the same object, and what was not stored because it was there.
// Only a member that was recognised by its content is not erased for its own UUID alone: it is
// the sample that was there before.
//
// In its place a sample leaves a ghost: its index in the request, and its UUID if it brought
// one. A ghost of a sample that was stored tells readers that it is gone. Its time is the
// least that does so for whoever could see it and nobody else: see Order.Since.
//
// Who measured remains, and so do periods and UUIDs that somebody once named to delete, and a
// hash of a sync identifier where a correlation or a workout still stands that had the sample.
// A correlation that ended before an erased member of it is told of by its own end.
package erase

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"healthledger/authz"
	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// ErrThere is wrapped by the error about a sample that is to be erased and is not hidden.
var ErrThere = errors.New("a sample that is to be erased is still there")

// Order says what to erase.
type Order struct {
	// Erasure is the number of the erasure: 1, 2, 3, …
	Erasure uint64
	// Deletions are those of the decision that has hidden what is to be erased.
	Deletions []*pb.DeletedSamples
	// Before is the segment of that decision. What was saved in it or later stays.
	Before uint64
	// Hidden is the view, as it is at that segment or later. It is used until Close.
	Hidden *view.Snapshot
	// Since returns from when on apps may read a type, of all grants that have such a date.
	// Of what is erased it is the only time that remains: the greatest that is not after its end.
	Since func(typeCode uint32) []int64
	// Granted says whether somebody may read an object of a type that is granted object by
	// object. The name of one that nobody may read, and of which nothing is left, goes too.
	Granted func(authz.Object) bool
	// Random makes names that mean nothing.
	Random io.Reader
}

// Rewriter is one erasure. It is for one goroutine. Besides a bit for each segment, it keeps
// in memory only what would be needed of a few samples: those that deletions by UUID or period
// could leave behind, and payloads that went ahead.
type Rewriter struct {
	order  Order
	fates  *view.Fates
	chosen *selection
	since  map[uint32][]int64
	secret [32]byte // of names that mean nothing

	survey
	settled bool
}

// New begins an erasure. It must be closed.
func New(o Order) (*Rewriter, error) {
	if o.Erasure == 0 || o.Erasure == math.MaxUint64 {
		return nil, fmt.Errorf("erase: there is no erasure %d", o.Erasure)
	}
	r := &Rewriter{order: o, since: map[uint32][]int64{}, survey: newSurvey()}
	if _, err := io.ReadFull(o.Random, r.secret[:]); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	var err error
	if r.fates, err = o.Hidden.Fates(); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	if r.chosen, err = newSelection(o.Deletions, r.fates); err != nil {
		return nil, errors.Join(fmt.Errorf("erase: %w", err), r.fates.Close())
	}
	return r, nil
}

// Close ends the erasure's use of the view.
func (r *Rewriter) Close() error { return r.fates.Close() }

// Touches says, after the survey, whether something of a segment is to be erased.
func (r *Rewriter) Touches(sequence uint64) bool {
	r.settle()
	return r.touched.has(sequence)
}

// Erased returns, after the survey, how many samples there are to be erased, of those that
// were stored.
func (r *Rewriter) Erased() uint64 {
	r.settle()
	return r.erased
}

// verdict is what becomes of a row.
type verdict struct {
	// erased is as in SampleColumns; 0: it stays.
	erased uint64
	fate   view.Fate
}

// condemn looks up the fate of a row that is to be erased, which must not be there any more.
func (r *Rewriter) condemn(row *view.Row) (verdict, error) {
	fate, err := r.fates.Of(row)
	switch {
	case err != nil:
		return verdict{}, err
	case fate.Stored && fate.Gone == 0:
		return verdict{}, fmt.Errorf("%w: index %d in event %d of segment %d", ErrThere, row.Index, row.Event, row.Sequence)
	case fate.Stored:
		return verdict{r.order.Erasure + 1, fate}, nil
	}
	return verdict{1, fate}, nil
}

// round returns the time that stands for the end of a sample that those who may read a type
// could see.
func (r *Rewriter) round(typeCode uint32, end int64) int64 {
	bounds, ok := r.since[typeCode]
	if !ok {
		bounds = slices.Clone(r.order.Since(typeCode))
		slices.Sort(bounds)
		r.since[typeCode] = bounds
	}
	i, found := slices.BinarySearch(bounds, end)
	switch {
	case found:
		return end
	case i == 0:
		return math.MinInt64
	}
	return bounds[i-1]
}

// keeps says whether the name of an object may remain.
func (r *Rewriter) keeps(object authz.Object) bool {
	_, ok := r.objects[object]
	return ok || r.order.Granted(object)
}

// alias returns what stands for the name of an object.
func (r *Rewriter) alias(object authz.Object) []byte {
	mac := hmac.New(sha256.New, r.secret[:])
	fmt.Fprintf(mac, "%d %s", object.App, object.Name)
	return mac.Sum(nil)[:16]
}
