package store

import (
	"time"

	"golang.org/x/sys/unix"
)

// A moment of the machine's monotonic clock, in nanoseconds.
type moment int64

func clock() moment {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return moment(t.Nano())
}

// wait sleeps until whole milliseconds after m. It takes a thread for as long.
func (m moment) wait() {
	const step = moment(time.Millisecond)
	until := unix.NsecToTimespec(int64(m + ((clock()-m)/step+1)*step))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) == unix.EINTR {
		continue // the runtime's own signals
	}
}
