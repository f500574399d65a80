package view

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	pb "healthledger/proto/healthledger/v1"
)

// Outcome is what became of a request. It counts objects, members among them.
type Outcome struct {
	// Stored by the request; Duplicates were known already, Incomplete left out because
	// parts of their payload are missing, Deleted by the request.
	Stored, Duplicates, Incomplete, Deleted uint64
}

// putRequest notes where a request was applied and what it did, given the counts before. If
// an erasure has taken something of it, or of what it deleted, the outcome came with the event.
func (b *Batch) putRequest(request named, before Counts, given *pb.RequestOutcome) {
	now := &b.counts
	if given == nil {
		given = &pb.RequestOutcome{
			// What the request has stored and replaced itself was stored.
			Stored:     (now.Samples + now.Replaced + now.Deleted) - (before.Samples + before.Replaced + before.Deleted),
			Duplicates: now.Duplicates - before.Duplicates, Incomplete: now.Incomplete - before.Incomplete, Deleted: now.Deleted - before.Deleted,
		}
	}
	b.value = appendOrdered(appendOrdered(b.value[:0], b.sequence), uint64(b.event))
	for _, n := range [...]uint64{given.GetStored(), given.GetDuplicates(), given.GetIncomplete(), given.GetDeleted()} {
		b.value = binary.AppendUvarint(b.value, n)
	}
	b.key = appendObjectKey(b.key[:0], familyRequest, request.app, &request.id)
	b.set(b.key, b.value)
}

func readOutcome(value []byte) (o Outcome, ok bool) {
	_, n := readOrdered(value, 0)
	if n == 0 {
		return o, false
	}
	_, rest, ok := readOrdered32(value[n:])
	r := reader{b: rest}
	o = Outcome{r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()}
	return o, ok && r.done()
}

// Outcome returns what became of a request of an app, a save or a delete; false if none of
// it is in the log yet. Of app 0 see OwnerRequest.
func (s *Snapshot) Outcome(app uint64, request [16]byte) (Outcome, bool, error) {
	value, err := s.get(appendObjectKey(nil, familyRequest, app, &request))
	if errors.Is(err, pebble.ErrNotFound) {
		return Outcome{}, false, nil
	}
	if err != nil {
		return Outcome{}, false, fmt.Errorf("look up an outcome: %w", s.view.damage(err))
	}
	o, ok := readOutcome(value)
	if !ok {
		return Outcome{}, false, fmt.Errorf("look up an outcome: %w", errDamaged)
	}
	return o, true, nil
}
