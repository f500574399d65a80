package serve

import (
	"fmt"
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

// steps notices a wall clock that was set: it measures it against the machine's own clock,
// which nobody sets, and against what the log says. Times in the log come from the wall clock.
type steps struct {
	clock clock
	wall  func() time.Time
	// When the daemon was started, by both.
	startWall time.Time
	startBoot time.Duration
}

// stepLeast is what is worth a warning. Clocks that are kept right are moved by less.
const stepLeast = time.Minute

func newSteps(c clock, wall func() time.Time) *steps {
	return &steps{clock: c, wall: wall, startWall: wall().Round(0), startBoot: c.boot()}
}

// moved returns how far the wall clock was set since the daemon was started.
func (s *steps) moved() time.Duration {
	return s.wall().Round(0).Sub(s.startWall) - (s.clock.boot() - s.startBoot)
}

// warnings says what is wrong with the clock; lastWrite is the time of the log's last
// segment, or zero.
func (s *steps) warnings(lastWrite time.Time) []string {
	var warnings []string
	switch moved := s.moved(); {
	case moved <= -stepLeast:
		warnings = append(warnings, fmt.Sprintf("the clock was set back by %s since the daemon was started", -moved.Round(time.Second)))
	case moved >= stepLeast:
		warnings = append(warnings, fmt.Sprintf("the clock was set forward by %s since the daemon was started", moved.Round(time.Second)))
	}
	if behind := lastWrite.Sub(s.wall()); behind >= stepLeast {
		warnings = append(warnings, fmt.Sprintf("the clock is %s behind the last write: one of them is wrong, and what is written now seems older than it is",
			behind.Round(time.Second)))
	}
	return warnings
}
