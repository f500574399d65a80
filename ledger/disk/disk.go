// Package disk says how much room is left where a data directory lies, and who may still
// use it. Free space goes down through three ranges:
//
//	more than the reserve    everybody writes
//	the reserve              apps write no more; records of reads, the owner's decisions and
//	                         erasing do
//	the last of the reserve  nothing goes into the log, so nothing is read either; it is left
//	                         for what the filesystem, JetStream and the view need themselves
//
// The answer is the same for whoever asks, and follows the disk: when there is room again,
// writes are taken again.
package disk

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultReserve is enough for tens of thousands of records of reads, in bytes.
const DefaultReserve = 256 << 20

// maxLast is the most that nobody may use of a reserve, in bytes; of a small one it is a
// quarter.
const maxLast = 16 << 20

// lookEvery is how long a look at the disk is good for.
const lookEvery = 100 * time.Millisecond

// Use is what room is asked for.
type Use int

// The uses.
const (
	// Ordinary is what apps write.
	Ordinary Use = iota
	// Reserved is what must go on when apps can no longer write: records of reads, the
	// owner's decisions, erasing.
	Reserved

	// Uses is how many there are.
	Uses = iota
)

// String says who writes.
func (u Use) String() string {
	if u == Ordinary {
		return "apps"
	}
	return "records and decisions"
}

// Space is the room of one data directory. It may be used from several goroutines.
type Space struct {
	reserve uint64
	free    func() (uint64, error)
	now     func() time.Time

	mu     sync.Mutex
	looked time.Time
	left   uint64
	known  bool
	past   trend
}

// New returns a space of which free returns the bytes that are left, with a reserve in bytes;
// 0: none, everybody writes until the disk is full.
func New(free func() (uint64, error), reserve uint64) *Space {
	return &Space{reserve: reserve, free: free, now: time.Now}
}

// Free asks for what a folder's filesystem has left for this user, in bytes.
func Free(dir string) func() (uint64, error) {
	return func() (uint64, error) {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			return 0, err
		}
		return s.Bavail * uint64(s.Bsize), nil
	}
}

// Admits reports whether there is room for a use. Where the disk does not say how much it
// has left, there is: a write to it will tell.
func (s *Space) Admits(use Use) bool {
	left := s.look()
	if use == Ordinary {
		return left >= s.reserve
	}
	return left >= s.last()
}

// last is what nobody may use.
func (s *Space) last() uint64 { return min(s.reserve/4, maxLast) }

// look returns the bytes that are left.
func (s *Space) look() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A clock that was set back must not stop it from looking.
	if now := s.now(); !s.known || now.Sub(s.looked).Abs() >= lookEvery {
		s.looked = now
		left, err := s.free()
		if err != nil {
			s.known = false
			return ^uint64(0)
		}
		s.left, s.known = left, true
		s.past.add(now, left)
	}
	return s.left
}

// State is what there is to say about a space, in bytes.
type State struct {
	// Free is what is left. With less than Reserve apps cannot write, with less than Last
	// nothing is written.
	Free, Reserve, Last uint64
	// Lasts is how long it takes down to the next of these, at the pace of the last day. 0:
	// there is no telling, or it does not become less.
	Lasts time.Duration
}

// State returns how things stand; false: the disk does not say.
func (s *Space) State() (State, bool) {
	state := State{Free: s.look(), Reserve: s.reserve, Last: s.last()}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := state.Reserve
	if state.Free < next {
		next = state.Last
	}
	if pace := s.past.pace(s.now(), state.Free); pace > 0 && state.Free > next {
		seconds := min(float64(state.Free-next)/pace, maxLasts.Seconds())
		state.Lasts = time.Duration(seconds * float64(time.Second))
	}
	return state, s.known
}

// maxLasts is "as good as forever".
const maxLasts = 100 * 365 * 24 * time.Hour
