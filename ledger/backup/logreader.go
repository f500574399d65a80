package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// A Visitor is told what a log consists of, from its beginning. Errors that it returns end that.
type Visitor interface {
	// Segment is the next one.
	Segment(sequence uint64, payload []byte) error
	// Gone says that the next segments, from one to another, are not there. Decisions are those that
	// say so, and what of those that are lost says who has signed, as far as they have not come yet.
	Gone(from, to uint64, decisions []*pb.SignedDecision) error
	// Checkpoint is a signed one of exactly what has come.
	Checkpoint(signed []byte) error
}

// logReader reads a log file: segments in sequence, what says that some are gone, and checkpoints
// of those before them.
type logReader struct {
	*frames
	size      uint64 // how many segments were there, or are gone
	committed uint64 // and of how many the last checkpoint is, which ends at
	end       int64
	decisions []*pb.SignedDecision // since some were gone last
}

func newLogReader(r io.Reader) (*logReader, error) {
	f, err := readFrames(r, logMagic, logMagic1)
	if err != nil {
		return nil, err
	}
	return &logReader{frames: f, end: f.offset}, nil
}

// next tells a visitor of the next frame. Errors: io.EOF, errTorn, *DamageError, and those of the
// visitor.
func (r *logReader) next(v Visitor) error {
	at := r.offset
	f, err := r.frames.next()
	if err != nil {
		return err
	}
	if f.kind != kindDecision && f.kind != kindGone && len(r.decisions) > 0 {
		return &DamageError{at, "nothing is gone behind decisions that say so"}
	}
	switch {
	case f.kind == kindSegment && f.sequence == r.size+1:
		r.size = f.sequence
		return v.Segment(f.sequence, f.payload)
	case f.kind == kindCheckpoint && f.sequence == r.size:
		r.committed, r.end = f.sequence, r.offset
		return v.Checkpoint(f.payload)
	case r.magic == logMagic1:
	case f.kind == kindDecision && f.sequence == r.size:
		if d := parseDecision(f.payload); d != nil {
			r.decisions = append(r.decisions, d)
			return nil
		}
	case f.kind == kindGone && f.sequence == r.size+1 && len(f.payload) == 8 && binary.BigEndian.Uint64(f.payload) > r.size:
		to := binary.BigEndian.Uint64(f.payload)
		decisions := r.decisions
		r.size, r.decisions = to, nil
		return v.Gone(f.sequence, to, decisions)
	}
	return &DamageError{at, fmt.Sprintf("kind %d, number %d comes after segment %d", f.kind, f.sequence, r.size)}
}

// readLog tells a visitor what is in a file. It returns how many segments the last checkpoint is of,
// and the offset at which it ends; what stands behind it is of a backup that broke off. Errors:
// *DamageError, and those of the visitor.
func readLog(r io.Reader, v Visitor) (store seal.StoreID, size uint64, end int64, err error) {
	lr, err := newLogReader(r)
	if errors.Is(err, errTorn) {
		err = &DamageError{0, errTorn.Error()}
	}
	if err != nil {
		return store, 0, 0, err
	}
	for {
		err := lr.next(v)
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			return lr.store, lr.committed, lr.end, nil
		}
		if err != nil {
			return lr.store, lr.committed, lr.end, err
		}
	}
}

// encodeDecision is the payload of a frame with a decision.
func encodeDecision(d *pb.SignedDecision) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(d.GetDecision())))
	return append(append(b, d.GetDecision()...), d.GetSignature()...)
}

// parseDecision returns nil for what is none.
func parseDecision(b []byte) *pb.SignedDecision {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil
	}
	end := 4 + int(binary.BigEndian.Uint32(b))
	return &pb.SignedDecision{Decision: b[4:end:end], Signature: b[end:]}
}
