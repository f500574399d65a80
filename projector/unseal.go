package projector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// An unsealer opens segments of a log in their order. For those of an epoch that was erased it
// finds what was left of them, which lies further on in the log and was sealed again. It is
// for one goroutine.
type unsealer struct {
	store  seal.StoreID
	reader *log.Reader
	// first is the key that the owner's first decisions are signed with.
	first  []byte
	opener *seal.Opener
	known  *foreknown

	ctx context.Context
	// left is what was left of the epoch that was asked for last.
	left *leftovers
}

func (o *openStore) unsealer(opener *seal.Opener) *unsealer {
	return &unsealer{store: o.store, reader: log.NewGuestReader(o.conn, o.store).PassOver(o.known.losses), first: o.config.GetFirstOwnerKey(), opener: opener, known: o.known}
}

// begin says for how long it may read.
func (u *unsealer) begin(ctx context.Context) { u.ctx = ctx }

// another is for another goroutine, or another order.
func (u *unsealer) another(ctx context.Context) *unsealer {
	return &unsealer{store: u.store, reader: u.reader, first: u.first, opener: u.opener, known: u.known, ctx: ctx}
}

// end ends what it reads.
func (u *unsealer) end() {
	if u.left != nil {
		u.left.stop()
		u.left = nil
	}
}

// blocks returns the events of a segment, those of each app by themselves. That a daemon wrote
// it is for the caller to verify.
func (u *unsealer) blocks(segment seal.Segment, sequence uint64) ([][]*pb.Event, error) {
	content, err := u.content(segment, sequence)
	if err != nil {
		return nil, err
	}
	blocks := make([][]*pb.Event, len(content))
	for i, block := range content {
		if blocks[i], err = log.Events(block); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

// errLost: the owner has accepted that nothing opens the segment.
var errLost = errors.New("the segment is lost")

func (u *unsealer) content(segment seal.Segment, sequence uint64) ([][]byte, error) {
	if u.known.losses.Sealed(sequence) {
		return nil, errLost
	}
	if segment.Class == seal.Health {
		if e := u.known.erasure(segment.Epoch); e != nil && bytes.Equal(e.GetWrapHash(), segment.WrapHash[:]) {
			return u.survivors(e, sequence)
		}
	}
	body, err := u.opener.Open(segment, sequence, nil)
	if errors.Is(err, log.ErrNoWrap) && segment.Class == seal.Health && u.known.seek() {
		if err := u.seek(sequence); err != nil {
			return nil, err
		}
		return u.content(segment, sequence)
	}
	if err != nil {
		return nil, err
	}
	return log.DecodeBody(body)
}

// seek looks further on in the log for erasures that the daemon does not know of: after a
// restore it does not, until the store is unlocked.
func (u *unsealer) seek(sequence uint64) error {
	last, err := u.reader.Last(u.ctx)
	if err != nil {
		return err
	}
	by := log.Enrolment{Owner: u.first}
	return u.reader.Read(u.ctx, 1, last, func(entry log.Entry) error {
		segment, err := seal.ParseSegment(entry.Payload)
		if err != nil {
			return err
		}
		if segment.Class == seal.Open {
			by = by.Next(u.store, segment.Body)
		}
		if segment.Class != seal.Management || entry.Sequence <= sequence {
			return nil
		}
		blocks, err := u.blocks(segment, entry.Sequence)
		if err != nil {
			return err
		}
		for _, block := range blocks {
			for _, event := range block {
				if d := event.GetDecision(); d != nil && isErasure(d) {
					if _, err := u.known.tell(verifier{by.Owner, u.store}, d); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

func isErasure(d *pb.SignedDecision) bool {
	decision := &pb.Decision{}
	return proto.Unmarshal(d.GetDecision(), decision) == nil && decision.GetEpochsErased() != nil
}

// survivors returns what was left of a segment.
func (u *unsealer) survivors(e *pb.ErasedEpoch, sequence uint64) ([][]byte, error) {
	if u.left == nil || u.left.ErasedEpoch != e {
		u.end()
		u.left = u.leftovers(e)
	}
	sealed, err := u.left.at(sequence)
	if u.known.losses.Within(log.Segments{From: e.GetFirst(), To: e.GetLast()}) && errors.Is(err, log.ErrLoss) {
		return nil, errLost
	}
	if err != nil {
		return nil, err
	}
	body, err := u.opener.OpenResealed(e.GetReseal(), [32]byte(e.GetResealHash()), e.GetEpoch(), sequence, sealed)
	if err != nil {
		return nil, err
	}
	return log.DecodeLeft(body)
}

// leftovers are what an erasure has left of the segments of an epoch, in their order.
type leftovers struct {
	*pb.ErasedEpoch
	next func() (*pb.Resealed, error, bool)
	stop func()
	// ahead came last, and is of a segment that may yet be asked for.
	ahead *pb.Resealed
}

func (u *unsealer) leftovers(e *pb.ErasedEpoch) *leftovers {
	l := &leftovers{ErasedEpoch: e}
	l.next, l.stop = iter.Pull2(u.resealed(e))
	return l
}

// at returns what was left of a segment, after those that were asked for before.
func (l *leftovers) at(sequence uint64) ([]byte, error) {
	for {
		if l.ahead == nil || l.ahead.GetSequence() < sequence {
			var err error
			var ok bool
			if l.ahead, err, ok = l.next(); err != nil {
				return nil, fmt.Errorf("what is left of erased epoch %d: %w", l.GetEpoch(), err)
			} else if !ok {
				l.ahead = nil
			}
		}
		switch {
		case l.ahead == nil || l.ahead.GetSequence() > sequence:
			return nil, fmt.Errorf("%w: erased epoch %d has nothing of segment %d left", log.ErrLoss, l.GetEpoch(), sequence)
		case l.ahead.GetSequence() == sequence:
			return l.ahead.GetSealed(), nil
		}
	}
}

// resealed reads what was sealed again of an epoch, the parts of a segment put together. What
// it lies in may have been erased meanwhile, and is then itself what was left.
func (u *unsealer) resealed(e *pb.ErasedEpoch) iter.Seq2[*pb.Resealed, error] {
	inner := u.another(u.ctx)
	lossy := u.known.losses.Within(log.Segments{From: e.GetFirst(), To: e.GetLast()})
	return func(yield func(*pb.Resealed, error) bool) {
		defer inner.end()
		var whole *pb.Resealed
		err := u.reader.Read(u.ctx, e.GetFirst(), e.GetLast(), func(entry log.Entry) error {
			segment, err := seal.ParseSegment(entry.Payload)
			if err != nil || segment.Class != seal.Health {
				return err
			}
			blocks, err := inner.blocks(segment, entry.Sequence)
			if err != nil && !errors.Is(err, errLost) {
				return err
			}
			for _, block := range blocks {
				for _, event := range block {
					r := event.GetResealed()
					if r == nil || r.GetReseal() != e.GetReseal() {
						continue
					}
					last := whole
					if whole, err = joined(last, r); err != nil && lossy {
						// A part that goes on from one that is lost is lost with it.
						if whole, err = joined(nil, r); err != nil {
							whole, err = last, nil
							continue
						}
					}
					if err != nil {
						return err
					}
					if whole.GetPart()+1 == whole.GetParts() && !yield(whole, nil) {
						return errEnough
					}
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// joined puts a part behind those that came before. The error is seal.ErrTampered.
func joined(whole, r *pb.Resealed) (*pb.Resealed, error) {
	begins := whole == nil || whole.GetPart()+1 == whole.GetParts()
	switch {
	case begins && r.GetPart() == 0 && r.GetParts() > 0 && (whole == nil || whole.GetSequence() < r.GetSequence()):
		return r, nil
	case !begins && r.GetSequence() == whole.GetSequence() && r.GetPart() == whole.GetPart()+1 && r.GetParts() == whole.GetParts():
		whole.Sealed, whole.Part = append(whole.GetSealed(), r.GetSealed()...), r.GetPart()
		return whole, nil
	}
	return nil, fmt.Errorf("%w: a part of what is left of segment %d is out of order", seal.ErrTampered, r.GetSequence())
}
