package projector

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/ledger/log"
	"healthledger/ledger/seal"
	"healthledger/projector/erase"
	pb "healthledger/proto/healthledger/v1"
)

const (
	// maxPart is the most of a segment that one event takes.
	maxPart = 512 << 10
	// maxPiece is how much is appended at once, about: what fits a segment.
	maxPiece = 640 << 10
)

// span is an epoch of class health with its segments.
type span struct {
	epoch     uint64
	wrapHash  [32]byte
	sequences []uint64
}

// survey shows the log to an erasure, and returns the epochs that it touches.
func (o *openStore) survey(ctx context.Context, opener *seal.Opener, e *erasure, rewriter *erase.Rewriter, to uint64) ([]*span, error) {
	d := o.decoder(opener, authz.NewState(verifier{o.config.GetFirstOwnerKey(), o.store}, true))
	d.begin(ctx)
	defer d.end()
	var spans []*span
	err := d.reader.Read(ctx, 1, to, func(entry log.Entry) error {
		opened, err := d.open(entry)
		if err != nil {
			return err
		}
		if err := rewriter.Survey(entry.Sequence, opened.events); err != nil {
			return err
		}
		segment, err := seal.ParseSegment(entry.Payload)
		if err == nil && segment.Class == seal.Health && !d.known.losses.Sealed(entry.Sequence) {
			spans = extend(spans, segment, entry.Sequence)
		}
		e.report(entry.Sequence)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(spans, func(s *span) bool { return !slices.ContainsFunc(s.sequences, rewriter.Touches) }), nil
}

// extend adds a segment of class health to its epoch. They come in order.
func extend(spans []*span, segment seal.Segment, sequence uint64) []*span {
	if n := len(spans); n == 0 || spans[n-1].epoch != segment.Epoch || spans[n-1].wrapHash != segment.WrapHash {
		spans = append(spans, &span{epoch: segment.Epoch, wrapHash: segment.WrapHash})
	}
	last := spans[len(spans)-1]
	last.sequences = append(last.sequences, sequence)
	return spans
}

// resealing seals again what is left of epochs.
type resealing struct {
	o        *openStore
	erasure  *erasure
	rewriter *erase.Rewriter
	unsealer *unsealer
	standing *authz.State

	// piece is what goes to the daemon next, and of the epochs that it belongs to.
	piece []*pb.Resealed
	of    []*pb.ErasedEpoch
	size  int
}

// epoch seals again what is left of one.
func (r *resealing) epoch(ctx context.Context, s *span) error {
	number, err := r.number()
	if err != nil {
		return err
	}
	reseal, wrap, err := seal.NewReseal(r.o.store, number, s.epoch, [][]byte{r.o.keys.PublicKeys().StoreKey})
	if err != nil {
		return err
	}
	defer reseal.Destroy()
	if err := r.o.directory.PutWrap(seal.Resealed, number, wrap); err != nil {
		return err
	}
	wrapHash, digest := sha256.Sum256(wrap), sha256.New()
	e := &pb.ErasedEpoch{Epoch: s.epoch, WrapHash: s.wrapHash[:], Reseal: number, ResealHash: wrapHash[:]}
	at := 0
	err = r.unsealer.reader.Read(ctx, s.sequences[0], s.sequences[len(s.sequences)-1], func(entry log.Entry) error {
		if entry.Sequence != s.sequences[at] {
			return nil // of another class
		}
		at++
		if err := r.segment(ctx, e, reseal, digest, entry); err != nil {
			return fmt.Errorf("segment %d: %w", entry.Sequence, err)
		}
		r.erasure.report(r.erasure.total/3 + entry.Sequence)
		return nil
	})
	e.Digest = digest.Sum(nil)
	r.erasure.epochs = append(r.erasure.epochs, e)
	return err
}

// number names a key that was sealed with, whatever came of it, by what nobody else has.
func (r *resealing) number() (uint64, error) {
	var b [8]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, err
		}
		if number := binary.BigEndian.Uint64(b[:]); number != 0 {
			return number, nil
		}
	}
}

func (r *resealing) segment(ctx context.Context, e *pb.ErasedEpoch, reseal *seal.Reseal, digest hash.Hash, entry log.Entry) error {
	segment, err := seal.ParseSegment(entry.Payload)
	if err != nil {
		return err
	}
	blocks, err := r.unsealer.blocks(segment, entry.Sequence)
	if err != nil {
		return err
	}
	if blocks, err = r.rewriter.Rewrite(entry.Sequence, blocks); err != nil {
		return err
	}
	content := make([][]byte, len(blocks))
	for i, block := range blocks {
		if content[i], err = proto.Marshal(&pb.EventList{Events: r.standingOnly(block)}); err != nil {
			return err
		}
	}
	body, err := log.EncodeLeft(content)
	if err != nil {
		return err
	}
	sealed, err := reseal.Seal(entry.Sequence, body)
	if err != nil {
		return err
	}
	digest.Write(sealed)
	parts := slices.Collect(slices.Chunk(sealed, maxPart))
	for i, part := range parts {
		if r.size > 0 && r.size+len(part) > maxPiece {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		r.piece = append(r.piece, &pb.Resealed{
			Reseal: e.GetReseal(), Sequence: entry.Sequence, Part: uint32(i), Parts: uint32(len(parts)), Sealed: part,
		})
		r.of, r.size = append(r.of, e), r.size+len(part)
	}
	return nil
}

// standingOnly empties what was sealed again for an erasure before and stands for nothing any
// more.
func (r *resealing) standingOnly(events []*pb.Event) []*pb.Event {
	var kept []*pb.Event
	for i, event := range events {
		resealed := event.GetResealed()
		if resealed == nil || r.stands(resealed.GetReseal()) {
			continue
		}
		if kept == nil {
			kept = slices.Clone(events)
		}
		kept[i] = &pb.Event{Time: event.GetTime(), Body: &pb.Event_Resealed{Resealed: &pb.Resealed{}}}
	}
	if kept == nil {
		return events
	}
	return kept
}

func (r *resealing) stands(number uint64) bool {
	for _, erasure := range r.standing.Erasures() {
		for _, e := range erasure.Epochs {
			if e.GetReseal() == number {
				now, _ := r.standing.Erased(e.GetEpoch())
				return now == e
			}
		}
	}
	return false
}

// flush hands the piece to the daemon.
func (r *resealing) flush(ctx context.Context) error {
	if len(r.piece) == 0 {
		return nil
	}
	at, err := r.erasure.put(ctx, r.piece)
	if err != nil {
		return err
	}
	for i, e := range r.of {
		if e.GetFirst() == 0 {
			e.First = at[i]
		}
		e.Last = at[i]
	}
	r.piece, r.of, r.size = nil, nil, 0
	return nil
}

// readBack reads from the log, with the keys that the key directory has, what was sealed
// again: all of it, and nothing else.
func (o *openStore) readBack(ctx context.Context, opener *seal.Opener, e *erasure, spans []*span) error {
	u := o.unsealer(opener)
	u.known = u.known.with(e.epochs)
	u.begin(ctx)
	defer u.end()
	for i, s := range spans {
		erased, digest, at := e.epochs[i], sha256.New(), 0
		for r, err := range u.resealed(erased) {
			if err != nil {
				return err
			}
			if at == len(s.sequences) || r.GetSequence() != s.sequences[at] {
				return missing(s.sequences[min(at, len(s.sequences)-1)])
			}
			at++
			digest.Write(r.GetSealed())
			body, err := opener.OpenResealed(erased.GetReseal(), [32]byte(erased.GetResealHash()), erased.GetEpoch(), r.GetSequence(), r.GetSealed())
			if err == nil {
				_, err = log.DecodeLeft(body)
			}
			if err != nil {
				return err
			}
			e.report(2*e.total/3 + r.GetSequence())
		}
		if at < len(s.sequences) || !bytes.Equal(digest.Sum(nil), erased.GetDigest()) {
			return missing(s.sequences[min(at, len(s.sequences)-1)])
		}
	}
	return nil
}
