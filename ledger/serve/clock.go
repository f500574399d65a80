package serve

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clock counts the time the machine was suspended: a lock that is due in ten
// minutes is due in ten minutes, whether the lid was closed or not.
type clock interface {
	// boot returns the time since the machine was started.
	boot() time.Duration
	// suspended tells whether the machine was suspended since it was asked before.
	suspended() bool
}

type systemClock struct {
	mu   sync.Mutex
	away time.Duration
	seen bool
}

func read(id int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(id, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func (c *systemClock) boot() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// CLOCK_MONOTONIC stands still while the machine is suspended, CLOCK_BOOTTIME does not.
func (c *systemClock) suspended() bool {
	away := read(unix.CLOCK_BOOTTIME) - read(unix.CLOCK_MONOTONIC)
	c.mu.Lock()
	defer c.mu.Unlock()
	grown := c.seen && away-c.away > time.Second
	c.away, c.seen = away, true
	return grown
}
