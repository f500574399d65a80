package seal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrDestroyed means that the keys an operation needs have been wiped.
var ErrDestroyed = errors.New("keys are destroyed")

// Secret holds key bytes outside the garbage-collected heap, where nothing
// moves or copies them: in pages that are locked in memory (not written to
// swap) and left out of core dumps. Its methods are safe for concurrent use.
//
// A Secret that is dropped without Destroy is leaked, key and all: a finaliser
// could wipe it under a slice that Bytes returned.
type Secret struct {
	mu   sync.RWMutex // held for reading while the package uses the bytes
	cell cell         // cell.bytes is nil once destroyed
}

// NewSecret returns a Secret of n zero bytes. It panics when n is not positive
// or the system has no memory left.
func NewSecret(n int) *Secret {
	if n <= 0 {
		panic("seal: a secret needs at least one byte")
	}
	for _, s := range slabs {
		if n <= s.size {
			c := s.take()
			c.bytes = c.bytes[:n]
			return &Secret{cell: c}
		}
	}
	return &Secret{cell: mapPages(n)}
}

// SecretFrom returns a Secret with a copy of b, and wipes b.
func SecretFrom(b []byte) *Secret {
	s := NewSecret(len(b))
	copy(s.cell.bytes, b)
	clear(b)
	return s
}

// Bytes returns the secret itself, not a copy. The slice must not be used after
// Destroy. Bytes panics on a destroyed Secret, because an empty key is a key
// that everybody has.
func (s *Secret) Bytes() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.cell.bytes == nil {
		panic("seal: use of a destroyed secret")
	}
	return s.cell.bytes
}

// Locked reports whether the secret's memory is locked, that is, never swapped.
func (s *Secret) Locked() bool { return s.cell.locked }

// Destroy wipes the secret and gives its memory back. Calling it again, or on
// nil, does nothing.
func (s *Secret) Destroy() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cell.bytes == nil {
		return
	}
	clear(s.cell.bytes[:cap(s.cell.bytes)])
	s.cell.giveBack()
	s.cell.bytes = nil
}

// hold returns the bytes and keeps Destroy waiting until release.
func (s *Secret) hold() ([]byte, error) {
	s.mu.RLock()
	if s.cell.bytes == nil {
		s.mu.RUnlock()
		return nil, ErrDestroyed
	}
	return s.cell.bytes, nil
}

func (s *Secret) release() { s.mu.RUnlock() }

// MemoryLocked reports whether every page that held a secret so far could be
// locked in memory. When it could not (see RLIMIT_MEMLOCK) and swap is on, keys
// can reach the disk.
func MemoryLocked() bool {
	NewSecret(slabs[0].size).Destroy()
	return !lockFailed.Load()
}

// cell is memory for one secret: a piece of a slab, or pages of its own.
type cell struct {
	bytes  []byte
	slab   *slab // nil for pages of their own
	locked bool
}

// slabs hand out the common sizes. A key needs 32 bytes and a page has 4,096;
// a daemon with thousands of open epochs would otherwise use up the limit of
// locked memory (often 8 MiB) at once. They are the process's allocator for
// secrets, as the heap is for everything else, hence global.
var slabs = [...]*slab{{size: 32}, {size: 64}}

var lockFailed atomic.Bool

// slabBytes is the size of the regions a slab grows by: 2,048 keys.
const slabBytes = 64 << 10

type slab struct {
	size int
	mu   sync.Mutex
	free []cell // wiped
}

func (s *slab) take() cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		region := mapPages(slabBytes)
		for at := 0; at < slabBytes; at += s.size {
			// The capacity ends with the cell: an append never reaches a neighbour.
			s.free = append(s.free, cell{region.bytes[at : at+s.size : at+s.size], s, region.locked})
		}
	}
	c := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return c
}

// giveBack expects wiped bytes.
func (c cell) giveBack() {
	whole := c.bytes[:cap(c.bytes)]
	if c.slab == nil {
		if err := unix.Munmap(whole); err != nil {
			panic(fmt.Sprintf("seal: unmap a secret: %v", err))
		}
		return
	}
	c.slab.mu.Lock()
	defer c.slab.mu.Unlock()
	c.slab.free = append(c.slab.free, cell{whole, c.slab, c.locked})
}

// mapPages returns n zero bytes in pages of their own.
func mapPages(n int) cell {
	page := unix.Getpagesize()
	b, err := unix.Mmap(-1, 0, (n+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("seal: map %d bytes for a secret: %v", n, err))
	}
	locked := unix.Mlock(b) == nil
	if !locked {
		lockFailed.Store(true)
	}
	// Best effort: the processes that hold keys also switch core dumps off.
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
	return cell{bytes: b[:n], locked: locked}
}
