package backup

import (
	"context"
	"fmt"
	"os"

	"healthledger/ledger/seal"
	pb "healthledger/proto/healthledger/v1"
)

// A Log is the log of a store that is to be restored. It is read from its beginning as often as
// need be.
type Log interface {
	// Size returns how many segments Each reads.
	Size() uint64
	// Each tells a visitor of all of it. Errors: those of the visitor, and what says that the log is
	// damaged.
	Each(ctx context.Context, v Visitor) error
}

// A Source is the log in a file that OpenLog has made.
type Source struct {
	Store seal.StoreID
	// Behind is how many bytes follow the last checkpoint, of a backup that broke off.
	Behind int64

	path string
	size uint64 // how many segments the last checkpoint is of, or fewer; only these are read
}

// Size implements Log.
func (s *Source) Size() uint64 { return s.size }

// Until leaves out what is behind the first so many segments, and returns how many that is.
func (s *Source) Until(size uint64) (left uint64) {
	before := s.size
	s.size = min(size, before)
	return before - s.size
}

// OpenSource looks through the file at path. Errors: *DamageError, and those of the filesystem.
func OpenSource(path string) (*Source, error) {
	s := &Source{path: path}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if s.Store, s.size, s.Behind, err = readLog(file, passing{}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.Behind = info.Size() - s.Behind
	return s, nil
}

// passing takes note of nothing.
type passing struct{}

func (passing) Segment(uint64, []byte) error                    { return nil }
func (passing) Gone(uint64, uint64, []*pb.SignedDecision) error { return nil }
func (passing) Checkpoint([]byte) error                         { return nil }

// Each implements Log. Errors: *DamageError, and those of the visitor.
func (s *Source) Each(_ context.Context, v Visitor) error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, _, _, err = readLog(file, &upTo{v, s.size, 0})
	return err
}

// upTo tells a visitor of so many segments only.
type upTo struct {
	Visitor
	size uint64
	at   uint64 // how many there were, or are gone
}

func (u *upTo) Segment(sequence uint64, payload []byte) error {
	if u.at = sequence; sequence > u.size {
		return nil
	}
	return u.Visitor.Segment(sequence, payload)
}

func (u *upTo) Gone(from, to uint64, decisions []*pb.SignedDecision) error {
	if u.at = to; from > u.size {
		return nil
	}
	return u.Visitor.Gone(from, min(to, u.size), decisions)
}

func (u *upTo) Checkpoint(signed []byte) error {
	if u.at > u.size {
		return nil
	}
	return u.Visitor.Checkpoint(signed)
}
