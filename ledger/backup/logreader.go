package backup

import (
	"errors"
	"fmt"
	"io"

	"healthledger/ledger/seal"
	"healthledger/ledger/tree"
)

// logReader reads a log file: segments in sequence, and checkpoints of those before them.
type logReader struct {
	*frames
	tree      tree.Tree
	committed uint64
}

func newLogReader(r io.Reader) (*logReader, error) {
	f, err := readFrames(r, logMagic)
	if err != nil {
		return nil, err
	}
	return &logReader{frames: f}, nil
}

// next returns the next frame. Errors: io.EOF, errTorn, *DamageError.
func (r *logReader) next() (frame, error) {
	at := r.offset
	f, err := r.frames.next()
	if err != nil {
		return f, err
	}
	switch {
	case f.kind == kindSegment && f.sequence == r.tree.Size()+1:
		r.tree.Append(tree.Leaf(f.payload))
	case f.kind == kindCheckpoint && f.sequence == r.tree.Size():
		r.committed = f.sequence
	default:
		return f, &DamageError{at, fmt.Sprintf("kind %d, number %d comes after segment %d", f.kind, f.sequence, r.tree.Size())}
	}
	return f, nil
}

// readLog calls segment with each segment in a file and checkpoint with each signed checkpoint of
// those before it. What stands behind the last checkpoint, which ends at the offset that is
// returned, is of a backup that broke off. Errors: *DamageError, and those of the functions.
func readLog(r io.Reader, segment func(sequence uint64, payload []byte) error, checkpoint func(size uint64, signed []byte) error) (seal.StoreID, int64, error) {
	lr, err := newLogReader(r)
	if errors.Is(err, errTorn) {
		err = &DamageError{0, errTorn.Error()}
	}
	if err != nil {
		return seal.StoreID{}, 0, err
	}
	for end := int64(headerSize); ; {
		f, err := lr.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			return lr.store, end, nil
		}
		switch {
		case err == nil && f.kind == kindSegment:
			err = segment(f.sequence, f.payload)
		case err == nil:
			end = lr.offset
			err = checkpoint(f.sequence, f.payload)
		}
		if err != nil {
			return lr.store, end, err
		}
	}
}
