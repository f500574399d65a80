package serve

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock counts the time the machine was suspended: a lock that is due in ten
// minutes is due in ten minutes, whether the lid was closed or not.
type clock interface {
	// boot returns the time since the machine was started.
	boot() time.Duration
	// away returns how much of that it was suspended.
	away() time.Duration
}

type systemClock struct{}

func read(id int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(id, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func (systemClock) boot() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// CLOCK_MONOTONIC stands still while the machine is suspended, CLOCK_BOOTTIME does not.
func (systemClock) away() time.Duration {
	return read(unix.CLOCK_BOOTTIME) - read(unix.CLOCK_MONOTONIC)
}
