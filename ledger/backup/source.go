package backup

import (
	"context"
	"fmt"
	"os"

	"healthledger/ledger/seal"
)

// A Log is the log of a store that is to be restored. It is read from its beginning as often as
// need be.
type Log interface {
	// Size returns how many segments Each reads.
	Size() uint64
	// Each calls segment with each segment, and checkpoint with each signed checkpoint of those
	// before it. Errors: those of the functions, and what says that the log is damaged.
	Each(ctx context.Context, segment func(sequence uint64, payload []byte) error, checkpoint func(signed []byte) error) error
}

// A Source is the log in a file that OpenLog has made.
type Source struct {
	Store seal.StoreID
	// Behind is how many bytes follow the last checkpoint, of a backup that broke off.
	Behind int64

	path string
	size uint64 // segments in front of the last checkpoint, or fewer; only these are read
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
	if s.Store, s.Behind, err = readLog(file, func(uint64, []byte) error { return nil }, func(size uint64, _ []byte) error {
		s.size = size
		return nil
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.Behind = info.Size() - s.Behind
	return s, nil
}

// Each implements Log. Errors: *DamageError, and those of the functions.
func (s *Source) Each(_ context.Context, segment func(sequence uint64, payload []byte) error, checkpoint func(signed []byte) error) error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, _, err = readLog(file, func(sequence uint64, payload []byte) error {
		if sequence > s.size {
			return nil
		}
		return segment(sequence, payload)
	}, func(size uint64, signed []byte) error {
		if size > s.size {
			return nil
		}
		return checkpoint(signed)
	})
	return err
}
